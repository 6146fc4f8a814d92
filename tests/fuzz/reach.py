"""Which lines of ours an input reaches, and the fewest inputs that reach them all."""

import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import CodeType, FrameType

ROOT = Path(__file__).parents[2]
ROOMS = tuple(str(ROOT / room) for room in ("psbt", "cards", "coordinator", "storage"))
Line = tuple[CodeType, int]


def reached(act: Callable[[], object]) -> set[Line]:
    """Return the lines of the rooms that an act goes through, whatever it raises."""
    lines: set[Line] = set()

    def within(frame: FrameType, event: str, _arg: object) -> object:
        if event == "line":
            lines.add((frame.f_code, frame.f_lineno))
        return within

    def entered(frame: FrameType, _event: str, _arg: object) -> object:
        return within if frame.f_code.co_filename.startswith(ROOMS) else None

    before = sys.gettrace()
    sys.settrace(entered)
    try:
        with suppress(Exception):
            act()
    finally:
        sys.settrace(before)
    return lines


def least(
    read: Callable[[bytes], object], given: Iterable[bytes], candidates: Iterable[bytes]
) -> list[bytes]:
    """Return the candidates that reach lines nothing given reaches, the shortest first."""
    known: set[Line] = set()
    for data in given:
        known |= reached(lambda data=data: read(data))
    chosen = []
    for data in sorted(candidates, key=lambda data: (len(data), data)):
        lines = reached(lambda: read(data))  # noqa: B023 -- called at once
        if not lines <= known:
            known |= lines
            chosen.append(data)
    return chosen
