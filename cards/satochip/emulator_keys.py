"""The emulated Satochip's seed, derivation cache, key slots and ECDSA signatures."""

import hashlib
import hmac
from typing import NamedTuple

from coincurve import PrivateKey

from cards.emulation import CURVE_ORDER, sign_high_or_low
from cards.satochip.emulator_extras import Padding, check_answer, check_flagged_answer
from cards.satochip.emulator_memory import (
    Card,
    Handler,
    Reader,
    Refusal,
    Request,
    check_pin,
    need_no_parameter,
)
from cards.satochip.wire import (
    INS_EXPORT_AUTHENTIKEY,
    INS_GET_AUTHENTIKEY,
    INS_GET_EXTENDED_KEY,
    INS_GET_PUBLIC_FROM_PRIVATE,
    INS_IMPORT_KEY,
    INS_IMPORT_SEED,
    INS_RESET_KEY,
    INS_RESET_SEED,
    INS_SIGN_DIGEST,
    SW_INCORRECT_ALG,
    SW_INCORRECT_INITIALIZATION,
    SW_INCORRECT_P1,
    SW_INVALID_PARAMETER,
    SW_NO_MEMORY_LEFT,
    SW_SEED_EXISTS,
    SW_SEED_MISSING,
    SW_UNSUPPORTED,
    SW_WRONG_LENGTH,
)

DEPTH_MAX = 10
SEED_MAX = 64
SLOT_COUNT = 16
LAST_DERIVED = 0xFF
WIPE_CACHE = 0x80
HARDENED_BIT = 0x80
STEP = 4
KEY_SIZE = 32
BLOB_PLAIN, BLOB_PRIVATE_KEY = 0x00, 0x0C
TRANSIENT_KEY = (0, 16)
INS_CACHE_USE = (0x74, 0x75)


class Node(NamedTuple):
    """A private key and its chain code."""

    key: bytes
    chain_code: bytes


def signed_key(secret: bytes, head: bytes = b"") -> bytes:
    """Return `head`, the key's x coordinate with its length, and a signature by itself of both."""
    block = head + prefixed(public_x(secret))
    return block + prefixed(sign_high_or_low(secret, hashlib.sha256(block).digest()))


def authenticated(card: Card, block: bytes) -> bytes:
    """Return the block and a signature of it by the authentikey."""
    digest = hashlib.sha256(block).digest()
    return block + prefixed(sign_high_or_low(card.flash.authentikey, digest))


def prefixed(data: bytes) -> bytes:
    """Return the data after its length in two bytes."""
    return len(data).to_bytes(2) + data


def public_x(secret: bytes) -> bytes:
    """Return the x coordinate of the public key."""
    return PrivateKey(secret).public_key.format()[1:]


def child(parent: Node, step: bytes) -> Node:
    """Derive a child key (BIP 32)."""
    hardened = step[0] & HARDENED_BIT
    key = PrivateKey(parent.key)
    material = b"\0" + parent.key if hardened else key.public_key.format()
    digest = hmac.digest(parent.chain_code, material + step, "sha512")
    return Node(key.add(digest[:32]).secret, digest[32:])


def cache_id(path: bytes) -> bytes:
    """Return what the cache calls a path prefix: four bytes, so that two may share a name."""
    return hashlib.sha256(path).digest()[-4:]


def import_seed(card: Card, request: Request) -> bytes:
    """IMPORT SEED: make the master key of a seed; the answer is the authentikey."""
    need_no_parameter(request)
    need_no_seed(card)
    if request.p1 > SEED_MAX or request.p1 != len(request.data):
        raise Refusal(SW_WRONG_LENGTH)
    return load_seed(card, request.data)


def load_seed(card: Card, seed: bytes) -> bytes:
    """Make the master key of a seed."""
    card.flash.master = hmac.digest(b"Bitcoin seed", seed, "sha512")
    return signed_key(card.flash.authentikey)


def reset_seed(card: Card, request: Request) -> bytes:
    """RESET SEED: forget the seed and what hangs on it, and log out; the PIN is looked at first."""
    fields = Reader(request.data, SW_WRONG_LENGTH)
    check_pin(card, 0, fields.take(request.p1))
    card.power.verified.add(0)
    _need_seed(card)
    challenge = public_x(card.flash.authentikey) + Padding.SEED_RESET
    check_answer(card, challenge, fields.rest())
    erase_seed(card)
    card.log_out()
    return b""


def erase_seed(card: Card) -> None:
    """Forget the seed, its cache and the trusted key; up to 0.15 the key last derived stays."""
    flash = card.flash
    flash.master, flash.cache, flash.trusted_key = b"", {}, b""
    card.power.last_key = card.power.tweaked_key = b""


def export_authentikey(card: Card, _request: Request) -> bytes:
    """EXPORT AUTHENTIKEY: the key that never changes, signed by itself."""
    return signed_key(card.flash.authentikey)


def export_authentikey_if_seeded(card: Card, _request: Request) -> bytes:
    """BIP32 GET AUTHENTIKEY: the same, but only of a card with a seed."""
    _need_seed(card)
    return signed_key(card.flash.authentikey)


def extended_key(card: Card, request: Request) -> bytes:
    """GET EXTENDED KEY: derive, keep each step in the cache, and make it the signing key."""
    _need_seed(card)
    if request.p1 > DEPTH_MAX:
        raise Refusal(SW_INCORRECT_P1)
    path = Reader(request.data).take(STEP * request.p1) if request.p1 else b""
    if request.p2 & WIPE_CACHE:
        card.flash.cache = {}
    node = _derive(card, path)
    _use(card, node.key)
    return authenticated(card, signed_key(node.key, head=node.chain_code))


def _derive(card: Card, path: bytes) -> Node:
    """Walk down the path; a cache that is full stops the walk with its parent in use."""
    node = Node(card.flash.master[:32], card.flash.master[32:])
    for end in range(STEP, len(path) + 1, STEP):
        name, step = cache_id(path[:end]), path[end - STEP : end]
        found = card.flash.cache.get(name)
        if found is None:
            found = _remember(card, name, node, step)
        node = Node(found[:32], found[32:64])
    return node


def _remember(card: Card, name: bytes, parent: Node, step: bytes) -> bytes:
    """Derive a step and keep it: key, chain code, first byte of the compressed public key."""
    if not step[0] & HARDENED_BIT:
        _use(card, parent.key)
    node = child(parent, step)
    if len(card.flash.cache) >= card.flash.cache_limit:
        raise Refusal(SW_NO_MEMORY_LEFT)
    compressed = PrivateKey(node.key).public_key.format()
    card.flash.cache[name] = node.key + node.chain_code + compressed[:1]
    return card.flash.cache[name]


def _use(card: Card, key: bytes) -> None:
    """Make this the signing key; up to 0.15 it outlives the power."""
    if card.flash.version >= TRANSIENT_KEY:
        card.power.last_key = key
    else:
        card.flash.last_key = key


def cache_use(card: Card, _request: Request) -> bytes:
    """Answer instructions 74 and 75, which only count the cache: objects free and used."""
    used = len(card.flash.cache)
    return (card.flash.cache_limit - used).to_bytes(2) + used.to_bytes(2)


def sign_digest(card: Card, request: Request) -> bytes:
    """SIGN TRANSACTION HASH: an ECDSA signature by a slot's key or the one last derived."""
    check_number(request.p1)
    fields = Reader(request.data, SW_WRONG_LENGTH)
    digest = fields.take(32)
    need_seed_for(card, request.p1)
    check_flagged_answer(card, digest + Padding.DIGEST, fields)
    return sign_high_or_low(signing_key(card, request.p1), digest)


def check_number(number: int) -> None:
    """Refuse a P1 that is neither a slot nor FF."""
    if number != LAST_DERIVED and number >= SLOT_COUNT:
        raise Refusal(SW_INCORRECT_P1)


def need_seed_for(card: Card, number: int) -> None:
    """Demand a seed of a card that shall use the key last derived."""
    if number == LAST_DERIVED:
        _need_seed(card)


def signing_key(card: Card, number: int) -> bytes:
    """Return the key P1 means: a slot's, or with FF the one last derived."""
    if number != LAST_DERIVED:
        return _slot(card, number)
    key = card.power.last_key or card.flash.last_key
    if not key:
        raise Refusal(SW_INCORRECT_INITIALIZATION)
    return key


def import_key(card: Card, request: Request) -> bytes:
    """IMPORT KEY: put a private key into an empty slot."""
    need_no_parameter(request)
    if request.p1 >= SLOT_COUNT:
        raise Refusal(SW_INCORRECT_P1)
    fields = Reader(request.data)
    _check_blob(fields.take(4))
    fields.take(6)
    if fields.short() != KEY_SIZE:
        raise Refusal(SW_INVALID_PARAMETER)
    key = fields.take(KEY_SIZE)
    if request.p1 in card.flash.slots:
        raise Refusal(SW_INCORRECT_P1)
    if not 0 < int.from_bytes(key) < CURVE_ORDER:
        raise Refusal(SW_INVALID_PARAMETER)
    challenge = public_x(key) + Padding.slot(Padding.KEY_IMPORT, request.p1)
    check_answer(card, challenge, fields.rest())
    card.flash.slots[request.p1] = key
    return b""


def _check_blob(header: bytes) -> None:
    """Refuse a key that is encrypted, of another kind, or of another size."""
    if header[0] != BLOB_PLAIN:
        raise Refusal(SW_UNSUPPORTED)
    if header[1] != BLOB_PRIVATE_KEY:
        raise Refusal(SW_INCORRECT_ALG)
    if int.from_bytes(header[2:]) != KEY_SIZE * 8:
        raise Refusal(SW_INVALID_PARAMETER)


def public_from_private(card: Card, request: Request) -> bytes:
    """GET PUBLIC FROM PRIVATE: a slot's public key, signed by itself."""
    need_no_parameter(request)
    return signed_key(_slot(card, request.p1))


def reset_key(card: Card, request: Request) -> bytes:
    """RESET KEY: empty a slot."""
    need_no_parameter(request)
    key = _slot(card, request.p1)
    if card.flash.second_factor:
        challenge = public_x(key) + Padding.slot(Padding.KEY_RESET, request.p1)
        check_answer(card, challenge, request.data)
    del card.flash.slots[request.p1]
    return b""


def _slot(card: Card, number: int) -> bytes:
    if number not in card.flash.slots:
        raise Refusal(SW_INCORRECT_P1)
    return card.flash.slots[number]


def need_no_seed(card: Card) -> None:
    """Refuse what only a card without a seed takes."""
    if card.flash.master:
        raise Refusal(SW_SEED_EXISTS)


def _need_seed(card: Card) -> None:
    if not card.flash.master:
        raise Refusal(SW_SEED_MISSING)


HANDLERS: dict[int, Handler] = {
    INS_IMPORT_SEED: import_seed,
    INS_RESET_SEED: reset_seed,
    INS_EXPORT_AUTHENTIKEY: export_authentikey,
    INS_GET_AUTHENTIKEY: export_authentikey_if_seeded,
    INS_GET_EXTENDED_KEY: extended_key,
    INS_SIGN_DIGEST: sign_digest,
    INS_IMPORT_KEY: import_key,
    INS_RESET_KEY: reset_key,
    INS_GET_PUBLIC_FROM_PRIVATE: public_from_private,
    **dict.fromkeys(INS_CACHE_USE, cache_use),
}
