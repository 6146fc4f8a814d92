"""What a card's thread ends in, whatever was raised; what was signed is never lost in silence."""

import queue
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from cards.errors import CardRemoved, NotUnlocked, PinBlocked, PinIncorrect
from cards.pin import Pin
from cards.session import CardIdentity
from coordinator.errors import CoordinatorError, PinMissing, SignatureNotKept
from coordinator.readers.slots import KnownCard, Slot
from coordinator.signing import collector
from coordinator.signing.card_signer import CardShare
from coordinator.signing.collector import Given, Outcome, SigningTask, WaitPolicy, Wanted
from storage.errors import StorageError
from tests.coordinator.signing.test_card_signer import (
    FakeCollection,
    Reader,
    fixed,
    good,
    in_reader,
)
from tests.coordinator.signing.test_collector import REQUESTS, Card

WRONG, RIGHT = b"0000", b"1234"
Made = Callable[..., list[Outcome]]


@pytest.fixture
def collection(monkeypatch: pytest.MonkeyPatch) -> FakeCollection:
    return FakeCollection(monkeypatch)


class Locked(Card):
    """A card that counts wrong PINs."""

    family = "test"

    def __init__(self, name: str, attempts: int | None = 3, right: bytes = RIGHT) -> None:
        super().__init__(name, attempts)
        self.right = right

    def unlock(self, pin: Pin) -> None:
        super().unlock(pin)
        if pin.reveal() != self.right:
            if self.attempts is not None:
                self.attempts -= 1
            raise PinIncorrect(self.attempts)


class Slow(Card):
    """A card that goes on signing when the others have ended."""

    def __init__(self, name: str, until: threading.Event) -> None:
        super().__init__(name)
        self.until = until

    def sign(self, path: tuple[int, ...], digest: bytes) -> bytes:
        assert self.until.wait(10)
        return super().sign(path, digest)


def relaid(card: Card, times: int = 4) -> Slot:
    """Return a reader on which one card is lifted and laid down again and again."""
    reader = Reader(*[card] * times)
    return Slot("reader", emulated=False, connect=reader.connect, arrival=reader.arrival)


def test_a_refused_pin_is_told_at_once_and_the_others_end_first(collection: FakeCollection) -> None:
    told = threading.Event()
    say = collection.person.say
    collection.person.say = lambda text: (say(text), told.set() if "refused" in text else None)
    card = Locked("a", right=b"9999")
    first, second = collection.collect(in_reader(card), fixed(Slow("b", told)), wait_seconds=300)
    assert isinstance(first.error, PinIncorrect)
    assert (second.error, second.signatures) == (None, 4)
    assert "card a: the card refused the PIN; attempts: 2 left" in collection.person.told
    assert card.pins == [RIGHT]


def test_without_a_person_who_types_nobody_is_waited_for_after_a_refused_pin(
    collection: FakeCollection,
) -> None:
    card = Locked("a", right=b"9999")
    outcomes = collection.collect(relaid(card), in_reader(), wait_seconds=300)
    assert isinstance(outcomes[0].error, PinIncorrect)
    assert card.pins == [RIGHT]
    assert card.attempts == 2


@pytest.mark.parametrize("attempts", [3, None])
def test_a_refused_pin_that_is_typed_again_is_not_presented_again(
    collection: FakeCollection, attempts: int | None
) -> None:
    card = Locked("a", attempts, right=b"9999")
    outcomes = collection.collect(relaid(card), typed=True)
    assert card.pins == [RIGHT]
    assert isinstance(outcomes[0].error, PinIncorrect)
    assert "refused this PIN before" in str(outcomes[1].error)
    assert collection.person.asked == ["a"] * 4


def test_another_pin_that_is_typed_is_presented(collection: FakeCollection) -> None:
    card, typed = Locked("a"), iter([WRONG, RIGHT])
    collection.person.pin_for = lambda *_: Pin(next(typed))
    outcomes = collection.collect(relaid(card, 2), wait_seconds=1.0, typed=True)
    assert card.pins == [WRONG, RIGHT]
    assert [(o.label, o.signatures) for o in outcomes] == [("a", 0), ("a", 4)]


def test_a_card_that_lies_there_is_not_asked_for(collection: FakeCollection) -> None:
    card = Locked("a", right=b"9999")
    collection.collect(in_reader(card), typed=True, wait_seconds=0.5)
    asked = [text for text in collection.person.told if "now" in text]
    assert asked == [
        "reader reader: now the card labelled b, kept at home or the card labelled c, kept at home"
    ]
    collection.person.told.clear()
    collection.collect(in_reader(card), typed=True, wait_seconds=300, only=frozenset({"a"}))
    assert not [text for text in collection.person.told if "now" in text]


def test_a_card_that_gave_way_to_another_is_asked_for_again(collection: FakeCollection) -> None:
    refused, asked_for = threading.Event(), threading.Event()

    def say(text: str) -> None:
        if "refused" in text:
            refused.set()
        if refused.is_set() and text.startswith("reader other: now card a"):
            asked_for.set()

    def arrival(*_: object) -> None:
        threading.Event().wait(0.01)

    collection.person.say = say
    both = [Wanted(label, f"card {label}") for label in "ab"]
    collection.missing = lambda: [] if len(collection.kept) == len(REQUESTS) else both
    cards = in_reader(Locked("a", right=b"9999"), Slow("b", asked_for))
    other = Slot("other", emulated=False, connect=Reader().connect, arrival=arrival)
    outcomes = collection.collect(cards, other, typed=True, wait_seconds=300)
    assert [(o.label, o.signatures) for o in outcomes[:2]] == [("a", 0), ("b", 4)]


def test_a_card_lifted_before_it_said_who_it_is_is_no_outcome(collection: FakeCollection) -> None:
    def identity() -> CardIdentity:
        raise CardRemoved("gone")

    ghost = good("b")
    ghost.identity = identity
    outcomes = collection.collect(in_reader(good("a"), ghost), wait_seconds=0.5)
    assert [(o.label, o.signatures) for o in outcomes] == [("a", 4)]


@pytest.mark.parametrize("error", [PinBlocked("blocked"), PinIncorrect(0)])
def test_a_blocked_card_ends_the_wait_too(collection: FakeCollection, error: Exception) -> None:
    card = good("a")

    def unlock(_: Pin) -> None:
        raise error

    card.unlock = unlock
    outcomes = collection.collect(in_reader(card), wait_seconds=300)
    assert [o.error for o in outcomes] == [error]


def test_a_card_without_its_pin_given_does_not_end_the_wait(collection: FakeCollection) -> None:
    pin_for = collection.person.pin_for

    def some(label: str, card: CardIdentity) -> Pin:
        if label == "c":
            raise PinMissing(label)
        return pin_for(label, card)

    collection.person.pin_for = some
    outcomes = collection.collect(in_reader(good("c"), good("a"), good("b")))
    assert [(o.label, o.signatures) for o in outcomes] == [("c", 0), ("a", 4), ("b", 4)]


class LostInUnlock(Locked):
    """Its connection breaks when it has counted the PIN; lifted and laid down it is back."""

    def unlock(self, pin: Pin) -> None:
        super(Locked, self).unlock(pin)
        if self.attempts is not None:
            self.attempts -= 1
        raise CardRemoved("gone")


@pytest.mark.parametrize(("attempts", "ends_in"), [(5, PinIncorrect), (None, CardRemoved)])
def test_a_pin_whose_answer_was_lost_is_not_presented_again_by_itself(
    collection: FakeCollection, attempts: int | None, ends_in: type[Exception]
) -> None:
    card = LostInUnlock("a", attempts)
    outcomes = collection.collect(relaid(card), only=frozenset({"a"}))
    assert len(card.pins) == 1
    assert isinstance(outcomes[0].error, ends_in)


BUGS = [ValueError("bug"), OverflowError("int too large"), AttributeError("x"), RuntimeError("y")]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: type(bug).__name__)
@pytest.mark.parametrize("at", ["identity", "unlock", "sign"])
def test_whatever_a_driver_raises_is_the_outcome_of_its_card(
    collection: FakeCollection, bug: Exception, at: str
) -> None:
    card = good("a")

    def broken(*_: object) -> None:
        raise bug

    setattr(card, at, broken)
    first, second = collection.collect(fixed(card), fixed(good("b")))
    assert (first.error, second.error, second.signatures) == (bug, None, 4)


def test_whatever_asking_a_person_raises_is_the_outcome_of_the_card(
    collection: FakeCollection,
) -> None:
    bug = UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no")

    def pin_for(*_: object) -> Pin:
        raise bug

    collection.person.pin_for = pin_for
    outcomes = collection.collect(fixed(good("a")), fixed(good("b")))
    assert [outcome.error for outcome in outcomes] == [bug, bug]


def test_a_reader_that_breaks_while_it_waits_is_an_outcome(collection: FakeCollection) -> None:
    reader = Reader(good("a"))
    seen: list[float] = []

    def arrival(number: int, seconds: float) -> int | None:
        if number >= 0:
            seen.append(seconds)
            raise CardRemoved("there is no reader any more")
        return reader.arrival(number, seconds)

    slot = Slot("reader", emulated=False, connect=reader.connect, arrival=arrival)
    first, second = collection.collect(slot)
    assert (first.label, first.signatures, first.error) == ("a", 4, None)
    assert "no reader any more" in str(second.error)


class Kept:
    """A task whose book fails at times."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("coordinator.readers.slots.detect", lambda transport, _: transport)
        self.collection = FakeCollection(monkeypatch)
        self.kept: list[tuple[str, int]] = []
        self.failures: list[Exception] = []
        self.handed: list[tuple[str, list[int]]] = []

    def keep(self, share: CardShare, asked: Any, _signature: bytes) -> None:  # noqa: ANN401 -- any request
        if self.failures:
            raise self.failures.pop(0)
        self.kept.append((share.label, asked.input_index))

    def not_kept(self, label: str, given: list[Given], reason: Exception) -> CoordinatorError:
        self.handed.append((label, [each.request.input_index for each in given]))
        return SignatureNotKept(label, len(given), reason, psbt="cHNidP8=")

    def collect(self, *slots: Slot) -> list[Outcome]:
        def share_of(identity: CardIdentity) -> CardShare:
            return CardShare(identity.card_id, 1, REQUESTS)

        task = SigningTask(share_of, self.keep, self.collection.person, not_kept=self.not_kept)
        return collector.collect(list(slots), task)


@pytest.fixture
def book(monkeypatch: pytest.MonkeyPatch) -> Kept:
    return Kept(monkeypatch)


FULL = [StorageError("database or disk is full"), OSError(28, "No space left on device")]


@pytest.mark.parametrize("failure", FULL, ids=["storage", "system"])
def test_signatures_that_cannot_be_stored_are_handed_over_all(
    book: Kept, failure: Exception
) -> None:
    book.failures = [failure] * 100
    (outcome,) = book.collect(fixed(good("a")))
    assert book.handed == [("a", [1, 3, 0, 2])]
    assert outcome.signatures == 4
    assert isinstance(outcome.error, SignatureNotKept)
    assert str(failure) in str(outcome.error)


def test_signatures_a_bug_kept_from_being_stored_are_handed_over_with_its_words(
    book: Kept,
) -> None:
    book.failures = [ValueError("the book is upside down")] * 100
    (outcome,) = book.collect(fixed(good("a")))
    assert book.handed == [("a", [1])]
    assert isinstance(outcome.error, SignatureNotKept)
    assert "the book is upside down" in str(outcome.error)


def test_what_can_be_stored_in_the_end_is(book: Kept) -> None:
    book.failures = [StorageError("database is locked")]
    (outcome,) = book.collect(fixed(good("a")))
    assert (book.handed, outcome.error, outcome.signatures) == ([], None, 4)
    assert len(book.kept) == 4


@pytest.mark.parametrize("failure", [*FULL, ValueError("bug")], ids=["storage", "system", "bug"])
def test_two_carriers_of_one_key_end_whatever_the_book_does(book: Kept, failure: Exception) -> None:
    book.failures = [failure] * 100
    outcomes = book.collect(fixed(good("a")), fixed(good("b")))
    assert len(outcomes) == 2
    assert any(isinstance(outcome.error, SignatureNotKept) for outcome in outcomes)
    assert book.handed


def test_a_card_that_says_nothing_before_its_pin_is_held_against_the_cards_expected(
    collection: FakeCollection,
) -> None:
    silent = good("a")

    def identity() -> CardIdentity:
        raise NotUnlocked("it says nothing before its code")

    silent.identity, silent.family = identity, "tangem"
    task = SigningTask(
        collection.share_of,
        lambda *_: None,
        collection.person,
        WaitPolicy(),
        lambda: [Wanted("a", "a")],
        [KnownCard("a", "satochip", "1"), KnownCard("b", "keycard", "2")],
    )
    (outcome,) = collector.collect([fixed(silent)], task)
    assert "expected card a (satochip) or b (keycard), found a tangem card that is not" in str(
        outcome.error
    )
    assert (silent.pins, collection.person.asked) == ([], [])


def test_what_is_told_while_a_question_waits_is_told_after_it() -> None:
    said, questions = list[str](), queue.SimpleQueue[Callable[[], None]]()
    waiting = SimpleNamespace(questions=questions, talking=threading.Lock())
    person = collector._FromThread(SimpleNamespace(say=said.append), waiting)
    person.say("at once")
    questions.put(lambda: said.append("asked"))
    person.say("told")
    assert said == ["at once"]
    while not questions.empty():
        questions.get()()
    assert said == ["at once", "asked", "told"]


def test_a_person_is_asked_and_told_one_thing_at_a_time(collection: FakeCollection) -> None:
    busy = threading.Lock()
    seen: list[str] = []

    def alone(what: str) -> None:
        assert busy.acquire(blocking=False)
        threading.Event().wait(0.02)
        seen.append(what)
        busy.release()

    def pin_for(*_: object) -> Pin:
        alone("pin")
        return Pin(RIGHT)

    collection.person.pin_for = pin_for
    collection.person.say = lambda _: alone("say")
    collection.person.progress = lambda *_: alone("progress")
    collection.collect(fixed(good("a")), fixed(good("b")), in_reader(), wait_seconds=0.5)
    assert set(seen) == {"pin", "say", "progress"}
    assert seen.count("progress") == 8
