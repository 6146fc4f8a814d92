"""What is printed: one document or readable lines on stdout, the conversation on stderr."""

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, is_dataclass
from datetime import datetime
from enum import Enum, IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coordinator import clock

if TYPE_CHECKING:
    from coordinator.cli.failures import Failure


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
class Shown:
    """A command's result: the document, the same for people, and the exit status."""

    document: Mapping[str, Any]
    lines: Iterable[str] = ()
    status: ExitStatus = ExitStatus.DONE


def emit(shown: Shown, *, as_json: bool) -> None:
    """Print the result once: as JSON or as lines."""
    if as_json:
        sys.stdout.write(json.dumps(plain(shown.document), indent=2) + "\n")
    else:
        sys.stdout.writelines(line + "\n" for line in shown.lines)
    sys.stdout.flush()


def emit_failure(failure: "Failure", *, as_json: bool) -> None:
    """Print what went wrong: a document on stdout, or error and hint on stderr."""
    if as_json:
        document = {"error": failure.document()}
        sys.stdout.write(json.dumps(plain(document), indent=2) + "\n")
    else:
        sys.stderr.write(f"error: {failure.message}\nhint: {failure.hint}\n")


def plain(value: object) -> object:
    """Return the value as JSON has it: bytes hex, times ISO 8601 with Z, tuples lists."""
    match value:
        case bytes() | bytearray():
            return value.hex()
        case datetime():
            return clock.text(value)
        case Enum():
            return value.value
        case Path():
            return str(value)
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return _plain_sequence(value)
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    return value


def _plain_sequence(value: Iterable[object]) -> object:
    named = getattr(value, "_asdict", None)
    return plain(named()) if named else [plain(item) for item in value]


def columns(rows: Iterable[Iterable[object]], *header: str) -> list[str]:
    """Return rows as aligned lines below a header; empty cells are a dash."""
    cells = [list(header), *([str(cell if cell is not None else "-") for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    return ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells]


def sats(amount: int) -> str:
    """Return an amount for people: satoshis in groups of three."""
    return f"{amount:,} sat".replace(",", " ")
