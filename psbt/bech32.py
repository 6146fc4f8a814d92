"""Segwit addresses (BIP 173, BIP 350), one look-up in a table for each five bits."""

from base64 import b32decode, b32encode
from collections.abc import Iterable
from functools import lru_cache, reduce
from operator import xor
from typing import Final, NamedTuple

from psbt.errors import PolicyError

CHARSET: Final = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l"
RFC4648: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
GENERATORS: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
BECH32: Final = 1
BECH32M: Final = 0x2BC830A3
CHECKSUM_LENGTH: Final = 6
VERSION_MAX: Final = 16
PROGRAM_SIZES: Final = range(2, 41)
VERSION_0_SIZES: Final = (20, 32)

TO_CHARSET: Final = bytes.maketrans(RFC4648, CHARSET)
FROM_CHARSET: Final = bytes.maketrans(CHARSET, RFC4648)
TO_NUMBERS: Final = bytes.maketrans(RFC4648, bytes(range(32)))
FOLDS: Final = tuple(
    reduce(xor, (generator for bit, generator in enumerate(GENERATORS) if top >> bit & 1), 0)
    for top in range(32)
)


class WitnessProgram(NamedTuple):
    """What a segwit address says: the network's mark, a version and a program."""

    hrp: str
    version: int
    program: bytes


def encode(hrp: str, version: int, program: bytes) -> str:
    """Write a segwit address."""
    digits = b32encode(program).rstrip(b"=")
    remainder = _remainder(digits.translate(TO_NUMBERS), _started(hrp, version))
    remainder = _remainder(bytes(CHECKSUM_LENGTH), remainder)
    remainder ^= BECH32M if version else BECH32
    checksum = bytes([CHARSET[remainder >> shift & 31] for shift in (25, 20, 15, 10, 5, 0)])
    text = CHARSET[version : version + 1] + digits.translate(TO_CHARSET) + checksum
    return f"{hrp}1{text.decode()}"


def decode(text: str) -> WitnessProgram:
    """Read a segwit address: it is valid if it is what its own parts are written as."""
    if text not in (text.lower(), text.upper()):
        raise PolicyError("the address mixes capital and small letters")
    address = text.lower()
    hrp, _, payload = address.rpartition("1")
    version = CHARSET.find(payload[:1].encode("ascii", "replace"))
    program = _program(payload[1:-CHECKSUM_LENGTH])
    if not _exists(version, program):
        raise PolicyError(f"no segwit address looks like these {len(text)} characters")
    if encode(hrp, version, program) != address:
        raise PolicyError("the address is mistyped: its checksum is wrong")
    return WitnessProgram(hrp, version, program)


def _exists(version: int, program: bytes) -> bool:
    if version == 0:
        return len(program) in VERSION_0_SIZES
    return 0 < version <= VERSION_MAX and len(program) in PROGRAM_SIZES


def _program(digits: str) -> bytes:
    """Read the digits; what they hold too many is left to the comparison."""
    try:
        coded = digits.encode("ascii").translate(FROM_CHARSET)
        return b32decode(coded + b"=" * (-len(coded) % 8))
    except ValueError:
        return b""


@lru_cache(maxsize=64)
def _started(hrp: str, version: int) -> int:
    """Return the remainder after the human-readable part and the version."""
    letters = hrp.encode()
    numbers = [letter >> 5 for letter in letters] + [0] + [letter & 31 for letter in letters]
    return _remainder((*numbers, version), 1)


def _remainder(numbers: Iterable[int], remainder: int) -> int:
    for number in numbers:
        remainder = ((remainder & 0x1FFFFFF) << 5 ^ number) ^ FOLDS[remainder >> 25]
    return remainder
