"""A descriptor on paper: short numbered lines, each with a check code, so that it can be typed in.

A line reads `03 xxxxx xxxxx … k7qp`: its number, the text in groups of five, and four characters
that check both and how many lines there are.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from coordinator.errors import UsageError
from coordinator.shown_text import in_groups

GROUP: Final = 5
GROUPS: Final = 8
WIDTH: Final = GROUP * GROUPS
ALPHABET: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
TAG: Final = b"cardquorum line v1"
COUNT_MAX: Final = 255
NUMBERED: Final = re.compile(r"\s*([0-9]{1,3})\s+(.*\S)\s+(\S{4})\s*")
START: Final = re.compile(r"\s*([0-9]{1,3})\b")


class Line(NamedTuple):
    """A line as somebody typed it; its check code is empty where it cannot be made out."""

    number: int
    piece: str
    check: str


def numbered(text: str) -> list[str]:
    """Return the lines of a text that holds no blanks; every code depends on how many there are."""
    pieces = in_groups(text, WIDTH)
    return [
        f"{number:02} {' '.join(in_groups(piece, GROUP))} {code(piece, number, len(pieces))}"
        for number, piece in enumerate(pieces, 1)
    ]


def joined(lines: Iterable[str]) -> str:
    """Return the text of lines as somebody typed them, in any order, blank lines left out.

    Raises UsageError that names every line that was mistyped, is missing, or came twice.
    """
    typed = sorted(_parsed(line) for line in lines if line.strip())
    if not typed:
        raise UsageError("there is no line to read")
    numbers = Counter(line.number for line in typed)
    twice = [number for number, times in numbers.items() if times > 1]
    if twice:
        raise UsageError(f"line {_listed(twice)} came twice")
    count = _count(typed)
    missing = [number for number in range(1, count + 1) if number not in numbers]
    wrong = [line.number for line in typed if not _fits(line, count)]
    faults = [f"line {_listed(missing)} of {count} is missing"] if missing else []
    if wrong:
        faults.append(f"line {_listed(wrong)} was mistyped: its check code does not fit")
    if faults:
        raise UsageError("; ".join(faults))
    return "".join(line.piece for line in typed)


def fits(line: str, before: Iterable[str]) -> bool:
    """Tell whether a line just typed fits its check code and the lines before it."""
    new = _parsed(line)
    return _fits(new, _count([*(_parsed(each) for each in before), new]))


def are_whole(lines: Iterable[str]) -> bool:
    """Tell whether every line is there and none is wrong."""
    try:
        joined(lines)
    except UsageError:
        return False
    return True


def number_of(line: str) -> int | None:
    """Return the number a line begins with, however mistyped its rest may be."""
    start = START.match(line)
    return int(start[1]) if start else None


def is_numbered(text: str) -> bool:
    """Tell whether a text is numbered lines: one that is whole gives the others away."""
    return any(NUMBERED.fullmatch(line) for line in text.splitlines())


def code(piece: str, number: int, count: int) -> str:
    """Return the four characters that check a line: 20 bits of a hash over all that is said."""
    said = b"\0".join((TAG, b"%d" % number, b"%d" % count, piece.encode(errors="surrogatepass")))
    bits = int.from_bytes(hashlib.sha256(said).digest()[:3], "big") >> 4
    return "".join(ALPHABET[bits >> shift & 31] for shift in (15, 10, 5, 0))


def _parsed(line: str) -> Line:
    matched = NUMBERED.fullmatch(line)
    if matched:
        number, text, check = matched.groups()
        return Line(int(number), "".join(text.split()), check.lower())
    alone = number_of(line)
    if alone is None:
        raise UsageError(f"{line.strip()[:16]!r} is no line with a number and a check code")
    return Line(alone, "", "")


def _count(typed: Sequence[Line]) -> int:
    """Return how many lines there are as most check codes have it; 0 where none fits any."""
    votes = Counter(
        count for line in typed for count in range(line.number, COUNT_MAX + 1) if _fits(line, count)
    )
    return next((count for count, _ in votes.most_common(1)), 0)


def _fits(line: Line, count: int) -> bool:
    return code(line.piece, line.number, count) == line.check


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))
