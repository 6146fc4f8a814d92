"""Faults that wait for an emulated card, in a file beside it; who has the card open sees them."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from cards import faults
from cards.emulation import held
from cards.errors import CardError
from cards.faults import Ejected, Faults
from coordinator.files import write_private

T = TypeVar("T")
Stamp = tuple[int, int, int]
SUFFIX = ".faults"
LOCK_SECONDS = 5
UNSEEN: Stamp = (0, 0, -1)
NO_FILE: Stamp = (0, 0, 0)


class FiledFaults:
    """The faults in a file, one a line; read again when the file has changed."""

    def __init__(self, card: Path) -> None:
        """Keep them beside the card's file."""
        self._file = card.with_suffix(SUFFIX)
        self._stamp = UNSEEN
        self._seen: Faults = ()

    def pending(self) -> Faults:
        """Return the faults that wait; raises CardError where the file is damaged."""
        stamp = self._stamped()
        if stamp != self._stamp:
            self._seen = () if stamp == NO_FILE else self._read()
            self._stamp = stamp
        return self._seen

    def meet(self, apdu: bytes) -> Faults:
        """Count a command; return the faults that happen at it."""
        if not self.pending():
            return ()
        return self._change(lambda waiting: faults.met(waiting, apdu))

    def tell(self, words: str) -> Faults:
        """Take a fault, `insert` or `clear`; return what waits then. Raises ValueError."""
        return self._change(lambda waiting: (faults.told(waiting, words),) * 2)

    def ejected(self) -> bool:
        """Tell whether the card is off its reader."""
        return Ejected() in self.pending()

    def forget(self) -> None:
        """Delete the file."""
        for path in (self._file, self._file.with_name(self._file.name + ".lock")):
            path.unlink(missing_ok=True)

    def _change(self, change: Callable[[Faults], tuple[T, Faults]]) -> T:
        """Change what waits with nobody in between; return what the change brings besides."""
        with held(self._file, LOCK_SECONDS):
            before = self.pending()
            result, after = change(before)
            if after == before:
                return result
            if after:
                write_private(self._file, "".join(f"{fault}\n" for fault in after).encode())
            else:
                self._file.unlink(missing_ok=True)
        return result

    def _stamped(self) -> Stamp:
        try:
            found = self._file.stat()
        except FileNotFoundError:
            return NO_FILE
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _read(self) -> Faults:
        try:
            return tuple(faults.parse(line) for line in self._file.read_text("utf-8").splitlines())
        except FileNotFoundError:
            return ()
        except (OSError, ValueError) as failure:
            raise CardError(f"{self._file} cannot be read: {failure}") from None
