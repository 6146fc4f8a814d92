"""Labels as other wallets write and read them: one JSON object a line (BIP 329)."""

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

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
    return "".join(f"{json_line(_said(entry))}\n" for entry in entries)


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


def _said(entry: Entry) -> dict[str, Any]:
    return {name: value for name, value in entry._asdict().items() if value is not None}


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
    wrong = list(_wrong(said, kind))
    if wrong:
        raise UsageError(f"line {number}: {wrong[0]}")
    return Entry(kind, ref, said.get("label"), said.get("origin"), said.get("spendable"))


def _wrong(said: dict[str, Any], kind: str) -> Iterator[str]:
    """Yield what a line says that it must not."""
    for name in ("label", "origin"):
        if not isinstance(said.get(name), str | None):
            yield f"its {name} is no text"
        elif len(said.get(name) or "") > REF_MAX * 4:
            yield f"its {name} has more than {REF_MAX * 4} characters"
    if not isinstance(said.get("spendable"), bool | None):
        yield f"spendable is {shown(said['spendable'])}, neither true nor false"
    if said.get("spendable") is not None and kind != "output":
        yield f"spendable is for outputs, not for {kind}"
