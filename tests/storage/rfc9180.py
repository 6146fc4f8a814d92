"""HPKE in base mode as RFC 9180 writes it down, from its formulas: a judge of the library's."""

import hashlib
import hmac

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

KEM_ID = b"KEM" + (0x0020).to_bytes(2, "big")
SUITE_ID = b"HPKE" + b"".join(each.to_bytes(2, "big") for each in (0x0020, 0x0001, 0x0003))


def sealed(public: bytes, ephemeral: bytes, plaintext: bytes, info: bytes) -> bytes:
    once = X25519PrivateKey.from_private_bytes(ephemeral)
    enc = once.public_key().public_bytes_raw()
    shared = once.exchange(X25519PublicKey.from_public_bytes(public))
    key, nonce = _schedule(shared, enc + public, info)
    return enc + ChaCha20Poly1305(key).encrypt(nonce, plaintext, b"")


def opened(private: bytes, message: bytes, info: bytes) -> bytes:
    key, nonce = key_and_nonce(private, message[:32], info)
    return ChaCha20Poly1305(key).decrypt(nonce, message[32:], b"")


def key_and_nonce(private: bytes, enc: bytes, info: bytes) -> tuple[bytes, bytes]:
    own = X25519PrivateKey.from_private_bytes(private)
    shared = own.exchange(X25519PublicKey.from_public_bytes(enc))
    return _schedule(shared, enc + own.public_key().public_bytes_raw(), info)


def _schedule(shared: bytes, kem_context: bytes, info: bytes) -> tuple[bytes, bytes]:
    """Sections 4.1 (ExtractAndExpand) and 5.1 (KeySchedule), mode 0."""
    prk = _extract(KEM_ID, b"", b"eae_prk", shared)
    shared_secret = _expand(KEM_ID, prk, b"shared_secret", kem_context, 32)
    context = (
        b"\0"
        + _extract(SUITE_ID, b"", b"psk_id_hash", b"")
        + _extract(SUITE_ID, b"", b"info_hash", info)
    )
    secret = _extract(SUITE_ID, shared_secret, b"secret", b"")
    return (
        _expand(SUITE_ID, secret, b"key", context, 32),
        _expand(SUITE_ID, secret, b"base_nonce", context, 12),
    )


def _extract(suite: bytes, salt: bytes, label: bytes, ikm: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + ikm, hashlib.sha256)


def _expand(suite: bytes, prk: bytes, label: bytes, info: bytes, size: int) -> bytes:
    labelled = size.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    return hmac.digest(prk, labelled + b"\1", hashlib.sha256)[:size]
