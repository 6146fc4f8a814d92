"""A Satochip made of software: what comes in, who answers it, and in which order it is refused."""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from coincurve import PrivateKey
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from cards.apdu import Response
from cards.emulation import Emulator, Refusal, kept, random_key, shared_x, sign_high_or_low
from cards.errors import NotSupported
from cards.satochip import emulator_keys, emulator_memory
from cards.satochip.emulator_keys import authenticated, prefixed, signed_key
from cards.satochip.emulator_memory import (
    DEFAULT_PIN,
    RESET_SIGNALS,
    WITH_POLICIES,
    Card,
    Channel,
    Flash,
    Handler,
    Reader,
    Request,
    fresh_code,
    revived,
)
from cards.satochip.roots import TEST_SUB_CA, TEST_SUB_CA_KEY
from cards.satochip.wire import BLOCK, CLA, ChannelKeys, Ins, Sw

PROFILES = ("0.12-0.6", "0.14-0.1", "0.14-0.5", "0.16-0.0")
INSTANCE_AID = bytes.fromhex("5361746F4368697000")
AID_MIN = 5
SELECT = bytes.fromhex("00A404")
SELECT_CLA_INS = SELECT[:2]
GET_DATA = bytes.fromhex("80CA")
SERIAL_SIZES = {0x9F7F: 42, 0x0042: 8, 0x0045: 10}
SW_NOT_FOUND = 0x6A82
ONE_COMMAND_RESET = (0, 16)
LENIENT_SELECT = TAPROOT_SINCE = (0, 14)
IN_FACTORY = {
    Ins.VERIFY_PIN,
    Ins.EXPORT_PKI_PUBKEY,
    Ins.IMPORT_PKI_CERTIFICATE,
    Ins.SIGN_PKI_CSR,
    Ins.LOCK_PKI,
}
WITHOUT_PIN = {
    Ins.SETUP,
    Ins.VERIFY_PIN,
    Ins.CHANGE_PIN,
    Ins.UNBLOCK_PIN,
    Ins.RESET_SEED,
    Ins.LOGOUT_ALL,
    Ins.FACTORY_RESET,
    Ins.GET_STATUS,
}
TAPROOT = {Ins.TAPROOT_TWEAK, Ins.SIGN_SCHNORR}
RESET_CONFIRMATION = (0xAA, 0x55)
PARSED_TRANSACTIONS = {0x6E, 0x6F, 0x71}
SIGN_SHORT_MESSAGE = 0x72
LABEL_MAX = 64
LABEL_SET, LABEL_SHOW = 0, 1
FEATURES = ("schnorr", "nostr", "liquid")
BLOCKED = 2
IV_RANDOM = 12
MAC_SIZE = 20
POINT = 65
INIT, PROCESS = 1, 2
NONCE = 32
VALID_FROM = datetime(2020, 12, 1, 12, tzinfo=UTC)
VALID_UNTIL = datetime(2040, 12, 1, 12, tzinfo=UTC)
SatochipEmulator = Emulator[Flash, Card]


def emulate(profile: str) -> SatochipEmulator:
    """Make a card as it leaves the factory, certified by the test sub-CA."""
    card = uncertified(profile)
    name = common_name(card.flash.serials)
    card.flash.certificate = device_certificate(card.flash.authentikey, name)
    card.flash.personalised = True
    return card


def uncertified(profile: str) -> SatochipEmulator:
    """Make a card that has not been personalised."""
    if profile not in PROFILES:
        raise NotSupported("satochip", f"version {profile}, only {', '.join(PROFILES)}")
    serials = {tag: secrets.token_bytes(size) for tag, size in SERIAL_SIZES.items()}
    return Emulator(Flash(profile, serials, random_key()), Card, answered)


def revive(state: bytes) -> SatochipEmulator:
    """Make the card whose state this is; raises CardError for anything else."""
    return Emulator(kept(state, revived, "Satochip"), Card, answered)


def answered(card: Card, apdu: bytes) -> Response:
    """Choose between the card manager, which selects, and the applet."""
    request = Request.read(apdu)
    if apdu.startswith(SELECT) and _select(card, request.data):
        return Response()
    return Response((_applet if card.power.selected else _card_manager)(card, apdu, request))


def _select(card: Card, aid: bytes) -> bool:
    """Select the applet by the beginning of its name, or the card manager by no name."""
    is_applet = len(aid) >= AID_MIN and INSTANCE_AID.startswith(aid)
    if aid and not is_applet:
        return False
    card.power.selected = is_applet
    card.power.channel = None
    card.log_out()
    return True


def _card_manager(card: Card, apdu: bytes, request: Request) -> bytes:
    """Answer where no applet is selected: GET DATA gives the card's serial numbers."""
    if apdu.startswith(SELECT_CLA_INS):
        raise Refusal(SW_NOT_FOUND)
    serial = card.flash.serials.get(request.p1 << 8 | request.p2)
    if not apdu.startswith(GET_DATA) or serial is None:
        raise Refusal(Sw.UNKNOWN_INS)
    return serial


def _applet(card: Card, apdu: bytes, request: Request) -> bytes:
    """Refuse or answer in the applet's order: class, reset signals, length, channel."""
    if apdu.startswith(SELECT_CLA_INS):
        if card.flash.version == LENIENT_SELECT:
            return b""
        raise Refusal(SW_NOT_FOUND)
    if apdu[0] != CLA:
        raise Refusal(Sw.UNKNOWN_CLA)
    _count_reset_signals(card, request.ins)
    if request.ins == Ins.GET_STATUS:
        return status(card, request)
    if len(request.body) not in {request.size, request.size + 1}:
        raise Refusal(Sw.WRONG_LENGTH)
    if request.ins not in {Ins.INIT_CHANNEL, Ins.PROCESS_CHANNEL}:
        raise Refusal(Sw.CHANNEL_REQUIRED)
    if request.ins == Ins.INIT_CHANNEL:
        return open_channel(card, request)
    channel = card.power.channel
    if channel is None:
        raise Refusal(Sw.CHANNEL_NOT_OPEN)
    inner = unwrap(channel, request)
    data = _process(card, inner)
    return data if inner.ins == Ins.GET_STATUS else wrap(channel, data)


def _count_reset_signals(card: Card, ins: int) -> None:
    """Count the reset signals that come alone in their power cycle; the fifth one resets."""
    flash, power = card.flash, card.power
    if flash.version >= ONE_COMMAND_RESET:
        return
    alone, power.touched = not power.touched, True
    if ins != Ins.FACTORY_RESET_SIGNAL or not alone:
        flash.reset_signals_left = RESET_SIGNALS
    if ins != Ins.FACTORY_RESET_SIGNAL:
        return
    if not alone:
        raise Refusal(Sw.RESET_ABORTED)
    flash.reset_signals_left -= 1
    left = flash.reset_signals_left
    if not left:
        erase(card)
    raise Refusal(Sw.RESET_SIGNAL + left)


def _process(card: Card, request: Request) -> bytes:
    """Answer a command from inside the channel.

    SETUP is refused after SETUP, and before it all but SETUP and what the factory needs; what
    this version has and this emulator lacks is 9C05.
    """
    flash, ins = card.flash, request.ins
    if flash.setup_done and ins == Ins.SETUP:
        raise Refusal(Sw.SETUP_DONE)
    in_factory = not flash.personalised and ins in IN_FACTORY
    if not (flash.setup_done or ins == Ins.SETUP or in_factory):
        raise Refusal(Sw.SETUP_NOT_DONE)
    deprecated = ins in PARSED_TRANSACTIONS and flash.version >= ONE_COMMAND_RESET
    if deprecated or ins == SIGN_SHORT_MESSAGE:
        raise Refusal(Sw.DEPRECATED)
    if ins in PARSED_TRANSACTIONS:
        raise Refusal(Sw.UNSUPPORTED)
    if ins not in HANDLERS or (ins in TAPROOT and flash.version < TAPROOT_SINCE):
        raise Refusal(Sw.UNKNOWN_INS)
    if ins not in WITHOUT_PIN and 0 not in card.power.verified:
        raise Refusal(Sw.UNAUTHORIZED)
    return HANDLERS[ins](card, request)


def status(card: Card, request: Request) -> bytes:
    """GET STATUS: version, tries left, how far the card is set up, and since 0.14-0.5 policies."""
    if request.p1:
        raise Refusal(Sw.INCORRECT_P1)
    if request.p2:
        raise Refusal(Sw.INCORRECT_P2)
    flash = card.flash
    version = bytes(flash.release)
    tries = bytes(4)
    if flash.setup_done:
        codes = (flash.pins[0], flash.puks[0], flash.pins[1], flash.puks[1])
        tries = bytes(code.left for code in codes)
    flags = (bool(flash.second_factor), bool(flash.master), flash.setup_done, True)
    owner = flash.policies
    policies = bytes((owner.nfc, owner.schnorr, owner.nostr, owner.liquid))
    shown = version + tries + bytes(flags)
    return shown + policies if flash.release >= WITH_POLICIES else shown


def factory_reset(card: Card, request: Request) -> bytes:
    """Erase the card by one command (FACTORY RESET), since 0.16."""
    if card.flash.version < ONE_COMMAND_RESET:
        raise Refusal(Sw.UNKNOWN_INS)
    if request.p1 != RESET_CONFIRMATION[0]:
        raise Refusal(Sw.INCORRECT_P1)
    if request.p2 != RESET_CONFIRMATION[1]:
        raise Refusal(Sw.INCORRECT_P2)
    erase(card)
    return b""


def erase(card: Card) -> None:
    """Go back to the factory state.

    Authentikey, certificate, the other PINs, the PUKs and every limit of tries remain.
    """
    flash = card.flash
    emulator_keys.erase_seed(card)
    flash.slots, flash.label = {}, b""
    flash.second_factor, flash.amount_limit = b"", 0
    flash.pins[0] = fresh_code(DEFAULT_PIN, flash.pins[0].limit)
    flash.setup_done = False
    flash.reset_signals_left = RESET_SIGNALS


def open_channel(card: Card, request: Request) -> bytes:
    """INIT SECURE CHANNEL: agree on keys; the answer proves whose card this is."""
    point = request.data
    if len(point) < POINT:
        raise Refusal(Sw.WRONG_LENGTH)
    if point[0] != 4:
        raise Refusal(Sw.INVALID_PARAMETER)
    ephemeral = PrivateKey()
    shared = shared_x(ephemeral.secret, point[:POINT], Sw.INVALID_PARAMETER)
    card.power.channel = Channel(ChannelKeys.derive(shared))
    return authenticated(card, signed_key(ephemeral.secret))


def unwrap(channel: Channel, request: Request) -> Request:
    """Check a frame (PROCESS SECURE CHANNEL) in the card's own order and open it."""
    fields = Reader(request.data, Sw.WRONG_LENGTH)
    iv = fields.take(BLOCK)
    ciphertext = fields.take(fields.short())
    if fields.short() != MAC_SIZE:
        raise Refusal(Sw.CHANNEL_MAC)
    if not hmac.compare_digest(channel.keys.mac(iv, ciphertext), fields.take(MAC_SIZE)):
        raise Refusal(Sw.CHANNEL_MAC)
    counter = int.from_bytes(iv[IV_RANDOM:])
    if not counter % 2 or counter <= channel.counter:
        raise Refusal(Sw.CHANNEL_IV)
    channel.counter = counter + 1
    if not ciphertext or len(ciphertext) % BLOCK:
        raise Refusal(Sw.INTERNAL_ERROR)
    return Request.read(channel.keys.decrypt(iv, ciphertext))


def wrap(channel: Channel, data: bytes) -> bytes:
    """Encrypt an answer that has data; it bears no code."""
    if not data:
        return b""
    iv = secrets.token_bytes(IV_RANDOM) + channel.counter.to_bytes(4)
    return iv + prefixed(channel.keys.encrypt(iv, data))


def common_name(serials: Mapping[int, bytes]) -> str:
    """Return the name a card's certificate bears: SHA-1 of what the card manager answers."""
    answers = b"".join(serials[tag] for tag in SERIAL_SIZES)
    return hashlib.sha1(answers, usedforsecurity=False).hexdigest().upper()


def device_certificate(authentikey: bytes, subject: str) -> bytes:
    """Issue a card's certificate (DER) by the test sub-CA."""
    issuer = x509.load_der_x509_certificate(TEST_SUB_CA)
    point = PrivateKey(authentikey).public_key.format(compressed=False)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(issuer.subject)
        .public_key(ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), point))
        .serial_number(x509.random_serial_number())
        .not_valid_before(VALID_FROM)
        .not_valid_after(VALID_UNTIL)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    )
    authority = ec.derive_private_key(int.from_bytes(TEST_SUB_CA_KEY), ec.SECP256K1())
    return builder.sign(authority, hashes.SHA512()).public_bytes(Encoding.DER)


def export_certificate(card: Card, request: Request) -> bytes:
    """EXPORT PKI CERTIFICATE: first its size, then pieces of it."""
    certificate = card.flash.certificate
    if request.p2 == INIT:
        return len(certificate).to_bytes(2)
    if request.p2 != PROCESS:
        raise Refusal(Sw.INCORRECT_P2)
    fields = Reader(request.data, Sw.WRONG_LENGTH)
    offset, size = fields.short(), fields.short()
    _check_piece(offset, size, certificate)
    return certificate[offset : offset + size]


def challenge_response(card: Card, request: Request) -> bytes:
    """CHALLENGE RESPONSE PKI: sign a nonce of the host's together with one of the card's."""
    if len(request.data) != NONCE:
        raise Refusal(Sw.WRONG_LENGTH)
    nonce = secrets.token_bytes(NONCE)
    digest = hashlib.sha256(b"Challenge:" + nonce + request.data).digest()
    return nonce + prefixed(sign_high_or_low(card.flash.authentikey, digest))


def export_public_key(card: Card, _request: Request) -> bytes:
    """EXPORT PKI PUBKEY: what the factory certifies."""
    _need_unlocked(card)
    return PrivateKey(card.flash.authentikey).public_key.format(compressed=False)


def sign_request(card: Card, request: Request) -> bytes:
    """SIGN PKI CSR: sign the hash of a certificate request."""
    _need_unlocked(card)
    if len(request.data) != NONCE:
        raise Refusal(Sw.WRONG_LENGTH)
    return sign_high_or_low(card.flash.authentikey, request.data)


def import_certificate(card: Card, request: Request) -> bytes:
    """IMPORT PKI CERTIFICATE: first its size, then pieces of it."""
    _need_unlocked(card)
    fields = Reader(request.data, Sw.WRONG_LENGTH)
    if request.p2 == INIT:
        card.flash.certificate = bytes(fields.short())
        return b""
    if request.p2 != PROCESS:
        raise Refusal(Sw.INCORRECT_P2)
    offset = fields.short()
    piece = fields.take(fields.short())
    old = card.flash.certificate
    _check_piece(offset, len(piece), old)
    card.flash.certificate = old[:offset] + piece + old[offset + len(piece) :]
    return b""


def _check_piece(offset: int, size: int, certificate: bytes) -> None:
    """Refuse a piece that does not begin and end inside of the certificate."""
    if offset >= len(certificate) or offset + size > len(certificate):
        raise Refusal(Sw.WRONG_LENGTH)


def lock(card: Card, _request: Request) -> bytes:
    """LOCK PKI: end personalisation."""
    _need_unlocked(card)
    card.flash.personalised = True
    return b""


def _need_unlocked(card: Card) -> None:
    if card.flash.personalised:
        raise Refusal(Sw.PKI_LOCKED)


def label(card: Card, request: Request) -> bytes:
    """LABEL: P2 0 sets it, or erases it where no text comes; 1 shows it."""
    if request.p2 == LABEL_SHOW:
        return bytes((len(card.flash.label),)) + card.flash.label
    if request.p2 != LABEL_SET:
        raise Refusal(Sw.INCORRECT_P2)
    text = Reader(request.data).prefixed() if request.data else b""
    if len(text) > LABEL_MAX:
        raise Refusal(Sw.INVALID_PARAMETER)
    card.flash.label = text
    return b""


def set_feature_policy(card: Card, request: Request) -> bytes:
    """SET FEATURE POLICY: the feature in P1, its policy in P2; what is blocked stays so."""
    if card.flash.release < WITH_POLICIES:
        raise Refusal(Sw.UNKNOWN_INS)
    if request.p1 >= len(FEATURES):
        raise Refusal(Sw.INCORRECT_P1)
    if request.p2 > BLOCKED:
        raise Refusal(Sw.INCORRECT_P2)
    feature = FEATURES[request.p1]
    if getattr(card.flash.policies, feature) == BLOCKED:
        raise Refusal(Sw.FEATURE_BLOCKED)
    setattr(card.flash.policies, feature, request.p2)
    return b""


HANDLERS: dict[int, Handler] = {
    **emulator_memory.HANDLERS,
    **emulator_keys.HANDLERS,
    Ins.GET_STATUS: status,
    Ins.FACTORY_RESET: factory_reset,
    Ins.LABEL: label,
    Ins.SET_FEATURE_POLICY: set_feature_policy,
    Ins.EXPORT_PKI_CERTIFICATE: export_certificate,
    Ins.CHALLENGE_RESPONSE_PKI: challenge_response,
    Ins.EXPORT_PKI_PUBKEY: export_public_key,
    Ins.SIGN_PKI_CSR: sign_request,
    Ins.IMPORT_PKI_CERTIFICATE: import_certificate,
    Ins.LOCK_PKI: lock,
}
VARIANTS: Mapping[str, Callable[[str], SatochipEmulator]] = {"uncertified": uncertified}
