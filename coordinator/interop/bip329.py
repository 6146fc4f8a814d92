"""Labels as other wallets write and read them: one JSON object a line (BIP 329)."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from coordinator.errors import UsageError
from coordinator.foreign_json import read_json, shown
from coordinator.foreign_text import json_lines
from coordinator.shown_text import json_line

LINE_MAX: Final = 65_536
DEPTH_MAX: Final = 16
REF_MAX: Final = 1024
KINDS: Final = ("tx", "addr", "pubkey", "input", "output", "xpub")
LABEL_MAX: Final = 255


class Entry(NamedTuple):
    """A label of one thing; what is None was not said."""

    type: str
    ref: str
    label: str | None = None
    origin: str | None = None
    spendable: bool | None = None


def written(entries: Iterable[Entry]) -> str:
    """Return the lines of a file; what is None is left out."""
    lines: list[str] = []
    for entry in entries:
        said = {name: value for name, value in entry._asdict().items() if value is not None}
        lines.append(f"{json_line(said)}\n")
    return "".join(lines)


def read(text: str) -> tuple[list[Entry], int]:
    """Return the labels of a file, and how many lines are of a type that is not known here.

    Raises UsageError that names the first line that is none; then nothing of it counts.
    """
    entries, unknown = [], 0
    for number, line in enumerate(json_lines(text), 1):
        if not line.strip():
            continue
        entry = _entry(line, number)
        if entry is None:
            unknown += 1
        else:
            entries.append(entry)
    return entries, unknown


def _entry(line: str, number: int) -> Entry | None:
    try:
        said = read_json(line, size_max=LINE_MAX, depth_max=DEPTH_MAX)
    except ValueError as failure:
        raise UsageError(f"line {number} is no JSON: {failure}") from failure
    if not isinstance(said, dict):
        raise UsageError(f"line {number} is no JSON object")
    kind, ref = said.get("type"), said.get("ref")
    if not isinstance(kind, str) or not isinstance(ref, str) or not 0 < len(ref) <= REF_MAX:
        raise UsageError(f"line {number} has no type or no ref")
    if kind not in KINDS:
        return None
    for name in ("label", "origin"):
        if not isinstance(said.get(name), str | None):
            raise UsageError(f"line {number}: its {name} is no text")
        if len(said.get(name) or "") > REF_MAX * 4:
            raise UsageError(f"line {number}: its {name} has more than {REF_MAX * 4} characters")
    spendable = said.get("spendable")
    if not isinstance(spendable, bool | None):
        told = shown(spendable)
        raise UsageError(f"line {number}: spendable is {told}, neither true nor false")
    if spendable is not None and kind != "output":
        raise UsageError(f"line {number}: spendable is for outputs, not for {kind}")
    return Entry(kind, ref, said.get("label"), said.get("origin"), spendable)
