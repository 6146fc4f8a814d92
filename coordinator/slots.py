"""Where a card can lie, and how it is opened: identified first, no PIN presented."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from cards.errors import NotUnlocked
from cards.family import Surroundings, detect
from cards.pin import Pin
from cards.session import CardIdentity, CardSession
from cards.transport import CardTransport
from coordinator.attendant import Attendant
from coordinator.errors import LastAttempt, UsageError

NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")


class Slot(NamedTuple):
    """A place for one card: a name for people, and how to reach the card in it."""

    name: str
    emulated: bool
    connect: Callable[[], CardTransport]
    surroundings: Surroundings = Surroundings()


@contextmanager
def card_in(slot: Slot) -> Iterator[CardSession]:
    """Open the card in a slot, and let go of it afterwards.

    Raises ReaderNotFound, TransportError, or CardError where no family knows the card.
    """
    transport = slot.connect()
    try:
        session = detect(transport, slot.surroundings)
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
    try:
        session.identity()
    except NotUnlocked as silent:
        attendant.say(f"card {label}: {silent}")
    else:
        return False
    unknown = CardIdentity("", "unknown", "", initialised=True, attempts_left=None)
    with attendant.pin_for(label, unknown) as pin:
        session.unlock(pin)
    return True


def checked_name(name: str) -> str:
    """Return the name; raises UsageError unless it is 1 to 40 letters, digits, _ or -."""
    if not NAME.fullmatch(name):
        raise UsageError(f"the name {name!r} is not 1 to 40 letters, digits, _ or -")
    return name
