"""The little of BIP 32 a driver needs to see that a card's keys belong together."""

import hashlib
import hmac
from collections.abc import Iterable
from typing import NamedTuple

from coincurve import PublicKey

from cards.ripemd160 import ripemd160


class PublicNode(NamedTuple):
    """A compressed public key and its chain code."""

    public_key: bytes
    chain_code: bytes


def fingerprint(public_key: bytes) -> bytes:
    """Return the first four bytes of the key's HASH160."""
    return ripemd160(hashlib.sha256(public_key).digest())[:4]


def master_key(seed: bytes) -> tuple[bytes, bytes]:
    """Return private key and chain code of a seed's master."""
    digest = hmac.digest(b"Bitcoin seed", seed, "sha512")
    return digest[:32], digest[32:]


def path_bytes(path: Iterable[int]) -> bytes:
    """Return a path as cards take it: four bytes a step."""
    return b"".join(step.to_bytes(4) for step in path)


def path_steps(data: bytes) -> tuple[int, ...]:
    """Return the path that cards take as these bytes."""
    return tuple(int.from_bytes(data[at : at + 4]) for at in range(0, len(data), 4))


def public_child(public_key: bytes, chain_code: bytes, step: int) -> PublicNode:
    """Return the node one normal step below."""
    digest = hmac.digest(chain_code, public_key + step.to_bytes(4), "sha512")
    return PublicNode(PublicKey(public_key).add(digest[:32]).format(), digest[32:])
