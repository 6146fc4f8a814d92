"""A Satochip made of software: what comes in, who answers it, and in which order it is refused."""

import secrets

from cards.apdu import SW_OK, Response
from cards.emulation import EmulatedTransport
from cards.errors import NotSupported
from cards.satochip import (
    emulator_attestation,
    emulator_codes,
    emulator_extras,
    emulator_keys,
    emulator_seedkeeper,
    emulator_settings,
    emulator_taproot,
)
from cards.satochip.emulator_channel import open_channel, unwrap, wrap
from cards.satochip.emulator_memory import (
    RESET_SIGNALS,
    Card,
    Flash,
    Handler,
    Power,
    Refusal,
    Request,
    random_key,
)
from cards.satochip.wire import (
    CLA,
    INS_CHANGE_PIN,
    INS_EXPORT_PKI_PUBKEY,
    INS_FACTORY_RESET,
    INS_FACTORY_RESET_SIGNAL,
    INS_GET_STATUS,
    INS_IMPORT_PKI_CERTIFICATE,
    INS_INIT_CHANNEL,
    INS_LOCK_PKI,
    INS_LOGOUT_ALL,
    INS_PROCESS_CHANNEL,
    INS_RESET_SEED,
    INS_SETUP,
    INS_SIGN_PKI_CSR,
    INS_UNBLOCK_PIN,
    INS_VERIFY_PIN,
    SW_CHANNEL_NOT_OPEN,
    SW_CHANNEL_REQUIRED,
    SW_DEPRECATED,
    SW_RESET_ABORTED,
    SW_RESET_SIGNAL,
    SW_SETUP_DONE,
    SW_SETUP_NOT_DONE,
    SW_UNAUTHORIZED,
    SW_UNKNOWN_CLA,
    SW_UNKNOWN_INS,
    SW_UNSUPPORTED,
    SW_WRONG_LENGTH,
)

PROFILES = ("0.12-0.6", "0.14-0.1", "0.16-0.0")
INSTANCE_AID = bytes.fromhex("5361746F4368697000")
AID_MIN = 5
SELECT = bytes.fromhex("00A404")
SELECT_CLA_INS = SELECT[:2]
GET_DATA = bytes.fromhex("80CA")
SERIAL_SIZES = {0x9F7F: 42, 0x0042: 8, 0x0045: 10}
SW_NOT_FOUND = 0x6A82
ONE_COMMAND_RESET = (0, 16)
LENIENT_SELECT = (0, 14)
IN_FACTORY = {
    INS_VERIFY_PIN,
    INS_EXPORT_PKI_PUBKEY,
    INS_IMPORT_PKI_CERTIFICATE,
    INS_SIGN_PKI_CSR,
    INS_LOCK_PKI,
}
WITHOUT_PIN = {
    INS_SETUP,
    INS_VERIFY_PIN,
    INS_CHANGE_PIN,
    INS_UNBLOCK_PIN,
    INS_RESET_SEED,
    INS_LOGOUT_ALL,
    INS_FACTORY_RESET,
}
HANDLERS: dict[int, Handler] = (
    emulator_codes.HANDLERS
    | emulator_keys.HANDLERS
    | emulator_attestation.HANDLERS
    | emulator_extras.HANDLERS
    | emulator_seedkeeper.HANDLERS
    | emulator_settings.HANDLERS
)
TAPROOT_SINCE = (0, 14)
PARSED_TRANSACTIONS = {0x6E, 0x6F, 0x71}
SIGN_SHORT_MESSAGE = 0x72


def emulate(profile: str) -> "SatochipEmulator":
    """Make a card as it leaves the factory, certified by the test sub-CA."""
    card = uncertified(profile)
    flash = card.flash
    name = emulator_attestation.common_name(flash.serials)
    flash.certificate = emulator_attestation.device_certificate(flash.authentikey, name)
    flash.personalised = True
    return card


def uncertified(profile: str) -> "SatochipEmulator":
    """Make a card that has not been personalised."""
    if profile not in PROFILES:
        raise NotSupported("satochip", f"version {profile}, only {', '.join(PROFILES)}")
    serials = {tag: secrets.token_bytes(size) for tag, size in SERIAL_SIZES.items()}
    return SatochipEmulator(Flash(profile, serials, random_key()))


def revive(state: bytes) -> "SatochipEmulator":
    """Make the card whose state this is; raises CardError for anything else."""
    return SatochipEmulator(Flash.decode(state))


class SatochipEmulator:
    """A card; without power only its flash matters."""

    def __init__(self, flash: Flash) -> None:
        """Keep the flash."""
        self.flash = flash
        self._card = Card(flash, Power())
        self._reader: EmulatedTransport | None = None

    def insert(self) -> EmulatedTransport:
        """Put the card on a reader, and so take it away from the one it lay on."""
        if self._reader is not None:
            self._reader.eject()
        self._reader = EmulatedTransport(self)
        return self._reader

    def state(self) -> bytes:
        """Return what survives power-off."""
        return self.flash.encode()

    def power_on(self) -> None:
        """Forget channel, login and selection."""
        self._card = Card(self.flash, Power())

    def answer(self, apdu: bytes) -> bytes:
        """Answer one command APDU."""
        try:
            return Response(self._route(apdu), SW_OK).encode()
        except Refusal as refusal:
            return Response(sw=refusal.sw).encode()

    def _route(self, apdu: bytes) -> bytes:
        """Choose between the card manager, which selects, and the applet."""
        request = Request.read(apdu)
        if apdu.startswith(SELECT) and self._select(request.data):
            return b""
        if not self._card.power.selected:
            return self._card_manager(apdu, request)
        return self._applet(apdu, request)

    def _select(self, aid: bytes) -> bool:
        """Select the applet by the beginning of its name, or the card manager by no name."""
        is_applet = len(aid) >= AID_MIN and INSTANCE_AID.startswith(aid)
        if aid and not is_applet:
            return False
        self._card.power.selected = is_applet
        self._card.power.channel = None
        self._card.log_out()
        return True

    def _card_manager(self, apdu: bytes, request: Request) -> bytes:
        """Answer where no applet is selected: GET DATA gives the card's serial numbers."""
        if apdu.startswith(SELECT_CLA_INS):
            raise Refusal(SW_NOT_FOUND)
        serial = self.flash.serials.get(request.p1 << 8 | request.p2)
        if not apdu.startswith(GET_DATA) or serial is None:
            raise Refusal(SW_UNKNOWN_INS)
        return serial

    def _applet(self, apdu: bytes, request: Request) -> bytes:
        """Refuse or answer in the applet's order: class, reset signals, length, channel."""
        if apdu.startswith(SELECT_CLA_INS):
            if self.flash.version == LENIENT_SELECT:
                return b""
            raise Refusal(SW_NOT_FOUND)
        if apdu[0] != CLA:
            raise Refusal(SW_UNKNOWN_CLA)
        self._count_reset_signals(request.ins)
        if request.ins == INS_GET_STATUS:
            return emulator_settings.status(self._card, request)
        if len(request.body) not in {request.size, request.size + 1}:
            raise Refusal(SW_WRONG_LENGTH)
        if request.ins not in {INS_INIT_CHANNEL, INS_PROCESS_CHANNEL}:
            raise Refusal(SW_CHANNEL_REQUIRED)
        return self._channel(request)

    def _channel(self, request: Request) -> bytes:
        """Open the channel, or take a command out of it and put the answer in."""
        if request.ins == INS_INIT_CHANNEL:
            return open_channel(self._card, request)
        channel = self._card.power.channel
        if channel is None:
            raise Refusal(SW_CHANNEL_NOT_OPEN)
        inner = unwrap(channel, request)
        data = self._process(inner)
        return data if inner.ins == INS_GET_STATUS else wrap(channel, data)

    def _count_reset_signals(self, ins: int) -> None:
        """Count the reset signals that come alone in their power cycle; the fifth one resets."""
        if self.flash.version >= ONE_COMMAND_RESET:
            return
        alone, self._card.power.touched = not self._card.power.touched, True
        if ins != INS_FACTORY_RESET_SIGNAL or not alone:
            self.flash.reset_signals_left = RESET_SIGNALS
        if ins != INS_FACTORY_RESET_SIGNAL:
            return
        if not alone:
            raise Refusal(SW_RESET_ABORTED)
        self.flash.reset_signals_left -= 1
        left = self.flash.reset_signals_left
        if not left:
            emulator_settings.erase(self._card)
        raise Refusal(SW_RESET_SIGNAL + left)

    def _process(self, request: Request) -> bytes:
        """Answer a command from inside the channel."""
        self._check_setup(request.ins)
        if request.ins == INS_GET_STATUS:
            return emulator_settings.status(self._card, request)
        handler = self._handler(request.ins)
        if request.ins not in WITHOUT_PIN and 0 not in self._card.power.verified:
            raise Refusal(SW_UNAUTHORIZED)
        return handler(self._card, request)

    def _check_setup(self, ins: int) -> None:
        """Refuse SETUP after SETUP, and before it all but SETUP and what the factory needs."""
        if self.flash.setup_done:
            if ins == INS_SETUP:
                raise Refusal(SW_SETUP_DONE)
        elif ins != INS_SETUP and (self.flash.personalised or ins not in IN_FACTORY):
            raise Refusal(SW_SETUP_NOT_DONE)

    def _handler(self, ins: int) -> Handler:
        """Look an instruction up; what this version has and this emulator lacks is 9C05."""
        deprecated = ins in PARSED_TRANSACTIONS and self.flash.version >= ONE_COMMAND_RESET
        if deprecated or ins == SIGN_SHORT_MESSAGE:
            raise Refusal(SW_DEPRECATED)
        if ins in PARSED_TRANSACTIONS:
            raise Refusal(SW_UNSUPPORTED)
        if ins in HANDLERS:
            return HANDLERS[ins]
        if ins in emulator_taproot.HANDLERS and self.flash.version >= TAPROOT_SINCE:
            return emulator_taproot.HANDLERS[ins]
        raise Refusal(SW_UNKNOWN_INS)
