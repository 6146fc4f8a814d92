"""Fountain codes of UR (BCR-2024-001): any sufficient parts of a message make it whole.

Part n up to the number of fragments is fragment n; later ones are XORs of a set of fragments,
which follows from the part's number and the message's checksum.
"""

from binascii import crc32
from collections.abc import Iterator
from functools import lru_cache
from hashlib import sha256
from typing import Final, NamedTuple

from coordinator.errors import UsageError

FRAGMENTS_MAX: Final = 1_000
MESSAGE_MAX: Final = 1 << 20
PARTS_KEPT_MAX: Final = 4_000
WORD: Final = (1 << 64) - 1


class Part(NamedTuple):
    """One part: its number, of how many fragments, the message's length and checksum, the data."""

    number: int
    fragments: int
    length: int
    checksum: int
    data: bytes


class _Random:
    """The generator xoshiro256**, seeded by a hash."""

    def __init__(self, seed: bytes) -> None:
        digest = sha256(seed).digest()
        self._state = [int.from_bytes(digest[at : at + 8], "big") for at in range(0, 32, 8)]

    def next_double(self) -> float:
        a, b, c, d = self._state
        mixed = (b * 5) & WORD
        result = (((mixed << 7) | (mixed >> 57)) & WORD) * 9 & WORD
        c, d = c ^ a, d ^ b
        self._state = [a ^ d, b ^ c, c ^ ((b << 17) & WORD), ((d << 45) | (d >> 19)) & WORD]
        return result / 18446744073709551616.0


class _Degrees(NamedTuple):
    """The alias table that draws how many fragments a part mixes."""

    probabilities: tuple[float, ...]
    aliases: tuple[int, ...]

    def draw(self, random: _Random) -> int:
        first, second = random.next_double(), random.next_double()
        place = int(len(self.probabilities) * first)
        return 1 + (place if second < self.probabilities[place] else self.aliases[place])


@lru_cache(maxsize=4)
def _degrees(count: int) -> _Degrees:
    """Build the table once a message: 1/1, 1/2 … 1/count, as the reference sums them."""
    weights = [1.0 / (place + 1) for place in range(count)]
    total = sum(weights)
    scaled = [weight * float(count) / total for weight in weights]
    small = [place for place in reversed(range(count)) if scaled[place] < 1]
    large = [place for place in reversed(range(count)) if scaled[place] >= 1]
    probabilities, aliases = [0.0] * count, [0] * count
    while small and large:
        less, more = small.pop(), large.pop()
        probabilities[less], aliases[less] = scaled[less], more
        scaled[more] += scaled[less] - 1
        (small if scaled[more] < 1 else large).append(more)
    for place in (*large, *small):
        probabilities[place] = 1.0
    return _Degrees(tuple(probabilities), tuple(aliases))


def mixed_in(number: int, fragments: int, checksum: int) -> frozenset[int]:
    """Return which fragments a part holds."""
    if number <= fragments:
        return frozenset((number - 1,))
    random = _Random(number.to_bytes(4, "big") + checksum.to_bytes(4, "big"))
    degree = _degrees(fragments).draw(random)
    left = list(range(fragments))
    return frozenset(left.pop(int(random.next_double() * len(left))) for _ in range(degree))


def parts_of(message: bytes, size: int, more: int = 0) -> Iterator[Part]:
    """Yield a message's fragments of at most so many bytes, and so many mixed parts."""
    if not message or len(message) > MESSAGE_MAX:
        raise UsageError(
            f"{len(message):,} bytes are no message for codes; {MESSAGE_MAX:,} is most"
        )
    count = -(-len(message) // size)
    if count > FRAGMENTS_MAX:
        raise UsageError(f"{len(message)} bytes need {count} codes; {FRAGMENTS_MAX} is the most")
    length = -(-len(message) // count)
    fragments = [
        message[at * length : (at + 1) * length].ljust(length, b"\0") for at in range(count)
    ]
    checksum = crc32(message)
    for number in range(1, count + more + 1):
        data = b"\0" * length
        for place in mixed_in(number, count, checksum):
            data = _xor(data, fragments[place])
        yield Part(number, count, len(message), checksum, data)


class Decoder:
    """Puts parts together, in any order, of one message."""

    def __init__(self) -> None:
        self._first: Part | None = None
        self._known: dict[int, bytes] = {}
        self._mixed: dict[frozenset[int], bytes] = {}
        self._taken = 0

    @property
    def missing(self) -> list[int]:
        """Return the numbers of the fragments that are not there, from 1 on."""
        return [place + 1 for place in range(self.fragments) if place not in self._known]

    @property
    def fragments(self) -> int:
        """Return how many fragments the message has; 0 before the first part."""
        return self._first.fragments if self._first is not None else 0

    def take(self, part: Part) -> None:
        """Take a part; raises UsageError for one of another message, or that contradicts one."""
        if self._first is None:
            if not 1 <= part.fragments <= FRAGMENTS_MAX:
                raise UsageError(
                    f"a message of {part.fragments} codes; {FRAGMENTS_MAX:,} is the most"
                )
            if not 1 <= part.length <= min(MESSAGE_MAX, part.fragments * len(part.data)):
                raise UsageError(f"a message of {part.length:,} bytes; {MESSAGE_MAX:,} is the most")
            self._first = part
        elif part[1:4] != self._first[1:4] or len(part.data) != len(self._first.data):
            raise UsageError(f"code {part.number} is of another message than the one before it")
        self._taken += 1
        if self._taken > PARTS_KEPT_MAX:
            raise UsageError(f"more than {PARTS_KEPT_MAX:,} codes were given for one message")
        self._add([(mixed_in(part.number, part.fragments, part.checksum), part.data)])

    def message(self) -> bytes:
        """Return the message; raises UsageError that says which fragments are missing."""
        if self._first is None:
            raise UsageError("there is no code to read")
        if self.missing:
            shown = ", ".join(map(str, self.missing[:20]))
            raise UsageError(
                f"of {self._first.fragments} UR codes these are missing: {shown}; "
                "any later ones help, too"
            )
        whole = b"".join(self._known[place] for place in range(self._first.fragments))
        message = whole[: self._first.length]
        if crc32(message) != self._first.checksum:
            raise UsageError("the UR codes do not fit together: the message's checksum is wrong")
        return message

    def _add(self, found: list[tuple[frozenset[int], bytes]]) -> None:
        """Keep a part less what is known; each fragment it gives may free others."""
        while found:
            places, data = found.pop()
            for place in places & self._known.keys():
                data = _xor(data, self._known[place])
            places = frozenset(places - self._known.keys())
            if len(places) > 1:
                self._mixed.setdefault(places, data)
            elif places:
                (place,) = places
                self._known[place] = data
                freed = [each for each in self._mixed if place in each]
                found += [(each, self._mixed.pop(each)) for each in freed]
            elif any(data):
                raise UsageError("the UR codes contradict one another: one was misread")


def _xor(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one) ^ int.from_bytes(other)).to_bytes(len(one))
