"""A descriptor on paper: short numbered lines, each with a check code, so that it can be typed in.

A line reads `03 xxxxx xxxxx … k7qp`: its number, the text in groups of five, and four characters
that check both and how many lines there are.
"""

import hashlib
import re
from collections.abc import Iterable
from typing import Final

from coordinator.errors import UsageError

GROUP: Final = 5
GROUPS: Final = 8
WIDTH: Final = GROUP * GROUPS
ALPHABET: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
TAG: Final = b"cardquorum line v1"
NUMBERED: Final = re.compile(r"\s*([0-9]{1,3})\s+(.*\S)\s+(\S{4})\s*")


def numbered(text: str) -> list[str]:
    """Return the lines of a text that holds no blanks; every code depends on how many there are."""
    pieces = [text[at : at + WIDTH] for at in range(0, len(text), WIDTH)]
    return [
        f"{number:02} {_grouped(piece)} {code(piece, number, len(pieces))}"
        for number, piece in enumerate(pieces, 1)
    ]


def joined(lines: Iterable[str]) -> str:
    """Return the text of lines as somebody typed them, in any order, blank lines left out.

    Raises UsageError that names every line that was mistyped, is missing, or came twice.
    """
    typed = [_parsed(line) for line in lines if line.strip()]
    found = {number: (piece, check) for number, piece, check in typed}
    if not found:
        raise UsageError("there is no line to read")
    if len(found) != len(typed):
        raise UsageError("a line number came twice")
    count = max(found)
    missing = [str(number) for number in range(1, count + 1) if number not in found]
    if missing:
        raise UsageError(f"line {', '.join(missing)} of {count} is missing")
    wrong = [str(n) for n in sorted(found) if code(found[n][0], n, count) != found[n][1]]
    if len(wrong) == count:
        raise UsageError(f"no check code fits {count} lines: the last lines are missing")
    if wrong:
        raise UsageError(f"line {', '.join(wrong)} was mistyped: its check code does not fit")
    return "".join(found[number][0] for number in sorted(found))


def is_numbered(text: str) -> bool:
    """Tell whether a text looks like numbered lines."""
    lines = [line for line in text.splitlines() if line.strip()]
    return bool(lines) and all(NUMBERED.fullmatch(line) for line in lines)


def code(piece: str, number: int, count: int) -> str:
    """Return the four characters that check a line: 20 bits of a hash over all that is said."""
    said = b"\0".join((TAG, b"%d" % number, b"%d" % count, piece.encode()))
    bits = int.from_bytes(hashlib.sha256(said).digest()[:3], "big") >> 4
    return "".join(ALPHABET[bits >> shift & 31] for shift in (15, 10, 5, 0))


def _grouped(piece: str) -> str:
    return " ".join(piece[at : at + GROUP] for at in range(0, len(piece), GROUP))


def _parsed(line: str) -> tuple[int, str, str]:
    matched = NUMBERED.fullmatch(line)
    if not matched:
        raise UsageError(f"{line.strip()[:16]!r} is no line with a number and a check code")
    number, text, check = matched.groups()
    return int(number), "".join(text.split()), check.lower()
