"""A Keycard made of software: what comes in, who answers it, and in which order it is refused."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import fields

from coincurve import PrivateKey

from cards.apdu import Response
from cards.emulation import Emulator, Refusal, kept
from cards.errors import NotSupported
from cards.keycard import (
    AID,
    NAME,
    emulator_attestation,
    emulator_channel,
    emulator_codes,
    emulator_extras,
    emulator_keys,
)
from cards.keycard.emulator_memory import SLOTS, Card, Flash, Handler, Power, Request, revived
from cards.keycard.wire import CAPABILITIES, POINT, STATUS_READY, Ins, Sw, Tag, cbc_decrypt, tlv

SELECT = bytes.fromhex("00A404")
APPLETS = {"keycard": AID, "ident": bytes.fromhex("A00000080400010401")}
AID_MIN = 8
UID = 16
RESET_MAGIC = (0xAA, 0x55)
SURVIVES_RESET = {"profile", "uid", "identity", "certificate", "one_byte_short"}
HANDLERS: dict[int, Handler] = (
    emulator_codes.HANDLERS | emulator_keys.HANDLERS | emulator_extras.HANDLERS
)
CBC_HANDLERS: dict[int, Handler] = (
    HANDLERS
    | emulator_keys.ONLY_BEFORE_4
    | {
        Ins.MUTUALLY_AUTHENTICATE: emulator_channel.mutually_authenticate,
        Ins.UNPAIR: emulator_channel.unpair,
        Ins.IDENTIFY: emulator_attestation.identify,
    }
)
CCM_HANDLERS: dict[int, Handler] = HANDLERS | emulator_extras.SINCE_4
WITH_OR_WITHOUT_CHANNEL = {Ins.IDENTIFY, Ins.GET_DATA}
KeycardEmulator = Emulator[Flash, Card]


def emulate(profile: str) -> KeycardEmulator:
    """Make a card as it leaves the factory, certified by the test key."""
    card = blank(profile)
    card.flash.identity = PrivateKey().secret
    card.flash.certificate = emulator_attestation.certificate(card.flash.identity)
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
        return emulator_attestation.personalise(card, request)
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
        + tlv(Tag.INTEGER, bytes((len(emulator_channel.free_slots(card)),)))
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
    shared_x = emulator_channel.shared_x(card.flash.channel_key, point)
    try:
        plain = cbc_decrypt(shared_x, rest[:16], rest[16:])
    except ValueError:
        raise Refusal(Sw.WRONG_DATA) from None
    emulator_codes.initialise(card, plain)
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
        return emulator_channel.open_certified(card, request)
    if request.ins != Ins.SECURED or card.power.channel is None:
        raise Refusal(Sw.CONDITIONS)
    inner = card.power.channel.unwrap(apdu)
    if not card.flash.initialised and inner.ins != Ins.GET_CHALLENGE:
        if inner.ins == Ins.INIT:
            emulator_codes.initialise(card, inner.data)
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


BEFORE_INIT: dict[int, Handler] = {
    Ins.IDENTIFY: emulator_attestation.identify,
    Ins.INIT: _initialise,
}
IN_CLEAR: dict[int, Handler] = {
    Ins.OPEN: emulator_channel.open_paired,
    Ins.PAIR: emulator_channel.pair,
}
VARIANTS: Mapping[str, Callable[[str], KeycardEmulator]] = {"uncertified": uncertified}
