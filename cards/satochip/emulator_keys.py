"""The emulated Satochip's seed, derivation cache, key slots, taproot tweak and signatures."""

import hashlib
import hmac
import secrets

from coincurve import PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from cards.bip32 import master_key
from cards.emulation import Node, Refusal, public_key, shared_x, sign_high_or_low
from cards.satochip.emulator_memory import (
    Card,
    Handler,
    Padding,
    Reader,
    Request,
    check_answer,
    check_flagged_answer,
    check_pin,
    need_no_parameter,
)
from cards.satochip.wire import BLOCK, Ins, Sw
from cards.session import HARDENED
from cards.signature import CURVE_ORDER

DEPTH_MAX = 10
SEED_MAX = 64
SLOT_COUNT = 16
LAST_DERIVED = 0xFF
WIPE_CACHE = 0x80
STEP = 4
KEY_SIZE = 32
BLOB_PLAIN, BLOB_PRIVATE_KEY = 0x00, 0x0C
TRANSIENT_KEY = (0, 16)
INS_CACHE_USE = (0x74, 0x75)
BYPASS = 0x01
MENDED = (0, 16)
WITH_BYPASS = (0, 14, 0, 5)
HEADER = 12
FINGERPRINT = slice(6, 10)
MASTER_SEED = 0x10
SECOND_FACTOR = 0xB0
POINT = 65
SHA1_SIZE = 20


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
    return public_key(secret)[1:]


def import_seed(card: Card, request: Request) -> bytes:
    """IMPORT SEED: make the master key of a seed; the answer is the authentikey."""
    need_no_parameter(request)
    need_no_seed(card)
    if request.p1 > SEED_MAX or request.p1 != len(request.data):
        raise Refusal(Sw.WRONG_LENGTH)
    return load_seed(card, request.data)


def load_seed(card: Card, seed: bytes) -> bytes:
    """Make the master key of a seed."""
    card.flash.master = b"".join(master_key(seed))
    return signed_key(card.flash.authentikey)


def reset_seed(card: Card, request: Request) -> bytes:
    """RESET SEED: forget the seed and what hangs on it, and log out; the PIN is looked at first."""
    fields = Reader(request.data, Sw.WRONG_LENGTH)
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
        raise Refusal(Sw.INCORRECT_P1)
    path = Reader(request.data).take(STEP * request.p1) if request.p1 else b""
    if request.p2 & WIPE_CACHE:
        card.flash.cache = {}
    node = _derive(card, path)
    _use(card, node.key)
    return authenticated(card, signed_key(node.key, head=node.chain_code))


def _derive(card: Card, path: bytes) -> Node:
    """Walk down the path; a cache that is full stops the walk with its parent in use.

    The cache keeps of each step key, chain code and the first byte of the compressed public key,
    under four bytes of its path's hash, so that two may share a name.
    """
    cache = card.flash.cache
    node = Node(card.flash.master[:32], card.flash.master[32:])
    for end in range(STEP, len(path) + 1, STEP):
        name = hashlib.sha256(path[:end]).digest()[-4:]
        step = int.from_bytes(path[end - STEP : end])
        if name not in cache:
            if step < HARDENED:
                _use(card, node.key)
            node = node.below([step])
            if len(cache) >= card.flash.cache_limit:
                raise Refusal(Sw.NO_MEMORY_LEFT)
            cache[name] = node.key + node.chain_code + node.public_key[:1]
        node = Node(cache[name][:32], cache[name][32:64])
    return node


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
    fields = Reader(request.data, Sw.WRONG_LENGTH)
    digest = fields.take(32)
    need_seed_for(card, request.p1)
    check_flagged_answer(card, digest + Padding.DIGEST, fields)
    return sign_high_or_low(signing_key(card, request.p1), digest)


def check_number(number: int) -> None:
    """Refuse a P1 that is neither a slot nor FF."""
    if number != LAST_DERIVED and number >= SLOT_COUNT:
        raise Refusal(Sw.INCORRECT_P1)


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
        raise Refusal(Sw.INCORRECT_INITIALIZATION)
    return key


def import_key(card: Card, request: Request) -> bytes:
    """IMPORT KEY: put a private key, unencrypted, into an empty slot."""
    need_no_parameter(request)
    if request.p1 >= SLOT_COUNT:
        raise Refusal(Sw.INCORRECT_P1)
    fields = Reader(request.data)
    header = fields.take(4)
    if header[0] != BLOB_PLAIN:
        raise Refusal(Sw.UNSUPPORTED)
    if header[1] != BLOB_PRIVATE_KEY:
        raise Refusal(Sw.INCORRECT_ALG)
    if int.from_bytes(header[2:]) != KEY_SIZE * 8:
        raise Refusal(Sw.INVALID_PARAMETER)
    fields.take(6)
    if fields.short() != KEY_SIZE:
        raise Refusal(Sw.INVALID_PARAMETER)
    key = fields.take(KEY_SIZE)
    if request.p1 in card.flash.slots:
        raise Refusal(Sw.INCORRECT_P1)
    if not 0 < int.from_bytes(key) < CURVE_ORDER:
        raise Refusal(Sw.INVALID_PARAMETER)
    challenge = public_x(key) + Padding.slot(Padding.KEY_IMPORT, request.p1)
    check_answer(card, challenge, fields.rest())
    card.flash.slots[request.p1] = key
    return b""


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
        raise Refusal(Sw.INCORRECT_P1)
    return card.flash.slots[number]


def need_no_seed(card: Card) -> None:
    """Refuse what only a card without a seed takes."""
    if card.flash.master:
        raise Refusal(Sw.SEED_EXISTS)


def _need_seed(card: Card) -> None:
    if not card.flash.master:
        raise Refusal(Sw.SEED_MISSING)


def tweak(x: bytes, root: bytes, version: tuple[int, int]) -> bytes:
    """Return the TapTweak hash (BIP 341); cards up to 0.15 hash x XOR root, by mistake."""
    tag = hashlib.sha256(b"TapTweak").digest()
    committed = x + root
    if version < MENDED:
        committed = bytes(a ^ b for a, b in zip(x, root, strict=True))
    return hashlib.sha256(tag + tag + committed).digest()


def tweaked(secret: bytes, root: bytes, version: tuple[int, int]) -> bytes:
    """Return the private key of the output key; raises 9C43 where the tweak is out of range."""
    compressed = public_key(secret)
    number = int.from_bytes(secret)
    even = number if compressed[0] == 2 else CURVE_ORDER - number
    amount = int.from_bytes(tweak(compressed[1:], root, version))
    if amount >= CURVE_ORDER:
        raise Refusal(Sw.TAPROOT_TWEAK)
    return ((even + amount) % CURVE_ORDER).to_bytes(KEY_SIZE)


def taproot_tweak(card: Card, request: Request) -> bytes:
    """TAPROOT TWEAK: prepare the key for SIGN SCHNORR and return its public key."""
    _need_feature(card.flash.policies.schnorr)
    check_number(request.p1)
    need_seed_for(card, request.p1)
    fields = Reader(request.data, Sw.WRONG_LENGTH)
    root = fields.prefixed()
    mended = card.flash.version >= MENDED
    if len(root) != KEY_SIZE and not (mended and not root):
        raise Refusal(Sw.WRONG_LENGTH)
    secret = signing_key(card, request.p1)
    if card.flash.release >= WITH_BYPASS and request.p2 == BYPASS:
        _need_feature(card.flash.policies.nostr)
        key = secret
    else:
        key = tweaked(secret, root, card.flash.version)
    card.power.tweaked_key = key
    return authenticated(card, prefixed(PrivateKey(key).public_key.format(compressed=False)))


def sign_schnorr(card: Card, request: Request) -> bytes:
    """SIGN SCHNORR HASH: a BIP 340 signature by the tweaked key."""
    _need_feature(card.flash.policies.schnorr)
    fields = Reader(request.data, Sw.WRONG_LENGTH)
    message = fields.take(KEY_SIZE)
    check_flagged_answer(card, message + Padding.SCHNORR, fields)
    key = card.power.tweaked_key
    if not key:
        raise Refusal(Sw.INCORRECT_INITIALIZATION)
    if card.flash.version < MENDED:
        # Old cards leave their nonce where the tweaked key was: the next signature is by no key.
        card.power.tweaked_key = secrets.token_bytes(KEY_SIZE)
    return PrivateKey(key).sign_schnorr(message)


def _need_feature(policy: int) -> None:
    if policy:
        raise Refusal(Sw.FEATURE_BLOCKED)


def import_trusted_key(card: Card, request: Request) -> bytes:
    """Take the authentikey of the SeedKeeper to be trusted; a seeded card takes none."""
    need_no_seed(card)
    fields = Reader(request.data)
    size = fields.short()
    point = fields.take(POINT)
    if size != POINT or point[0] != 4:
        raise Refusal(Sw.INVALID_PARAMETER)
    card.flash.trusted_key = point
    return authenticated(card, prefixed(point))


def export_trusted_key(card: Card, _request: Request) -> bytes:
    """Return the trusted authentikey, signed by the card's own."""
    return authenticated(card, prefixed(_trusted(card)))


def import_encrypted(card: Card, request: Request) -> bytes:
    """Take a seed or a second factor encrypted under the key both cards share."""
    trusted = _trusted(card)
    fields = Reader(request.data)
    header = fields.take(HEADER)
    if header[0] == MASTER_SEED:
        need_no_seed(card)
    elif header[0] != SECOND_FACTOR:
        raise Refusal(Sw.INVALID_PARAMETER)
    elif card.flash.second_factor:
        raise Refusal(Sw.SECOND_FACTOR_SET)
    iv = fields.take(BLOCK)
    ciphertext, mac = fields.take(fields.short()), fields.prefixed()
    if len(mac) != SHA1_SIZE:
        raise Refusal(Sw.INVALID_PARAMETER)
    shared = shared_x(card.flash.authentikey, trusted, Sw.INVALID_PARAMETER)
    key, mac_key = (hmac.digest(shared, use, "sha1") for use in (b"seckey", b"secmac"))
    digest = hashlib.sha256(header + ciphertext).digest()
    if not hmac.compare_digest(hmac.digest(mac_key, digest, "sha1"), mac):
        raise Refusal(Sw.IMPORT_MAC)
    if len(ciphertext) % BLOCK:
        raise Refusal(Sw.INVALID_PARAMETER)
    cipher = Cipher(algorithms.AES(key[:BLOCK]), modes.CBC(iv))
    plaintext = cipher.decryptor().update(ciphertext)
    secret = Reader(plaintext).prefixed()
    if hashlib.sha256(plaintext[: 1 + len(secret)]).digest()[:4] != header[FINGERPRINT]:
        raise Refusal(Sw.IMPORT_FINGERPRINT)
    if header[0] == MASTER_SEED:
        return load_seed(card, secret)
    if len(secret) != SHA1_SIZE:
        raise Refusal(Sw.INVALID_PARAMETER)
    card.flash.second_factor, card.flash.amount_limit = secret, 0
    return b""


def _trusted(card: Card) -> bytes:
    if not card.flash.trusted_key:
        raise Refusal(Sw.IMPORT_UNTRUSTED)
    return card.flash.trusted_key


HANDLERS: dict[int, Handler] = {
    Ins.IMPORT_SEED: import_seed,
    Ins.RESET_SEED: reset_seed,
    Ins.EXPORT_AUTHENTIKEY: export_authentikey,
    Ins.GET_AUTHENTIKEY: export_authentikey_if_seeded,
    Ins.GET_EXTENDED_KEY: extended_key,
    Ins.SIGN_DIGEST: sign_digest,
    Ins.IMPORT_KEY: import_key,
    Ins.RESET_KEY: reset_key,
    Ins.GET_PUBLIC_FROM_PRIVATE: public_from_private,
    **dict.fromkeys(INS_CACHE_USE, cache_use),
    Ins.TAPROOT_TWEAK: taproot_tweak,
    Ins.SIGN_SCHNORR: sign_schnorr,
    Ins.IMPORT_TRUSTED_KEY: import_trusted_key,
    Ins.EXPORT_TRUSTED_KEY: export_trusted_key,
    Ins.IMPORT_ENCRYPTED: import_encrypted,
}
