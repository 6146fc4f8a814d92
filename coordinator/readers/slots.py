"""Where a card can lie, and how it is opened: identified first, no PIN presented."""

import hashlib
import hmac
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from cards.detection import detect
from cards.errors import (
    PAIRING_DANGER,
    PAIRING_REFUSED,
    CardError,
    CardNotInitialised,
    CardRemoved,
    NotSupported,
    NotUnlocked,
    PinBlocked,
    PinDelayed,
    PinIncorrect,
    PinUnsuitable,
    StatusWordError,
    WrongCard,
)
from cards.family import CardMemory, Surroundings, family_named
from cards.pin import Pin, Secret
from cards.session import CardIdentity, CardSession
from cards.transport import CardTransport, Contended, pause
from coordinator.errors import LastAttempt
from coordinator.files import write_private
from coordinator.person import Attendant, Person, Typist

NOT_COUNTED = (
    CardNotInitialised, NotSupported, PinBlocked, PinDelayed, PinUnsuitable, StatusWordError
)  # fmt: skip
"""What a card says that did not look at a PIN, or has no attempt left to lose."""


class FolderMemory:
    """What the home remembers of each card for its driver: one private file a card.

    It is never part of a shared database.
    """

    def __init__(self, folder: Path) -> None:
        """Use this folder, which is made when first needed."""
        self._folder = folder

    def read(self, card_id: str) -> bytes | None:
        """Return what was kept of the card, or None."""
        try:
            return self._file(card_id).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, card_id: str, data: bytes) -> None:
        """Keep this of the card, whole or not at all."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(self._file(card_id), data)

    def forget(self, card_id: str) -> None:
        """Keep nothing of the card any more."""
        self._file(card_id).unlink(missing_ok=True)

    def _file(self, card_id: str) -> Path:
        """Name the file by a hash: what a card says of itself is no file name."""
        return self._folder / (hashlib.sha256(card_id.encode()).hexdigest() + ".memory")


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


class KnownCard(NamedTuple):
    """A card this home knows: what is held against the one on the reader before any PIN."""

    label: str
    family: str
    card_id: str


class RefusedPins:
    """The PINs that cards refused in this run; none is presented to a card of that name again.

    A PIN whose answer was lost counts as refused where the card's counter went down; a card that
    does not count gets it again only from a person who typed it again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pins: dict[str, list[Pin]] = {}
        self._lost: dict[str, int | None] = {}

    def present(
        self, session: CardSession, pin: Pin, name: str, *, left: int | None, typed: bool = False
    ) -> None:
        """Unlock a card, which allows `left` attempts before it, with its PIN.

        Raises PinUnsuitable, PinIncorrect or CardRemoved instead where it was refused before, or
        may have been; `typed` tells that a person gave it after that, or that it was right before.
        """
        self._refuse_lost(pin, name, left, typed=typed)
        with self._lock:
            known = [each.reveal() for each in self._pins.get(name, ())]
        if any(hmac.compare_digest(pin.reveal(), each) for each in known):
            raise PinUnsuitable(f"card {name} refused this PIN before; it was not presented again")
        with self._lock:
            self._lost[name] = left
        try:
            session.unlock(pin)
        except PinIncorrect:
            self._note(pin, name)
            raise
        except NOT_COUNTED:
            self._answered(name)
            raise
        self._answered(name)

    def _refuse_lost(self, pin: Pin, name: str, left: int | None, *, typed: bool) -> None:
        with self._lock:
            if name not in self._lost:
                return
            before = self._lost[name]
        if left is not None and before is not None:
            self._answered(name)
            if left < before:
                self._note(pin, name)
                raise PinIncorrect(left)
        elif not typed:
            raise CardRemoved(
                f"card {name} was lost while its PIN was presented; it is not presented again"
            )

    def _note(self, pin: Pin, name: str) -> None:
        self._answered(name)
        with self._lock:
            self._pins.setdefault(name, []).append(pin.copy())

    def _answered(self, name: str) -> None:
        with self._lock:
            self._lost.pop(name, None)

    def close(self) -> None:
        """Overwrite them."""
        with self._lock:
            for pin in (pin for pins in self._pins.values() for pin in pins):
                pin.close()
            self._pins.clear()


class CardPrompts:
    """Whom a card on the reader can turn to: it makes us wait, or wants more than its PIN."""

    def __init__(self, attendant: Person, label: str) -> None:
        """Speak of the card as `label`, which may change once it says who it is."""
        self._attendant = attendant
        self.label = label
        self.given: set[str] = set()
        self._said: set[str] = set()
        self._transport: CardTransport | None = None

    def joined(self, transport: CardTransport) -> None:
        """Speak for the card on this transport; hear of other programs on its reader."""
        self._transport = transport
        if isinstance(transport, Contended):
            transport.tell_contention(self.contended)

    def progress(self, reason: str, seconds: int) -> None:
        """Tell the person why the card makes us wait, and for how many seconds more."""
        self._attendant.waiting(self.label, reason, seconds)

    def secret(self, kind: str) -> Secret | None:
        """Ask the person for a secret besides the PIN; `given` are the kinds that were."""
        self._let_go()
        found = self._attendant.secret_for(self.label, kind)
        if found is not None:
            self.given.add(kind)
        return found

    def pair_anew(self) -> bool:
        """Ask the person whether to pair again with a card that refuses the kept pairing."""
        self._let_go()
        return self._attendant.agreed(PAIRING_REFUSED, f"card {self.label} {PAIRING_DANGER}")

    def _let_go(self) -> None:
        """Keep the card from nobody while a person types."""
        if self._transport is not None and _types(self._attendant):
            pause(self._transport)

    def disturbed(self) -> None:
        """Tell the person that the card was reset, and who may have done it."""
        self.contended(
            f"card {self.label} was reset in between: another program uses its reader, or the card "
            "lies badly; it goes on"
        )

    def contended(self, sentence: str) -> None:
        """Tell the person once that another program uses the reader."""
        if sentence not in self._said:
            self._said.add(sentence)
            self._attendant.say(sentence)


@contextmanager
def card_in(slot: Slot, prompts: CardPrompts | None = None) -> Iterator[CardSession]:
    """Open the card in a slot, and let go of it afterwards.

    Raises ReaderNotFound, TransportError, or CardError where no family knows the card.
    """
    around = slot.surroundings
    if prompts is not None:
        around = replace(
            around,
            progress=prompts.progress,
            secret=prompts.secret,
            pair_anew=prompts.pair_anew,
            disturbed=prompts.disturbed,
        )
    transport = slot.connect()
    if prompts is not None:
        prompts.joined(transport)
    try:
        session = detect(transport, around)
        try:
            yield session
        finally:
            session.close()
    finally:
        transport.close()


class Found(NamedTuple):
    """A place, and the card there, or why it cannot be told; both None where it is empty.

    `family` is that of a card that tells nothing more before its PIN.
    """

    name: str
    card: CardIdentity | None
    error: CardError | None = None
    family: str | None = None


def look(slot: Slot) -> Found:
    """Return what the card in a slot says before any PIN."""
    try:
        with card_in(slot) as session:
            try:
                return Found(slot.name, session.identity())
            except NotUnlocked as silent:
                return Found(slot.name, None, silent, session.family)
    except CardError as failure:
        return Found(slot.name, None, failure)


def _types(person: Person) -> bool:
    return isinstance(person, Typist) and person.types()


def let_others(session: CardSession, person: Person) -> bool:
    """Let other programs have the card while a person types; tells whether somebody does."""
    typed = _types(person)
    if typed:
        session.pause()
    return typed


def ask_pin(session: CardSession, label: str, attendant: Person, *, last_attempt: bool) -> Pin:
    """Return the PIN a person gives for this card; stops by itself before a last attempt.

    No PIN is asked for a card that is blocked: none would open it. Raises PinBlocked.

    While it is typed other programs may have the card; it is identified again after.
    """
    identity = _told(session)
    _refuse_spent(identity, label, last_attempt=last_attempt)
    typed = let_others(session, attendant)
    with ExitStack() as wiped:
        pin = wiped.enter_context(attendant.pin_for(label, identity))
        if typed:
            found = _told(session)
            if (found.family, found.card_id) != (identity.family, identity.card_id):
                raise WrongCard(label, f"{found.family} {found.card_id[:16]}")
            _refuse_spent(found, label, last_attempt=last_attempt)
        wiped.pop_all()
    return pin


def _told(session: CardSession) -> CardIdentity:
    """Return who the card is; of one that says nothing before its PIN, its family."""
    try:
        return session.identity()
    except NotUnlocked:
        return silent_identity(session)


def _refuse_spent(identity: CardIdentity, label: str, *, last_attempt: bool) -> None:
    if identity.attempts_left == 0:
        raise PinBlocked("the card allows no more attempts")
    if identity.attempts_left == 1 and not last_attempt:
        raise LastAttempt(label)


def unlock(session: CardSession, label: str, attendant: Attendant, *, last_attempt: bool) -> None:
    """Ask for the PIN and present it once."""
    with ask_pin(session, label, attendant, last_attempt=last_attempt) as pin:
        session.unlock(pin)


class Candidates(NamedTuple):
    """What a silent card is held against: the cards it may be, and the memory of those seen."""

    cards: Sequence[KnownCard]
    memory: CardMemory


def unlock_silent(
    session: CardSession, label: str, attendant: Attendant, *, known: Candidates | None = None
) -> bool:
    """Unlock a card that tells nothing before its PIN, and say so first; else leave it as it is.

    Raises WrongCard before any PIN where it can be none of those known.
    """
    with ExitStack() as wiped:
        prompts = CardPrompts(attendant, label)
        return pin_of_silent(session, prompts, attendant, wiped=wiped, known=known) is not None


def pin_of_silent(
    session: CardSession,
    prompts: CardPrompts,
    attendant: Attendant,
    *,
    wiped: ExitStack,
    known: Candidates | None = None,
) -> Pin | None:
    """Unlock a card that tells nothing before its PIN; returns the PIN, until `wiped` ends it.

    Where it can be one card only, it goes by that card's label.
    """
    try:
        session.identity()
    except NotUnlocked as silent:
        if known is not None:
            found = possible(session, *known)
            prompts.label = found[0].label if len(found) == 1 else prompts.label
        attendant.say(f"card {prompts.label}: {silent}")
    else:
        return None
    let_others(session, attendant)
    pin = wiped.enter_context(attendant.pin_for(prompts.label, silent_identity(session)))
    session.unlock(pin)
    return pin


def possible(
    session: CardSession, expected: Sequence[KnownCard], memory: CardMemory
) -> list[KnownCard]:
    """Return which of these cards one that tells nothing before its PIN may be.

    Its family tells, and whether this home would have recognised the card that is meant. Raises
    WrongCard where it can be none of them.
    """
    found = [
        card
        for card in expected
        if card.family == session.family
        and not family_named(card.family).recognises(memory, card.card_id)
    ]
    if not found:
        meant = " or ".join(f"{card.label} ({card.family})" for card in expected)
        raise WrongCard(
            meant or "a card that is known here", f"a {session.family} card that is not"
        )
    return found


def silent_identity(session: CardSession) -> CardIdentity:
    """Return what is known of a card that tells nothing before its PIN: its family."""
    return CardIdentity("", session.family, "", initialised=True, attempts_left=None)
