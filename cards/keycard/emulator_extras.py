"""What an emulated Keycard does besides: words, data, random bytes, BIP 85, Diffie-Hellman."""

import hashlib
import hmac
import secrets

from coincurve import PublicKey

from cards.emulation import Refusal
from cards.keycard.emulator_codes import need_pin
from cards.keycard.emulator_keys import EXPORTABLE, EXPORTABLE_DEPTH, HASH, STEP, derive
from cards.keycard.emulator_memory import Card, Handler, Request
from cards.keycard.wire import POINT, Ins, Sw

CHECKSUM_SIZES = range(4, 9)
WORD_BITS = 11
DATA_MAX = {0: 127, 1: 500, 2: 127}
BIP85 = bytes.fromhex("84FD1D48")
BIP85_SIZES = range(1, 65)
NIP44 = bytes.fromhex("8000002C800004D5")


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
    try:
        return PublicKey(point).multiply(derive(card, path).key).format()[1 : 1 + HASH]
    except ValueError:
        raise Refusal(Sw.WRONG_DATA) from None


HANDLERS: dict[int, Handler] = {
    Ins.GENERATE_MNEMONIC: generate_mnemonic,
    Ins.STORE_DATA: store_data,
    Ins.GET_DATA: fetch_data,
}
SINCE_4: dict[int, Handler] = {
    Ins.GET_CHALLENGE: draw_challenge,
    Ins.EXPORT_BIP85: export_bip85,
    Ins.ECDH: ecdh,
}
