"""A Tangem made of software: what comes in, who answers it, and in which order it is refused."""

import hmac
import secrets

from coincurve import PrivateKey, PublicKey

from cards.apdu import Command, Response
from cards.emulation import EmulatedTransport
from cards.errors import NotSupported, ProtocolError, SecureChannelError
from cards.tangem import AID, NAME, emulator_card, emulator_keys, tlv
from cards.tangem.emulator_memory import (
    Card,
    Flash,
    Handler,
    Refusal,
    Request,
    Session,
    Wait,
    Wallet,
    random_key,
)
from cards.tangem.wire import (
    CLA,
    CODE_NAMED_SINCE,
    DEFAULT_CODE,
    DEFAULT_PASSCODE,
    INS_BACKUP_RESET,
    INS_CREATE_WALLET,
    INS_OPEN_SESSION,
    INS_PURGE_WALLET,
    INS_READ,
    INS_SET_PIN,
    INS_SIGN,
    READ_WALLET,
    SETTING_BACKUP,
    SETTING_FAST,
    SETTING_HD_WALLETS,
    SETTING_KEY_IMPORT,
    SETTING_REUSABLE,
    SETTING_SELECT_BLOCKCHAIN,
    SETTING_SET_CODE,
    SETTING_SET_PASSCODE,
    SETTING_SMART_DELAY,
    SETTING_UNENCRYPTED,
    SW_INVALID_PARAMS,
    SW_NEEDS_ENCRYPTION,
    SW_NOT_FOUND,
    SW_PAUSE,
    SW_UNKNOWN_CLA,
    SW_UNKNOWN_INS,
    SW_WRONG_CODE,
    SW_WRONG_LENGTH,
    SW_WRONG_PASSCODE,
    TAG_CARD_ID,
    TAG_CODE,
    TAG_MODE,
    TAG_PASSCODE,
    TAG_PAUSE,
    TAG_SESSION_A,
    TAG_SESSION_B,
    TAG_UID,
    WALLET_BACKED_UP,
    WALLET_LOADED,
    Mode,
    code_hash,
    luhn_holds,
    seal,
    session_key,
    unseal,
)

_SETTINGS = (
    SETTING_REUSABLE
    | SETTING_SET_CODE
    | SETTING_SET_PASSCODE
    | SETTING_SMART_DELAY
    | SETTING_UNENCRYPTED
    | SETTING_FAST
    | SETTING_SELECT_BLOCKCHAIN
    | SETTING_HD_WALLETS
    | SETTING_BACKUP
)
# Settings mask and security delay in hundredths of a second.
PROFILES = {"4.52": (_SETTINGS, 1500), "6.33": (_SETTINGS | SETTING_KEY_IMPORT, 500)}
UID_SIZE = 7
SECOND = 100
FREE_TRIES = 6
LONGEST_TRY = 45
UID_APDU = bytes.fromhex("FFCA0000")
INS_SELECT = 0xA4
HANDLERS: dict[int, Handler] = emulator_card.HANDLERS | emulator_keys.HANDLERS
WANT_PASSCODE = {
    INS_CREATE_WALLET,
    INS_SIGN,
    INS_PURGE_WALLET,
    INS_SET_PIN,
    INS_BACKUP_RESET,
}
DELAYED = WANT_PASSCODE


def emulate(profile: str) -> "TangemEmulator":
    """Make a developer card as it leaves the factory."""
    return TangemEmulator(fresh_flash(profile))


def backup_set(profile: str, count: int) -> list["TangemEmulator"]:
    """Make cards of one backup set, as the vendor's app would leave them without a code."""
    flashes = [fresh_flash(profile) for _ in range(count)]
    keys = [emulator_keys.public(flash.card_key) for flash in flashes]
    key, chain_code = random_key(), secrets.token_bytes(32)
    for flash, own in zip(flashes, keys, strict=True):
        flash.wallets[0] = Wallet(0, WALLET_LOADED | WALLET_BACKED_UP, key, chain_code)
        flash.siblings = [each for each in keys if each != own]
        flash.backup_status = 2
    return [TangemEmulator(flash) for flash in flashes]


def revive(state: bytes) -> "TangemEmulator":
    """Make the card whose state this is; raises CardError for anything else."""
    return TangemEmulator(Flash.decode(state))


def fresh_flash(profile: str) -> Flash:
    """Return the memory of a new card."""
    if profile not in PROFILES:
        raise NotSupported(NAME, f"version {profile}, only {', '.join(PROFILES)}")
    settings, delay = PROFILES[profile]
    uid = b"\4" + secrets.token_bytes(UID_SIZE - 1)
    return Flash(profile, _card_id(), uid, random_key(), settings, delay)


def _card_id() -> bytes:
    """Return a developer card's number: FF, digits, and one that checks them."""
    digits = "".join(secrets.choice("0123456789") for _ in range(13))
    candidates = (bytes.fromhex(f"FF{digits}{last}") for last in range(10))
    return next(filter(luhn_holds, candidates))


class TangemEmulator:
    """A card; without power only its flash matters."""

    def __init__(self, flash: Flash) -> None:
        """Keep the flash."""
        self.flash = flash
        self._card = Card(flash)
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
        """Forget the session, and what was waited for."""
        self._card = Card(self.flash)

    def answer(self, apdu: bytes) -> bytes:
        """Answer one command APDU."""
        try:
            return self._route(apdu).encode()
        except Refusal as refusal:
            return Response(refusal.data, refusal.sw).encode()

    def _route(self, apdu: bytes) -> Response:
        """Choose between the reader, SELECT, OPEN SESSION and everything that may be encrypted."""
        if apdu.startswith(UID_APDU):
            return Response(self.flash.uid)
        try:
            command = Command.parse(apdu)
        except ProtocolError:
            raise Refusal(SW_WRONG_LENGTH) from None
        if command.cla != CLA:
            raise Refusal(SW_UNKNOWN_CLA)
        if command.ins == INS_SELECT:
            return self._select(command)
        if command.ins == INS_OPEN_SESSION:
            return self._open_session(command)
        if command.ins not in HANDLERS:
            raise Refusal(SW_UNKNOWN_INS)
        return self._execute(command, apdu)

    def _select(self, command: Command) -> Response:
        """Select the wallet applet, which is selected without a word too."""
        if command.data != AID:
            raise Refusal(SW_NOT_FOUND)
        self._card = Card(self.flash)
        return Response()

    def _open_session(self, command: Command) -> Response:
        """Agree on a session's key; whether the host knows the code shows with what follows."""
        host = _fields(command.data).find(TAG_SESSION_A) or b""
        mode = _mode(command.p2)
        self._check_mode(mode)
        shared, ours = _agree(mode, host)
        self._card.session = Session(mode, session_key(shared, self.flash.code, self.flash.uid))
        return Response(tlv.encode([(TAG_SESSION_B, ours), (TAG_UID, self.flash.uid)]))

    def _execute(self, command: Command, apdu: bytes) -> Response:
        """Wait, take the encryption off, check the codes, act, and put the encryption on."""
        mode = _mode(command.p1)
        self._check_mode(mode)
        self._wait(command.ins, apdu)
        request = Request(command.ins, mode, _fields(self._plain(mode, command.data)))
        self._check_codes(request)
        self._check_card_id(request)
        items, sw = HANDLERS[command.ins](self._card, request)
        body = tlv.encode([(TAG_CARD_ID, self.flash.card_id), *items])
        session = self._card.session
        if mode is not Mode.NONE and session is not None:
            body = seal(session.key, body)
        return Response(body, sw)

    def _check_mode(self, mode: Mode) -> None:
        """Refuse less encryption than the settings want; strong is always allowed."""
        settings = {Mode.NONE: SETTING_UNENCRYPTED, Mode.FAST: SETTING_FAST}
        if mode in settings and not self.flash.allows(settings[mode]):
            raise Refusal(SW_NEEDS_ENCRYPTION)

    def _plain(self, mode: Mode, body: bytes) -> bytes:
        """Decrypt a body; one that does not decrypt ends the session."""
        session = self._card.session
        if mode is Mode.NONE:
            return body
        if session is None or session.mode is not mode:
            raise Refusal(SW_INVALID_PARAMS)
        try:
            return unseal(session.key, body)
        except SecureChannelError:
            self._card.session = None
            self.flash.failures += 1
            raise Refusal(SW_INVALID_PARAMS) from None

    def _wait(self, ins: int, apdu: bytes) -> None:
        """Answer that time has to pass; another command in between begins it anew."""
        wait = self._card.wait
        if wait is None or wait.apdu != apdu:
            wait = Wait(apdu, self._pause(ins))
        self._card.wait = wait if wait.left > 0 else None
        if wait.left > 0:
            left, wait.left = wait.left, wait.left - SECOND
            raise Refusal(SW_PAUSE, tlv.encode([(TAG_PAUSE, left.to_bytes(2))]))

    def _pause(self, ins: int) -> int:
        """Return for how long: wrong codes of before, and the security delay where no code is."""
        tries = max(0, min(LONGEST_TRY, self.flash.failures + 1 - FREE_TRIES)) * SECOND
        smart = self.flash.allows(SETTING_SMART_DELAY)
        protected = smart and not (self.flash.code_is_default and self.flash.passcode_is_default)
        return tries + (0 if ins not in DELAYED or protected else self.flash.delay)

    def _check_codes(self, request: Request) -> None:
        """Count a wrong access code; one that is absent is the default one."""
        flash, named = self.flash, self.flash.version >= CODE_NAMED_SINCE
        code = request.fields.find(TAG_CODE) or code_hash(DEFAULT_CODE)
        if not hmac.compare_digest(code, flash.code):
            flash.failures += 1
            raise Refusal(SW_WRONG_CODE if named else SW_INVALID_PARAMS)
        flash.failures = 0
        passcode = request.fields.find(TAG_PASSCODE) or code_hash(DEFAULT_PASSCODE)
        if request.ins in WANT_PASSCODE and not hmac.compare_digest(passcode, flash.passcode):
            raise Refusal(SW_WRONG_PASSCODE if named else SW_INVALID_PARAMS)

    def _check_card_id(self, request: Request) -> None:
        """Refuse a command for another card; only READ of the card needs no id."""
        mode = request.fields.number(TAG_MODE) or 0
        if request.ins == INS_READ and mode < READ_WALLET:
            return
        if request.fields.find(TAG_CARD_ID) != self.flash.card_id:
            raise Refusal(SW_INVALID_PARAMS)


def _agree(mode: Mode, host: bytes) -> tuple[bytes, bytes]:
    """Return what both ends share, and the card's half of it."""
    if mode is Mode.FAST and len(host) == 16:
        ours = secrets.token_bytes(16)
        return host + ours, ours
    if mode is Mode.STRONG:
        try:
            point = PublicKey(host)
        except ValueError:
            raise Refusal(SW_INVALID_PARAMS) from None
        ours = random_key()
        shared = point.multiply(ours).format()[1:]
        return shared, PrivateKey(ours).public_key.format(compressed=False)
    raise Refusal(SW_INVALID_PARAMS)


def _mode(number: int) -> Mode:
    try:
        return Mode(number)
    except ValueError:
        raise Refusal(SW_INVALID_PARAMS) from None


def _fields(body: bytes) -> tlv.Fields:
    try:
        return tlv.Fields.parse(body)
    except ProtocolError:
        raise Refusal(SW_INVALID_PARAMS) from None
