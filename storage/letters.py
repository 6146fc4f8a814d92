"""Sealed letters: anybody may write one, only who has the opening key reads it.

A letter is `version ‖ ephemeral X25519 key (32) ‖ ChaCha20-Poly1305`. Its key is used once: HKDF
over the shared point, salted with both public keys. What the letter belongs to is authenticated,
so a letter moved elsewhere does not open. DECISIONS.md has the bytes.
"""

import os
from collections.abc import Mapping
from typing import NamedTuple

import cbor2
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from storage.errors import PassphraseIncorrect, SealBroken

Content = Mapping[str, str | bytes | None]

VERSION = b"\x01"
KEY_SIZE = 32
BLOCK = 64
ONCE = bytes(12)
"""The nonce of a key that encrypts one message ever."""
LETTER, LOCK, TAG = b"cardquorum letter v1", b"cardquorum lock v1", b"cardquorum tag v1"
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


class Opener:
    """An opening key."""

    def __init__(self, raw: bytes | None = None) -> None:
        """Take the key's 32 bytes, or make a new one."""
        made = X25519PrivateKey.generate()
        self._key = made if raw is None else X25519PrivateKey.from_private_bytes(raw)
        self.sealing_key = self._key.public_key().public_bytes_raw()

    def read(self, letter: bytes, belongs_to: str) -> Content:
        """Return what a letter says; raises SealBroken."""
        one_time, sealed = letter[1 : 1 + KEY_SIZE], letter[1 + KEY_SIZE :]
        try:
            shared = self._key.exchange(X25519PublicKey.from_public_bytes(one_time))
            cipher = _cipher(shared, one_time + self.sealing_key)
            padded = cipher.decrypt(ONCE, sealed, letter[:1] + belongs_to.encode())
            content = cbor2.loads(padded.rstrip(b"\0")[:-1])
        except (InvalidTag, *UNREADABLE) as failure:
            raise SealBroken(belongs_to) from failure
        if not isinstance(content, dict) or not all(map(_is_said, content, content.values())):
            raise SealBroken(belongs_to)
        return content

    def tag(self, text: str) -> str:
        """Return eight digits that are the same for the same text, and tell nobody else which."""
        mac = hmac.HMAC(_derived(self._key.private_bytes_raw(), b"", TAG), hashes.SHA256())
        mac.update(text.encode())
        return mac.finalize()[:4].hex()

    def locked(self, passphrase: bytes, cost: Cost) -> Locked:
        """Return the key sealed under a passphrase."""
        salt = os.urandom(KEY_SIZE)
        cipher = ChaCha20Poly1305(_stretched(passphrase, salt, cost))
        return Locked(
            cipher.encrypt(ONCE, self._key.private_bytes_raw(), LOCK + self.sealing_key), salt, cost
        )


def unlocked(locked: Locked, sealing_key: bytes, passphrase: bytes) -> Opener:
    """Return the opening key that belongs to a sealing key; raises PassphraseIncorrect."""
    if not _is_bearable(locked.cost):
        raise SealBroken("passphrase")
    try:
        cipher = ChaCha20Poly1305(_stretched(passphrase, locked.salt, locked.cost))
        return Opener(cipher.decrypt(ONCE, locked.opening_key, LOCK + sealing_key))
    except InvalidTag as failure:
        raise PassphraseIncorrect from failure
    except (ValueError, OverflowError, MemoryError) as failure:
        raise SealBroken("passphrase") from failure


def letter(sealing_key: bytes, belongs_to: str, content: Content) -> bytes:
    """Write a letter; its length tells the content's to within 64 bytes."""
    once = X25519PrivateKey.generate()
    one_time = once.public_key().public_bytes_raw()
    shared = once.exchange(X25519PublicKey.from_public_bytes(sealing_key))
    cipher = _cipher(shared, one_time + sealing_key)
    ended = cbor2.dumps(content, canonical=True) + b"\x80"
    padded = ended + bytes(-len(ended) % BLOCK)
    return VERSION + one_time + cipher.encrypt(ONCE, padded, VERSION + belongs_to.encode())


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


def _is_said(name: object, value: object) -> bool:
    """Tell whether a field is such as letters hold: anybody may write one."""
    return isinstance(name, str) and isinstance(value, str | bytes | None)


def _cipher(shared: bytes, keys: bytes) -> ChaCha20Poly1305:
    return ChaCha20Poly1305(_derived(shared, keys, LETTER))


def _derived(secret: bytes, salt: bytes, purpose: bytes) -> bytes:
    return HKDF(hashes.SHA256(), KEY_SIZE, salt, purpose).derive(secret)


def _stretched(passphrase: bytes, salt: bytes, cost: Cost) -> bytes:
    return Scrypt(salt, KEY_SIZE, cost.n, cost.r, cost.p).derive(passphrase)
