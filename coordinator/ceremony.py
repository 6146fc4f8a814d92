"""Several cards sign at once, a thread for each place; every answer verified, then kept.

Where cards are fewer than places, or their readers fewer than cards, the next one is asked for.
"""

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from cards.errors import CardError, CardRemoved
from cards.pin import Pin, Secret
from cards.session import CardIdentity
from coordinator.attendant import Attendant
from coordinator.errors import CoordinatorError
from coordinator.slots import Slot
from coordinator.turn import Keep, Outcome, Seat, SeatOf, Stopped, Turn
from psbt.signer import SigningRequest

__all__ = ["Keep", "Manner", "Outcome", "Seat", "SeatOf", "Table", "collect"]

T = TypeVar("T")
SLICE = 0.25
GRACE = 3.0


class Wanted(NamedTuple):
    """A card that the quorum still lacks, and how a person is told of it: name and place."""

    label: str
    words: str


def nobody() -> list[Wanted]:
    """Return that no further card is waited for."""
    return []


@dataclass(frozen=True)
class Manner:
    """How to go about it: may a last PIN attempt be used, and how long to wait for more cards.

    `only` are the labels waited for; None means any that is missing.
    """

    last_attempt: bool = False
    wait_seconds: float = 0.0
    only: frozenset[str] | None = None


@dataclass(frozen=True)
class Table:
    """Who may sit down (by identity), where signatures are kept, and who the person is.

    `missing` are the cards the quorum lacks just now: a reader waits for one of them.
    """

    seat_of: SeatOf
    keep: Keep
    attendant: Attendant
    manner: Manner = Manner()
    missing: Callable[[], list[Wanted]] = nobody


@dataclass
class _Round:
    """One collection: what its threads share."""

    table: Table
    lock: threading.Condition = field(default_factory=threading.Condition)
    stop: threading.Event = field(default_factory=threading.Event)
    taken: set[tuple[int, bytes]] = field(default_factory=set)
    done: set[tuple[int, bytes]] = field(default_factory=set)
    seated: set[int] = field(default_factory=set)
    sitting: set[str] = field(default_factory=set)
    questions: "Questions" = field(default_factory=queue.SimpleQueue)


Questions = queue.SimpleQueue[Callable[[], None] | None]


class _FromThread:
    """The person, for a card's thread: questions are put by the main thread, one at a time."""

    def __init__(self, attendant: Attendant, questions: Questions) -> None:
        self._attendant = attendant
        self._questions = questions

    def say(self, text: str) -> None:
        self._attendant.say(text)

    def progress(self, label: str, done: int, total: int) -> None:
        self._attendant.progress(label, done, total)

    def waiting(self, label: str, reason: str, seconds: int) -> None:
        self._attendant.waiting(label, reason, seconds)

    def pin_for(self, label: str, card: CardIdentity) -> Pin:
        return self._asked(lambda: self._attendant.pin_for(label, card))

    def secret_for(self, label: str, kind: str, *, optional: bool = False) -> Secret | None:
        return self._asked(lambda: self._attendant.secret_for(label, kind, optional=optional))

    def _asked(self, question: Callable[[], T]) -> T:
        answer: Future[T] = Future()
        self._questions.put(lambda: _answered(answer, question))
        return answer.result()


def collect(offered: Sequence[Slot], table: Table) -> list[Outcome]:
    """Let every card offered sign what it can; one that fails does not stop the others.

    Cards are identified before any PIN is asked for. On Ctrl-C every card is let go, what was
    signed stays kept, the person is told, and KeyboardInterrupt goes on.
    """
    meeting = _Round(table)
    found: list[list[Outcome]] = [[] for _ in offered]
    threads = [
        threading.Thread(target=_attended, args=(slot, place, meeting, into), daemon=True)
        for place, (slot, into) in enumerate(zip(offered, found, strict=True))
    ]
    for thread in threads:
        thread.start()
    try:
        _answer_questions(meeting, len(threads))
    except KeyboardInterrupt:
        meeting.stop.set()
        for thread in threads:
            thread.join(GRACE / len(threads))
        _tell(table.attendant, found)
        raise
    return [outcome for outcomes in found for outcome in outcomes]


def _answer_questions(meeting: _Round, threads: int) -> None:
    """Ask the person what the threads want to know, until each has said that it is done."""
    while threads:
        try:
            question = meeting.questions.get(timeout=SLICE)
        except queue.Empty:
            continue
        if question is None:
            threads -= 1
        else:
            question()


def _attended(slot: Slot, place: int, meeting: _Round, into: list[Outcome]) -> None:
    try:
        _attend(slot, place, meeting, into)
    finally:
        meeting.questions.put(None)


def _tell(attendant: Attendant, found: Sequence[Sequence[Outcome]]) -> None:
    done = [outcome for outcomes in found for outcome in outcomes if outcome.signatures]
    said = ", ".join(f"card {each.label} gave {each.signatures}" for each in done)
    attendant.say(f"stopped; {said or 'no card'} signatures, kept; nothing else was done")


def _attend(slot: Slot, place: int, meeting: _Round, into: list[Outcome]) -> None:
    """Serve one place: the card in it, and those put in after it."""
    number = -1 if slot.arrival is None else slot.arrival(-1, 0)
    first = True
    while not meeting.stop.is_set():
        outcome = None if number is None else _turn(slot, place, meeting)
        if outcome is not None and (first or _counts(outcome)):
            into.append(outcome)
        elif outcome is not None:
            meeting.table.attendant.say(f"reader {slot.name}: {outcome.error}")
        first = False
        if slot.arrival is None:
            return
        number = _next_card(slot, meeting, -1 if number is None else number)
        if number is None:
            if not into and outcome is None:
                into.append(Outcome(slot.name, None, 0, 0.0, _empty(slot)))
            return


def _counts(outcome: Outcome) -> bool:
    """Tell whether a card put in later belongs into the summary: a stranger does not."""
    return outcome.error is None or outcome.seated


def _empty(slot: Slot) -> CardError:
    return CardRemoved(f"there is no card on reader {slot.name}")


def _next_card(slot: Slot, meeting: _Round, seen: int) -> int | None:
    """Ask for the next card by name and place, and wait for one; None where none is wanted."""
    told: list[Wanted] = []
    left = meeting.table.manner.wait_seconds
    while left > 0 and not meeting.stop.is_set():
        with meeting.lock:
            wanted = [w for w in meeting.table.missing() if _may_come(w, meeting)]
        if not wanted:
            return None
        if wanted != told:
            told = wanted
            names = " or ".join(each.words for each in wanted)
            meeting.table.attendant.say(f"reader {slot.name}: now {names}")
        arrived = slot.arrival(seen, min(SLICE, left)) if slot.arrival else None
        if arrived is not None:
            return arrived
        left -= SLICE
    return None


def _unclaimed(seat: Seat, meeting: _Round) -> list[SigningRequest]:
    """Return what nobody else signs; another carrier of the same key is let finish first."""

    def free() -> list[SigningRequest]:
        return [r for r in seat.requests if (r.input_index, r.pubkey) not in meeting.taken]

    def settled() -> bool:
        asked = {(r.input_index, r.pubkey) for r in seat.requests}
        return bool(free()) or asked <= meeting.done or meeting.stop.is_set()

    meeting.lock.wait_for(settled)
    return free()


def _may_come(wanted: Wanted, meeting: _Round) -> bool:
    only = meeting.table.manner.only
    return wanted.label not in meeting.sitting and (only is None or wanted.label in only)


def _turn(slot: Slot, place: int, meeting: _Round) -> Outcome | None:
    """Have the card in a slot sign; None where a reader turns out to be empty."""
    table = meeting.table
    person = _FromThread(table.attendant, meeting.questions)
    turn = Turn(slot, person, table.seat_of, table.manner.last_attempt, meeting.stop)

    def claim(seat: Seat) -> Seat:
        with meeting.lock:
            meeting.lock.wait_for(lambda: meeting.seated >= set(range(place)), GRACE)
            meeting.seated.add(place)
            meeting.sitting.add(seat.label)
            own = _unclaimed(seat, meeting)
            meeting.taken.update((r.input_index, r.pubkey) for r in own)
            meeting.lock.notify_all()
        return seat._replace(requests=own)

    def keep(seat: Seat, request: SigningRequest, signature: bytes) -> None:
        with meeting.lock:
            table.keep(seat, request, signature)
            meeting.done.add((request.input_index, request.pubkey))

    outcome = turn.taken(claim, keep, table.manner.wait_seconds)
    with meeting.lock:
        meeting.taken.difference_update((r.input_index, r.pubkey) for r in turn.left)
        meeting.sitting.discard(outcome.label)
        meeting.seated.add(place)
        meeting.lock.notify_all()
    vanished = slot.arrival is not None and isinstance(outcome.error, CardRemoved)
    return None if vanished and not outcome.seated else outcome


def _answered(answer: "Future[T]", question: Callable[[], T]) -> None:
    """Put a question to the person; a refusal goes back to the thread, Ctrl-C to the program."""
    try:
        answer.set_result(question())
    except (CardError, CoordinatorError, OSError) as failure:
        answer.set_exception(failure)
    except KeyboardInterrupt:
        answer.set_exception(Stopped())
        raise
