"""Which steps of a road a person ticked off, kept in the home: no name of a place or a person.

What is kept of a step is a hash of its title without what it is about, so that it stays ticked
where others come before it.
"""

import hashlib
import json
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

from coordinator.errors import UsageError
from coordinator.files import make_folder, read_bytes, write_private
from coordinator.foreign_json import read_json
from coordinator.incident.step import Step

MARK: Final = 16
ROADS_MAX: Final = 400
FILE_MAX: Final = 200_000


class Ticks:
    """The ticks of one home; a file that cannot be read counts as none."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()

    def of(self, road: str) -> frozenset[str]:
        """Return the marks of the steps that are ticked off on a road."""
        return frozenset(self._read().get(road, ()))

    def turn(self, road: str, mark: str) -> None:
        """Tick a step off, or take the tick back; raises UsageError where it cannot be kept."""
        with self._lock:
            roads = self._read()
            marks = set(roads.pop(road, ())) ^ {mark}
            kept = dict(list(roads.items())[-ROADS_MAX:])
            make_folder(self._file.parent)
            write_private(self._file, json.dumps({**kept, road: sorted(marks)}).encode())

    def _read(self) -> dict[str, list[str]]:
        found: object = None
        with suppress(UsageError, ValueError):
            data = read_bytes(self._file)
            found = read_json(data) if len(data) <= FILE_MAX else None
        roads = found if isinstance(found, dict) else {}
        return {
            str(road): [each for each in marks if isinstance(each, str) and len(each) == MARK]
            for road, marks in roads.items()
            if isinstance(marks, list)
        }


def mark(step: Step, subject: str) -> str:
    """Return what a step is known by."""
    bare = step.title.replace(subject, "") if subject else step.title
    return hashlib.sha256(bare.encode()).hexdigest()[:MARK]
