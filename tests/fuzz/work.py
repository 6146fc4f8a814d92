"""Work counted in steps, not seconds: every call a reader makes, of ours or of a library's."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class TooMuchWork(BaseException):
    """More steps than the input's size allows; no reader's own `except` holds it."""


class Count:
    """How many steps were taken, and how many may be."""

    def __init__(self, most: int) -> None:
        self.steps = 0
        self.most = most

    def __call__(self, _frame: FrameType, event: str, _arg: object) -> None:
        if event in {"call", "c_call"}:
            self.steps += 1
            if self.steps > self.most:
                sys.setprofile(None)
                raise TooMuchWork(f"more than {self.most} steps")


@contextmanager
def counted(most: int = 1 << 40) -> Iterator[Count]:
    """Count the steps of this thread; raise TooMuchWork where they are more than `most`."""
    count = Count(most)
    before = sys.getprofile()
    sys.setprofile(count)
    try:
        yield count
    finally:
        sys.setprofile(before)


def steps(act: Callable[[], object]) -> int:
    """Return how many steps an act takes."""
    with counted() as count:
        act()
    return count.steps
