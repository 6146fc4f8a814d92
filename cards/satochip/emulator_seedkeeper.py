"""The emulated Satochip's import of secrets that a SeedKeeper card encrypted for it."""

import hashlib
import hmac

from coincurve import PrivateKey, PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from cards.satochip.emulator_keys import authenticated, load_seed, need_no_seed, prefixed
from cards.satochip.emulator_memory import Card, Handler, Reader, Refusal, Request
from cards.satochip.wire import (
    BLOCK,
    INS_EXPORT_TRUSTED_KEY,
    INS_IMPORT_ENCRYPTED,
    INS_IMPORT_TRUSTED_KEY,
    SW_2FA_SET,
    SW_IMPORT_FINGERPRINT,
    SW_IMPORT_MAC,
    SW_IMPORT_UNTRUSTED,
    SW_INVALID_PARAMETER,
)

HEADER = 12
FINGERPRINT = slice(6, 10)
MASTER_SEED = 0x10
SECOND_FACTOR = 0xB0
POINT = 65
SHA1_SIZE = 20


def import_trusted_key(card: Card, request: Request) -> bytes:
    """Take the authentikey of the SeedKeeper to be trusted; a seeded card takes none."""
    need_no_seed(card)
    fields = Reader(request.data)
    size = fields.short()
    point = fields.take(POINT)
    if size != POINT or point[0] != 4:
        raise Refusal(SW_INVALID_PARAMETER)
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
    _need_room(card, header[0])
    iv = fields.take(BLOCK)
    ciphertext, mac = fields.take(fields.short()), fields.prefixed()
    if len(mac) != SHA1_SIZE:
        raise Refusal(SW_INVALID_PARAMETER)
    shared = shared_x(card.flash.authentikey, trusted)
    if not hmac.compare_digest(mac_of(shared, header + ciphertext), mac):
        raise Refusal(SW_IMPORT_MAC)
    plaintext = _decrypted(shared, iv, ciphertext)
    secret = Reader(plaintext).prefixed()
    if hashlib.sha256(plaintext[: 1 + len(secret)]).digest()[:4] != header[FINGERPRINT]:
        raise Refusal(SW_IMPORT_FINGERPRINT)
    if header[0] == MASTER_SEED:
        return load_seed(card, secret)
    if len(secret) != SHA1_SIZE:
        raise Refusal(SW_INVALID_PARAMETER)
    card.flash.second_factor, card.flash.amount_limit = secret, 0
    return b""


def _need_room(card: Card, kind: int) -> None:
    if kind == MASTER_SEED:
        need_no_seed(card)
    if kind == SECOND_FACTOR and card.flash.second_factor:
        raise Refusal(SW_2FA_SET)
    if kind not in {MASTER_SEED, SECOND_FACTOR}:
        raise Refusal(SW_INVALID_PARAMETER)


def shared_x(secret: bytes, public: bytes) -> bytes:
    """Return the x coordinate of the Diffie-Hellman point; refuses a point off the curve."""
    try:
        return PublicKey(public).multiply(PrivateKey(secret).secret).format()[1:]
    except ValueError:
        raise Refusal(SW_INVALID_PARAMETER) from None


def mac_of(shared: bytes, data: bytes) -> bytes:
    """Return the code over header and ciphertext."""
    key = hmac.digest(shared, b"secmac", "sha1")
    return hmac.digest(key, hashlib.sha256(data).digest(), "sha1")


def secret_key(shared: bytes) -> bytes:
    """Return the AES key both cards share."""
    return hmac.digest(shared, b"seckey", "sha1")[:BLOCK]


def _decrypted(shared: bytes, iv: bytes, ciphertext: bytes) -> bytes:
    if len(ciphertext) % BLOCK:
        raise Refusal(SW_INVALID_PARAMETER)
    return Cipher(algorithms.AES(secret_key(shared)), modes.CBC(iv)).decryptor().update(ciphertext)


def _trusted(card: Card) -> bytes:
    if not card.flash.trusted_key:
        raise Refusal(SW_IMPORT_UNTRUSTED)
    return card.flash.trusted_key


HANDLERS: dict[int, Handler] = {
    INS_IMPORT_TRUSTED_KEY: import_trusted_key,
    INS_EXPORT_TRUSTED_KEY: export_trusted_key,
    INS_IMPORT_ENCRYPTED: import_encrypted,
}
