"""Descriptors in a text file: alone, among comments, wrapped, or as a pair of keychains."""

import re
from collections.abc import Iterator
from typing import Final

from coordinator.errors import NotImportable
from coordinator.foreign_text import lines
from psbt.errors import PolicyError

TEXT_MAX: Final = 1 << 20
DESCRIPTORS_MAX: Final = 100
HEADING = re.compile(r"[^\W\d_][^:]{0,60}:")
START = re.compile(r"[a-z]+\(")
LABEL = re.compile(r"[^\W\d_][\w -]{0,39}[:=](?=[\"'`]?[a-z]+\()")
"""What may stand before a descriptor: `Receive: wsh(…)`, `main_descriptor = "wsh(…)"`."""
OPENING = re.compile(r"(?:[-*•\u2013\u2014]|[0-9]{1,2}[.)])?[\"'`]?")
CLOSING = re.compile(r"[\"'`]?[,;.]?$")
"""What is around a descriptor that a list, a program or a letter has."""
BESIDE = re.compile(r"(\)|\)#[0-9a-z]{8})[\s,;]+(?=(?:wsh|sh|tr)\()")
"""Between two descriptors on a line."""
BESIDE_HINT: Final = (
    "export the wallet as a descriptor, BSMS or Coldcard's text; what stands beside a descriptor"
    " belongs behind a #"
)
COMMENTS: Final = ("#", "//", ";", "--", "```")
CHECKSUM = re.compile(r"(?:\?[0-9a-z=&]*)?#[023456789acdefghjklmnpqrstuvwxyz]{8}")
"""What follows the last bracket of a descriptor, its annotations first."""
END_MAX: Final = 200
KEYCHAINS = re.compile(r";[0-9]{1,10}>")
"""What a line begins with that was wrapped between keychains; else ; begins a comment."""


def descriptors_in(text: str) -> list[str]:
    """Return the descriptors of a text, whatever blanks, line ends and comments it has.

    Raises PolicyError where there is none, or something else between them.
    """
    if len(text) > TEXT_MAX:
        raise PolicyError(f"a text of {len(text):,} characters is no descriptor")
    found = list(_descriptors(BESIDE.sub(r"\1\n", text.strip())))
    if len(found) > DESCRIPTORS_MAX:
        raise PolicyError(f"the file holds {len(found)} descriptors; {DESCRIPTORS_MAX} is the most")
    return found


def starts_descriptor(text: str) -> bool:
    """Tell whether a text begins as a descriptor does, perhaps after comments."""
    first = next((line for line in map(str.strip, lines(text)) if not _is_comment(line)), "")
    return bool(START.match(_unlabelled(first)))


def _descriptors(text: str) -> Iterator[str]:
    """Yield each descriptor, whatever blanks and line ends it was wrapped with."""
    begun: list[str] = []
    depth = 0
    ready: str | None = None
    for number, line in enumerate(lines(text), 1):
        piece = "".join(line.split())
        if ready is not None:
            end = ready[-END_MAX:].rpartition(")")[2]
            whole = CLOSING.sub("", end + piece)
            if CHECKSUM.fullmatch(whole) and len(whole) > len(end):
                ready, piece = ready[: len(ready) - len(end)] + whole, ""
        within = bool(begun) and bool(KEYCHAINS.match(piece))
        if (_is_comment(piece) and not within) or (not begun and HEADING.fullmatch(piece)):
            continue
        if ready is not None:
            yield ready
            ready = None
        piece = piece if begun else _unlabelled(piece)
        if not begun and not START.match(piece):
            raise NotImportable(
                f"line {number}, of {len(piece):,} characters, is no descriptor, as wsh(…) or "
                "sh(…), nor the beginning of another format",
                BESIDE_HINT,
            )
        begun.append(piece)
        depth += piece.count("(") - piece.count(")")
        if depth <= 0:
            ready, begun, depth = CLOSING.sub("", "".join(begun)), [], 0
    if ready is not None:
        yield ready
    if begun or ready is None:
        yield "".join(begun)


def _is_comment(line: str) -> bool:
    """Tell whether a line says nothing of a descriptor."""
    return not line or line.startswith(COMMENTS)


def _unlabelled(text: str) -> str:
    """Return a line without what stands before its descriptor."""
    piece = "".join(text.split())
    labelled = LABEL.match(piece)
    opened = OPENING.match(piece, labelled.end() if labelled else 0)
    bare = piece[opened.end() :] if opened else piece
    return bare if START.match(bare) else piece
