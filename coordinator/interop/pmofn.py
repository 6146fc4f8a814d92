"""Specter's parts of a text over several QR codes: `p1of3 `, and a slice of the text."""

import re
from collections.abc import Iterable
from typing import Final

from coordinator.errors import UsageError

PARTS_MAX: Final = 99
PART_MAX: Final = 8_192
PART = re.compile(r"p([0-9]{1,2})of([0-9]{1,2}) (.*)", re.IGNORECASE)


def is_part(text: str) -> bool:
    """Tell whether a text begins as a part does."""
    return bool(PART.match(text[:16]))


def joined(texts: Iterable[str]) -> str:
    """Return the text of parts in any order; raises UsageError that says which are missing."""
    parts: dict[int, str] = {}
    total = 0
    for text in texts:
        matched = PART.fullmatch(text.rstrip("\r\n"))
        if not matched or len(text) > PART_MAX:
            raise UsageError(f"{text[:12]!r} is no part pMofN of a text")
        number, count = int(matched[1]), int(matched[2])
        if total and count != total:
            raise UsageError(f"part {number} is one of {count}, the others are of {total}")
        total = count
        if not 1 <= number <= count:
            raise UsageError(f"part {number} of {count} cannot be")
        if parts.setdefault(number, matched[3]) != matched[3]:
            raise UsageError(f"part {number} was read twice, with different content")
    missing = [str(number) for number in range(1, total + 1) if number not in parts]
    if missing or not total:
        raise UsageError(f"of {total} parts these are missing: {', '.join(missing)}")
    return "".join(parts[number] for number in sorted(parts))


def split(text: str, size: int) -> list[str]:
    """Return the parts of a text of one line, each of at most so many characters."""
    room = size - len("p99of99 ")
    if room < 1 or "\n" in text:
        raise UsageError(f"a text of one line is split into parts of more than {size} characters")
    count = -(-len(text) // room) or 1
    if count > PARTS_MAX:
        raise UsageError(f"{len(text)} characters need {count} parts; {PARTS_MAX} is the most")
    return [f"p{n + 1}of{count} {text[n * room : (n + 1) * room]}" for n in range(count)]
