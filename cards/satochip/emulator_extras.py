"""The emulated Satochip's label and policies, and the import of what a SeedKeeper encrypted."""

import hashlib
import hmac

from coincurve import PrivateKey, PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from cards.emulation import Refusal
from cards.satochip.emulator_keys import authenticated, load_seed, need_no_seed, prefixed
from cards.satochip.emulator_memory import WITH_POLICIES, Card, Handler, Reader, Request
from cards.satochip.wire import BLOCK, Ins, Sw

LABEL_MAX = 64
LABEL_SET, LABEL_SHOW = 0, 1
FEATURES = ("schnorr", "nostr", "liquid")
BLOCKED = 2
HEADER = 12
FINGERPRINT = slice(6, 10)
MASTER_SEED = 0x10
SECOND_FACTOR = 0xB0
POINT = 65
SHA1_SIZE = 20


def label(card: Card, request: Request) -> bytes:
    """LABEL: P2 0 sets it, or erases it where no text comes; 1 shows it."""
    if request.p2 == LABEL_SHOW:
        return bytes((len(card.flash.label),)) + card.flash.label
    if request.p2 != LABEL_SET:
        raise Refusal(Sw.INCORRECT_P2)
    text = Reader(request.data).prefixed() if request.data else b""
    if len(text) > LABEL_MAX:
        raise Refusal(Sw.INVALID_PARAMETER)
    card.flash.label = text
    return b""


def set_feature_policy(card: Card, request: Request) -> bytes:
    """SET FEATURE POLICY: the feature in P1, its policy in P2; what is blocked stays so."""
    if card.flash.release < WITH_POLICIES:
        raise Refusal(Sw.UNKNOWN_INS)
    if request.p1 >= len(FEATURES):
        raise Refusal(Sw.INCORRECT_P1)
    if request.p2 > BLOCKED:
        raise Refusal(Sw.INCORRECT_P2)
    feature = FEATURES[request.p1]
    if getattr(card.flash.policies, feature) == BLOCKED:
        raise Refusal(Sw.FEATURE_BLOCKED)
    setattr(card.flash.policies, feature, request.p2)
    return b""


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
    shared = shared_x(card.flash.authentikey, trusted)
    if not hmac.compare_digest(mac_of(shared, header + ciphertext), mac):
        raise Refusal(Sw.IMPORT_MAC)
    plaintext = _decrypted(shared, iv, ciphertext)
    secret = Reader(plaintext).prefixed()
    if hashlib.sha256(plaintext[: 1 + len(secret)]).digest()[:4] != header[FINGERPRINT]:
        raise Refusal(Sw.IMPORT_FINGERPRINT)
    if header[0] == MASTER_SEED:
        return load_seed(card, secret)
    if len(secret) != SHA1_SIZE:
        raise Refusal(Sw.INVALID_PARAMETER)
    card.flash.second_factor, card.flash.amount_limit = secret, 0
    return b""


def shared_x(secret: bytes, public: bytes) -> bytes:
    """Return the x coordinate of the Diffie-Hellman point; refuses a point off the curve."""
    try:
        return PublicKey(public).multiply(PrivateKey(secret).secret).format()[1:]
    except ValueError:
        raise Refusal(Sw.INVALID_PARAMETER) from None


def mac_of(shared: bytes, data: bytes) -> bytes:
    """Return the code over header and ciphertext."""
    key = hmac.digest(shared, b"secmac", "sha1")
    return hmac.digest(key, hashlib.sha256(data).digest(), "sha1")


def secret_key(shared: bytes) -> bytes:
    """Return the AES key both cards share."""
    return hmac.digest(shared, b"seckey", "sha1")[:BLOCK]


def _decrypted(shared: bytes, iv: bytes, ciphertext: bytes) -> bytes:
    if len(ciphertext) % BLOCK:
        raise Refusal(Sw.INVALID_PARAMETER)
    return Cipher(algorithms.AES(secret_key(shared)), modes.CBC(iv)).decryptor().update(ciphertext)


def _trusted(card: Card) -> bytes:
    if not card.flash.trusted_key:
        raise Refusal(Sw.IMPORT_UNTRUSTED)
    return card.flash.trusted_key


HANDLERS: dict[int, Handler] = {
    Ins.LABEL: label,
    Ins.SET_FEATURE_POLICY: set_feature_policy,
    Ins.IMPORT_TRUSTED_KEY: import_trusted_key,
    Ins.EXPORT_TRUSTED_KEY: export_trusted_key,
    Ins.IMPORT_ENCRYPTED: import_encrypted,
}
