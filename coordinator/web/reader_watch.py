"""What lies on the readers, looked at whenever a card comes or goes; no PIN is presented.

A card that could not be told because it lost power, or another program reset it, is looked at
again: nothing else would say that it answers by now.
"""

import threading
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from cards import pcsc
from cards.errors import CardError, OutOfReach, TransportError
from cards.session import CardIdentity
from coordinator.home.settings import Home
from coordinator.readers import emulated, real_readers
from coordinator.web.bulletin import CARDS, Bulletin

LOOK_SECONDS: Final = 0.1
"""A reader itself asks for its card a few times a second."""
JOIN_SECONDS: Final = 3.0
PAUSE_SECONDS: Final = 0.5
PAUSE_MAX_SECONDS: Final = 30.0
"""How soon a card is looked at again that could not be told, at first and at last."""

States = tuple[tuple[str, int | None], ...]


class Lying(NamedTuple):
    """A place for a card, and the card there, or why it cannot be told; neither where it is empty.

    `family` is that of a card that tells nothing more before its PIN.
    """

    place: str
    emulated: bool
    card: CardIdentity | None
    error: CardError | None = None
    family: str | None = None

    @property
    def is_empty(self) -> bool:
        """Tell whether there is no card."""
        return self.card is None and self.error is None

    @property
    def may_answer_soon(self) -> bool:
        """Tell whether trying again may help."""
        return isinstance(self.error, TransportError) and not isinstance(self.error, OutOfReach)

    @property
    def kind(self) -> tuple[str, str]:
        """Return the card's family and its version, empty where it does not tell."""
        if self.card is not None:
            return self.card.family, self.card.version
        return self.family or "", ""


class Seen(NamedTuple):
    """What lies where, and why readers cannot be looked at, where they cannot."""

    lying: tuple[Lying, ...] = ()
    no_readers: CardError | None = None


class ReaderWatch:
    """Looks in a thread of its own, but never while a task may hold a card."""

    def __init__(self, home: Home, bulletin: Bulletin, is_busy: Callable[[], bool]) -> None:
        """Watch the readers and emulated cards of this home."""
        self._home = home
        self._bulletin = bulletin
        self._is_busy = is_busy
        self._ended = threading.Event()
        self._again = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.seen = Seen()
        self._attempts: dict[tuple[str, str], int | None] = {}

    def start(self) -> None:
        """Look once, and then whenever something changes."""
        self._thread.start()

    def look_again(self) -> None:
        """Look although no card came or went: a task may have changed one."""
        self._again.set()

    def close(self) -> None:
        """End."""
        self._ended.set()
        self._thread.join(JOIN_SECONDS)

    def _watch(self) -> None:
        before: object = None
        pause, again_at = PAUSE_SECONDS, 0.0
        while not self._ended.is_set():
            if self._is_busy():
                self._again.set()
            else:
                real, failure = _real()
                now = (real, str(failure or ""), self._emulated())
                changed = now != before or self._again.is_set()
                untold = any(each.may_answer_soon for each in self.seen.lying)
                if changed or (untold and time.monotonic() >= again_at):
                    self._again.clear()
                    self._look(real, failure)
                    self._bulletin.post(CARDS)
                    pause = PAUSE_SECONDS if changed else min(2 * pause, PAUSE_MAX_SECONDS)
                    again_at = time.monotonic() + pause
                before = now
            self._ended.wait(LOOK_SECONDS)

    def look(self) -> Seen:
        """Look now, also while a task goes on: it waits for what is done to a card elsewhere."""
        self._look(*_real())
        return self.seen

    def attempts_of(self, family: str, card_id: str) -> int | None:
        """Return the PIN attempts a card had left when it was last here; None where unknown."""
        return self._attempts.get((family, card_id))

    def _look(self, real: States, failure: CardError | None) -> None:
        self.seen = Seen((*self._looked(real), *self._emulated_cards()), failure)
        cards = [each.card for each in self.seen.lying if each.card is not None]
        self._attempts |= {(each.family, each.card_id): each.attempts_left for each in cards}

    def _looked(self, states: States) -> list[Lying]:
        """Look at the readers that hold a card."""
        occupied = [name for name, number in states if number is not None]
        found = {each.name: each for each in real_readers.looked_at(self._home, occupied)}
        return [
            Lying(name, False, each.card, each.error, each.family)
            if (each := found.get(name)) is not None
            else Lying(name, False, None)
            for name, _ in states
        ]

    def _emulated_cards(self) -> list[Lying]:
        if self._home.network == "mainnet":
            return []
        return [
            Lying(each.name, True, each.identity, each.error, each.family)
            if emulated.present(self._home, each.name)
            else Lying(each.name, True, None)
            for each in emulated.listed(self._home)
        ]

    def _emulated(self) -> tuple[tuple[str, bool], ...]:
        """Return which emulated cards there are, and whether each is on its reader."""
        if self._home.network == "mainnet":
            return ()
        return tuple(
            (name, emulated.present(self._home, name)) for name in self._home.emulated_names()
        )


def _real() -> tuple[States, CardError | None]:
    """Return each reader with the number of its card's insertion, or why there is none."""
    try:
        names = pcsc.reader_names()
        return tuple((name, pcsc.arrival(name, pcsc.ANY_CARD, 0)) for name in names), None
    except CardError as failure:
        return (), failure
