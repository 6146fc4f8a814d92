"""A target: what reads hostile bytes, what it may be begun with, and how it may refuse."""

import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from tests.fuzz.work import counted

CORPUS = Path(__file__).parent / "corpus"


class Target(NamedTuple):
    """One reader under hostile input.

    `prepare` makes, once, what hands it bytes, in a folder of its own; only `refusals` may come
    out. A run takes at most `steps` and `steps_per_byte` for each byte. `runs` are those of the
    seeded mutator in the tests.
    """

    name: str
    seeds: Callable[[], Iterable[bytes]]
    prepare: Callable[[Path], Callable[[bytes], object]]
    refusals: tuple[type[Exception], ...]
    longest: int = 4096
    runs: int = 300
    steps: int = 20_000
    steps_per_byte: int = 200

    def most(self, data: bytes) -> int:
        """Return how many steps an input may take."""
        return self.steps + self.steps_per_byte * len(data)


class Fuzzed:
    """A target that is ready; anything but a refusal leaves `read`."""

    def __init__(self, target: Target, folder: Path) -> None:
        self.target = target
        folder.mkdir()
        self._read = target.prepare(folder)
        self.refused = 0
        self._in_threads: list[BaseException] = []

    def read(self, data: bytes) -> None:
        """Hand over one input."""
        threading.excepthook = self._keep
        try:
            self._read(data)
        except self.target.refusals:
            self.refused += 1
        finally:
            threading.excepthook = threading.__excepthook__
        if self._in_threads:
            raise self._in_threads.pop()

    def read_counted(self, data: bytes) -> int:
        """Hand over one input; raise TooMuchWork where it costs more than its size allows."""
        with counted(self.target.most(data)) as count:
            self.read(data)
        return count.steps

    def _keep(self, args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None:
            self._in_threads.append(args.exc_value)


def kept(target: Target) -> dict[str, bytes]:
    """Return the kept corpus of a target by file name: what found something, and what led there."""
    return {path.name: path.read_bytes() for path in sorted((CORPUS / target.name).glob("*"))}
