"""What is noted of a scan by a node's wallet: which one, from which block, how far it came."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from coordinator.errors import ChainError
from coordinator.foreign_json import HEIGHT_MAX, TIME_MAX, Field, read_json

SIZE_MAX: Final = 65_536
TEXT_MAX: Final = 20_000
COUNT_MAX: Final = 2**40


class ScanNote(NamedTuple):
    """A scan of a wallet on the node.

    `start` is the first block that is looked through when it is `done`, for the first `reach`
    scripts of each keychain; `begin` is where this scan began, `height` and `block` how far it
    came. `made` is when the node took the descriptors, `transactions` how many the wallet then had:
    a wallet that differs is another one.
    """

    wallet: str
    descriptor: str
    start: int
    earlier_unknown: bool
    reach: tuple[int, int]
    made: tuple[int, int]
    transactions: int
    begin: int
    height: int
    block: str
    done: bool


def read_note(file: Path, descriptor: str) -> ScanNote | None:
    """Return what is noted; None where nothing is, or not of this descriptor, or it is torn."""
    try:
        with file.open("rb") as stream:
            told = Field(read_json(stream.read(SIZE_MAX + 1), size_max=SIZE_MAX))
        note = ScanNote(
            wallet=told["wallet"].text(TEXT_MAX),
            descriptor=told["descriptor"].text(TEXT_MAX),
            start=told["start"].height(),
            earlier_unknown=told["earlier_unknown"].flag(),
            reach=_pair(told["reach"], HEIGHT_MAX),
            made=_pair(told["made"], TIME_MAX),
            transactions=told["transactions"].integer(0, COUNT_MAX),
            begin=told["begin"].height(),
            height=told["height"].integer(-1, HEIGHT_MAX),
            block=told["block"].text(64),
            done=told["done"].flag(),
        )
    except (OSError, ValueError, RecursionError):
        return None
    return note if note.descriptor == descriptor else None


def write_note(file: Path, note: ScanNote) -> None:
    """Keep a note, whole or not at all; raises ChainError where it cannot be written."""
    unfinished = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(json.dumps(note._asdict()) + "\n", encoding="utf-8")
        unfinished.replace(file)
    except OSError as failure:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise ChainError(f"cannot note the scan in {file}: {failure.strerror}") from failure


def _pair(field: Field, most: int) -> tuple[int, int]:
    return field[0].integer(0, most), field[1].integer(0, most)
