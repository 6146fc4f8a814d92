"""The emulated Tangem's wallets: read, made, imported, purged, signing, proving themselves."""

import hashlib
import hmac
import secrets

from coincurve import PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from cards.emulation import sign_high_or_low
from cards.session import HARDENED
from cards.tangem import tlv
from cards.tangem.emulator_memory import Answer, Card, Handler, Refusal, Request, Wallet, random_key
from cards.tangem.wire import (
    DIGESTS_MAX,
    IMPORT_SINCE,
    INS_ATTEST_WALLET,
    INS_CREATE_WALLET,
    INS_PURGE_WALLET,
    INS_SIGN,
    SECP256K1,
    SETTING_HD_WALLETS,
    SETTING_KEY_IMPORT,
    SETTING_PERMANENT,
    SETTING_REUSABLE,
    STATUS_IN_PROOF_SINCE,
    SW_INVALID_PARAMS,
    SW_INVALID_STATE,
    SW_NEEDS_ENCRYPTION,
    SW_NO_WALLET,
    SW_WALLET_EXISTS,
    TAG_CARD_SALT,
    TAG_CARD_SIGNATURE,
    TAG_CHAIN_CODE,
    TAG_CHALLENGE,
    TAG_COUNTER,
    TAG_CURVE,
    TAG_DIGEST_SIZE,
    TAG_DIGESTS,
    TAG_INDEX,
    TAG_PATH,
    TAG_PRIVATE_KEY,
    TAG_PROVE_CARD,
    TAG_PUBLIC_KEY,
    TAG_SALT,
    TAG_SETTINGS,
    TAG_SIGNATURE,
    TAG_SIGNED,
    TAG_STATUS,
    TAG_WALLET,
    WALLET_BACKED_UP,
    WALLET_EMPTY,
    WALLET_IMPORTED,
    WALLET_LOADED,
    WALLET_PURGED,
    Mode,
)

CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
ANSWER_MAX = 1100
SALT = 16
Node = tuple[bytes, bytes]


def public(key: bytes) -> bytes:
    """Return the compressed public key."""
    return PrivateKey(key).public_key.format()


def sign(key: bytes, digest: bytes) -> bytes:
    """Return r‖s, S in either half."""
    r, s = decode_dss_signature(sign_high_or_low(key, digest))
    return r.to_bytes(32) + s.to_bytes(32)


def sign_message(key: bytes, message: bytes) -> bytes:
    """Return r‖s over a message's SHA-256."""
    return sign(key, hashlib.sha256(message).digest())


def derive(wallet: Wallet, path: bytes) -> Node:
    """Return private key and chain code below a wallet's own (BIP 32)."""
    node = wallet.key, wallet.chain_code
    for at in range(0, len(path), 4):
        node = _child(*node, path[at : at + 4])
    return node


def _child(key: bytes, chain_code: bytes, step: bytes) -> Node:
    hardened = int.from_bytes(step) >= HARDENED
    data = (b"\0" + key if hardened else public(key)) + step
    digest = hmac.digest(chain_code, data, "sha512")
    number = (int.from_bytes(digest[:32]) + int.from_bytes(key)) % CURVE_ORDER
    return number.to_bytes(32), digest[32:]


def read_wallet(card: Card, request: Request) -> Answer:
    """READ mode 2: one wallet, or one key below it."""
    wallet = _slot(card, request)
    path = _path(card, request)
    return Answer(_described(wallet, path))


def read_wallets(card: Card, request: Request) -> Answer:
    """READ mode 3: as many slots as fit, empty ones included."""
    first = request.fields.number(TAG_INDEX) or 0
    items: list[tlv.Item] = []
    for wallet in card.flash.wallets[first:]:
        item = (TAG_WALLET, tlv.encode(_described(wallet)))
        if len(tlv.encode([*items, item])) > ANSWER_MAX:
            break
        items.append(item)
    return Answer(items)


def create(card: Card, request: Request) -> Answer:
    """CREATE WALLET: the card makes the key, or takes one where it may."""
    fields = request.fields
    wallet = _slot(card, request)
    if fields.find(TAG_CURVE) != SECP256K1:
        raise Refusal(SW_INVALID_PARAMS)
    if wallet.status != WALLET_EMPTY:
        raise Refusal(SW_INVALID_STATE)
    if fields.find(TAG_PRIVATE_KEY) is not None:
        _import(card, request, wallet)
    else:
        wallet.key, wallet.chain_code = random_key(), secrets.token_bytes(32)
        wallet.status = WALLET_LOADED
    return Answer(_described(wallet))


def _import(card: Card, request: Request, wallet: Wallet) -> None:
    """Take a key and its chain code, in strong encryption only."""
    flash = card.flash
    if flash.version < IMPORT_SINCE or not flash.allows(SETTING_KEY_IMPORT):
        raise Refusal(SW_INVALID_PARAMS)
    if request.mode is not Mode.STRONG:
        raise Refusal(SW_NEEDS_ENCRYPTION)
    key = request.fields.find(TAG_PRIVATE_KEY) or b""
    chain_code = request.fields.find(TAG_CHAIN_CODE) or b""
    if len(key) != 32 or len(chain_code) != 32 or not 0 < int.from_bytes(key) < CURVE_ORDER:
        raise Refusal(SW_INVALID_PARAMS)
    if any(each.key == key for each in flash.wallets):
        raise Refusal(SW_WALLET_EXISTS)
    wallet.key, wallet.chain_code = key, chain_code
    wallet.status = WALLET_LOADED | WALLET_IMPORTED


def purge(card: Card, request: Request) -> Answer:
    """PURGE WALLET: the key is gone; the slot is empty again only where it is reusable."""
    flash, wallet = card.flash, _slot(card, request)
    if flash.allows(SETTING_PERMANENT):
        raise Refusal(SW_INVALID_STATE)
    if not wallet.loaded:
        raise Refusal(SW_NO_WALLET)
    backed_up = wallet.status & WALLET_BACKED_UP
    gone = WALLET_EMPTY if flash.allows(SETTING_REUSABLE) else WALLET_PURGED | backed_up
    flash.wallets[wallet.index] = Wallet(wallet.index, gone)
    return Answer([])


def sign_digests(card: Card, request: Request) -> Answer:
    """SIGN: up to ten digests by one key."""
    wallet = _loaded(card, request)
    key, _ = derive(wallet, _path(card, request))
    size = request.fields.number(TAG_DIGEST_SIZE)
    digests = request.fields.find(TAG_DIGESTS) or b""
    if size != 32 or not digests or len(digests) % size or len(digests) > DIGESTS_MAX * size:
        raise Refusal(SW_INVALID_PARAMS)
    cut = [digests[at : at + size] for at in range(0, len(digests), size)]
    wallet.signed += len(cut)
    return Answer(
        [
            (TAG_SIGNATURE, b"".join(sign(key, digest) for digest in cut)),
            (TAG_SIGNED, wallet.signed.to_bytes(4)),
        ]
    )


def attest(card: Card, request: Request) -> Answer:
    """ATTEST WALLET KEY: by the wallet's key, and by the card's where that is asked for."""
    fields, wallet = request.fields, _loaded(card, request)
    key, _ = derive(wallet, _path(card, request))
    challenge, salt = fields.find(TAG_CHALLENGE), secrets.token_bytes(SALT)
    if challenge is None or len(challenge) != SALT:
        raise Refusal(SW_INVALID_PARAMS)
    wallet.attested += 1
    items = [
        (TAG_SALT, salt),
        (TAG_SIGNATURE, sign_message(key, challenge + salt)),
        (TAG_COUNTER, wallet.attested.to_bytes(4)),
    ]
    mode = fields.find(TAG_PROVE_CARD)
    if mode is None:
        return Answer(items)
    return Answer(items + _proof_of_card(card, wallet, public(key), mode))


def _proof_of_card(card: Card, wallet: Wallet, key: bytes, challenge: bytes) -> list[tlv.Item]:
    """Have the card's key sign the wallet's, with challenge and salt where it is dynamic."""
    salt = secrets.token_bytes(SALT) if challenge else b""
    message, items = key + challenge + salt, [(TAG_CARD_SALT, salt)] if challenge else []
    if card.flash.version >= STATUS_IN_PROOF_SINCE:
        status = bytes((wallet.status,))
        message += status
        items.append((TAG_STATUS, status))
    return [(TAG_CARD_SIGNATURE, sign_message(card.flash.card_key, message)), *items]


def _described(wallet: Wallet, path: bytes = b"") -> list[tlv.Item]:
    """Return a wallet's fields, of the key at a path where there is one."""
    items = [(TAG_STATUS, bytes((wallet.status,))), (TAG_INDEX, bytes((wallet.index,)))]
    if not wallet.loaded:
        return items
    key, chain_code = derive(wallet, path)
    return [
        *items,
        (TAG_CURVE, SECP256K1),
        (TAG_PUBLIC_KEY, public(key)),
        (TAG_CHAIN_CODE, chain_code),
        (TAG_SETTINGS, SETTING_REUSABLE.to_bytes(4)),
        (TAG_SIGNED, wallet.signed.to_bytes(4)),
    ]


def _slot(card: Card, request: Request) -> Wallet:
    index = request.fields.number(TAG_INDEX)
    if index is None or index >= len(card.flash.wallets):
        raise Refusal(SW_INVALID_PARAMS)
    return card.flash.wallets[index]


def _loaded(card: Card, request: Request) -> Wallet:
    wallet = _slot(card, request)
    if not wallet.loaded:
        raise Refusal(SW_NO_WALLET)
    return wallet


def _path(card: Card, request: Request) -> bytes:
    path = request.fields.find(TAG_PATH) or b""
    if path and (len(path) % 4 or not card.flash.allows(SETTING_HD_WALLETS)):
        raise Refusal(SW_INVALID_PARAMS)
    return path


HANDLERS: dict[int, Handler] = {
    INS_CREATE_WALLET: create,
    INS_PURGE_WALLET: purge,
    INS_SIGN: sign_digests,
    INS_ATTEST_WALLET: attest,
}
