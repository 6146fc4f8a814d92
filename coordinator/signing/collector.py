"""Several cards sign at once, a thread for each slot; every answer verified, then kept.

Where there are fewer readers than cards, the next card is asked for.
"""

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from cards.errors import CardRemoved, PinBlocked, PinIncorrect, PinUnsuitable
from cards.pin import Pin, Secret
from cards.session import CardIdentity
from coordinator.errors import CardNotEnrolled, CoordinatorError, LastAttempt, SignatureNotKept
from coordinator.person import Attendant, Leaving, Overhearing, Typist
from coordinator.readers.slots import KnownCard, RefusedPins, Slot
from coordinator.shown_text import counted
from coordinator.signing.card_signer import (
    CardShare,
    CardSigner,
    Enrol,
    Keep,
    Known,
    Outcome,
    ShareOf,
    Stopped,
)
from coordinator.signing.missing_cards import Wanted
from psbt.signer import SigningRequest
from storage.errors import StorageError

__all__ = ["CardShare", "Keep", "Outcome", "ShareOf", "SigningTask", "WaitPolicy", "collect"]

log = logging.getLogger(__name__)
T = TypeVar("T")
SLICE = 0.25
LOOK_AGAIN = 8
"""After so many slices a reader that waits looks whether signatures came in from elsewhere."""
GRACE = 3.0
PIN_IS_NO_USE = (PinIncorrect, PinBlocked, PinUnsuitable, LastAttempt)
NOT_STORED = (StorageError, OSError)


@dataclass(frozen=True)
class WaitPolicy:
    """May a last PIN attempt be used, and how long to wait for further cards.

    `only` are the labels waited for; None means any that is missing. `typed` means that a person
    types every PIN: without one, nobody is waited for once a PIN was refused.
    """

    last_attempt: bool = False
    wait_seconds: float = 0.0
    only: frozenset[str] | None = None
    typed: bool = False


class Given(NamedTuple):
    """A signature that verified, by whom it was given and for what."""

    share: CardShare
    request: SigningRequest
    signature: bytes


@dataclass(frozen=True)
class SigningTask:
    """What each card has to sign, where signatures go, and whom to ask.

    `missing` are the cards the quorum lacks just now: a reader waits for one of them. `cards` are
    all that have a part in this, as far as known; `enrol` enrols another one. `not_kept` hands
    over what could not be stored, and says so. Of more keys than are `needed` those that come
    first sign; a further card signs only where one of them fails. None needs every card. `changed`
    tells that others may have given some meanwhile: who waits looks at once who is missing.
    `turn_over` is told each time a card is done, `ended` at the end; nothing is raised by them.
    """

    share_of: ShareOf
    keep: Keep
    attendant: Attendant
    wait_policy: WaitPolicy = WaitPolicy()
    missing: Callable[[], list[Wanted]] = list
    cards: Sequence[KnownCard] | None = None
    enrol: Enrol | None = None
    not_kept: Callable[[str, Sequence[Given], BaseException], CoordinatorError] = (
        lambda label, given, reason: SignatureNotKept(label, len(given), reason)
    )
    needed: int | None = None
    changed: Callable[[], bool] = lambda: False
    turn_over: Callable[[], None] = lambda: None
    ended: Callable[[], None] = lambda: None


KeyRequests = frozenset[tuple[int, bytes]]
"""What one key signs: by this a key is known, whichever card carries it."""


@dataclass
class _Collection:
    """One collection: what its threads share."""

    task: SigningTask
    lock: threading.Condition = field(default_factory=threading.Condition)
    stop: threading.Event = field(default_factory=threading.Event)
    taken: set[tuple[int, bytes]] = field(default_factory=set)
    done: set[tuple[int, bytes]] = field(default_factory=set)
    identified: set[int] = field(default_factory=set)
    signing_now: set[str] = field(default_factory=set)
    at_work: dict[int, KeyRequests] = field(default_factory=dict)
    finished: set[KeyRequests] = field(default_factory=set)
    surplus: set[int] = field(default_factory=set)
    lying: dict[int, str] = field(default_factory=dict)
    signers: dict[int, CardSigner] = field(default_factory=dict)
    refused: RefusedPins = field(default_factory=RefusedPins)
    enough: threading.Event = field(default_factory=threading.Event)
    unkept: list[Given] = field(default_factory=list)
    not_stored: Exception | None = None
    talking: threading.Lock = field(default_factory=threading.Lock)
    questions: "Questions" = field(default_factory=queue.SimpleQueue)


Questions = queue.SimpleQueue[Callable[[], None] | None]


class _FromThread:
    """The person, for a card's thread: asked by the main thread, and told one thing at a time.

    What is to be told while a question is open, or something else is told, is told after it.
    """

    def __init__(self, attendant: Attendant, collection: _Collection) -> None:
        self._attendant = attendant
        self._questions = collection.questions
        self._talking = collection.talking

    def say(self, text: str) -> None:
        self._told(lambda: self._attendant.say(text))

    def progress(self, label: str, done: int, total: int) -> None:
        self._told(lambda: self._attendant.progress(label, done, total))

    def waiting(self, label: str, reason: str, seconds: int) -> None:
        self._told(lambda: self._attendant.waiting(label, reason, seconds))

    def types(self) -> bool:
        return isinstance(self._attendant, Typist) and self._attendant.types()

    def pin_for(self, label: str, card: CardIdentity) -> Pin:
        return self._asked(lambda: self._attendant.pin_for(label, card))

    def secret_for(self, label: str, kind: str, *, optional: bool = False) -> Secret | None:
        return self._asked(lambda: self._attendant.secret_for(label, kind, optional=optional))

    def label_for(self, why: str, known: str | None) -> str | None:
        return self._asked(lambda: self._attendant.label_for(why, known))

    def agreed(self, code: str, why: str) -> bool:
        return self._asked(lambda: self._attendant.agreed(code, why))

    def _told(self, telling: Callable[[], None]) -> None:
        answer: Future[None] = Future()
        if isinstance(self._attendant, Overhearing) and self._attendant.overhears():
            with _HandedBack(answer):
                telling()
            return
        if not self._questions.empty() or not self._talking.acquire(blocking=False):
            self._questions.put(lambda: _answered(answer, telling))
            return
        try:
            with _HandedBack(answer):
                telling()
        finally:
            self._talking.release()

    def _asked(self, question: Callable[[], T]) -> T:
        answer: Future[T] = Future()
        self._questions.put(lambda: _answered(answer, question))
        return answer.result()


def collect(offered: Sequence[Slot], task: SigningTask) -> list[Outcome]:
    """Let every card offered sign what it can; one that fails does not stop the others.

    Cards are identified before any PIN is asked for. Whatever is raised while a card is served is
    its outcome; a signature that cannot be stored is handed over. On Ctrl-C every card is let go,
    what was signed stays kept, the person is told, and KeyboardInterrupt goes on.
    """
    collection = _Collection(task)
    found: list[list[Outcome]] = [[] for _ in offered]
    threads = [
        threading.Thread(
            target=_attended, args=(slot, place, collection), kwargs={"into": into}, daemon=True
        )
        for place, (slot, into) in enumerate(zip(offered, found, strict=True))
    ]
    for thread in threads:
        thread.start()
    try:
        _answer_questions(collection, len(threads))
    except KeyboardInterrupt:
        collection.stop.set()
        for thread in threads:
            thread.join(GRACE / len(threads))
        done = [outcome for outcomes in found for outcome in outcomes if outcome.signatures]
        gave = (f"card {each.label} gave {counted(each.signatures, 'signature')}" for each in done)
        kept = f"{', '.join(gave)}, kept" if done else "no card has signed"
        task.attendant.say(f"stopped; {kept}; nothing else was done")
        _handed_over(collection, [])
        raise
    finally:
        collection.refused.close()
    return _handed_over(collection, [outcome for outcomes in found for outcome in outcomes])


def _answer_questions(collection: _Collection, threads: int) -> None:
    """Ask and tell the person what the threads want, until each has said that it is done."""
    while threads:
        try:
            question = collection.questions.get(timeout=SLICE)
        except queue.Empty:
            if (
                isinstance(collection.task.attendant, Leaving)
                and collection.task.attendant.stopped()
            ):
                raise KeyboardInterrupt from None
            continue
        if question is None:
            threads -= 1
        else:
            with collection.talking:
                question()


def _attended(slot: Slot, place: int, collection: _Collection, *, into: list[Outcome]) -> None:
    """Serve one place; whatever is raised there is an outcome."""
    try:
        _attend(slot, place, collection, into=into)
    except Exception as failure:  # the thread's end
        log.debug("reader %s", slot.name, exc_info=True)
        card_signer = collection.signers.get(place)
        into.append(
            card_signer.outcome(failure)
            if card_signer
            else Outcome(slot.name, None, 0, 0.0, failure)
        )
    finally:
        collection.questions.put(None)


def _handed_over(collection: _Collection, outcomes: list[Outcome]) -> list[Outcome]:
    """Try once more to store what could not be; hand the rest over, and say so in its outcome."""
    with collection.lock:
        unkept, reason = list(collection.unkept), collection.not_stored

    again: Future[None] = Future()
    with _HandedBack(again):
        while unkept:
            collection.task.keep(*unkept[0])
            del unkept[0]
    with collection.lock:
        collection.task.ended()
    failed: dict[str, CoordinatorError] = {}
    for label in sorted({each.share.label for each in unkept}):
        own = [each for each in unkept if each.share.label == label]
        why = reason or again.exception() or CoordinatorError("the program failed")
        failed[label] = collection.task.not_kept(label, own, why)
    return [
        outcome._replace(error=failed[outcome.label]) if outcome.label in failed else outcome
        for outcome in outcomes
    ]


def _attend(slot: Slot, place: int, collection: _Collection, *, into: list[Outcome]) -> None:
    """Serve one place: the card in it, and those put in after it."""
    person = _FromThread(collection.task.attendant, collection)
    number = -1 if slot.arrival is None else slot.arrival(-1, 0)
    first = True
    while not collection.stop.is_set():
        outcome = None if number is None else _served(slot, place, collection)
        if outcome is not None:
            # a card put in later belongs into the summary unless it is a stranger
            lasting = isinstance(outcome.error, (*PIN_IS_NO_USE, CardNotEnrolled))
            if first or outcome.error is None or outcome.identified or lasting:
                into.append(outcome)
            if outcome.error is not None:
                who = f"card {outcome.label}" if outcome.identified else f"reader {slot.name}"
                person.say(f"{who}: {said_of(outcome.error)}")
            if isinstance(outcome.error, PIN_IS_NO_USE) and not collection.task.wait_policy.typed:
                collection.enough.set()
        first = False
        if slot.arrival is None:
            return
        number = _next_card(slot, person, collection, seen=-1 if number is None else number)
        if number is None:
            if not into and outcome is None:
                empty = CardRemoved(f"there is no card on reader {slot.name}")
                into.append(Outcome(slot.name, None, 0, 0.0, empty))
            return
        with collection.lock:
            collection.lying.pop(place, None)


def said_of(error: Exception) -> str:
    """Return what is said of an error at once, with the command that mends it where it has one."""
    if isinstance(error, CardNotEnrolled):
        return f"{error}; {error.remedy}"
    return str(error)


def _next_card(
    slot: Slot, person: _FromThread, collection: _Collection, *, seen: int
) -> int | None:
    """Ask for the next card by name and place, and wait for one; None where none is wanted."""
    told: list[Wanted] = []
    lacking: list[Wanted] = []
    again, done = 0, -1
    left = collection.task.wait_policy.wait_seconds
    while left > 0 and not collection.stop.is_set() and not collection.enough.is_set():
        with collection.lock:
            changed = collection.task.changed()
            if changed or again == 0 or done != len(collection.done):
                lacking, done, again = collection.task.missing(), len(collection.done), LOOK_AGAIN
            wanted = [w for w in lacking if _may_come(w, collection)]
        again -= 1
        if not wanted:
            return None
        if wanted != told:
            told = wanted
            names = " or ".join(each.words for each in wanted)
            person.say(f"reader {slot.name}: now {names}")
        arrived = slot.arrival(seen, min(SLICE, left)) if slot.arrival else None
        if arrived is not None:
            return arrived
        left -= SLICE
    return None


def _unclaimed(share: CardShare, collection: _Collection) -> list[SigningRequest]:
    """Return what nobody else signs; another carrier of the same key is let finish first."""

    def free() -> list[SigningRequest]:
        return [r for r in share.requests if (r.input_index, r.pubkey) not in collection.taken]

    def settled() -> bool:
        asked = {(r.input_index, r.pubkey) for r in share.requests}
        return bool(free()) or asked <= collection.done or collection.stop.is_set()

    collection.lock.wait_for(settled)
    return free()


def _needed(share: CardShare, place: int, collection: _Collection) -> list[SigningRequest]:
    """Return what a card signs: nothing where others make the quorum without it.

    Called with the lock.
    """
    key = frozenset((request.input_index, request.pubkey) for request in share.requests)
    while own := _unclaimed(share, collection):
        needed = _decided(key, place, collection)
        if needed is not None:
            return own if needed else []
    return []


def _decided(key: KeyRequests, place: int, collection: _Collection) -> bool | None:
    """Tell whether the key at a place is needed besides those at work and done.

    None as long as those at work may still fail, after a moment; called with the lock.
    """
    needed = collection.task.needed
    others = {each for at, each in collection.at_work.items() if at != place} - {key}
    finished = collection.finished - {key}
    if collection.stop.is_set():
        return False
    if needed is None or len(finished | others) < needed:
        collection.at_work[place] = key
        return True
    if len(finished) >= needed:
        collection.surplus.add(place)
        return False
    collection.lock.wait(SLICE)
    return None


def _unseen_needed(place: int, collection: _Collection) -> bool:
    """Wait until it is clear whether a card is needed that says nothing before its PIN.

    Until it tells which key it has, it counts as one that nobody else has.
    """
    with collection.lock:
        collection.lock.wait_for(lambda: collection.identified >= set(range(place)), GRACE)
        collection.identified.add(place)
        collection.lock.notify_all()
        while (needed := _decided(frozenset({(place, b"")}), place, collection)) is None:
            pass
        return needed


def _may_come(wanted: Wanted, collection: _Collection) -> bool:
    """Tell whether a card is to be asked for: none that is at work, or lies on a reader."""
    only = collection.task.wait_policy.only
    there = wanted.label in collection.signing_now or wanted.label in collection.lying.values()
    return not there and (only is None or wanted.label in only)


def _served(slot: Slot, place: int, collection: _Collection) -> Outcome | None:
    """Have the card in a slot sign; None where a reader turns out to be empty."""
    task = collection.task
    person = _FromThread(task.attendant, collection)
    known = Known(
        task.cards,
        task.wait_policy.typed,
        task.enrol,
        collection.refused,
        lambda: _unseen_needed(place, collection),
    )
    card_signer = CardSigner(
        slot,
        person,
        task.share_of,
        last_attempt=task.wait_policy.last_attempt,
        stop=collection.stop,
        known=known,
    )
    collection.signers[place] = card_signer

    def claim(share: CardShare) -> CardShare:
        with collection.lock:
            collection.lock.wait_for(lambda: collection.identified >= set(range(place)), GRACE)
            collection.identified.add(place)
            collection.signing_now.add(share.label)
            own = _needed(share, place, collection)
            collection.taken.update((r.input_index, r.pubkey) for r in own)
            collection.lock.notify_all()
        return share._replace(requests=own)

    def keep(share: CardShare, request: SigningRequest, signature: bytes) -> None:
        with collection.lock:
            _kept(collection, Given(share, request, signature))
            collection.done.add((request.input_index, request.pubkey))

    try:
        outcome = card_signer.taken(claim, keep, task.wait_policy.wait_seconds)
    finally:
        with collection.lock:
            task.turn_over()
            label = card_signer.outcome(None).label
            collection.taken.difference_update((r.input_index, r.pubkey) for r in card_signer.left)
            key = collection.at_work.pop(place, None)
            if key and key <= collection.done:
                collection.finished.add(key)
            collection.signing_now.discard(label)
            collection.identified.add(place)
            collection.lying[place] = label
            collection.lock.notify_all()
    del collection.signers[place]
    if place in collection.surplus:
        collection.surplus.discard(place)
        outcome = outcome._replace(not_needed=True)
    vanished = slot.arrival is not None and isinstance(outcome.error, CardRemoved)
    if vanished:
        with collection.lock:
            collection.lying.pop(place, None)
    return None if vanished and not outcome.identified else outcome


def _kept(collection: _Collection, given: Given) -> None:
    """Store a signature; one that cannot be is held until the end, and so are those after it."""
    collection.unkept.append(given)
    if collection.not_stored is not None:
        return
    try:
        collection.task.keep(*given)
    except NOT_STORED as failure:
        collection.not_stored = failure
    else:
        collection.unkept.pop()


def _answered(answer: "Future[T]", question: Callable[[], T]) -> None:
    """Put a question to the person; a refusal goes back to the thread, Ctrl-C to the program."""
    try:
        with _HandedBack(answer):
            answer.set_result(question())
    except KeyboardInterrupt:
        answer.set_exception(Stopped())
        raise


class _HandedBack:
    """Hands what goes wrong with a question back to the thread that asked."""

    def __init__(self, answer: "Future[T]") -> None:
        self._answer = answer

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _at: object
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        self._answer.set_exception(error)
        return True
