"""The emulated Tangem's card as a whole: what it says of itself, its codes, its proof."""

import hashlib
import secrets

from cards.tangem import emulator_keys as wallets
from cards.tangem import tlv
from cards.tangem.emulator_memory import (
    Answer,
    Card,
    Flash,
    Handler,
    Refusal,
    Request,
)
from cards.tangem.roots import ISSUER_KEY, MANUFACTURER_SECRET
from cards.tangem.wire import (
    ATTEST_FULL,
    CODE_NAMED_SINCE,
    DEFAULT_CODE,
    HD_SINCE,
    IMPORT_SINCE,
    INS_ATTEST_CARD,
    INS_BACKUP_RESET,
    INS_READ,
    INS_SET_PIN,
    READ_CARD,
    READ_WALLET,
    READ_WALLETS,
    SETTING_NO_DEFAULT_CODE,
    SETTING_SET_CODE,
    SETTING_SET_PASSCODE,
    SIBLINGS_LABEL,
    SW_CODE_CHANGED,
    SW_INVALID_PARAMS,
    SW_INVALID_STATE,
    TAG_BACKUP_COUNT,
    TAG_BACKUP_STATUS,
    TAG_BATCH,
    TAG_CARD_DATA,
    TAG_CARD_KEY,
    TAG_CARD_SIGNATURE,
    TAG_CHALLENGE,
    TAG_CODE_IS_DEFAULT,
    TAG_DELAY,
    TAG_FIRMWARE,
    TAG_HASH,
    TAG_HEALTH,
    TAG_ID_SIGNATURE,
    TAG_ISSUER,
    TAG_ISSUER_KEY,
    TAG_MADE_ON,
    TAG_MANUFACTURER,
    TAG_MODE,
    TAG_NEW_CODE,
    TAG_NEW_PASSCODE,
    TAG_PASSCODE_IS_DEFAULT,
    TAG_SALT,
    TAG_SETTINGS,
    TAG_SIBLING_KEY,
    TAG_SLOTS,
    TAG_STATUS,
    TAG_USER_SETTINGS,
    WALLET_BACKED_UP,
    code_hash,
)

BATCH = bytes.fromhex("FFFF")
MADE_ON = bytes.fromhex("07E5030F")
HASH = 32


def read(card: Card, request: Request) -> Answer:
    """READ: the card, a wallet or all of them; without a mode the card."""
    mode = request.fields.number(TAG_MODE)
    if mode in {None, READ_CARD}:
        return Answer(_described(card.flash))
    if mode == READ_WALLET:
        return wallets.read_wallet(card, request)
    if mode == READ_WALLETS:
        return wallets.read_wallets(card, request)
    raise Refusal(SW_INVALID_PARAMS)


def attest(card: Card, request: Request) -> Answer:
    """ATTEST CARD KEY: sign a challenge, and in full the keys of the backup set's other cards."""
    flash, challenge = card.flash, request.fields.find(TAG_CHALLENGE)
    if challenge is None or len(challenge) != 16:
        raise Refusal(SW_INVALID_PARAMS)
    salt = secrets.token_bytes(16)
    siblings = flash.siblings if request.fields.number(TAG_MODE) == ATTEST_FULL else []
    if siblings and flash.version < IMPORT_SINCE:
        raise Refusal(SW_INVALID_PARAMS)
    message = challenge + salt
    if siblings:
        message += SIBLINGS_LABEL + b"".join(siblings)
    signature = wallets.sign_message(flash.card_key, message)
    proof = [(TAG_SALT, salt), (TAG_CARD_SIGNATURE, signature)]
    return Answer(proof + [(TAG_SIBLING_KEY, each) for each in siblings])


def set_pin(card: Card, request: Request) -> Answer:
    """SET PIN: both codes anew; the status word says which of them changed."""
    flash, fields = card.flash, request.fields
    code = fields.find(TAG_NEW_CODE) or b""
    passcode = fields.find(TAG_NEW_PASSCODE) or b""
    if len(code) != HASH or len(passcode) != HASH:
        raise Refusal(SW_INVALID_PARAMS)
    digest = hashlib.sha256(code + passcode).digest()
    if flash.version >= HD_SINCE and fields.find(TAG_HASH) != digest:
        raise Refusal(SW_INVALID_PARAMS)
    changed = (code != flash.code, passcode != flash.passcode)
    _refuse_change(flash, code, changed)
    flash.code, flash.passcode = code, passcode
    return Answer([], SW_CODE_CHANGED - 1 + changed[0] + 2 * changed[1])


def _refuse_change(flash: Flash, code: bytes, changed: tuple[bool, bool]) -> None:
    """Refuse what the settings forbid."""
    forbidden = (
        (changed[0] and not flash.allows(SETTING_SET_CODE))
        or (changed[1] and not flash.allows(SETTING_SET_PASSCODE))
        or (code == code_hash(DEFAULT_CODE) and flash.allows(SETTING_NO_DEFAULT_CODE))
    )
    if forbidden:
        raise Refusal(SW_INVALID_PARAMS)


def backup_reset(card: Card, _request: Request) -> Answer:
    """BACKUP RESET: leave the backup set once no wallet of it is left."""
    flash = card.flash
    kept = any(each.loaded and each.status & WALLET_BACKED_UP for each in flash.wallets)
    if not flash.backup_status or kept:
        raise Refusal(SW_INVALID_STATE)
    flash.backup_status, flash.siblings = 0, []
    return Answer([])


def _described(flash: Flash) -> list[tlv.Item]:
    """Return what READ says of the card."""
    data = tlv.encode(
        [
            (TAG_BATCH, BATCH),
            (TAG_MADE_ON, MADE_ON),
            (TAG_ISSUER, b"TANGEM SDK\0"),
            (TAG_ID_SIGNATURE, wallets.sign_message(MANUFACTURER_SECRET, flash.card_id)),
        ]
    )
    any_key = any(wallet.loaded for wallet in flash.wallets)
    items = [
        (TAG_MANUFACTURER, b"TANGEM SDK\0"),
        (TAG_STATUS, b"\2" if any_key else b"\1"),
        (TAG_FIRMWARE, f"{flash.profile}d SDK\0".encode()),
        (TAG_CARD_KEY, wallets.public(flash.card_key)),
        (TAG_SETTINGS, flash.settings.to_bytes(4)),
        (TAG_CARD_DATA, data),
        (TAG_ISSUER_KEY, ISSUER_KEY),
        (TAG_DELAY, flash.delay.to_bytes(2)),
        (TAG_SLOTS, bytes((len(flash.wallets),))),
        (TAG_HEALTH, b"\0"),
    ]
    if flash.passcode_is_default:
        items.append((TAG_PASSCODE_IS_DEFAULT, b"\1"))
    if flash.code_is_default and flash.version >= CODE_NAMED_SINCE:
        items.append((TAG_CODE_IS_DEFAULT, b"\1"))
    if flash.version >= IMPORT_SINCE:
        items.append((TAG_USER_SETTINGS, bytes(4)))
    return items + _backup(flash)


def _backup(flash: Flash) -> list[tlv.Item]:
    status = (TAG_BACKUP_STATUS, flash.backup_status.to_bytes(2))
    if not flash.backup_status:
        return [status]
    return [status, (TAG_BACKUP_COUNT, bytes((len(flash.siblings),)))]


HANDLERS: dict[int, Handler] = {
    INS_READ: read,
    INS_ATTEST_CARD: attest,
    INS_SET_PIN: set_pin,
    INS_BACKUP_RESET: backup_reset,
}
