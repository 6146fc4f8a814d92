"""The emulated Keycard's keys, and what it makes of them; words, data and random bytes besides."""

import hashlib
import hmac
import secrets

from coincurve import PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from cards.bip32 import master_key, path_steps
from cards.emulation import Node, Refusal, shared_x, sign_high_or_low
from cards.errors import ProtocolError
from cards.keycard.emulator_memory import Card, Handler, Request, need_pin
from cards.keycard.wire import POINT, Ins, Sw, Tag, template, tlv
from cards.signature import CURVE_ORDER

STEP = 4
DEPTH_MAX = 10
HASH = 32
EC, EXTENDED, SEED, LEE = range(1, 5)
CURRENT, DERIVE, DERIVE_AND_KEEP, PINLESS = range(4)
PRIVATE, PUBLIC, EXTENDED_PUBLIC = range(3)
ECDSA, ED25519, BLS, SCHNORR = range(4)
FROM_PARENT, FROM_CURRENT, SOURCES = 0x40, 0x80, 0xC0
EXPORTABLE = bytes.fromhex("8000002B8000003C8000062D")
EXPORTABLE_DEPTH = 5
ANY_SEED = b"\x03\x02"
CHECKSUM_SIZES = range(4, 9)
WORD_BITS = 11
DATA_MAX = {0: 127, 1: 500, 2: 127}
BIP85 = bytes.fromhex("84FD1D48")
BIP85_SIZES = range(1, 65)
NIP44 = bytes.fromhex("8000002C800004D5")


def derive(card: Card, path: bytes) -> Node:
    """Derive from the master; after the duress PIN by another chain code, so another tree."""
    flash = card.flash
    if not flash.key:
        raise Refusal(Sw.CONDITIONS)
    if len(path) % STEP or len(path) // STEP > DEPTH_MAX:
        raise Refusal(Sw.WRONG_DATA)
    if not path:
        return Node(flash.key, card.power.last_chain_code)
    if not flash.chain_code:
        raise Refusal(Sw.CONDITIONS)
    duress = card.power.under_duress
    start = hashlib.sha256(flash.chain_code).digest() if duress else flash.chain_code
    node = Node(flash.key, start).below(path_steps(path))
    card.power.last_chain_code = node.chain_code
    return node


def load_key(card: Card, request: Request) -> bytes:
    """LOAD KEY in place of any there is: a pair, with or without chain code, or a seed."""
    need_pin(card)
    if request.p1 in {EC, EXTENDED}:
        key, chain_code = _loaded(request.data, extended=request.p1 == EXTENDED)
    elif request.p1 == SEED:
        smallest = 16 if card.flash.version >= ANY_SEED else 64
        if not smallest <= len(request.data) <= 64:
            raise Refusal(Sw.WRONG_DATA)
        key, chain_code = master_key(request.data)
    else:
        raise Refusal(Sw.WRONG_P1_P2)
    return _replace_key(card, key, chain_code)


def generate_key(card: Card, _request: Request) -> bytes:
    """GENERATE KEY in place of any there is."""
    need_pin(card)
    return _replace_key(card, PrivateKey().secret, secrets.token_bytes(HASH))


def remove_key(card: Card, _request: Request) -> bytes:
    """REMOVE KEY."""
    need_pin(card)
    _replace_key(card, b"", b"")
    return b""


def derive_key(card: Card, request: Request) -> bytes:
    """DERIVE KEY (3.x): make a path the current one."""
    need_pin(card)
    path = _absolute(card, request.p1, request.data)
    derive(card, path)
    card.flash.current_path = path
    return b""


def set_pinless_path(card: Card, request: Request) -> bytes:
    """SET PINLESS PATH (3.x): the key that signs for everybody."""
    need_pin(card)
    if len(request.data) % STEP or len(request.data) // STEP > DEPTH_MAX:
        raise Refusal(Sw.WRONG_DATA)
    card.flash.pinless_path = request.data
    return b""


def export_key(card: Card, request: Request) -> bytes:
    """EXPORT KEY: public, extended public; private only where EIP 1581 allows it."""
    need_pin(card)
    if not card.flash.key:
        raise Refusal(Sw.CONDITIONS)
    if request.p2 > EXTENDED_PUBLIC:
        raise Refusal(Sw.WRONG_P1_P2)
    path = _chosen(card, request.p1, request.data)
    exportable = path.startswith(EXPORTABLE) and len(path) >= EXPORTABLE_DEPTH * STEP
    if (request.p2 == PRIVATE and not exportable) or (request.p2 == EXTENDED_PUBLIC and exportable):
        raise Refusal(Sw.CONDITIONS)
    if request.p2 == EXTENDED_PUBLIC and not path and card.flash.certified:
        raise Refusal(Sw.CONDITIONS)
    node = derive(card, path)
    if request.p2 == PRIVATE:
        return tlv(Tag.KEY_TEMPLATE, tlv(Tag.PRIVATE_KEY, node.key))
    key = tlv(Tag.PUBLIC_KEY, node.point)
    extension = tlv(Tag.CHAIN_CODE, node.chain_code)
    return tlv(Tag.KEY_TEMPLATE, key + (extension if request.p2 == EXTENDED_PUBLIC else b""))


def sign(card: Card, request: Request) -> bytes:
    """SIGN a digest; 4.0 knows BIP 340 besides and nothing of current and PIN-less keys."""
    if card.flash.certified:
        if request.p1 != DERIVE:
            raise Refusal(Sw.WRONG_SIGN_P1_P2)
        if request.p2 not in {ECDSA, SCHNORR}:
            raise Refusal(Sw.NO_ALGORITHM)
    if not _pinless(card, request):
        need_pin(card)
    if not card.flash.key:
        raise Refusal(Sw.CONDITIONS)
    if card.flash.certified and request.p2 == SCHNORR:
        return _sign_schnorr(card, request.data)
    if len(request.data) < HASH:
        raise Refusal(Sw.WRONG_DATA)
    digest, rest = request.data[:HASH], request.data[HASH:]
    pinless = _pinless(card, request)
    path = card.flash.pinless_path if pinless else _chosen(card, request.p1, rest)
    node = derive(card, path)
    key = tlv(Tag.PUBLIC_KEY, node.point)
    return tlv(Tag.SIGNATURE_TEMPLATE, key + _der(sign_high_or_low(node.key, digest)))


def _pinless(card: Card, request: Request) -> bool:
    if card.flash.certified or request.p1 & ~SOURCES != PINLESS:
        return False
    if not card.flash.pinless_path:
        raise Refusal(Sw.NO_PINLESS_PATH)
    return True


def _sign_schnorr(card: Card, data: bytes) -> bytes:
    """Sign as BIP 340 wants it, with the key made even and tweaked."""
    if len(data) < 2 * HASH:
        raise Refusal(Sw.WRONG_DATA)
    digest, tweak, path = data[:HASH], data[HASH : 2 * HASH], data[2 * HASH :]
    node = derive(card, path)
    key = int.from_bytes(node.key)
    if node.point[-1] & 1:
        key = CURVE_ORDER - key
    tweaked = PrivateKey(((key + int.from_bytes(tweak)) % CURVE_ORDER).to_bytes(HASH))
    signature = tweaked.sign_schnorr(digest, secrets.token_bytes(HASH))
    content = tlv(Tag.PUBLIC_KEY, node.point) + tlv(Tag.SCHNORR, signature)
    return tlv(Tag.SIGNATURE_TEMPLATE, content)


def _der(signature: bytes) -> bytes:
    """Bring S into the lower half; one that had to be turned keeps the zeros before it."""
    r, s = decode_dss_signature(signature)
    turned = s > CURVE_ORDER // 2
    low = (CURVE_ORDER - s).to_bytes(HASH) if turned else _integer(s)
    return tlv(Tag.SEQUENCE, tlv(0x02, _integer(r)) + tlv(0x02, low))


def _integer(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1)


def _chosen(card: Card, p1: int, path: bytes) -> bytes:
    """Return the path that P1 means, and keep it where P1 says so."""
    option = p1 & ~SOURCES
    if option == CURRENT and not card.flash.certified:
        return card.flash.current_path
    if option == DERIVE or (option == DERIVE_AND_KEEP and not card.flash.certified):
        whole = _absolute(card, p1, path)
        if option == DERIVE_AND_KEEP:
            derive(card, whole)
            card.flash.current_path = whole
        return whole
    raise Refusal(Sw.WRONG_P1_P2)


def _absolute(card: Card, p1: int, path: bytes) -> bytes:
    """Return the path from the master, whatever P1 says it begins at."""
    if card.flash.certified or not p1 & SOURCES:
        return path
    current = card.flash.current_path
    if p1 & SOURCES == FROM_CURRENT:
        return current + path
    if p1 & SOURCES == FROM_PARENT and current:
        return current[:-STEP] + path
    raise Refusal(Sw.WRONG_P1_P2)


def _loaded(data: bytes, *, extended: bool) -> tuple[bytes, bytes]:
    """Read a key pair's template."""
    try:
        found = dict(template(data, Tag.KEY_TEMPLATE))
    except ProtocolError:
        raise Refusal(Sw.WRONG_DATA) from None
    key, chain_code = found.get(Tag.PRIVATE_KEY, b""), found.get(Tag.CHAIN_CODE, b"")
    if len(key) != HASH or (extended and len(chain_code) not in {0, HASH}):
        raise Refusal(Sw.WRONG_DATA)
    return key, chain_code if extended else b""


def _replace_key(card: Card, key: bytes, chain_code: bytes) -> bytes:
    flash = card.flash
    flash.key, flash.chain_code, flash.current_path, flash.pinless_path = key, chain_code, b"", b""
    return flash.key_uid


def generate_mnemonic(_card: Card, request: Request) -> bytes:
    """GENERATE MNEMONIC: word numbers, which the card forgets at once; needs no PIN."""
    if request.p1 not in CHECKSUM_SIZES:
        raise Refusal(Sw.WRONG_P1_P2)
    entropy = secrets.token_bytes(4 * request.p1)
    checksum = hashlib.sha256(entropy).digest()[0] >> (8 - request.p1)
    bits = int.from_bytes(entropy) << request.p1 | checksum
    count = 3 * request.p1
    words = [bits >> (WORD_BITS * at) & 0x7FF for at in reversed(range(count))]
    return b"".join(word.to_bytes(2) for word in words)


def store_data(card: Card, request: Request) -> bytes:
    """STORE DATA: public, NDEF or cash."""
    need_pin(card)
    if request.p1 not in DATA_MAX:
        raise Refusal(Sw.WRONG_P1_P2)
    if len(request.data) > DATA_MAX[request.p1]:
        raise Refusal(Sw.WRONG_DATA)
    card.flash.data[request.p1] = request.data
    return b""


def fetch_data(card: Card, request: Request) -> bytes:
    """GET DATA."""
    if request.p1 not in DATA_MAX:
        raise Refusal(Sw.WRONG_P1_P2)
    return card.flash.data.get(request.p1, b"")


def draw_challenge(_card: Card, request: Request) -> bytes:
    """GET CHALLENGE: random bytes."""
    return secrets.token_bytes(request.p1)


def export_bip85(card: Card, request: Request) -> bytes:
    """EXPORT BIP85: entropy below m/83696968', hardened all the way."""
    need_pin(card)
    path = request.data
    hardened = all(first & 0x80 for first in path[::STEP])
    if request.p1 not in BIP85_SIZES or not path.startswith(BIP85):
        raise Refusal(Sw.WRONG_DATA)
    if len(path) < 2 * STEP or not hardened:
        raise Refusal(Sw.WRONG_DATA)
    key = derive(card, path).key
    return hmac.digest(b"bip-entropy-from-k", key, "sha512")[: request.p1]


def ecdh(card: Card, request: Request) -> bytes:
    """ECDH with a key of NIP 44 or EIP 1581."""
    need_pin(card)
    point, path = request.data[:POINT], request.data[POINT:]
    allowed = path.startswith((NIP44, EXPORTABLE))
    if not allowed or len(path) < EXPORTABLE_DEPTH * STEP:
        raise Refusal(Sw.CONDITIONS)
    return shared_x(derive(card, path).key, point, Sw.WRONG_DATA)


HANDLERS: dict[int, Handler] = {
    Ins.LOAD_KEY: load_key,
    Ins.GENERATE_KEY: generate_key,
    Ins.REMOVE_KEY: remove_key,
    Ins.EXPORT_KEY: export_key,
    Ins.SIGN: sign,
    Ins.GENERATE_MNEMONIC: generate_mnemonic,
    Ins.STORE_DATA: store_data,
    Ins.GET_DATA: fetch_data,
}
BEFORE_4: dict[int, Handler] = {Ins.DERIVE_KEY: derive_key, Ins.SET_PINLESS_PATH: set_pinless_path}
SINCE_4: dict[int, Handler] = {
    Ins.GET_CHALLENGE: draw_challenge,
    Ins.EXPORT_BIP85: export_bip85,
    Ins.ECDH: ecdh,
}
