"""What is printed: one document or readable lines on stdout, the conversation on stderr."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import datetime
from enum import Enum, IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coordinator import clock
from coordinator.cli import terminal
from coordinator.shown_text import visible, whole

if TYPE_CHECKING:
    from coordinator.notices import Notice
    from coordinator.wallet.overview import CeremonyLine
    from coordinator.wallet.scans import Looked


TXID = re.compile(r"\b[0-9a-f]{64}\b")


class ExitStatus(IntEnum):
    """How a command ended (cli.md)."""

    DONE = 0
    BUG = 1
    USAGE = 2
    CARD = 3
    PIN = 4
    REFUSED = 5
    NOT_YET = 6
    CHAIN = 7
    INTERRUPTED = 130


@dataclass(frozen=True)
class Result:
    """A command's result: what its verb returned, the same for people, and the exit status.

    `shown` is False where the command has printed it already, because it went on after that.
    """

    document: object
    lines: Iterable[str] = ()
    status: ExitStatus = ExitStatus.DONE
    shown: bool = True

    def also(self, *lines: str, **fields: object) -> "Result":
        """Return the result with more lines below and more fields."""
        document = as_document(self.document, **fields)
        return replace(self, document=document, lines=[*self.lines, *lines])


def emit(shown: Result, *, as_json: bool) -> None:
    """Print the result once: as JSON or as lines."""
    if as_json:
        terminal.put_document(as_text(shown.document))
    else:
        for line in shown.lines:
            terminal.put(line)


def as_text(document: object) -> str:
    """Return a document as the JSON that is printed."""
    import json

    return json.dumps(plain(document), indent=2).replace("\x7f", "\\u007f") + "\n"


def as_document(*results: object, **more: object) -> dict[str, object]:
    """Return the fields of results as one document; what is given by name is added or replaced."""
    joined: dict[str, object] = {}
    for result in results:
        joined |= _fields(result) or {}
    return joined | more


def _fields(value: object) -> dict[str, object] | None:
    """Return what a mapping, a dataclass or a named tuple holds by name; None of anything else."""
    if isinstance(value, Mapping):
        return dict(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    named = getattr(value, "_asdict", None)
    return named() if named is not None else None


def plain(value: object) -> object:
    """Return the value as JSON has it: bytes hex, times ISO 8601 with Z, tuples lists."""
    for kind, converted in SCALARS:
        if isinstance(value, kind):
            return converted(value)
    named = _fields(value)
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
)


def columns(rows: Iterable[Iterable[object]], *header: str) -> list[str]:
    """Return rows as aligned lines below a header; empty cells are a dash.

    On a terminal that is too narrow txids are shortened first (--json has them whole); where that
    is not enough each row becomes a block with a line for each cell.
    """
    cells = [[visible(str(cell if cell is not None else "-")) for cell in row] for row in rows]
    room = terminal.width()
    lines = _aligned([list(header), *cells])
    if room is None or max(map(len, lines)) <= room:
        return lines
    lines = _aligned([list(header), *([TXID.sub(_shortened, cell) for cell in r] for r in cells)])
    if max(map(len, lines)) <= room:
        return lines
    beside = max(map(len, header))
    return [
        line
        for row in cells
        for line in (
            *(f"{n.ljust(beside)}  {c}".rstrip() for n, c in zip(header, row, strict=True)),
            "",
        )
    ]


def _aligned(cells: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells
    ]


def _shortened(txid: re.Match[str]) -> str:
    return f"{txid[0][:8]}…{txid[0][-8:]}"


def danger_lines(vault: str, dangers: "Iterable[Notice]") -> list[str]:
    """Return what of a vault is dangerous now, each with what to do about it."""
    return [
        line
        for each in dangers
        for line in (f"DANGER: vault {vault}: {each.message} ({each.code})", f"  -> {each.remedy}")
    ]


def looked_document(seen: "Looked") -> dict[str, object]:
    """Return the fields that go with every sum: from where to where its vault was looked for."""
    document = as_document(seen)
    del document["known"]
    return document


def ceremony_document(line: "CeremonyLine") -> dict[str, object]:
    """Return a ceremony as lists have it."""
    return as_document({"ceremony": line.id}, line)


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


def counted(number: int, noun: str) -> str:
    """Return a number and its noun, in the plural unless it is one."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def sats(amount: int) -> str:
    """Return an amount for people: satoshis in groups of three."""
    return f"{amount:,} sat".replace(",", " ")


def sat_per_vbyte(feerate: int) -> str:
    """Return a fee rate in sat/kvB for people."""
    rate, part = divmod(feerate, 1000)
    return f"{rate}.{part:03d}".rstrip("0").rstrip(".")
