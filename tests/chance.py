"""Random bytes that a test draws alike in each run: what is rare is met in every run or in none.

Keys and nonces that OpenSSL makes, and programs begun outright, draw the system's as ever.
"""

import contextlib
import hashlib
import itertools
import os
import random
from collections.abc import Iterator

import coincurve.utils


class Chance:
    """A stream of bytes that its seed determines, the same for all threads together."""

    def __init__(self, *seed: str) -> None:
        self._seed = "\0".join(seed)
        self._drawn = itertools.count()
        self._forks = itertools.count()

    def drawn(self, size: int) -> bytes:
        """Return the next bytes."""
        return hashlib.shake_256(f"{self._seed}\0{next(self._drawn)}".encode()).digest(size)

    def forked(self) -> "Chance":
        """Return the stream of the next process to be forked: never one that another has."""
        return Chance(self._seed, "fork", str(next(self._forks)))


class _Drawn:
    """What is drawn from now, and by the process that is being forked."""

    def __init__(self) -> None:
        self.now = self.next_process = Chance("nothing begun")

    def drawn(self, size: int, /) -> bytes:
        return self.now.drawn(size)

    def forking(self) -> None:
        self.next_process = self.now.forked()

    def forked(self) -> None:
        self.now = self.next_process


_drawn = _Drawn()


@contextlib.contextmanager
def following(*seed: str) -> Iterator[None]:
    """Have all that is drawn meanwhile follow from a seed."""
    before, _drawn.now = _drawn.now, Chance(*seed)
    try:
        yield
    finally:
        _drawn.now = before


def replace_random_bytes() -> None:
    """Have the interpreter's random bytes drawn here, in this process and those it forks."""
    for module, name in ((os, "urandom"), (random, "_urandom"), (coincurve.utils, "urandom")):
        setattr(module, name, _drawn.drawn)
    os.register_at_fork(before=_drawn.forking, after_in_child=_drawn.forked)
