"""Readers in which cards come and go: asked for, resumed, given up; nothing is lost."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from cards.errors import (
    CardError,
    CardRemoved,
    CardReset,
    NotUnlocked,
    PinIncorrect,
    ProtocolError,
    SecureChannelError,
    TransportError,
    WrongCard,
)
from cards.pin import Pin
from cards.session import CardIdentity
from coordinator.readers.slots import KnownCard, Slot
from coordinator.signing import collector
from coordinator.signing.card_signer import SLICE, CardSigner, Known, Stopped
from coordinator.signing.collector import (
    CardShare,
    Outcome,
    SigningTask,
    WaitPolicy,
    Wanted,
)
from tests.coordinator.signing.test_collector import REQUESTS, Card

LABELS = ("a", "b", "c")


class Reader:
    """A reader a test puts cards into; `failing` raises at the given answers, once each."""

    def __init__(self, *cards: Card) -> None:
        self.queue = list(cards)
        self.number = 0
        self.card: Card | None = None
        self.swap()

    def swap(self) -> None:
        self.card = self.queue.pop(0) if self.queue else None
        self.number += 1

    def arrival(self, seen: int, _seconds: float) -> int | None:
        if (self.card is None or self.number <= seen) and self.queue:
            self.swap()
        return self.number if self.card is not None and self.number > seen else None

    def connect(self) -> Card:
        if self.card is None:
            raise CardRemoved("there is no card on the reader")
        return self.card


class Faulty(Card):
    """A card whose nth signature fails once with each of these errors."""

    def __init__(self, name: str, failures: dict[int, CardError], attempts: int | None = 5) -> None:
        super().__init__(name, attempts)
        self.failures = failures
        self.family = "test"

    def sign(self, path: tuple[int, ...], digest: bytes) -> bytes:
        failure = self.failures.pop(len(self.asked), None)
        if failure is not None:
            raise failure
        return super().sign(path, digest)


class Person:
    def __init__(self) -> None:
        self.told: list[str] = []
        self.asked: list[str] = []
        self.threads: set[int] = set()
        self.pins: list[Pin] = []

    def pin_for(self, label: str, _card: CardIdentity) -> Pin:
        self.asked.append(label)
        self.threads.add(threading.get_ident())
        self.pins.append(Pin(b"1234"))
        return self.pins[-1]

    def say(self, text: str) -> None:
        self.told.append(text)

    def progress(self, *_: object) -> None:
        return


class FakeCollection:
    """A 2-of-3 ceremony that counts what it kept."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("coordinator.readers.slots.detect", lambda transport, _: transport)
        self.person = Person()
        self.kept: list[tuple[str, int]] = []

    def share_of(self, identity: CardIdentity) -> CardShare | None:
        if identity.card_id not in LABELS:
            return None
        first = 10 * LABELS.index(identity.card_id)
        requests = [r._replace(input_index=first + r.input_index) for r in REQUESTS]
        left = [r for r in requests if (identity.card_id, r.input_index) not in self.kept]
        return CardShare(identity.card_id, 1, left)

    def missing(self) -> list[Wanted]:
        done = {x for x in LABELS if sum(label == x for label, _ in self.kept) == len(REQUESTS)}
        if len(done) >= 2:
            return []
        return [Wanted(x, f"the card labelled {x}, kept at home") for x in LABELS if x not in done]

    def changed(self) -> bool:
        return False

    def collect(self, *slots: Slot, **wait_policy: Any) -> list[Outcome]:  # noqa: ANN401 -- WaitPolicy's own
        task = SigningTask(
            share_of=self.share_of,
            keep=lambda share, asked, _: self.kept.append((share.label, asked.input_index)),
            attendant=self.person,
            wait_policy=WaitPolicy(**{"wait_seconds": 2.0, **wait_policy}),
            missing=self.missing,
            changed=self.changed,
        )
        return collector.collect(list(slots), task)


@pytest.fixture
def collection(monkeypatch: pytest.MonkeyPatch) -> FakeCollection:
    return FakeCollection(monkeypatch)


def in_reader(*cards: Card) -> Slot:
    reader = Reader(*cards)
    return Slot("reader", emulated=False, connect=reader.connect, arrival=reader.arrival)


def fixed(card: Card) -> Slot:
    return Slot(card.name, emulated=True, connect=lambda: card)


def good(name: str) -> Card:
    return Faulty(name, {})


def test_one_reader_and_two_cards(collection: FakeCollection) -> None:
    outcomes = collection.collect(in_reader(good("a"), good("b")))
    assert [(o.label, o.signatures, o.error) for o in outcomes] == [("a", 4, None), ("b", 4, None)]
    assert len(collection.kept) == 8
    assert collection.person.asked == ["a", "b"]
    assert collection.person.told == [
        "reader reader: now the card labelled b, kept at home or the card labelled c, kept at home"
    ]


def test_nobody_is_waited_for_beyond_the_quorum(collection: FakeCollection) -> None:
    outcomes = collection.collect(in_reader(good("a"), good("b"), good("c")))
    assert [o.label for o in outcomes] == ["a", "b"]


def test_more_cards_than_needed_may_sign(collection: FakeCollection) -> None:
    outcomes = collection.collect(*(fixed(good(x)) for x in LABELS))
    assert [(o.label, o.signatures) for o in outcomes] == [("a", 4), ("b", 4), ("c", 4)]


def test_a_stranger_put_in_between_is_named_and_the_wait_goes_on(
    collection: FakeCollection,
) -> None:
    outcomes = collection.collect(in_reader(good("a"), good("stranger"), good("b")))
    assert [o.label for o in outcomes] == ["a", "b"]
    assert any("stranger" in said for said in collection.person.told)
    assert collection.person.asked == ["a", "b"]


def test_only_the_cards_whose_pin_is_given_are_waited_for(collection: FakeCollection) -> None:
    outcomes = collection.collect(in_reader(good("a"), good("b")), only=frozenset({"a"}))
    assert [o.label for o in outcomes] == ["a"]
    assert collection.person.told == []


def test_an_empty_reader_is_waited_for_and_told_when_time_is_up(collection: FakeCollection) -> None:
    (outcome,) = collection.collect(in_reader(), wait_seconds=0.5)
    assert isinstance(outcome.error, CardRemoved)
    assert not outcome.identified
    assert "now the card labelled a" in collection.person.told[0]
    reader = Reader()
    reader.queue = [good("a"), good("b")]
    slot = Slot("reader", emulated=False, connect=reader.connect, arrival=reader.arrival)
    assert [o.label for o in collection.collect(slot)] == ["a", "b"]


@pytest.mark.parametrize(
    "failure",
    [CardRemoved("gone"), CardReset("reset"), ProtocolError("garbage"), SecureChannelError("lost")],
)
@pytest.mark.parametrize("place", [in_reader, fixed])
def test_a_card_that_is_cut_off_goes_on_where_it_was(
    collection: FakeCollection, failure: CardError, place: Callable[[Card], Slot]
) -> None:
    card = Faulty("a", {0: failure, 2: failure})
    (outcome,) = collection.collect(place(card), only=frozenset())
    assert (outcome.signatures, outcome.error) == (4, None)
    assert sorted(collection.kept) == [("a", 0), ("a", 1), ("a", 2), ("a", 3)]
    assert collection.person.asked == ["a"]
    assert card.pins == [b"1234"] * 3


def test_a_card_that_never_gets_further_is_given_up(collection: FakeCollection) -> None:
    card = good("a")
    failures = iter(range(100))

    def sign(_path: object, _digest: bytes) -> bytes:
        next(failures)
        raise CardReset("again")

    card.sign = sign
    first, second = collection.collect(fixed(card), fixed(good("b")))
    assert (type(first.error), first.signatures) == (CardReset, 0)
    assert next(failures) == 3
    assert (second.error, second.signatures) == (None, 4)
    again = collection.collect(fixed(good("a")), fixed(good("b")))
    assert [(o.label, o.signatures) for o in again] == [("a", 4), ("b", 0)]
    assert sorted(collection.person.asked) == ["a", "a", "b"]


@pytest.mark.parametrize("failure", [TransportError("mute"), WrongCard("a", "b"), NotUnlocked("x")])
def test_what_trying_again_cannot_help_is_not_tried_again(
    collection: FakeCollection, failure: CardError
) -> None:
    card = Faulty("a", {1: failure})
    (outcome,) = collection.collect(fixed(card))
    assert (outcome.error, outcome.signatures) == (failure, 1)
    assert len(card.pins) == 1


def test_another_card_put_back_gets_no_pin(collection: FakeCollection) -> None:
    other = good("b")
    reader = Reader(Faulty("a", {1: CardRemoved("gone")}), other)

    def connect() -> Card:
        card = reader.connect()
        if isinstance(card, Faulty) and not card.failures and reader.queue:
            reader.swap()
        return reader.connect()

    slot = Slot("reader", emulated=False, connect=connect, arrival=reader.arrival)
    (outcome,) = collection.collect(slot, only=frozenset())
    assert isinstance(outcome.error, WrongCard)
    assert other.pins == []


class LostInUnlock(Faulty):
    """Its connection breaks while a PIN is presented, once; the card may have counted it."""

    def __init__(self, attempts: int | None, *, counted: bool) -> None:
        super().__init__("a", {}, attempts)
        self.counted = counted

    def unlock(self, pin: Pin) -> None:
        super().unlock(pin)
        if len(self.pins) == 1:
            if self.counted and self.attempts is not None:
                self.attempts -= 1
            raise CardRemoved("gone")


@pytest.mark.parametrize(
    ("attempts", "counted", "presented"), [(5, False, 2), (5, True, 1), (None, False, 1)]
)
def test_a_pin_is_presented_again_only_where_no_attempt_was_spent(
    collection: FakeCollection,
    attempts: int | None,
    counted: bool,  # noqa: FBT001 -- by name
    presented: int,
) -> None:
    card = LostInUnlock(attempts, counted=counted)
    (outcome,) = collection.collect(fixed(card))
    assert len(card.pins) == presented
    assert (outcome.error is None) is (presented == 2)


def test_a_wrong_pin_is_presented_once(collection: FakeCollection) -> None:
    card = good("a")

    def unlock(pin: Pin) -> None:
        card.pins.append(pin.reveal())
        raise PinIncorrect(4)

    card.unlock = unlock
    (outcome,) = collection.collect(in_reader(card), only=frozenset())
    assert isinstance(outcome.error, PinIncorrect)
    assert len(card.pins) == 1


def test_a_second_carrier_steps_in_where_the_first_fails(collection: FakeCollection) -> None:
    first = Faulty("a", {1: TransportError("mute")})
    outcomes = collection.collect(in_reader(first, good("a")))
    assert [(o.label, o.signatures) for o in outcomes] == [("a", 1), ("a", 3)]


def test_a_card_silent_before_its_pin_is_asked_by_its_place(collection: FakeCollection) -> None:
    silent = good("a")
    told = silent.identity

    def identity() -> CardIdentity:
        if not silent.pins:
            raise NotUnlocked("it says nothing before its code")
        return told()

    silent.identity = identity
    slot = fixed(silent)._replace(name="place")
    (outcome,) = collection.collect(slot)
    assert (outcome.label, outcome.signatures) == ("a", 4)
    assert collection.person.asked == ["place"]
    assert "says nothing" in collection.person.told[0]


def test_questions_are_put_by_the_main_thread_and_pins_are_wiped(
    collection: FakeCollection,
) -> None:
    collection.collect(*(fixed(good(x)) for x in LABELS))
    assert collection.person.threads == {threading.get_ident()}
    assert all(not any(pin.reveal()) for pin in collection.person.pins)


def test_ctrl_c_keeps_what_was_signed_and_lets_every_card_go(collection: FakeCollection) -> None:
    card, closed = good("a"), threading.Event()
    card.close = closed.set

    def pin_for(_label: str, _card: CardIdentity) -> Pin:
        raise KeyboardInterrupt

    collection.person.pin_for = pin_for
    with pytest.raises(KeyboardInterrupt):
        collection.collect(fixed(card), fixed(good("b")))
    assert closed.wait(5)
    assert collection.person.told[-1].startswith("stopped; ")
    assert card.pins == []


def test_a_turn_that_is_stopped_keeps_what_was_signed(collection: FakeCollection) -> None:
    card, stop = good("a"), threading.Event()
    signs = card.sign

    def sign(path: tuple[int, ...], digest: bytes) -> bytes:
        stop.set()
        return signs(path, digest)

    card.sign = sign
    card_signer = CardSigner(
        fixed(card), collection.person, collection.share_of, last_attempt=False, stop=stop
    )
    outcome = card_signer.taken(lambda share: share, lambda *_: None, 1.0)
    assert isinstance(outcome.error, Stopped)
    assert "what was signed is kept" in str(outcome.error)
    assert (outcome.signatures, len(card.asked), len(card_signer.left)) == (1, 1, 3)


@pytest.mark.parametrize(("seconds", "waited"), [(1.0, 4), (0.5, 2), (0.0, 1)])
def test_a_card_that_was_lost_is_waited_for_so_long(
    collection: FakeCollection, seconds: float, waited: int
) -> None:
    waits: list[float] = []

    def arrival(seen: int, wait: float) -> None:
        assert seen == -1
        waits.append(wait)

    slot = fixed(Faulty("a", {1: CardRemoved("gone")}))._replace(arrival=arrival)
    card_signer = CardSigner(
        slot, collection.person, collection.share_of, last_attempt=False, stop=threading.Event()
    )
    outcome = card_signer.taken(lambda share: share, lambda *_: None, seconds)
    assert isinstance(outcome.error, CardRemoved)
    assert (outcome.signatures, waits) == (1, [SLICE] * waited)
    assert "after 1 of 4 signatures; put it back on reader a" in collection.person.told[-1]


def test_a_card_that_got_further_has_as_many_tries_again(collection: FakeCollection) -> None:
    card = good("a")
    signs, script = card.sign, iter([True, False, True, False, *[False] * 9])
    failed: list[int] = []

    def sign(path: tuple[int, ...], digest: bytes) -> bytes:
        if next(script):
            return signs(path, digest)
        failed.append(len(card.asked))
        raise CardReset("again")

    card.sign = sign
    card_signer = CardSigner(
        fixed(card),
        collection.person,
        collection.share_of,
        last_attempt=False,
        stop=threading.Event(),
    )
    outcome = card_signer.taken(lambda share: share, lambda *_: None, 1.0)
    assert isinstance(outcome.error, CardReset)
    assert failed == [1, 2, 2, 2, 2]


@pytest.mark.parametrize(
    ("failure", "pauses"), [(CardReset("again"), [0.4, 0.2]), (ProtocolError("garbage"), [])]
)
def test_only_a_reset_is_waited_out(
    collection: FakeCollection, failure: CardError, pauses: list[float]
) -> None:
    waited: list[float] = []
    stop = threading.Event()
    stop.wait = waited.append
    card_signer = CardSigner(
        fixed(Faulty("a", {0: failure, 2: failure})),
        collection.person,
        collection.share_of,
        last_attempt=False,
        stop=stop,
    )
    outcome = card_signer.taken(lambda share: share, lambda *_: None, 1.0)
    assert (outcome.signatures, outcome.error, waited) == (4, None, pauses)


@pytest.mark.parametrize("silent", [False, True])
def test_a_card_with_no_part_is_enrolled_where_a_person_says_so(
    collection: FakeCollection, *, silent: bool
) -> None:
    card, enrolled = good("new"), []

    def share_of(identity: CardIdentity) -> CardShare | None:
        return CardShare("n", 1, REQUESTS) if identity.card_id in enrolled else None

    def identity() -> CardIdentity:
        if silent and not card.pins:
            raise NotUnlocked("it says nothing before its code")
        return Card.identity(card)

    def enrol(session: Card, *, unlock: Callable[[str], None], **_: object) -> None:
        unlock("n")
        enrolled.append(session.name)

    card.identity = identity
    card_signer = CardSigner(
        fixed(card),
        collection.person,
        share_of,
        last_attempt=False,
        stop=threading.Event(),
        known=Known(cards=[KnownCard("a", "satochip", "1")], enrol=enrol),
    )
    outcome = card_signer.taken(lambda share: share, lambda *_: None, 1.0)
    assert (outcome.label, outcome.signatures, outcome.error) == ("n", 4, None)
    assert (enrolled, collection.person.asked) == (["new"], ["n"])


def test_a_reader_that_waits_looks_for_signatures_from_elsewhere_seldom(
    collection: FakeCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []
    lacking = collection.missing

    def missing() -> list[Wanted]:
        looked.append(len(collection.kept))
        return lacking()

    monkeypatch.setattr(collection, "missing", missing)
    collection.collect(in_reader(good("a")), wait_seconds=4.0)
    assert sorted(set(looked)) == [4]
    assert len(looked) <= 2


def test_a_reader_that_waits_ends_once_the_quorum_came_from_elsewhere(
    collection: FakeCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collector, "LOOK_AGAIN", 2)
    waits: list[tuple[int, float]] = []
    lacking = iter([[Wanted("a", "card a")], []])
    monkeypatch.setattr(collection, "missing", lambda: next(lacking))

    def arrival(seen: int, wait: float) -> None:
        waits.append((seen, wait))

    slot = Slot("reader", emulated=False, connect=Reader().connect, arrival=arrival)
    collection.collect(slot, wait_seconds=300)
    assert [wait for wait in waits if wait[1]] == [(-1, SLICE)] * 2


def test_a_reader_that_waits_looks_at_once_when_a_card_beside_it_signed(
    collection: FakeCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collector, "LOOK_AGAIN", 1_000_000)
    looked: list[int] = []
    lacking = collection.missing

    def missing() -> list[Wanted]:
        looked.append(len(collection.kept))
        return lacking()

    monkeypatch.setattr(collection, "missing", missing)

    def arrival(*_: object) -> None:
        threading.Event().wait(0.01)

    slot = Slot("reader", emulated=False, connect=Reader().connect, arrival=arrival)
    collection.collect(fixed(good("a")), fixed(good("b")), slot, wait_seconds=300)
    assert looked[-1] == 8


def test_a_reader_that_waits_looks_at_once_when_it_is_told_of_a_change(
    collection: FakeCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collector, "LOOK_AGAIN", 1_000_000)
    waits: list[float] = []
    monkeypatch.setattr(collection, "changed", lambda: len(waits) == 3)
    monkeypatch.setattr(
        collection, "missing", lambda: [] if len(waits) == 3 else [Wanted("a", "card a")]
    )

    def arrival(_: int, wait: float) -> None:
        if wait:
            waits.append(wait)

    slot = Slot("reader", emulated=False, connect=Reader().connect, arrival=arrival)
    collection.collect(slot, wait_seconds=300)
    assert len(waits) == 3
