"""The checksum of a descriptor (BIP 380): a BCH code over its characters, in groups of three.

Written here because every command computes it, and the library that has it brings five
milliseconds of other things along; that library judges it in the tests.
"""

from functools import reduce
from operator import xor
from typing import Final

from psbt.errors import PolicyError

CHARACTERS: Final = (
    "0123456789()[],'/*abcdefgh@:$%{}"
    "IJKLMNOPQRSTUVWXYZ&+-.;<=>?!^_|~"
    'ijklmnopqrstuvwxyzABCDEFGH`#"\\ '
)
CHARSET: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
GENERATORS: Final = (0xF5DEE51989, 0xA9FDCA3312, 0x1BAB10E32D, 0x3706B1677A, 0x644D626FFD)
LENGTH: Final = 8
GROUP: Final = 3
LOW_35_BITS: Final = (1 << 35) - 1
FOLDS: Final = tuple(
    reduce(xor, (generator for bit, generator in enumerate(GENERATORS) if top >> bit & 1), 0)
    for top in range(32)
)


def checksum(text: str) -> str:
    """Return the eight characters that follow a descriptor's #."""
    numbers = [CHARACTERS.find(character) for character in text]
    if -1 in numbers:
        place = numbers.index(-1)
        raise PolicyError(
            f"the descriptor holds the character {text[place]!a} at position {place + 1}: no "
            "descriptor may"
        )
    symbols: list[int] = []
    for start in range(0, len(numbers), GROUP):
        group = numbers[start : start + GROUP]
        symbols += [number % 32 for number in group]
        symbols.append(reduce(lambda thirds, number: thirds * 3 + number // 32, group, 0))
    remainder = 1
    for symbol in (*symbols, *bytes(LENGTH)):
        remainder = FOLDS[remainder >> 35] ^ (remainder & LOW_35_BITS) << 5 ^ symbol
    remainder ^= 1
    return "".join(CHARSET[remainder >> 5 * place & 31] for place in reversed(range(LENGTH)))
