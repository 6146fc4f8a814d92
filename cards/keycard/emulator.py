"""A Keycard made of software: what comes in, who answers it, and in which order it is refused."""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import fields

from coincurve import PrivateKey

from cards.apdu import Response
from cards.emulation import Emulator, Refusal, kept, shared_x, sign_high_or_low
from cards.errors import NotSupported
from cards.keycard import AID, NAME, emulator_keys, emulator_memory
from cards.keycard.emulator_memory import (
    SLOTS,
    Card,
    CbcCardChannel,
    CcmCardChannel,
    Flash,
    Handler,
    Power,
    Request,
    need_pin,
    revived,
)
from cards.keycard.roots import TEST_PRIVATE_KEY
from cards.keycard.wire import (
    BLOCK,
    CAPABILITIES,
    CERTIFICATE,
    EPHEMERAL_SLOT,
    POINT,
    STATUS_READY,
    CbcKeys,
    CcmKeys,
    Ins,
    Sw,
    Tag,
    cbc_decrypt,
    handshake_digest,
    tlv,
)

SELECT = bytes.fromhex("00A404")
APPLETS = {"keycard": AID, "ident": bytes.fromhex("A00000080400010401")}
AID_MIN = 8
UID = 16
RESET_MAGIC = (0xAA, 0x55)
SURVIVES_RESET = {"profile", "uid", "identity", "certificate", "one_byte_short"}
WITH_OR_WITHOUT_CHANNEL = {Ins.IDENTIFY, Ins.GET_DATA}
HASH = 32
ANY, EPHEMERAL, PERSISTENT = range(3)
KeycardEmulator = Emulator[Flash, Card]


def emulate(profile: str) -> KeycardEmulator:
    """Make a card as it leaves the factory, certified by the test key."""
    card = blank(profile)
    card.flash.identity = PrivateKey().secret
    card.flash.certificate = certificate(card.flash.identity)
    return card


def uncertified(profile: str) -> KeycardEmulator:
    """Make a card that nobody certified; 4.0 does not work without."""
    if profile == "4.0":
        raise NotSupported(NAME, "working without a certificate on 4.0")
    return blank(profile)


def blank(profile: str) -> KeycardEmulator:
    """Make a card before the factory certifies it."""
    if profile not in SLOTS:
        raise NotSupported(NAME, f"version {profile}, only {', '.join(SLOTS)}")
    return Emulator(Flash(profile, secrets.token_bytes(UID)), Card, answered)


def revive(state: bytes) -> KeycardEmulator:
    """Make the card whose state this is; raises CardError for anything else."""
    return Emulator(kept(state, revived, "Keycard"), Card, answered)


def answered(card: Card, apdu: bytes) -> Response:
    """Answer or refuse, in the channel where there is one that was open before and still holds."""
    try:
        said = Response(_route(card, apdu))
    except Refusal as refusal:
        said = Response(sw=refusal.sw)
        if said.sw == Sw.SECURITY:
            card.close_channel()
    channel, opening = card.power.channel, apdu[1:2] == bytes((Ins.OPEN,))
    if channel is None or opening or not card.power.authenticated:
        return said
    return Response(channel.wrap(said.data, said.sw))


def _route(card: Card, apdu: bytes) -> bytes:
    """Choose between the card manager, which selects, and the applets."""
    request = Request.read(apdu)
    if apdu.startswith(SELECT):
        return _select(card, request.data)
    if card.power.selected == "ident":
        return personalise(card, request)
    if card.power.selected != "keycard":
        raise Refusal(Sw.UNKNOWN_INS)
    return (_ccm_applet if card.flash.certified else _cbc_applet)(card, apdu, request)


def _select(card: Card, aid: bytes) -> bytes:
    """Select an applet by the beginning of its name: channel and login are gone."""
    found = [name for name, full in APPLETS.items() if full.startswith(aid)]
    if len(aid) < AID_MIN or not found:
        raise Refusal(Sw.NOT_FOUND)
    card.power = Power(selected=found[0], last_chain_code=card.power.last_chain_code)
    if found[0] == "ident":
        return card.flash.certificate
    return (_certified_application if card.flash.certified else _application)(card)


def _application(card: Card) -> bytes:
    """Tell who a 3.x card is; before INIT only the key that INIT encrypts to."""
    flash = card.flash
    point = PrivateKey(flash.channel_key).public_key.format(compressed=False)
    key = tlv(Tag.PUBLIC_KEY, point)
    if not flash.initialised:
        return key
    return tlv(
        Tag.APPLICATION,
        tlv(Tag.INSTANCE_UID, flash.uid)
        + key
        + tlv(Tag.INTEGER, flash.version)
        + tlv(Tag.INTEGER, bytes((len(free_slots(card)),)))
        + _key_and_capabilities(flash),
    )


def _certified_application(card: Card) -> bytes:
    """Tell who a 4.0 card is; the snapshot of its source counts the template short by one."""
    flash = card.flash
    _need_certificate(card)
    status = (STATUS_READY | flash.pin.left) if flash.initialised else 0
    content = (
        tlv(Tag.INTEGER, flash.version)
        + tlv(Tag.STATUS, bytes((status,)))
        + _key_and_capabilities(flash)
        + tlv(Tag.CERTIFICATE, flash.certificate)
    )
    template = tlv(Tag.APPLICATION, content)
    if not flash.one_byte_short:
        return template
    head = template[: -len(content)]
    return head[:-1] + bytes((head[-1] - 1,)) + content


def _key_and_capabilities(flash: Flash) -> bytes:
    return tlv(Tag.KEY_UID, flash.key_uid) + tlv(Tag.CAPABILITIES, bytes((CAPABILITIES,)))


def _cbc_applet(card: Card, apdu: bytes, request: Request) -> bytes:
    """Answer as 3.x: some commands in clear, the others only in the channel."""
    ins, power = request.ins, card.power
    if ins == Ins.FACTORY_RESET:
        return _factory_reset(card, request)
    in_clear = IN_CLEAR if card.flash.initialised else BEFORE_INIT
    if ins in in_clear:
        return in_clear[ins](card, request)
    if not card.flash.initialised or ins not in CBC_HANDLERS:
        raise Refusal(Sw.UNKNOWN_INS)
    if power.channel is None and ins in WITH_OR_WITHOUT_CHANNEL:
        return CBC_HANDLERS[ins](card, request)
    if power.channel is None or not (power.authenticated or ins == Ins.MUTUALLY_AUTHENTICATE):
        raise Refusal(Sw.CONDITIONS)
    return CBC_HANDLERS[ins](card, power.channel.unwrap(apdu))


def _initialise(card: Card, request: Request) -> bytes:
    """INIT of 3.x: encrypted to the one-shot key, which is another afterwards."""
    point, rest = request.data[1 : 1 + POINT], request.data[1 + POINT :]
    if request.data[:1] != bytes((POINT,)):
        raise Refusal(Sw.WRONG_DATA)
    shared = _shared(card.flash.channel_key, point)
    try:
        plain = cbc_decrypt(shared, rest[:16], rest[16:])
    except ValueError:
        raise Refusal(Sw.WRONG_DATA) from None
    emulator_memory.initialise(card, plain)
    card.flash.channel_key = PrivateKey().secret
    return b""


def _ccm_applet(card: Card, apdu: bytes, request: Request) -> bytes:
    """Answer as 4.0: all but OPEN and FACTORY RESET is carried by SECURED.

    Before INIT almost everything is answered with nothing.
    """
    _need_certificate(card)
    if request.ins == Ins.FACTORY_RESET:
        return _factory_reset(card, request)
    if request.ins == Ins.OPEN:
        return open_certified(card, request)
    if request.ins != Ins.SECURED or card.power.channel is None:
        raise Refusal(Sw.CONDITIONS)
    inner = card.power.channel.unwrap(apdu)
    if not card.flash.initialised and inner.ins != Ins.GET_CHALLENGE:
        if inner.ins == Ins.INIT:
            emulator_memory.initialise(card, inner.data)
        return b""
    if inner.ins not in CCM_HANDLERS:
        raise Refusal(Sw.UNKNOWN_INS)
    return CCM_HANDLERS[inner.ins](card, inner)


def _factory_reset(card: Card, request: Request) -> bytes:
    """Forget everything but who the card is (FACTORY RESET)."""
    if (request.p1, request.p2) != RESET_MAGIC:
        raise Refusal(Sw.WRONG_P1_P2)
    clean = Flash(card.flash.profile, card.flash.uid)
    for each in fields(Flash):
        if each.name not in SURVIVES_RESET:
            setattr(card.flash, each.name, getattr(clean, each.name))
    card.power = Power(selected=card.power.selected)
    return b""


def _need_certificate(card: Card) -> None:
    if not card.flash.certificate:
        raise Refusal(Sw.CONDITIONS)


def open_paired(card: Card, request: Request) -> bytes:
    """OPEN of 3.x: needs a pairing, and authenticates nobody yet."""
    card.close_channel()
    pairing_key = card.flash.pairings.get(request.p1)
    if request.p1 == EPHEMERAL_SLOT:
        pairing_key = card.power.passing_pairing
    if not pairing_key:
        raise Refusal(Sw.WRONG_P1_P2)
    shared = _shared(card.flash.channel_key, request.data)
    salt, iv = secrets.token_bytes(HASH), secrets.token_bytes(BLOCK)
    card.power.channel = CbcCardChannel(CbcKeys.derive(shared, pairing_key, salt), iv)
    return salt + iv


def mutually_authenticate(card: Card, request: Request) -> bytes:
    """MUTUALLY AUTHENTICATE: a command that decrypts is proof enough."""
    if len(request.data) != HASH:
        raise Refusal(Sw.SECURITY)
    card.power.authenticated = True
    return secrets.token_bytes(HASH)


def open_certified(card: Card, request: Request) -> bytes:
    """OPEN of 4.0: the identity key signs for both halves."""
    card.close_channel()
    if request.p1 or request.p2:
        raise Refusal(Sw.WRONG_P1_P2)
    if len(request.data) != HASH + POINT:
        raise Refusal(Sw.WRONG_DATA)
    salt, host_point = request.data[:HASH], request.data[HASH:]
    ephemeral = PrivateKey()
    shared = _shared(ephemeral.secret, host_point)
    point = ephemeral.public_key.format(compressed=False)
    digest = handshake_digest(salt, host_point, point)
    card.power.channel = CcmCardChannel(CcmKeys.derive(shared, salt))
    card.power.authenticated = True
    return point + sign_high_or_low(card.flash.identity, digest)


def pair(card: Card, request: Request) -> bytes:
    """PAIR: both ends show that they know the secret, then a slot gets a key."""
    if card.power.authenticated:
        raise Refusal(Sw.CONDITIONS)
    if request.p1 == 0:
        return _pair_first(card, request)
    if request.p1 != 1 or not card.power.pairing_challenge:
        raise Refusal(Sw.WRONG_P1_P2)
    return _pair_last(card, request)


def unpair(card: Card, request: Request) -> bytes:
    """UNPAIR: free a slot."""
    need_pin(card)
    if request.p1 >= SLOTS[card.flash.profile]:
        raise Refusal(Sw.WRONG_P1_P2)
    card.flash.pairings.pop(request.p1, None)
    return b""


def free_slots(card: Card) -> list[int]:
    """Return the slots that nobody has."""
    return [slot for slot in range(SLOTS[card.flash.profile]) if slot not in card.flash.pairings]


def _pair_first(card: Card, request: Request) -> bytes:
    if len(request.data) != HASH:
        raise Refusal(Sw.WRONG_DATA)
    knows_ephemeral = card.flash.profile != "3.1"
    mode = request.p2 if knows_ephemeral else PERSISTENT
    if mode == PERSISTENT and not free_slots(card):
        raise Refusal(Sw.NO_SLOT)
    card.power.pairing_challenge = secrets.token_bytes(HASH)
    card.power.pairing_passes = mode == EPHEMERAL or not free_slots(card)
    proof = hashlib.sha256(card.flash.pairing_secret + request.data).digest()
    return proof + card.power.pairing_challenge


def _pair_last(card: Card, request: Request) -> bytes:
    challenge, card.power.pairing_challenge = card.power.pairing_challenge, b""
    if len(request.data) != HASH:
        raise Refusal(Sw.WRONG_DATA)
    secret = card.flash.pairing_secret
    if not hmac.compare_digest(request.data, hashlib.sha256(secret + challenge).digest()):
        raise Refusal(Sw.SECURITY)
    salt = secrets.token_bytes(HASH)
    key = hashlib.sha256(secret + salt).digest()
    if card.power.pairing_passes:
        card.power.passing_pairing = key
        return bytes((EPHEMERAL_SLOT,)) + salt
    slot = free_slots(card)[0]
    card.flash.pairings[slot] = key
    return bytes((slot,)) + salt


def _shared(key: bytes, point: bytes) -> bytes:
    if len(point) != POINT or point[0] != 4:
        raise Refusal(Sw.WRONG_DATA)
    return shared_x(key, point, Sw.WRONG_DATA)


def certificate(identity: bytes) -> bytes:
    """Certify an identity key by the test key: key, r‖s, recovery number."""
    key = PrivateKey(identity).public_key.format()
    digest = hashlib.sha256(key).digest()
    return key + PrivateKey(TEST_PRIVATE_KEY).sign_recoverable(digest, hasher=None)


def identify(card: Card, request: Request) -> bytes:
    """IDENTIFY CARD: sign the nonce itself, as if it were a digest."""
    if not card.flash.certificate:
        raise Refusal(Sw.CONDITIONS)
    if len(request.data) != HASH:
        raise Refusal(Sw.WRONG_DATA)
    proof = sign_high_or_low(card.flash.identity, request.data)
    content = tlv(Tag.CERTIFICATE, card.flash.certificate) + proof
    return tlv(Tag.SIGNATURE_TEMPLATE, content)


def personalise(card: Card, request: Request) -> bytes:
    """STORE DATA of the Ident applet: certificate and key, once."""
    if request.ins != Ins.STORE_DATA:
        raise Refusal(Sw.UNKNOWN_INS)
    if card.flash.certificate:
        raise Refusal(Sw.CONDITIONS)
    if len(request.data) != CERTIFICATE + HASH:
        raise Refusal(Sw.WRONG_DATA)
    card.flash.certificate, card.flash.identity = (
        request.data[:CERTIFICATE],
        request.data[CERTIFICATE:],
    )
    return b""


HANDLERS: dict[int, Handler] = emulator_memory.HANDLERS | emulator_keys.HANDLERS
CBC_HANDLERS: dict[int, Handler] = {
    **HANDLERS,
    **emulator_keys.BEFORE_4,
    Ins.MUTUALLY_AUTHENTICATE: mutually_authenticate,
    Ins.UNPAIR: unpair,
    Ins.IDENTIFY: identify,
}
CCM_HANDLERS: dict[int, Handler] = HANDLERS | emulator_keys.SINCE_4
BEFORE_INIT: dict[int, Handler] = {Ins.IDENTIFY: identify, Ins.INIT: _initialise}
IN_CLEAR: dict[int, Handler] = {Ins.OPEN: open_paired, Ins.PAIR: pair}
VARIANTS: Mapping[str, Callable[[str], KeycardEmulator]] = {"uncertified": uncertified}
