"""Signatures: 64 bytes at the seam whatever the scheme; what stands in a PSBT is the scheme's.

By ECDSA they are r‖s with low S at the seam and strict DER with the sighash type inside, by
BIP 340 the same 64 bytes in both, which says that they are of SIGHASH_DEFAULT.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple

import coincurve

from psbt.errors import PsbtError

ORDER: Final = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
COMPACT_SIZE: Final = 64
SIGHASH_ALL: Final = 1
SIGHASH_DEFAULT: Final = 0
CACHED_VERDICTS: Final = 8192


def der_from_compact(signature: bytes) -> bytes:
    """Return the DER form of 64 bytes r‖s."""
    body = _der_integer(signature[:32]) + _der_integer(signature[32:])
    return bytes([0x30, len(body)]) + body


def compact_from_der(der: bytes) -> bytes:
    """Return r‖s of a strict DER signature (BIP 66), with S made low."""
    r, rest = _read_integer(der[2:])
    s, _ = _read_integer(rest)
    if not (0 < r < ORDER and 0 < s < ORDER):
        raise PsbtError(f"a signature of {len(der)} bytes is not DER of two numbers in range")
    signature = _compact(r, s)
    if der_from_compact(signature) != der:
        raise PsbtError(f"a signature of {len(der)} bytes is not strict DER")
    return _compact(r, min(s, ORDER - s))


def partial_from_compact(signature: bytes) -> bytes:
    """Return the value of a partial signature: DER and the byte of SIGHASH_ALL."""
    return der_from_compact(signature) + bytes([SIGHASH_ALL])


def compact_from_partial(value: bytes) -> bytes:
    """Return r‖s, with low S, of a partial signature of type SIGHASH_ALL."""
    if value[-1:] != bytes([SIGHASH_ALL]):
        raise PsbtError(f"a signature's sighash type is {value[-1:].hex()}, not that of ALL")
    return compact_from_der(value[:-1])


@lru_cache(maxsize=CACHED_VERDICTS)
def verifies(pubkey: bytes, digest: bytes, signature: bytes) -> bool:
    """Tell whether 64 bytes r‖s with low S sign `digest` under the public key."""
    if len(signature) != COMPACT_SIZE:
        return False
    try:
        key = coincurve.PublicKey(pubkey)
        return key.verify(der_from_compact(signature), digest, hasher=None)
    except ValueError:
        return False


def taproot_from_compact(signature: bytes) -> bytes:
    """Return the value of a taproot signature of SIGHASH_DEFAULT: the 64 bytes themselves."""
    return signature


def compact_from_taproot(value: bytes) -> bytes:
    """Return the 64 bytes of a taproot signature, which must be of type SIGHASH_DEFAULT."""
    if len(value) == COMPACT_SIZE + 1:
        raise PsbtError(f"a signature's sighash type is {value[-1:].hex()}, not that of DEFAULT")
    if len(value) != COMPACT_SIZE:
        raise PsbtError(f"a taproot signature has {COMPACT_SIZE} bytes, not {len(value)}")
    return value


@lru_cache(maxsize=CACHED_VERDICTS)
def verifies_taproot(pubkey: bytes, digest: bytes, signature: bytes) -> bool:
    """Tell whether 64 bytes sign `digest` by BIP 340 under the x of a compressed public key."""
    try:
        return coincurve.PublicKeyXOnly(pubkey[1:]).verify(signature, digest)
    except ValueError:
        return False


class Scheme(NamedTuple):
    """A way to sign: how 64 bytes are written in a PSBT and a witness, read there and verified.

    `read` raises PsbtError; `verifies` takes compressed key, digest and 64 bytes.
    """

    name: str
    sighash_type: int
    written: Callable[[bytes], bytes]
    read: Callable[[bytes], bytes]
    verifies: Callable[[bytes, bytes, bytes], bool]

    def verified(self, value: bytes, pubkey: bytes, digest: bytes) -> bytes | None:
        """Return the 64 bytes of what a PSBT holds if they verify."""
        try:
            signature = self.read(value)
        except PsbtError:
            return None
        return signature if self.verifies(pubkey, digest, signature) else None


ECDSA: Final = Scheme("ecdsa", SIGHASH_ALL, partial_from_compact, compact_from_partial, verifies)
BIP340: Final = Scheme(
    "bip340", SIGHASH_DEFAULT, taproot_from_compact, compact_from_taproot, verifies_taproot
)


def _compact(r: int, s: int) -> bytes:
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def _der_integer(number: bytes) -> bytes:
    shortest = number.lstrip(b"\x00")
    if not shortest or shortest[0] & 0x80:
        shortest = b"\x00" + shortest
    return bytes([0x02, len(shortest)]) + shortest


def _read_integer(data: bytes) -> tuple[int, bytes]:
    """Read leniently: comparing with what would be written finds every deviation."""
    size = data[1] if len(data) > 1 else 0
    return int.from_bytes(data[2 : 2 + size], "big"), data[2 + size :]
