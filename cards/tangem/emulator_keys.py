"""The emulated Tangem's wallets: read, made, imported, purged, signing, proving themselves."""

import hashlib
import secrets

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from cards.bip32 import path_steps
from cards.emulation import Node, Refusal, public_key, random_key, sign_high_or_low
from cards.signature import CURVE_ORDER
from cards.tangem.emulator_memory import Answer, Card, Handler, Request, Wallet
from cards.tangem.wire import (
    DIGESTS_MAX,
    IMPORT_SINCE,
    SECP256K1,
    STATUS_IN_PROOF_SINCE,
    WALLET_BACKED_UP,
    WALLET_EMPTY,
    WALLET_IMPORTED,
    WALLET_LOADED,
    WALLET_PURGED,
    Ins,
    Item,
    Mode,
    Setting,
    Sw,
    Tag,
    tlv,
)

ANSWER_MAX = 1100
SALT = 16


def sign(key: bytes, digest: bytes) -> bytes:
    """Return r‖s, S in either half."""
    r, s = decode_dss_signature(sign_high_or_low(key, digest))
    return r.to_bytes(32) + s.to_bytes(32)


def sign_message(key: bytes, message: bytes) -> bytes:
    """Return r‖s over a message's SHA-256."""
    return sign(key, hashlib.sha256(message).digest())


def derive(wallet: Wallet, path: bytes) -> Node:
    """Return private key and chain code below a wallet's own (BIP 32)."""
    return Node(wallet.key, wallet.chain_code).below(path_steps(path))


def read_wallet(card: Card, request: Request) -> Answer:
    """READ mode 2: one wallet, or one key below it."""
    wallet = _slot(card, request)
    path = _path(card, request)
    return Answer(_described(wallet, path))


def read_wallets(card: Card, request: Request) -> Answer:
    """READ mode 3: as many slots as fit, empty ones included."""
    first = request.fields.number(Tag.INDEX) or 0
    items: list[Item] = []
    for wallet in card.flash.wallets[first:]:
        item = (Tag.WALLET, tlv(_described(wallet)))
        if len(tlv([*items, item])) > ANSWER_MAX:
            break
        items.append(item)
    return Answer(items)


def create(card: Card, request: Request) -> Answer:
    """CREATE WALLET: the card makes the key, or takes one where it may."""
    fields = request.fields
    wallet = _slot(card, request)
    if fields.find(Tag.CURVE) != SECP256K1:
        raise Refusal(Sw.INVALID_PARAMS)
    if wallet.status != WALLET_EMPTY:
        raise Refusal(Sw.INVALID_STATE)
    if fields.find(Tag.PRIVATE_KEY) is not None:
        _import(card, request, wallet)
    else:
        wallet.key, wallet.chain_code = random_key(), secrets.token_bytes(32)
        wallet.status = WALLET_LOADED
    return Answer(_described(wallet))


def _import(card: Card, request: Request, wallet: Wallet) -> None:
    """Take a key and its chain code, in strong encryption only."""
    flash = card.flash
    if flash.version < IMPORT_SINCE or not flash.allows(Setting.KEY_IMPORT):
        raise Refusal(Sw.INVALID_PARAMS)
    if request.mode is not Mode.STRONG:
        raise Refusal(Sw.NEEDS_ENCRYPTION)
    key = request.fields.find(Tag.PRIVATE_KEY) or b""
    chain_code = request.fields.find(Tag.CHAIN_CODE) or b""
    if len(key) != 32 or len(chain_code) != 32 or not 0 < int.from_bytes(key) < CURVE_ORDER:
        raise Refusal(Sw.INVALID_PARAMS)
    if any(each.key == key for each in flash.wallets):
        raise Refusal(Sw.WALLET_EXISTS)
    wallet.key, wallet.chain_code = key, chain_code
    wallet.status = WALLET_LOADED | WALLET_IMPORTED


def purge(card: Card, request: Request) -> Answer:
    """PURGE WALLET: the key is gone; the slot is empty again only where it is reusable."""
    flash, wallet = card.flash, _slot(card, request)
    if flash.allows(Setting.PERMANENT):
        raise Refusal(Sw.INVALID_STATE)
    if not wallet.loaded:
        raise Refusal(Sw.NO_WALLET)
    backed_up = wallet.status & WALLET_BACKED_UP
    gone = WALLET_EMPTY if flash.allows(Setting.REUSABLE) else WALLET_PURGED | backed_up
    flash.wallets[wallet.index] = Wallet(wallet.index, gone)
    return Answer([])


def sign_digests(card: Card, request: Request) -> Answer:
    """SIGN: up to ten digests by one key."""
    wallet = _loaded(card, request)
    key, _ = derive(wallet, _path(card, request))
    size = request.fields.number(Tag.DIGEST_SIZE)
    digests = request.fields.find(Tag.DIGESTS) or b""
    if size != 32 or not digests or len(digests) % size or len(digests) > DIGESTS_MAX * size:
        raise Refusal(Sw.INVALID_PARAMS)
    cut = [digests[at : at + size] for at in range(0, len(digests), size)]
    wallet.signed += len(cut)
    return Answer(
        [
            (Tag.SIGNATURE, b"".join(sign(key, digest) for digest in cut)),
            (Tag.SIGNED, wallet.signed.to_bytes(4)),
        ]
    )


def attest(card: Card, request: Request) -> Answer:
    """ATTEST WALLET KEY: by the wallet's key, and by the card's where that is asked for."""
    fields, wallet = request.fields, _loaded(card, request)
    key, _ = derive(wallet, _path(card, request))
    challenge, salt = fields.find(Tag.CHALLENGE), secrets.token_bytes(SALT)
    if challenge is None or len(challenge) != SALT:
        raise Refusal(Sw.INVALID_PARAMS)
    wallet.attested += 1
    items = [
        (Tag.SALT, salt),
        (Tag.SIGNATURE, sign_message(key, challenge + salt)),
        (Tag.COUNTER, wallet.attested.to_bytes(4)),
    ]
    mode = fields.find(Tag.PROVE_CARD)
    if mode is None:
        return Answer(items)
    return Answer(items + _proof_of_card(card, wallet, public_key(key), challenge=mode))


def _proof_of_card(card: Card, wallet: Wallet, key: bytes, *, challenge: bytes) -> list[Item]:
    """Have the card's key sign the wallet's, with challenge and salt where it is dynamic."""
    salt = secrets.token_bytes(SALT) if challenge else b""
    message, items = key + challenge + salt, list[Item]()
    if challenge:
        items.append((Tag.CARD_SALT, salt))
    if card.flash.version >= STATUS_IN_PROOF_SINCE:
        status = bytes((wallet.status,))
        message += status
        items.append((Tag.STATUS, status))
    return [(Tag.CARD_SIGNATURE, sign_message(card.flash.card_key, message)), *items]


def _described(wallet: Wallet, path: bytes = b"") -> list[Item]:
    """Return a wallet's fields, of the key at a path where there is one."""
    items: list[Item] = [(Tag.STATUS, bytes((wallet.status,))), (Tag.INDEX, bytes((wallet.index,)))]
    if not wallet.loaded:
        return items
    key, chain_code = derive(wallet, path)
    return [
        *items,
        (Tag.CURVE, SECP256K1),
        (Tag.PUBLIC_KEY, public_key(key)),
        (Tag.CHAIN_CODE, chain_code),
        (Tag.SETTINGS, Setting.REUSABLE.to_bytes(4)),
        (Tag.SIGNED, wallet.signed.to_bytes(4)),
    ]


def _slot(card: Card, request: Request) -> Wallet:
    index = request.fields.number(Tag.INDEX)
    if index is None or index >= len(card.flash.wallets):
        raise Refusal(Sw.INVALID_PARAMS)
    return card.flash.wallets[index]


def _loaded(card: Card, request: Request) -> Wallet:
    wallet = _slot(card, request)
    if not wallet.loaded:
        raise Refusal(Sw.NO_WALLET)
    return wallet


def _path(card: Card, request: Request) -> bytes:
    path = request.fields.find(Tag.PATH) or b""
    if path and (len(path) % 4 or not card.flash.allows(Setting.HD_WALLETS)):
        raise Refusal(Sw.INVALID_PARAMS)
    return path


HANDLERS: dict[int, Handler] = {
    Ins.CREATE_WALLET: create,
    Ins.PURGE_WALLET: purge,
    Ins.SIGN: sign_digests,
    Ins.ATTEST_WALLET: attest,
}
