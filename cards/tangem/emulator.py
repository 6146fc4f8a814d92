"""A Tangem made of software: what comes in, who answers it, and in which order it is refused."""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping

from coincurve import PrivateKey

from cards.apdu import SW_OK, Command, Response
from cards.emulation import Emulator, Refusal, kept, public_key, random_key, shared_x
from cards.errors import NotSupported, ProtocolError, SecureChannelError
from cards.tangem import AID, NAME, emulator_keys
from cards.tangem.emulator_memory import (
    Answer,
    Card,
    Flash,
    Handler,
    Request,
    Session,
    Wait,
    Wallet,
    revived,
)
from cards.tangem.roots import ISSUER_KEY, MANUFACTURER_SECRET
from cards.tangem.wire import (
    ATTEST_FULL,
    CLA,
    CODE_NAMED_SINCE,
    DEFAULT_CODE,
    DEFAULT_PASSCODE,
    HD_SINCE,
    IMPORT_SINCE,
    READ_CARD,
    READ_WALLET,
    READ_WALLETS,
    SIBLINGS_LABEL,
    WALLET_BACKED_UP,
    WALLET_LOADED,
    Fields,
    Ins,
    Item,
    Mode,
    Setting,
    Sw,
    Tag,
    code_hash,
    luhn_holds,
    seal,
    session_key,
    tlv,
    unseal,
)

_SETTINGS = (
    Setting.REUSABLE
    | Setting.SET_CODE
    | Setting.SET_PASSCODE
    | Setting.SMART_DELAY
    | Setting.UNENCRYPTED
    | Setting.FAST
    | Setting.SELECT_BLOCKCHAIN
    | Setting.HD_WALLETS
    | Setting.BACKUP
)
# Settings mask and security delay in hundredths of a second.
PROFILES = {"4.52": (_SETTINGS, 1500), "6.33": (_SETTINGS | Setting.KEY_IMPORT, 500)}
BATCH = bytes.fromhex("FFFF")
MADE_ON = bytes.fromhex("07E5030F")
HASH = 32
UID_SIZE = 7
SECOND = 100
FREE_TRIES = 6
LONGEST_TRY = 45
UID_APDU = bytes.fromhex("FFCA0000")
INS_SELECT = 0xA4
WANT_PASSCODE = {Ins.CREATE_WALLET, Ins.SIGN, Ins.PURGE_WALLET, Ins.SET_PIN, Ins.BACKUP_RESET}
"""Delayed, too, while there is no code."""


TangemEmulator = Emulator[Flash, Card]


def emulate(profile: str) -> TangemEmulator:
    """Make a developer card as it leaves the factory."""
    return Emulator(fresh_flash(profile), Card, answered)


def backup_set(profile: str, count: int) -> list[TangemEmulator]:
    """Make cards of one backup set, as the vendor's app would leave them without a code."""
    flashes = [fresh_flash(profile) for _ in range(count)]
    keys = [public_key(flash.card_key) for flash in flashes]
    key, chain_code = random_key(), secrets.token_bytes(32)
    for flash, own in zip(flashes, keys, strict=True):
        flash.wallets[0] = Wallet(0, WALLET_LOADED | WALLET_BACKED_UP, key, chain_code)
        flash.siblings = [each for each in keys if each != own]
        flash.backup_status = 2
    return [Emulator(flash, Card, answered) for flash in flashes]


def revive(state: bytes) -> TangemEmulator:
    """Make the card whose state this is; raises CardError for anything else."""
    return Emulator(kept(state, revived, "Tangem"), Card, answered)


def fresh_flash(profile: str) -> Flash:
    """Return the memory of a new card."""
    if profile not in PROFILES:
        raise NotSupported(NAME, f"version {profile}, only {', '.join(PROFILES)}")
    settings, delay = PROFILES[profile]
    # A developer card's number: FF, digits, and one that checks them.
    digits = "".join(secrets.choice("0123456789") for _ in range(13))
    numbers = (bytes.fromhex(f"FF{digits}{last}") for last in range(10))
    card_id = next(filter(luhn_holds, numbers))
    uid = b"\4" + secrets.token_bytes(UID_SIZE - 1)
    return Flash(profile, card_id, uid, random_key(), settings, delay)


def answered(card: Card, apdu: bytes) -> Response:
    """Choose between the reader, SELECT, OPEN SESSION and everything that may be encrypted."""
    if apdu.startswith(UID_APDU):
        return Response(card.flash.uid)
    try:
        command = Command.parse(apdu)
    except ProtocolError:
        raise Refusal(Sw.WRONG_LENGTH) from None
    if command.cla != CLA:
        raise Refusal(Sw.UNKNOWN_CLA)
    if command.ins == INS_SELECT:  # the wallet applet, which is selected without a word too
        if command.data != AID:
            raise Refusal(Sw.NOT_FOUND)
        card.session = card.wait = None
        return Response()
    if command.ins != Ins.OPEN_SESSION and command.ins not in HANDLERS:
        raise Refusal(Sw.UNKNOWN_INS)
    try:
        if command.ins == Ins.OPEN_SESSION:
            return _open_session(card, command)
        return _execute(card, command, apdu)
    except (ProtocolError, ValueError):  # no list, no mode, no point
        raise Refusal(Sw.INVALID_PARAMS) from None


def _open_session(card: Card, command: Command) -> Response:
    """Agree on a session's key; whether the host knows the code shows with what follows."""
    host = Fields.parse(command.data).find(Tag.SESSION_A) or b""
    mode = Mode(command.p2)
    _check_mode(card, mode)
    shared, ours = _agree(mode, host)
    card.session = Session(mode, session_key(shared, card.flash.code, card.flash.uid))
    return Response(tlv([(Tag.SESSION_B, ours), (Tag.UID, card.flash.uid)]))


def _execute(card: Card, command: Command, apdu: bytes) -> Response:
    """Wait, take the encryption off, check the codes, act, and put the encryption on."""
    mode = Mode(command.p1)
    _check_mode(card, mode)
    _wait(card, command.ins, apdu)
    request = Request(command.ins, mode, Fields.parse(_plain(card, mode, command.data)))
    _check_codes(card, request)
    of_card = request.ins == Ins.READ and (request.fields.number(Tag.MODE) or 0) < READ_WALLET
    if not of_card and request.fields.find(Tag.CARD_ID) != card.flash.card_id:
        raise Refusal(Sw.INVALID_PARAMS)
    items, sw = HANDLERS[command.ins](card, request)
    body = tlv([(Tag.CARD_ID, card.flash.card_id), *items])
    session = card.session
    if mode is not Mode.NONE and session is not None:
        body = seal(session.key, body)
    return Response(body, sw)


def _check_mode(card: Card, mode: Mode) -> None:
    """Refuse less encryption than the settings want; strong is always allowed."""
    settings = {Mode.NONE: Setting.UNENCRYPTED, Mode.FAST: Setting.FAST}
    if mode in settings and not card.flash.allows(settings[mode]):
        raise Refusal(Sw.NEEDS_ENCRYPTION)


def _plain(card: Card, mode: Mode, body: bytes) -> bytes:
    """Decrypt a body; one that does not decrypt ends the session."""
    session = card.session
    if mode is Mode.NONE:
        return body
    if session is None or session.mode is not mode:
        raise Refusal(Sw.INVALID_PARAMS)
    try:
        return unseal(session.key, body)
    except SecureChannelError:
        card.session = None
        card.flash.failures += 1
        raise Refusal(Sw.INVALID_PARAMS) from None


def _wait(card: Card, ins: int, apdu: bytes) -> None:
    """Answer that time has to pass; another command in between begins it anew.

    For wrong codes of before, and the security delay where no code is.
    """
    flash, wait = card.flash, card.wait
    if wait is None or wait.apdu != apdu:
        tries = max(0, min(LONGEST_TRY, flash.failures + 1 - FREE_TRIES)) * SECOND
        smart = flash.allows(Setting.SMART_DELAY)
        protected = smart and not (flash.code_is_default and flash.passcode_is_default)
        wait = Wait(apdu, tries + (0 if ins not in WANT_PASSCODE or protected else flash.delay))
    card.wait = wait if wait.left > 0 else None
    if wait.left > 0:
        left, wait.left = wait.left, wait.left - SECOND
        raise Refusal(Sw.PAUSE, tlv([(Tag.PAUSE, left.to_bytes(2))]))


def _check_codes(card: Card, request: Request) -> None:
    """Count a wrong access code; one that is absent is the default one."""
    flash, named = card.flash, card.flash.version >= CODE_NAMED_SINCE
    code = request.fields.find(Tag.CODE) or code_hash(DEFAULT_CODE)
    if not hmac.compare_digest(code, flash.code):
        flash.failures += 1
        raise Refusal(Sw.WRONG_CODE if named else Sw.INVALID_PARAMS)
    flash.failures = 0
    passcode = request.fields.find(Tag.PASSCODE) or code_hash(DEFAULT_PASSCODE)
    if request.ins in WANT_PASSCODE and not hmac.compare_digest(passcode, flash.passcode):
        raise Refusal(Sw.WRONG_PASSCODE if named else Sw.INVALID_PARAMS)


def _agree(mode: Mode, host: bytes) -> tuple[bytes, bytes]:
    """Return what both ends share, and the card's half of it."""
    if mode is Mode.FAST and len(host) == 16:
        ours = secrets.token_bytes(16)
        return host + ours, ours
    if mode is Mode.STRONG:
        key = PrivateKey()
        shared = shared_x(key.secret, host, Sw.INVALID_PARAMS)
        return shared, key.public_key.format(compressed=False)
    raise Refusal(Sw.INVALID_PARAMS)


def read(card: Card, request: Request) -> Answer:
    """READ: the card, a wallet or all of them; without a mode the card."""
    mode = request.fields.number(Tag.MODE)
    if mode in {None, READ_CARD}:
        return Answer(_described(card.flash))
    if mode == READ_WALLET:
        return emulator_keys.read_wallet(card, request)
    if mode == READ_WALLETS:
        return emulator_keys.read_wallets(card, request)
    raise Refusal(Sw.INVALID_PARAMS)


def attest(card: Card, request: Request) -> Answer:
    """ATTEST CARD KEY: sign a challenge, and in full the keys of the backup set's other cards."""
    flash, challenge = card.flash, request.fields.find(Tag.CHALLENGE)
    if challenge is None or len(challenge) != 16:
        raise Refusal(Sw.INVALID_PARAMS)
    salt = secrets.token_bytes(16)
    siblings = flash.siblings if request.fields.number(Tag.MODE) == ATTEST_FULL else []
    if siblings and flash.version < IMPORT_SINCE:
        raise Refusal(Sw.INVALID_PARAMS)
    message = challenge + salt
    if siblings:
        message += SIBLINGS_LABEL + b"".join(siblings)
    signature = emulator_keys.sign_message(flash.card_key, message)
    proof = [(Tag.SALT, salt), (Tag.CARD_SIGNATURE, signature)]
    return Answer(proof + [(Tag.SIBLING_KEY, each) for each in siblings])


def set_pin(card: Card, request: Request) -> Answer:
    """SET PIN: both codes anew; the status word says which of them changed."""
    flash, fields = card.flash, request.fields
    code = fields.find(Tag.NEW_CODE) or b""
    passcode = fields.find(Tag.NEW_PASSCODE) or b""
    if len(code) != HASH or len(passcode) != HASH:
        raise Refusal(Sw.INVALID_PARAMS)
    digest = hashlib.sha256(code + passcode).digest()
    if flash.version >= HD_SINCE and fields.find(Tag.HASH) != digest:
        raise Refusal(Sw.INVALID_PARAMS)
    new_code, new_passcode = code != flash.code, passcode != flash.passcode
    forbidden = (
        (new_code and not flash.allows(Setting.SET_CODE))
        or (new_passcode and not flash.allows(Setting.SET_PASSCODE))
        or (code == code_hash(DEFAULT_CODE) and flash.allows(Setting.NO_DEFAULT_CODE))
    )
    if forbidden:
        raise Refusal(Sw.INVALID_PARAMS)
    flash.code, flash.passcode = code, passcode
    return Answer([], SW_OK + new_code + 2 * new_passcode)


def backup_reset(card: Card, _request: Request) -> Answer:
    """BACKUP RESET: leave the backup set once no wallet of it is left."""
    flash = card.flash
    held = any(each.loaded and each.status & WALLET_BACKED_UP for each in flash.wallets)
    if not flash.backup_status or held:
        raise Refusal(Sw.INVALID_STATE)
    flash.backup_status, flash.siblings = 0, []
    return Answer([])


def _described(flash: Flash) -> list[Item]:
    """Return what READ says of the card."""
    data = tlv(
        [
            (Tag.BATCH, BATCH),
            (Tag.MADE_ON, MADE_ON),
            (Tag.ISSUER, b"TANGEM SDK\0"),
            (Tag.ID_SIGNATURE, emulator_keys.sign_message(MANUFACTURER_SECRET, flash.card_id)),
        ]
    )
    any_key = any(wallet.loaded for wallet in flash.wallets)
    items: list[Item] = [
        (Tag.MANUFACTURER, b"TANGEM SDK\0"),
        (Tag.STATUS, b"\2" if any_key else b"\1"),
        (Tag.FIRMWARE, f"{flash.profile}d SDK\0".encode()),
        (Tag.CARD_KEY, public_key(flash.card_key)),
        (Tag.SETTINGS, flash.settings.to_bytes(4)),
        (Tag.CARD_DATA, data),
        (Tag.ISSUER_KEY, ISSUER_KEY),
        (Tag.DELAY, flash.delay.to_bytes(2)),
        (Tag.SLOTS, bytes((len(flash.wallets),))),
        (Tag.HEALTH, b"\0"),
    ]
    if flash.passcode_is_default:
        items.append((Tag.PASSCODE_IS_DEFAULT, b"\1"))
    if flash.code_is_default and flash.version >= CODE_NAMED_SINCE:
        items.append((Tag.CODE_IS_DEFAULT, b"\1"))
    if flash.version >= IMPORT_SINCE:
        items.append((Tag.USER_SETTINGS, bytes(4)))
    items.append((Tag.BACKUP_STATUS, flash.backup_status.to_bytes(2)))
    if flash.backup_status:
        items.append((Tag.BACKUP_COUNT, bytes((len(flash.siblings),))))
    return items


HANDLERS: dict[int, Handler] = emulator_keys.HANDLERS | {
    Ins.READ: read,
    Ins.ATTEST_CARD: attest,
    Ins.SET_PIN: set_pin,
    Ins.BACKUP_RESET: backup_reset,
}
VARIANTS: Mapping[str, Callable[[str], TangemEmulator]] = {}
