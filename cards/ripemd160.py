"""RIPEMD-160, which BIP 32 needs and some builds of OpenSSL no longer give.

A card is asked for a fingerprint once or twice a session: 0.2 ms each do not matter.
"""

from typing import Final

_MASK: Final = 0xFFFFFFFF
_START: Final = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0)
_SHUFFLE: Final = (7, 4, 13, 1, 10, 6, 15, 3, 12, 0, 9, 5, 2, 14, 11, 8)
_LEFT_CONSTANTS: Final = (0, 0x5A827999, 0x6ED9EBA1, 0x8F1BBCDC, 0xA953FD4E)
_RIGHT_CONSTANTS: Final = (0x50A28BE6, 0x5C4DD124, 0x6D703EF3, 0x7A6D76E9, 0)
_SHIFTS: Final = (
    (11, 14, 15, 12, 5, 8, 7, 9, 11, 13, 14, 15, 6, 7, 9, 8),
    (12, 13, 11, 15, 6, 9, 9, 7, 12, 15, 11, 13, 7, 8, 7, 7),
    (13, 15, 14, 11, 7, 7, 6, 8, 13, 14, 13, 12, 5, 5, 6, 9),
    (14, 11, 12, 14, 8, 6, 5, 5, 15, 12, 15, 14, 9, 9, 8, 6),
    (15, 12, 13, 13, 9, 5, 8, 6, 14, 11, 12, 11, 8, 6, 5, 5),
)
_State = tuple[int, int, int, int, int]


def ripemd160(data: bytes) -> bytes:
    """Return the digest."""
    padded = data + b"\x80" + bytes((55 - len(data)) % 64) + (8 * len(data)).to_bytes(8, "little")
    state: _State = _START
    for start in range(0, len(padded), 64):
        state = _compress(state, padded[start : start + 64])
    return b"".join(word.to_bytes(4, "little") for word in state)


def _compress(state: _State, block: bytes) -> _State:
    """Mix a block into the state along two lines of five rounds each."""
    words = [int.from_bytes(block[at : at + 4], "little") for at in range(0, 64, 4)]
    left = right = state
    left_order: tuple[int, ...] = tuple(range(16))
    right_order = tuple((9 * step + 5) % 16 for step in left_order)
    for number in range(5):
        for i, j in zip(left_order, right_order, strict=True):
            left = _step(left, words[i] + _LEFT_CONSTANTS[number], number, shift=_SHIFTS[number][i])
            right = _step(
                right, words[j] + _RIGHT_CONSTANTS[number], 4 - number, shift=_SHIFTS[number][j]
            )
        left_order = tuple(_SHUFFLE[step] for step in left_order)
        right_order = tuple(_SHUFFLE[step] for step in right_order)
    h0, h1, h2, h3, h4 = state
    a, b, c, d, e = left
    aa, bb, cc, dd, ee = right
    sums = (h1 + c + dd, h2 + d + ee, h3 + e + aa, h4 + a + bb, h0 + b + cc)
    first, second, third, fourth, fifth = (total & _MASK for total in sums)
    return first, second, third, fourth, fifth


def _step(state: _State, added: int, function: int, *, shift: int) -> _State:
    a, b, c, d, e = state
    chosen = (
        b ^ c ^ d,
        (b & c) | (~b & d),
        (b | ~c) ^ d,
        (b & d) | (c & ~d),
        b ^ (c | ~d),
    )[function]
    mixed = _rotated(a + chosen + added, shift) + e
    return e, mixed & _MASK, b, _rotated(c, 10), d


def _rotated(value: int, shift: int) -> int:
    value &= _MASK
    return (value << shift | value >> (32 - shift)) & _MASK
