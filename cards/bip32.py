"""The little of BIP 32 a driver needs to see that a card's keys belong together."""

import hashlib
import hmac

from coincurve import PublicKey

from cards.ripemd160 import ripemd160


def fingerprint(public_key: bytes) -> bytes:
    """Return the first four bytes of the key's HASH160."""
    return ripemd160(hashlib.sha256(public_key).digest())[:4]


def public_child(public_key: bytes, chain_code: bytes, step: int) -> tuple[bytes, bytes]:
    """Return public key and chain code one normal step below."""
    digest = hmac.digest(chain_code, public_key + step.to_bytes(4), "sha512")
    return PublicKey(public_key).add(digest[:32]).format(), digest[32:]
