"""How private rows are encrypted to a key, and how that key lies under a passphrase.

A sealed row is HPKE (RFC 9180) in base mode, single-shot, with DHKEM(X25519, HKDF-SHA256),
HKDF-SHA256 and ChaCha20-Poly1305: anybody may write one to the home's public key, and only who has
the private key, the opening key, reads it.

    sealed row = 02 ‖ enc (32) ‖ ciphertext and tag
    info       = "cardquorum row" ‖ 02 ‖ the row it belongs to, as "location 3" or "note of event 7"
    aad        = empty
    plaintext  = canonical CBOR map of the row's private fields ‖ 80 ‖ 00 up to a multiple of 64

So a row that was moved to another place does not open, and a length tells the content's to within
64 bytes. The opening key (32 bytes) lies in the database as

    ChaCha20-Poly1305(scrypt(passphrase, salt, n, r, p), nonce 0, opening key,
                      aad = "cardquorum lock v1" ‖ public key)

whose salt is new each time, so that the key of the fixed nonce encrypts once.
"""

import os
from collections.abc import Mapping
from typing import NamedTuple

import cbor2
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from storage.errors import PassphraseIncorrect, SealBroken

Content = Mapping[str, str | bytes | None]

SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
VERSION = b"\x02"
"""Version 1 was a construction of our own, in 0.1.0."""
ROW, LOCK, TAG = b"cardquorum row" + VERSION, b"cardquorum lock v1", b"cardquorum tag v1"
KEY_SIZE = 32
BLOCK = 64
ONCE = bytes(12)
"""The nonce of a key that encrypts one message ever."""
SCRYPT_N_MAX = 1 << 20
SCRYPT_MEMORY_MAX = 1 << 30
SCRYPT_TIMES_MAX = 16
UNREADABLE = (cbor2.CBORError, ValueError, TypeError, RecursionError, OverflowError, MemoryError)
"""What reading CBOR of others raises, however it was made to."""


class Cost(NamedTuple):
    """What scrypt takes: n · r · 128 bytes of memory, p times over."""

    n: int = 1 << 17
    r: int = 8
    p: int = 1


class Locked(NamedTuple):
    """An opening key under a passphrase."""

    opening_key: bytes
    salt: bytes
    cost: Cost


class OpeningKey:
    """The private key that opens a home's sealed rows."""

    def __init__(self, raw: bytes | None = None) -> None:
        """Take the key's 32 bytes, or make a new one."""
        made = X25519PrivateKey.generate()
        self._key = made if raw is None else X25519PrivateKey.from_private_bytes(raw)
        self.sealing_key = self._key.public_key().public_bytes_raw()

    def open(self, sealed: bytes, belongs_to: str) -> Content:
        """Return what a sealed row says; raises SealBroken."""
        if not sealed.startswith(VERSION):
            raise SealBroken(belongs_to)
        try:
            padded = SUITE.decrypt(sealed[1:], self._key, info=ROW + belongs_to.encode())
            content = cbor2.loads(padded.rstrip(b"\0")[:-1])
        except (InvalidTag, *UNREADABLE) as failure:
            raise SealBroken(belongs_to) from failure
        # Anybody may encrypt a row: its fields must be such as rows hold.
        if not isinstance(content, dict) or not all(
            isinstance(name, str) and isinstance(value, str | bytes | None)
            for name, value in content.items()
        ):
            raise SealBroken(belongs_to)
        return content

    def tag(self, text: str) -> str:
        """Return eight digits that are the same for the same text, and tell nobody else which."""
        key = HKDF(hashes.SHA256(), KEY_SIZE, b"", TAG).derive(self._key.private_bytes_raw())
        mac = hmac.HMAC(key, hashes.SHA256())
        mac.update(text.encode())
        return mac.finalize()[:4].hex()

    def locked(self, passphrase: bytes, cost: Cost) -> Locked:
        """Return the key encrypted under a passphrase."""
        salt = os.urandom(KEY_SIZE)
        cipher = ChaCha20Poly1305(_stretched(passphrase, salt, cost))
        return Locked(
            cipher.encrypt(ONCE, self._key.private_bytes_raw(), LOCK + self.sealing_key), salt, cost
        )


def unlocked(locked: Locked, sealing_key: bytes, passphrase: bytes) -> OpeningKey:
    """Return the opening key that belongs to a sealing key; raises PassphraseIncorrect."""
    if not _is_bearable(locked.cost):
        raise SealBroken("passphrase")
    try:
        cipher = ChaCha20Poly1305(_stretched(passphrase, locked.salt, locked.cost))
        return OpeningKey(cipher.decrypt(ONCE, locked.opening_key, LOCK + sealing_key))
    except InvalidTag as failure:
        raise PassphraseIncorrect from failure
    except (ValueError, OverflowError, MemoryError) as failure:
        raise SealBroken("passphrase") from failure


def seal(sealing_key: bytes, belongs_to: str, content: Content) -> bytes:
    """Encrypt a row's private fields to a public key."""
    ended = cbor2.dumps(content, canonical=True) + b"\x80"
    padded = ended + bytes(-len(ended) % BLOCK)
    key = X25519PublicKey.from_public_bytes(sealing_key)
    return VERSION + SUITE.encrypt(padded, key, info=ROW + belongs_to.encode())


def _is_bearable(cost: Cost) -> bool:
    """Tell whether a row's scrypt numbers are such as a computer has the memory and time for."""
    n, r, p = cost
    return (
        1 < n <= SCRYPT_N_MAX
        and n.bit_count() == 1
        and r >= 1
        and 1 <= p <= SCRYPT_TIMES_MAX
        and 2 * BLOCK * n * r <= SCRYPT_MEMORY_MAX
    )


def _stretched(passphrase: bytes, salt: bytes, cost: Cost) -> bytes:
    return Scrypt(salt, KEY_SIZE, cost.n, cost.r, cost.p).derive(passphrase)
