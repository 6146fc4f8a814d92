"""A Satochip made of software: what comes in, who answers it, and in which order it is refused."""

import secrets
from collections.abc import Callable, Mapping

from cards.apdu import Response
from cards.emulation import Emulator, Refusal, kept, random_key
from cards.errors import NotSupported
from cards.satochip import emulator_attestation, emulator_codes, emulator_extras, emulator_keys
from cards.satochip.emulator_channel import open_channel, unwrap, wrap
from cards.satochip.emulator_memory import (
    DEFAULT_PIN,
    RESET_SIGNALS,
    WITH_POLICIES,
    Card,
    Flash,
    Handler,
    Request,
    fresh_code,
    revived,
)
from cards.satochip.wire import CLA, Ins, Sw

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
SatochipEmulator = Emulator[Flash, Card]


def emulate(profile: str) -> SatochipEmulator:
    """Make a card as it leaves the factory, certified by the test sub-CA."""
    card = uncertified(profile)
    flash = card.flash
    name = emulator_attestation.common_name(flash.serials)
    flash.certificate = emulator_attestation.device_certificate(flash.authentikey, name)
    flash.personalised = True
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

    SETUP is refused after SETUP, and before it all but SETUP and what the factory needs.
    """
    flash, ins = card.flash, request.ins
    if flash.setup_done and ins == Ins.SETUP:
        raise Refusal(Sw.SETUP_DONE)
    in_factory = not flash.personalised and ins in IN_FACTORY
    if not (flash.setup_done or ins == Ins.SETUP or in_factory):
        raise Refusal(Sw.SETUP_NOT_DONE)
    handler = _handler(card, ins)
    if ins not in WITHOUT_PIN and 0 not in card.power.verified:
        raise Refusal(Sw.UNAUTHORIZED)
    return handler(card, request)


def _handler(card: Card, ins: int) -> Handler:
    """Look an instruction up; what this version has and this emulator lacks is 9C05."""
    deprecated = ins in PARSED_TRANSACTIONS and card.flash.version >= ONE_COMMAND_RESET
    if deprecated or ins == SIGN_SHORT_MESSAGE:
        raise Refusal(Sw.DEPRECATED)
    if ins in PARSED_TRANSACTIONS:
        raise Refusal(Sw.UNSUPPORTED)
    if ins not in HANDLERS or (ins in TAPROOT and card.flash.version < TAPROOT_SINCE):
        raise Refusal(Sw.UNKNOWN_INS)
    return HANDLERS[ins]


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


HANDLERS: dict[int, Handler] = (
    emulator_codes.HANDLERS
    | emulator_keys.HANDLERS
    | emulator_attestation.HANDLERS
    | emulator_extras.HANDLERS
    | {Ins.GET_STATUS: status, Ins.FACTORY_RESET: factory_reset}
)
VARIANTS: Mapping[str, Callable[[str], SatochipEmulator]] = {"uncertified": uncertified}
