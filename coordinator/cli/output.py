"""What is printed: one document or readable lines on stdout, the conversation on stderr."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coordinator import clock
from coordinator.cli import terminal
from coordinator.cli.result import Result, fields_of
from coordinator.shown_text import counted, sat_per_vbyte, sats, visible, whole

if TYPE_CHECKING:
    from coordinator.cli.failures import Failure
    from coordinator.notices import Notice

__all__ = [
    "as_text",
    "columns",
    "counted",
    "danger_lines",
    "emit",
    "emit_failure",
    "fields",
    "look_twice",
    "notice_lines",
    "plain",
    "sat_per_vbyte",
    "sats",
    "sentences",
]

TXID = re.compile(r"\b([0-9a-f]{8})[0-9a-f]{48}([0-9a-f]{8})\b")


def emit(shown: Result, *, as_json: bool) -> None:
    """Print the result once: as JSON or as lines."""
    if as_json:
        terminal.put_document(as_text(shown.document))
    else:
        for line in shown.lines:
            terminal.put(line)


def emit_failure(failure: "Failure", *, as_json: bool) -> None:
    """Print what went wrong: a document on stdout, or error and hint on stderr."""
    if as_json:
        with suppress(OSError):  # the exit status is left
            terminal.put_document(as_text({"error": failure.document()}))
    else:
        terminal.tell(f"error: {failure.message}")
        terminal.tell(f"hint: {failure.hint}")


def as_text(document: object) -> str:
    """Return a document as the JSON that is printed."""
    import json

    return json.dumps(plain(document), indent=2).replace("\x7f", "\\u007f") + "\n"


def plain(value: object) -> object:
    """Return the value as JSON has it: bytes hex, times ISO 8601 with Z, errors explained."""
    for kind, converted in SCALARS:
        if isinstance(value, kind):
            return converted(value)
    named = fields_of(value)
    if named is not None:
        return {whole(str(key)): plain(item) for key, item in named.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return value


SCALARS: tuple[tuple[Any, Callable[[Any], object]], ...] = (
    (bytes | bytearray, lambda value: value.hex()),
    (datetime, clock.text),
    (Enum, lambda value: value.value),
    (Path, lambda value: whole(str(value))),
    (str, whole),
    (BaseException, lambda value: plain(_explained(value))),
)


def _explained(error: BaseException) -> dict[str, object]:
    """Return an error as the object behind `error`."""
    from coordinator.cli.failures import explain

    return explain(error).document()


def columns(rows: Iterable[Iterable[object]], *header: str) -> list[str]:
    """Return rows as aligned lines below a header; empty cells are a dash, no rows a sentence.

    On a terminal that is too narrow txids are shortened first (--json has them whole); where that
    is not enough each row becomes a block with a line for each cell.
    """
    cells = [[visible(_read(cell)) for cell in row] for row in rows]
    if not cells:
        return ["none yet"]
    room = terminal.width()
    lines = _aligned([list(header), *cells])
    if room is None or max(map(len, lines)) <= room:
        return lines
    lines = _aligned([list(header), *([TXID.sub(r"\1…\2", cell) for cell in r] for r in cells)])
    if max(map(len, lines)) <= room:
        return lines
    lines, beside = [], max(map(len, header))
    for row in cells:
        lines += [f"{n.ljust(beside)}  {c}".rstrip() for n, c in zip(header, row, strict=True)]
        lines.append("")
    return lines


def fields(said: Mapping[str, object]) -> list[str]:
    """Return what is known of one thing, a line each; what nobody told is left out."""
    told = {name: value for name, value in said.items() if value is not None}
    return [f"{name.replace('_', ' ')}: {_read(value)}" for name, value in told.items()]


def _read(value: object) -> str:
    """Return a value as people read it: a day, yes or no, several beside each other."""
    match value:
        case None | "" | () | []:
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return f"{value:%Y-%m-%d %H:%M} UTC"
        case list() | tuple():
            return ", ".join(map(_read, value))
    return str(value)


def _aligned(cells: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells
    ]


def danger_lines(vault: str, dangers: "Iterable[Notice]") -> list[str]:
    """Return what of a vault is dangerous now, each with what to do about it."""
    return [
        line
        for each in dangers
        for line in (f"DANGER: vault {vault}: {each.message} ({each.code})", f"  -> {each.remedy}")
    ]


def sentences(notices: "Iterable[Notice]") -> list[str]:
    """Return notices as a line each, as JSON lists them where it has no more room."""
    return [each.sentence for each in notices]


def notice_lines(notices: "Iterable[Notice]") -> list[str]:
    """Return notices as a line each, with what scripts call them."""
    return [f"{each.severity.value}: {each.sentence} ({each.code})" for each in notices]


def look_twice(notices: "Iterable[Notice]") -> list[str]:
    """Return notices as a person is warned of them; what only informs is a note."""
    return [
        f"{'note' if each.severity.value == 'info' else 'LOOK TWICE'}: {each.sentence}"
        for each in notices
    ]
