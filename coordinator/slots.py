"""Where a card can lie, and how it is opened: identified first, no PIN presented."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import NamedTuple

from cards.errors import NotUnlocked
from cards.family import Surroundings, detect
from cards.pin import Pin, Secret
from cards.session import CardIdentity, CardSession
from cards.transport import CardTransport
from coordinator.attendant import Attendant, Person
from coordinator.errors import LastAttempt, UsageError

NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")


class Slot(NamedTuple):
    """A place for one card: a name for people, and how to reach the card in it.

    `arrival` waits up to so many seconds for a card that was put in after the insertion of that
    number (-1: any card) and returns its own number, None when time is up; it is None itself
    where cards are never swapped.
    """

    name: str
    emulated: bool
    connect: Callable[[], CardTransport]
    surroundings: Surroundings = Surroundings()
    arrival: Callable[[int, float], int | None] | None = None


class Company:
    """Whom a card on the reader can turn to: it makes us wait, or wants more than its PIN."""

    def __init__(self, attendant: Person, label: str) -> None:
        """Speak of the card as `label`, which may change once it says who it is."""
        self._attendant = attendant
        self.label = label
        self.given: set[str] = set()

    def progress(self, reason: str, seconds: int) -> None:
        """Tell the person why the card makes us wait, and for how many seconds more."""
        self._attendant.waiting(self.label, reason, seconds)

    def secret(self, kind: str) -> Secret | None:
        """Ask the person for a secret besides the PIN; `given` are the kinds that were."""
        found = self._attendant.secret_for(self.label, kind)
        if found is not None:
            self.given.add(kind)
        return found


@contextmanager
def card_in(slot: Slot, company: Company | None = None) -> Iterator[CardSession]:
    """Open the card in a slot, and let go of it afterwards.

    Raises ReaderNotFound, TransportError, or CardError where no family knows the card.
    """
    around = slot.surroundings
    if company is not None:
        around = replace(around, progress=company.progress, secret=company.secret)
    transport = slot.connect()
    try:
        session = detect(transport, around)
        try:
            yield session
        finally:
            session.close()
    finally:
        transport.close()


def ask_pin(session: CardSession, label: str, attendant: Attendant, *, last_attempt: bool) -> Pin:
    """Return the PIN a person gives for this card; stops by itself before a last attempt."""
    identity = session.identity()
    if identity.attempts_left == 1 and not last_attempt:
        raise LastAttempt(label)
    return attendant.pin_for(label, identity)


def unlock(session: CardSession, label: str, attendant: Attendant, *, last_attempt: bool) -> None:
    """Ask for the PIN and present it once."""
    with ask_pin(session, label, attendant, last_attempt=last_attempt) as pin:
        session.unlock(pin)


def unlock_silent(session: CardSession, label: str, attendant: Attendant) -> bool:
    """Unlock a card that tells nothing before its PIN, and say so first; else leave it as it is."""
    with ExitStack() as wiped:
        return pin_of_silent(session, label, attendant, wiped) is not None


def pin_of_silent(
    session: CardSession, label: str, attendant: Attendant, wiped: ExitStack
) -> Pin | None:
    """Unlock a card that tells nothing before its PIN; returns the PIN, until `wiped` ends it."""
    try:
        session.identity()
    except NotUnlocked as silent:
        attendant.say(f"card {label}: {silent}")
    else:
        return None
    unknown = CardIdentity("", session.family, "", initialised=True, attempts_left=None)
    pin = wiped.enter_context(attendant.pin_for(label, unknown))
    session.unlock(pin)
    return pin


def checked_name(name: str) -> str:
    """Return the name; raises UsageError unless it is 1 to 40 letters, digits, _ or -."""
    if not NAME.fullmatch(name):
        raise UsageError(f"the name {name!r} is not 1 to 40 letters, digits, _ or -")
    return name
