"""Cards that answer in their own ways: each signature is verified, kept, and counted."""

import hashlib
import signal
import threading
import time
from collections.abc import Callable, Sequence

import pytest
from coincurve import PrivateKey

from cards.errors import CardRemoved, NotUnlocked, PinIncorrect, ProtocolError, WrongCard
from cards.pin import Pin
from cards.session import CardIdentity
from coordinator.errors import LastAttempt
from coordinator.readers.slots import Slot
from coordinator.shown_text import counted
from coordinator.signing import collector
from coordinator.signing.collector import CardShare, Outcome, SigningTask, WaitPolicy
from coordinator.signing.missing_cards import Wanted
from psbt.errors import SignatureInvalid
from psbt.signature import compact_from_der
from psbt.signer import SigningRequest

KEYS = {(0, 0): PrivateKey(b"\1" * 32), (0, 1): PrivateKey(b"\2" * 32)}


def request(index: int, path: tuple[int, ...]) -> SigningRequest:
    digest = hashlib.sha256(bytes([index])).digest()
    return SigningRequest(index, KEYS[path].public_key.format(), path, digest)


REQUESTS = [request(0, (0, 1)), request(1, (0, 0)), request(2, (0, 1)), request(3, (0, 0))]


class Card:
    """A session that signs truly, and notes what it was asked."""

    def __init__(self, name: str = "card", attempts: int | None = 5) -> None:
        self.name, self.attempts, self.asked, self.pins = name, attempts, [], []

    def identity(self) -> CardIdentity:
        return CardIdentity(self.name, "test", "1", initialised=True, attempts_left=self.attempts)

    def unlock(self, pin: Pin) -> None:
        self.pins.append(pin.reveal())

    def sign(self, path: tuple[int, ...], digest: bytes) -> bytes:
        self.asked.append((path, 1))
        return compact_from_der(KEYS[path].sign(digest, hasher=None))

    def close(self) -> None:
        return


class Batch(Card):
    def sign_batch(self, path: tuple[int, ...], digests: Sequence[bytes]) -> list[bytes]:
        self.asked.append((path, len(digests)))
        return [compact_from_der(KEYS[path].sign(digest, hasher=None)) for digest in digests]


class Silent(Card):
    """A card that says nothing before its PIN."""

    family = "test"

    def identity(self) -> CardIdentity:
        if not self.pins:
            raise NotUnlocked("it says nothing before its code")
        return super().identity()


class Person:
    def __init__(self) -> None:
        self.asked: list[str] = []
        self.told: list[str] = []

    def say(self, text: str) -> None:
        self.told.append(text)

    def pin_for(self, label: str, _card: CardIdentity) -> Pin:
        self.asked.append(label)
        return Pin(b"1234")

    def progress(self, _label: str, _done: int, _total: int) -> None:
        return


@pytest.fixture
def person() -> Person:
    return Person()


@pytest.fixture
def kept() -> list[tuple[str, int]]:
    return []


def collect(
    monkeypatch: pytest.MonkeyPatch,
    person: Person,
    kept: list[tuple[str, int]],
    cards: Sequence[Card],
    requests: Sequence[SigningRequest] = REQUESTS,
    needed: int | None = None,
    missing: Callable[[], list[Wanted]] = list,
    **options: float,
) -> list[Outcome]:
    slots = [Slot(card.name, emulated=True, connect=lambda card=card: card) for card in cards]
    monkeypatch.setattr("coordinator.readers.slots.detect", lambda transport, _: transport)
    names = [card.name for card in cards]

    def share_of(identity: CardIdentity) -> CardShare | None:
        if identity.card_id == "stranger":
            return None
        first = 10 * names.index(identity.card_id)
        own = [each._replace(input_index=first + each.input_index) for each in requests]
        return CardShare(identity.card_id, 1, own)

    task = SigningTask(
        share_of=share_of,
        keep=lambda share, asked, _: kept.append((share.label, asked.input_index)),
        attendant=person,
        wait_policy=WaitPolicy(**options),
        missing=missing,
        needed=needed,
    )
    return collector.collect(slots, task)


def test_one_key_signs_its_inputs_in_a_row(
    monkeypatch: pytest.MonkeyPatch, person: Person, kept: list[tuple[str, int]]
) -> None:
    card = Card()
    (outcome,) = collect(monkeypatch, person, kept, [card])
    assert (outcome.signatures, outcome.error) == (4, None)
    assert card.asked == [((0, 0), 1), ((0, 0), 1), ((0, 1), 1), ((0, 1), 1)]
    assert kept == [("card", 1), ("card", 3), ("card", 0), ("card", 2)]


def test_a_card_that_can_signs_each_key_in_one_command(
    monkeypatch: pytest.MonkeyPatch, person: Person, kept: list[tuple[str, int]]
) -> None:
    card = Batch()
    (outcome,) = collect(monkeypatch, person, kept, [card])
    assert outcome.signatures == 4
    assert card.asked == [((0, 0), 2), ((0, 1), 2)]


def test_a_single_digest_is_not_a_batch(
    monkeypatch: pytest.MonkeyPatch, person: Person, kept: list[tuple[str, int]]
) -> None:
    card = Batch()
    collect(monkeypatch, person, kept, [card], REQUESTS[:2])
    assert card.asked == [((0, 0), 1), ((0, 1), 1)]


def test_a_batch_that_comes_back_short_is_refused(
    monkeypatch: pytest.MonkeyPatch, person: Person, kept: list[tuple[str, int]]
) -> None:
    card = Batch()
    monkeypatch.setattr(card, "sign_batch", lambda _path, _digests: [])
    (outcome,) = collect(monkeypatch, person, kept, [card])
    assert isinstance(outcome.error, ProtocolError)
    assert kept == []


def test_a_signature_by_another_key_is_not_kept(
    monkeypatch: pytest.MonkeyPatch, person: Person, kept: list[tuple[str, int]]
) -> None:
    liar = Card()
    monkeypatch.setattr(
        liar, "sign", lambda _, digest: compact_from_der(PrivateKey(b"\3" * 32).sign(digest, None))
    )
    (outcome,) = collect(monkeypatch, person, kept, [liar])
    assert isinstance(outcome.error, SignatureInvalid)
    assert kept == []


def test_one_card_that_fails_does_not_stop_the_others_and_keeps_what_it_gave(
    monkeypatch: pytest.MonkeyPatch, person: Person, kept: list[tuple[str, int]]
) -> None:
    torn, whole = Card("torn"), Card("whole")
    true = torn.sign

    def sign(path: tuple[int, ...], digest: bytes) -> bytes:
        if len(torn.asked) == 2:
            raise CardRemoved("the card is gone")
        return true(path, digest)

    monkeypatch.setattr(torn, "sign", sign)
    first, second = collect(monkeypatch, person, kept, [torn, whole])
    assert (first.signatures, type(first.error)) == (2, CardRemoved)
    assert (second.signatures, second.error) == (4, None)
    assert len([label for label, _ in kept if label == "torn"]) == 2


def test_a_wrong_pin_is_told_for_its_card_only(
    monkeypatch: pytest.MonkeyPatch, person: Person, kept: list[tuple[str, int]]
) -> None:
    wrong = Card("wrong")

    def unlock(_: Pin) -> None:
        raise PinIncorrect(4)

    monkeypatch.setattr(wrong, "unlock", unlock)
    first, second = collect(monkeypatch, person, kept, [wrong, Card("right")])
    assert isinstance(first.error, PinIncorrect)
    assert second.error is None


def test_a_stranger_is_asked_for_no_pin(
    monkeypatch: pytest.MonkeyPatch, person: Person, kept: list[tuple[str, int]]
) -> None:
    (outcome,) = collect(monkeypatch, person, kept, [Card("stranger")])
    assert isinstance(outcome.error, WrongCard)
    assert person.asked == []


def test_a_card_with_nothing_to_sign_is_asked_for_no_pin(
    monkeypatch: pytest.MonkeyPatch, person: Person, kept: list[tuple[str, int]]
) -> None:
    (outcome,) = collect(monkeypatch, person, kept, [Card()], [])
    assert (outcome.signatures, outcome.error) == (0, None)
    assert person.asked == []


@pytest.mark.parametrize(("attempts", "left_alone"), [(1, True), (2, False), (None, False)])
def test_the_last_attempt_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
    person: Person,
    kept: list[tuple[str, int]],
    attempts: int | None,
    left_alone: bool,  # noqa: FBT001 -- by name
) -> None:
    (outcome,) = collect(monkeypatch, person, kept, [Card("c", attempts)])
    assert isinstance(outcome.error, LastAttempt) is left_alone
    (outcome,) = collect(monkeypatch, person, kept, [Card("c", attempts)], last_attempt=True)
    assert outcome.error is None


def test_no_other_card_is_asked_for_at_a_place_that_keeps_its_card(
    monkeypatch: pytest.MonkeyPatch, person: Person, kept: list[tuple[str, int]]
) -> None:
    (outcome,) = collect(
        monkeypatch, person, kept, [Card("a")], missing=lambda: [Wanted("b", "card b")],
        wait_seconds=0.5,
    )  # fmt: skip
    assert (outcome.signatures, person.told) == (4, [])


def test_cards_sign_at_the_same_time(
    monkeypatch: pytest.MonkeyPatch, person: Person, kept: list[tuple[str, int]]
) -> None:
    collection = threading.Barrier(2, timeout=20)
    cards = [Card("a"), Card("b")]
    for card in cards:
        monkeypatch.setattr(card, "unlock", lambda _: collection.wait())
    assert [outcome.error for outcome in collect(monkeypatch, person, kept, cards)] == [None, None]


def test_a_second_carrier_of_one_key_is_asked_for_nothing(
    monkeypatch: pytest.MonkeyPatch, person: Person, kept: list[tuple[str, int]]
) -> None:
    cards = [Card("first"), Card("first")]
    first, second = collect(monkeypatch, person, kept, cards)
    assert (first.signatures, second.signatures, second.error) == (4, 0, None)
    assert person.asked == ["first"]


def test_a_card_beyond_the_quorum_is_not_asked_for_its_pin(
    monkeypatch: pytest.MonkeyPatch, person: Person, kept: list[tuple[str, int]]
) -> None:
    cards = [Card("a"), Card("b"), Card("c")]
    outcomes = collect(monkeypatch, person, kept, cards, needed=2)
    assert [outcome.not_needed for outcome in outcomes] == [False, False, True]
    assert [outcome.signatures for outcome in outcomes] == [4, 4, 0]
    assert sorted(person.asked) == ["a", "b"]
    assert {label for label, _ in kept} == {"a", "b"}
    assert outcomes[2].error is None


def test_a_card_beyond_the_quorum_signs_where_another_fails(
    monkeypatch: pytest.MonkeyPatch, person: Person, kept: list[tuple[str, int]]
) -> None:
    broken = Card("a")

    def refuse(_pin: Pin) -> None:
        raise PinIncorrect(2)

    monkeypatch.setattr(broken, "unlock", refuse)
    outcomes = collect(monkeypatch, person, kept, [broken, Card("b"), Card("c")], needed=2)
    assert [outcome.not_needed for outcome in outcomes] == [False, False, False]
    assert [outcome.signatures for outcome in outcomes] == [0, 4, 4]
    assert isinstance(outcomes[0].error, PinIncorrect)


@pytest.mark.parametrize("place", range(3))
def test_a_silent_card_beyond_the_quorum_is_not_asked_for_its_pin(
    monkeypatch: pytest.MonkeyPatch, person: Person, kept: list[tuple[str, int]], place: int
) -> None:
    cards = [Card("a"), Card("b")]
    cards.insert(place, Silent("silent"))
    outcomes = collect(monkeypatch, person, kept, cards, needed=2)
    assert [outcome.not_needed for outcome in outcomes] == [False, False, True]
    assert [outcome.signatures for outcome in outcomes] == [4, 4, 0]
    assert sorted(person.asked) == sorted(card.name for card in cards[:2])
    assert outcomes[2].error is None


def test_a_silent_card_beyond_the_quorum_signs_where_another_fails(
    monkeypatch: pytest.MonkeyPatch, person: Person, kept: list[tuple[str, int]]
) -> None:
    broken = Card("a")

    def refuse(_pin: Pin) -> None:
        raise PinIncorrect(2)

    monkeypatch.setattr(broken, "unlock", refuse)
    outcomes = collect(monkeypatch, person, kept, [broken, Card("b"), Silent("c")], needed=2)
    assert [outcome.signatures for outcome in outcomes] == [0, 4, 4]


def test_no_card_is_asked_where_the_quorum_is_there(
    monkeypatch: pytest.MonkeyPatch, person: Person, kept: list[tuple[str, int]]
) -> None:
    outcomes = collect(monkeypatch, person, kept, [Card("a"), Card("b")], needed=0)
    assert [outcome.not_needed for outcome in outcomes] == [True, True]
    assert (person.asked, kept) == ([], [])


def test_a_card_with_nothing_left_to_sign_takes_nobodys_turn(
    monkeypatch: pytest.MonkeyPatch, person: Person, kept: list[tuple[str, int]]
) -> None:
    (outcome,) = collect(monkeypatch, person, kept, [Card("a")], [], needed=1)
    assert (outcome.signatures, outcome.not_needed, outcome.error) == (0, False, None)


def test_no_thread_of_a_card_keeps_the_program_from_ending(
    monkeypatch: pytest.MonkeyPatch, person: Person, kept: list[tuple[str, int]]
) -> None:
    card, daemons, before = Card("a"), list[bool](), set(threading.enumerate())
    true = card.sign

    def sign(path: tuple[int, ...], digest: bytes) -> bytes:
        daemons.extend(each.daemon for each in set(threading.enumerate()) - before)
        return true(path, digest)

    monkeypatch.setattr(card, "sign", sign)
    collect(monkeypatch, person, kept, [card])
    assert daemons
    assert all(daemons)


def test_what_a_card_was_giving_is_told_where_the_person_stops(
    monkeypatch: pytest.MonkeyPatch, person: Person, kept: list[tuple[str, int]]
) -> None:
    slow, said = Card("slow"), list[str]()
    true = slow.sign

    def sign(path: tuple[int, ...], digest: bytes) -> bytes:
        if not slow.asked:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            time.sleep(0.5)
        return true(path, digest)

    monkeypatch.setattr(slow, "sign", sign)
    monkeypatch.setattr(person, "say", said.append)
    with pytest.raises(KeyboardInterrupt):
        collect(monkeypatch, person, kept, [slow])
    assert said[-1].startswith(f"stopped; card slow gave {counted(len(kept), 'signature')}, kept;")
    assert kept


def test_a_card_that_waits_for_its_turn_is_let_go_where_the_person_stops(
    monkeypatch: pytest.MonkeyPatch, kept: list[tuple[str, int]]
) -> None:
    class Stopping(Person):
        def pin_for(self, label: str, _card: CardIdentity) -> Pin:
            self.asked.append(label)
            raise KeyboardInterrupt

        def say(self, _text: str) -> None:
            return

    person, before = Stopping(), set(threading.enumerate())
    with pytest.raises(KeyboardInterrupt):
        collect(monkeypatch, person, kept, [Card("a"), Card("b"), Card("c")], needed=1)
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
        assert not thread.is_alive()
    assert (person.asked, kept) == (["a"], [])
