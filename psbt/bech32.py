"""Segwit addresses (BIP 173, BIP 350), one look-up in a table for each ten bits."""

from base64 import b32decode
from collections.abc import Iterable
from functools import cache, lru_cache, reduce
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

FROM_CHARSET: Final = bytes.maketrans(CHARSET, RFC4648)
FOLDS: Final = tuple(
    reduce(xor, (generator for bit, generator in enumerate(GENERATORS) if top >> bit & 1), 0)
    for top in range(32)
)


PAIR: Final = 0x3FF
SHIFTS: Final = tuple(range(310, -1, -10))
"""Where each pair of digits stands in the longest program, counted in bits from its end."""


class WitnessProgram(NamedTuple):
    """What a segwit address says: the network's mark, a version and a program."""

    hrp: str
    version: int
    program: bytes


def encode(hrp: str, version: int, program: bytes) -> str:
    """Write a segwit address."""
    bits = 8 * len(program)
    digits = -(-bits // 5)
    value = int.from_bytes(program, "big") << 5 * digits - bits
    pairs = [value >> shift & PAIR for shift in SHIFTS[len(SHIFTS) - digits // 2 :]]
    first = [value >> 5 * (digits - 1)] if digits % 2 else []
    texts, folds = _pairs()
    remainder = _remainder(first, _started(hrp, version))
    for pair in pairs:
        remainder = ((remainder & 0xFFFFF) << 10 ^ pair) ^ folds[remainder >> 20]
    for _ in range(CHECKSUM_LENGTH // 2):
        remainder = (remainder & 0xFFFFF) << 10 ^ folds[remainder >> 20]
    remainder ^= BECH32M if version else BECH32
    pairs += (remainder >> 20, remainder >> 10 & PAIR, remainder & PAIR)
    start = "".join([chr(CHARSET[digit]) for digit in (version, *first)])
    return f"{hrp}1{start}{''.join([texts[pair] for pair in pairs])}"


def decode(text: str) -> WitnessProgram:
    """Read a segwit address: it is valid if it is what its own parts are written as."""
    if text not in (text.lower(), text.upper()):
        raise PolicyError("the address mixes capital and small letters")
    address = text.lower()
    hrp, _, payload = address.rpartition("1")
    version = CHARSET.find(payload[:1].encode("ascii", "replace"))
    try:
        coded = payload[1:-CHECKSUM_LENGTH].encode("ascii").translate(FROM_CHARSET)
        program = b32decode(coded + b"=" * (-len(coded) % 8))
    except ValueError:
        program = b""
    sizes = PROGRAM_SIZES if version else VERSION_0_SIZES
    if not 0 <= version <= VERSION_MAX or len(program) not in sizes:
        raise PolicyError(f"no segwit address looks like these {len(text)} characters")
    if encode(hrp, version, program) != address:
        raise PolicyError("the address is mistyped: its checksum is wrong")
    return WitnessProgram(hrp, version, program)


@lru_cache(maxsize=64)
def _started(hrp: str, version: int) -> int:
    """Return the remainder after the human-readable part and the version."""
    letters = hrp.encode()
    numbers = [letter >> 5 for letter in letters] + [0] + [letter & 31 for letter in letters]
    return _remainder((*numbers, version), 1)


@cache
def _pairs() -> tuple[list[str], list[int]]:
    """Return for each pair of digits what it is written as, and how it folds into the remainder."""
    letters = CHARSET.decode()
    folds = [_remainder((0, 0), top << 20) for top in range(PAIR + 1)]
    return [one + other for one in letters for other in letters], folds


def _remainder(numbers: Iterable[int], remainder: int) -> int:
    for number in numbers:
        remainder = ((remainder & 0x1FFFFFF) << 5 ^ number) ^ FOLDS[remainder >> 25]
    return remainder
