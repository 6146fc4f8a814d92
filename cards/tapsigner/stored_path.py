"""The one path a TAPSIGNER stores: borrowed, and given back to whoever had set it.

What is owed outlives a power cut in the card memory of the home.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cbor2

from cards.errors import ProtocolError
from cards.family import CardMemory
from cards.session import HARDENED, Path
from cards.tapsigner.wire import DEPTH_MAX

READINGS = 3
Read = Callable[[], Path | None]


@dataclass(frozen=True)
class Loan:
    """The paths we set, the last of them perhaps in vain, and the one that was there before us."""

    ours: tuple[Path, ...]
    theirs: Path


class StoredPath:
    """What is known of the card's stored path."""

    def __init__(self, card_id: str, memory: CardMemory, found: Path | None) -> None:
        """Begin with the path found on the card, and the loan an earlier session left."""
        self._card_id = card_id
        self._memory = memory
        self.now = found
        self._loan = self._left_over(found)

    def confirm(self, read: Read) -> Path | None:
        """Read the path again and return it; what is to be put back is no garbled reading."""
        self.now = _agreed(self.now, read)
        if self._loan is None:
            self._loan = self._left_over(self.now)
        return self.now

    def about_to_be(self, path: Path) -> None:
        """Write down what is owed before the card is told; until it answers, nobody knows."""
        theirs = self._loan.theirs if self._loan else self.now
        perhaps = self._perhaps_ours()
        self.now = None
        if theirs is not None:
            ours = tuple(dict.fromkeys((path, *perhaps)))
            self._loan = Loan(ours, theirs)
            self._memory.write(self._card_id, cbor2.dumps([ours[0], theirs, *ours[1:]]))

    def owed(self, read: Read) -> Path | None:
        """Return the path to put back, where the card still has one of ours."""
        if self._loan is None:
            return None
        found = _agreed(self.now, read)
        return (
            self._loan.theirs if found in self._loan.ours and found != self._loan.theirs else None
        )

    def settle(self) -> None:
        """Owe nothing any more."""
        if self._loan is not None:
            self._loan = None
            self._memory.forget(self._card_id)

    def _perhaps_ours(self) -> tuple[Path, ...]:
        """Return those of our paths that the card may have now."""
        if self._loan is None:
            return ()
        return self._loan.ours if self.now is None else (self.now,)

    def _left_over(self, found: Path | None) -> Loan | None:
        """Return the loan of a session that was cut off, if the card still has its path."""
        kept = self._memory.read(self._card_id)
        if kept is None:
            return None
        try:
            latest, theirs, *others = (_path(path) for path in cbor2.loads(kept))
        except (cbor2.CBORDecodeError, TypeError, ValueError, RecursionError):
            return None
        ours = (latest, *others)
        return Loan(ours, theirs) if found in ours else None


def _path(kept: object) -> Path:
    """Return a stored path as it was kept; raises ValueError for anything else."""
    steps = kept if isinstance(kept, list) else [None]
    fits = (isinstance(step, int) and HARDENED <= step < 2 * HARDENED for step in steps)
    if len(steps) > DEPTH_MAX or not all(fits):
        raise ValueError("this is no stored path")
    return tuple(steps)


def _agreed(expected: Path | None, read: Read) -> Path | None:
    """Return what two readings in a row agree on, as nothing signs what a card says of its path."""
    for _ in range(READINGS):
        found = read()
        if found == expected:
            return found
        expected = found
    raise ProtocolError("the card tells another stored path each time it is asked")
