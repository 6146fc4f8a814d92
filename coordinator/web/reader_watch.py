"""What lies on the readers, looked at whenever a card comes or goes; no PIN is presented.

A card that was told is not looked at again while it stays, unless somebody asks for that.
A card that could not be told because it lost power, or another program reset it or kept it for
itself, is looked at again: nothing else would say that it answers by now.
"""

import threading
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from cards import pcsc
from cards.errors import CardError, OutOfReach, TransportError
from cards.pcsc import Insertions
from cards.session import CardIdentity
from coordinator.home.settings import Home
from coordinator.readers import emulated, real_readers
from coordinator.web.events import CARDS, Bulletin

LOOK_SECONDS: Final = 0.1
"""A reader itself asks for its card a few times a second."""
JOIN_SECONDS: Final = 3.0
PAUSE_SECONDS: Final = 0.5
PAUSE_MAX_SECONDS: Final = 30.0
"""How soon a card is looked at again that could not be told, at first and at last."""


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
    def is_told(self) -> bool:
        """Tell whether there is no need to look again while it stays."""
        return not self.is_empty and not self.may_answer_soon

    @property
    def may_answer_soon(self) -> bool:
        """Tell whether trying again may help."""
        if isinstance(self.error, OutOfReach):
            return self.error.may_end_by_itself
        return isinstance(self.error, TransportError)

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


class Standing(NamedTuple):
    """Which readers hold which insertion, which emulated cards are there, what is wrong.

    An emulated card on its reader counts as an insertion, always the same.
    """

    real: Insertions = ()
    emulated: Insertions = ()
    trouble: str = ""


class ReaderWatch:
    """Looks in a thread of its own, but never while a task may hold a card."""

    def __init__(self, home: Home, bulletin: Bulletin, is_busy: Callable[[], bool]) -> None:
        self._home = home
        self._bulletin = bulletin
        self._is_busy = is_busy
        self._ended = threading.Event()
        self._again = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.seen = Seen()
        self._attempts: dict[tuple[str, str], int | None] = {}
        self._told: dict[tuple[bool, str, int | None], Lying] = {}
        self._untold = False
        self._no_readers: CardError | None = None

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
        before = Standing()
        pause, again_at = PAUSE_SECONDS, 0.0
        while not self._ended.is_set():
            if self._is_busy():
                self._again.set()
                self._ended.wait(LOOK_SECONDS)
                continue
            now = self._standing(before.real)
            anew = self._again.is_set()
            changed = now != before
            if changed or anew or (self._untold and time.monotonic() >= again_at):
                self._again.clear()
                self._look(now, anew=anew)
                self._bulletin.post(CARDS)
                pause = PAUSE_SECONDS if changed or anew else min(2 * pause, PAUSE_MAX_SECONDS)
                again_at = time.monotonic() + pause
            before = now
            if not now.real:  # nothing waited there
                self._ended.wait(LOOK_SECONDS)

    def look(self) -> Seen:
        """Look now, also while a task goes on: it waits for what is done to a card elsewhere."""
        self._look(self._standing(), anew=True)
        return self.seen

    def attempts_of(self, family: str, card_id: str) -> int | None:
        """Return the PIN attempts a card had left when it was last here; None where unknown."""
        return self._attempts.get((family, card_id))

    def _look(self, now: Standing, *, anew: bool) -> None:
        """Look at what came, or could not be told before; at all that lies there where `anew`."""
        if anew:
            self._told.clear()
        looked = self._looked(now.real, in_software=False)
        looked |= self._looked(now.emulated, in_software=True)
        lying = tuple(looked.values())
        occupied = {state: each for state, each in looked.items() if state[2] is not None}
        self._told = {state: each for state, each in occupied.items() if each.is_told}
        self._untold = any(
            each.may_answer_soon or (each.is_empty and not each.emulated)
            for each in occupied.values()
        )
        self.seen = Seen(lying, self._no_readers)
        cards = [each.card for each in lying if each.card is not None]
        self._attempts |= {(each.family, each.card_id): each.attempts_left for each in cards}

    def _looked(
        self, states: Insertions, *, in_software: bool
    ) -> dict[tuple[bool, str, int | None], Lying]:
        """Return what lies at each place; only a card that is not told yet is looked at."""
        keyed = [(in_software, name, insertion) for name, insertion in states]
        new = [key[1] for key in keyed if key[2] is not None and key not in self._told]
        if in_software:
            looks = emulated.listed(self._home) if new else []
        else:
            looks = real_readers.looked_at(self._home, new)
        found = {
            each.name: Lying(each.name, in_software, each.card, each.error, each.family)
            for each in looks
        }
        lying = {}
        for key in keyed:
            seen = None if key[2] is None else found.get(key[1]) or self._told.get(key)
            lying[key] = seen or Lying(key[1], in_software, None)
        return lying

    def _standing(self, before: Insertions = ()) -> Standing:
        """Return what tells whether a card came or went; waits a moment where readers did not."""
        try:
            real, self._no_readers = pcsc.insertions(before, LOOK_SECONDS if before else 0), None
        except CardError as failure:
            real, self._no_readers = (), failure
        there: Insertions = ()
        if self._home.network != "mainnet":
            there = tuple(
                (name, 0 if emulated.present(self._home, name) else None)
                for name in self._home.emulated_names()
            )
        return Standing(real, there, str(self._no_readers or ""))
