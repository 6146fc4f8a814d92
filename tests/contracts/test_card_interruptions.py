"""Cards taken away, reset, or used by another program, at every single command."""

from collections.abc import Callable
from contextlib import suppress

import pytest

from cards.detection import detect
from cards.errors import CardError, CardRemoved, CardReset, NotSupported, PinIncorrect
from cards.family import EmulatedCard, Surroundings
from cards.pin import Pin, Secret
from cards.session import CardSession, PinChanger, Resetter, SeedLoader
from cards.signature import verify
from tests.contracts.subjects import (
    DIGEST,
    LEAF,
    NEW_PIN,
    OTHER_DIGEST,
    OTHER_LEAF,
    OTHER_SEED,
    PIN,
    WRONG_PIN,
    Result,
    Subject,
    attempts,
    counted,
    give_key,
    identified,
    initialise,
    journey,
    needs,
    spent,
)
from tests.contracts.wires import SharedWire, Wire
from tests.sampled import in_turn, sampled

pytestmark = pytest.mark.usefixtures("luck")

Act = Callable[[CardSession], None]
Cut = Callable[[Wire, int], None]
CUTS: list[Cut] = [Wire.remove_before, Wire.remove_after]
RESETS: list[Cut] = [lambda wire, at: wire.before.update({at: wire.power_cycle}), Wire.reset_before]


def travel(subject: Subject, wire: Wire) -> Result:
    """Go the whole way on a wire; close whatever comes."""
    session = subject.family.open(wire, Surroundings())
    try:
        return journey(session)
    finally:
        session.close()


def whole_way(subject: Subject) -> tuple[Result, int]:
    """Return what an undisturbed journey brings, and how many commands it takes."""
    session, wire = subject.open(subject.ready())
    return journey(session), len(wire.sent)


def same_but_nonce(found: Result, expected: Result) -> bool:
    key = expected.key.public_key
    return found[:2] == expected[:2] and verify(key, DIGEST, found.signature)


def cost(subject: Subject, card: EmulatedCard, act: Act) -> int:
    """Return how many commands an act takes when nothing disturbs it."""
    session, wire = subject.open(card)
    return wire.cost(lambda: act(session))


def cut_short(subject: Subject, card: EmulatedCard, act: Act, cut: Callable[[Wire], None]) -> None:
    """Begin an act on a wire that is cut somewhere."""
    session, wire = subject.open(card)
    cut(wire)
    with pytest.raises(CardRemoved):
        act(session)
    session.close()


@pytest.mark.parametrize("cut", CUTS, ids=["before", "after"])
@sampled(2)
def test_a_removal_at_any_command_harms_nothing(subject: Subject, cut: Cut, every: int) -> None:
    expected, commands = whole_way(subject)
    full = attempts(subject, subject.ready())
    for at in in_turn(range(commands), CUTS.index(cut), every):
        card = subject.ready()
        wire = Wire(card)
        cut(wire, at)
        with pytest.raises(CardRemoved):
            travel(subject, wire)
        assert attempts(subject, card) == full
        assert same_but_nonce(journey(subject.open(card)[0]), expected)


@pytest.mark.parametrize("reset", RESETS, ids=["silent", "told"])
@sampled(2)
def test_a_reset_at_any_command_is_survived_or_said(
    subject: Subject, reset: Cut, every: int
) -> None:
    expected, commands = whole_way(subject)
    full = attempts(subject, subject.ready())
    for at in in_turn(range(commands), RESETS.index(reset), every):
        card = subject.ready()
        wire = Wire(card)
        reset(wire, at)
        with suppress(CardError):
            assert same_but_nonce(travel(subject, wire), expected), at
        assert attempts(subject, card) == full, at


@pytest.mark.parametrize("reset", RESETS, ids=["silent", "told"])
@sampled(2)
def test_a_reset_never_makes_one_wrong_pin_two(subject: Subject, reset: Cut, every: int) -> None:
    full = attempts(subject, subject.ready())
    for at in in_turn(range(whole_way(subject)[1]), RESETS.index(reset), every):
        card = subject.ready()
        wire = Wire(card)
        reset(wire, at)
        with pytest.raises(CardError):
            subject.family.open(wire, Surroundings()).unlock(Pin(WRONG_PIN))
        assert spent(subject, card, full) <= 1, at


def test_another_program_at_any_command_never_makes_a_signature_wrong(subject: Subject) -> None:
    """It signs by another key and leaves the card reset."""
    expected, commands = whole_way(subject)

    def intrude(wire: Wire) -> None:
        other = subject.family.open(wire.inner, Surroundings())
        other.unlock(Pin(PIN))
        other.sign(OTHER_LEAF, OTHER_DIGEST)
        wire.power_cycle()

    for at in range(commands):
        card = subject.ready()
        wire = Wire(card)
        wire.before[at] = lambda wire=wire: intrude(wire)
        with suppress(CardError):
            assert same_but_nonce(travel(subject, wire), expected), at


def test_a_session_goes_on_after_another_program(subject: Subject, card: EmulatedCard) -> None:
    session, wire = subject.unlocked(card)
    key = session.xpub(LEAF).public_key
    session.sign(LEAF, DIGEST)
    other = subject.family.open(wire.inner, Surroundings())
    other.unlock(Pin(PIN))
    other.sign(OTHER_LEAF, OTHER_DIGEST)
    for digest in (DIGEST, OTHER_DIGEST):
        try:
            signature = session.sign(LEAF, digest)
        except CardError:
            session.unlock(Pin(PIN))
            signature = session.sign(LEAF, digest)
        assert verify(key, digest, signature)


def test_a_seed_changed_elsewhere_signs_for_no_key_of_the_old_one(
    subject: Subject, card: EmulatedCard
) -> None:
    session, wire = subject.unlocked(card)
    key = session.xpub(LEAF).public_key
    session.sign(LEAF, DIGEST)
    other = subject.family.open(wire.inner, Surroundings())
    loader = needs(other, SeedLoader)
    loader.reset_seed(Pin(PIN))
    other.unlock(Pin(PIN))
    loader.load_seed(Secret(OTHER_SEED))
    for _ in range(2):
        with pytest.raises(CardError):
            session.sign(LEAF, DIGEST)
    assert subject.unlocked(card)[0].xpub(LEAF).public_key != key


def test_a_pin_changed_elsewhere_costs_one_attempt_at_most(
    subject: Subject, card: EmulatedCard
) -> None:
    full = attempts(subject, card)
    session, wire = subject.unlocked(card)
    other = subject.family.open(wire.inner, Surroundings())
    other.unlock(Pin(PIN))
    needs(other, PinChanger).change_pin(Pin(PIN), Pin(NEW_PIN))
    wire.power_cycle()
    for _ in range(3):
        with pytest.raises(CardError):
            session.sign(LEAF, DIGEST)
    assert spent(subject, card, full) <= 1


def test_a_wrong_pin_is_never_presented_again(subject: Subject, card: EmulatedCard) -> None:
    full = attempts(subject, card)
    session, wire = subject.unlocked(card)
    with pytest.raises(PinIncorrect):
        session.unlock(Pin(WRONG_PIN))
    for _ in range(3):
        wire.power_cycle()
        with pytest.raises(CardError):
            session.sign(LEAF, DIGEST)
    assert spent(subject, card, full) == bool(full)


def test_a_last_attempt_is_never_spent_unasked(subject: Subject, card: EmulatedCard) -> None:
    counted(subject, card)
    session, wire = subject.unlocked(card)
    other = subject.family.open(wire.inner, Surroundings())
    other.unlock(Pin(PIN))
    needs(other, PinChanger).change_pin(Pin(PIN), Pin(NEW_PIN))
    while other.identity().attempts_left != 1:
        with pytest.raises(PinIncorrect):
            other.unlock(Pin(WRONG_PIN))
    wire.power_cycle()
    for _ in range(2):
        with pytest.raises(CardError):
            session.sign(LEAF, DIGEST)
    assert session.identity().attempts_left == 1


def test_a_pause_lets_others_have_the_card_and_finds_it_again(
    subject: Subject, card: EmulatedCard
) -> None:
    wire = SharedWire(card)
    session = subject.family.open(wire, Surroundings())
    session.unlock(Pin(PIN))
    key = session.xpub(LEAF).public_key
    session.pause()
    assert wire.pauses == 1
    session.unlock(Pin(PIN))
    assert verify(key, DIGEST, session.sign(LEAF, DIGEST))


def test_another_card_in_its_place_is_given_no_pin(subject: Subject, card: EmulatedCard) -> None:
    session, wire = subject.unlocked(card)
    session.sign(LEAF, DIGEST)
    other = subject.fresh()
    with suppress(PinIncorrect):  # a card whose PIN is printed on it keeps that one
        initialise(subject.open(other)[0], NEW_PIN)
    full = attempts(subject, other)
    wire.inner = other.insert()
    for _ in range(2):
        with pytest.raises(CardError):
            session.sign(LEAF, DIGEST)
    assert attempts(subject, other) == full


def test_another_card_in_its_place_is_not_erased(subject: Subject, card: EmulatedCard) -> None:
    session, wire = subject.unlocked(card)
    other = subject.ready(1)
    wire.inner = other.insert()
    with pytest.raises(CardError):
        needs(session, Resetter).reset()
    journey(subject.open(other)[0])


@pytest.mark.parametrize("cut", CUTS, ids=["before", "after"])
@sampled(2)
def test_a_setup_cut_short_is_done_again(subject: Subject, cut: Cut, every: int) -> None:
    def set_up(session: CardSession) -> None:
        with suppress(NotSupported):
            initialise(session)
        session.unlock(Pin(PIN))
        with suppress(NotSupported):
            give_key(session)

    commands = range(cost(subject, subject.fresh(), set_up))
    for at in in_turn(commands, CUTS.index(cut), every):
        card = subject.fresh()
        cut_short(subject, card, set_up, lambda wire, at=at: cut(wire, len(wire.sent) + at))
        again, _ = subject.open(card)
        set_up(again)
        assert again.identity().initialised, at
        assert again.xpub(LEAF) == subject.unlocked(card)[0].xpub(LEAF), at


@pytest.mark.parametrize("cut", CUTS, ids=["before", "after"])
@sampled(2)
def test_a_change_cut_short_leaves_one_valid_pin(subject: Subject, cut: Cut, every: int) -> None:
    def change(session: CardSession) -> None:
        session.unlock(Pin(PIN))
        needs(session, PinChanger).change_pin(Pin(PIN), Pin(NEW_PIN))

    commands = range(cost(subject, subject.ready(), change))
    for at in in_turn(commands, CUTS.index(cut), every):
        card = subject.ready()
        cut_short(subject, card, change, lambda wire, at=at: cut(wire, len(wire.sent) + at))
        session, _ = subject.open(card)
        try:
            session.unlock(Pin(PIN))
        except PinIncorrect:
            session.unlock(Pin(NEW_PIN))
        session.sign(LEAF, DIGEST)


@pytest.mark.parametrize("cut", CUTS, ids=["before", "after"])
@sampled(2)
def test_a_reset_cut_short_is_done_again(subject: Subject, cut: Cut, every: int) -> None:
    def reset(session: CardSession) -> None:
        identified(subject, session)
        needs(session, Resetter).reset()

    before = identified(subject, subject.open(subject.ready())[0]).card_id
    commands = range(cost(subject, subject.ready(), reset))
    for at in in_turn(commands, CUTS.index(cut), every):
        card = subject.ready()
        cut_short(subject, card, reset, lambda wire, at=at: cut(wire, len(wire.sent) + at))
        session, _ = subject.open(card)
        if identified(subject, session).initialised:
            journey(session)
            reset(session)
        after = identified(subject, session)
        assert (after.card_id, after.initialised) == (before, False), at
        with suppress(NotSupported):
            initialise(session)
        session.unlock(Pin(PIN))
        give_key(session)


def reset_after(wire: Wire, number: int, *, sent: bool = True) -> None:
    """Reset the card when it has carried a command out; nobody hears its answer."""

    def lose(_answer: bytes) -> bytes:
        wire.power_cycle()
        raise CardReset("the card was reset", sent=sent)

    wire.change[number] = lose


@pytest.mark.parametrize("pin", [PIN, WRONG_PIN], ids=["right", "wrong"])
def test_a_pin_whose_answer_was_lost_is_presented_again_only_by_the_counter(
    subject: Subject, pin: bytes
) -> None:
    full = attempts(subject, subject.ready())
    _, wire = subject.open(subject.ready())
    opening = len(wire.sent)
    session, wire = subject.open(subject.ready())
    session.unlock(Pin(PIN))
    for at in range(opening, len(wire.sent)):
        card = subject.ready()
        wire = Wire(card)
        reset_after(wire, at)
        session = subject.family.open(wire, Surroundings())
        try:
            session.unlock(Pin(pin))
        except CardReset:
            assert full is None, "a card that counts is asked what became of the PIN"
            presented = len(wire.sent)
            session.close()
            assert len(wire.sent) - presented <= 2
        except PinIncorrect:
            assert pin == WRONG_PIN, at
        else:
            assert pin == PIN
        assert spent(subject, card, full) == (pin == WRONG_PIN and full is not None), at


def test_a_told_reset_that_kept_a_pin_from_the_card_is_no_reason_to_ask(subject: Subject) -> None:
    _, wire = subject.open(subject.ready())
    opening = len(wire.sent)
    session, wire = subject.open(subject.ready())
    session.unlock(Pin(PIN))
    for at in range(opening, len(wire.sent)):
        wire = Wire(subject.ready())

        def unsent(wire: Wire = wire) -> None:
            wire.power_cycle()
            raise CardReset("the card was reset", sent=False)

        wire.before[at] = unsent
        session = subject.family.open(wire, Surroundings())
        session.unlock(Pin(PIN))
        assert session.sign(LEAF, DIGEST)


def test_resets_while_a_card_is_identified_are_survived_a_few_times(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("cards.detection.time.sleep", slept.append)
    wire = Wire(subject.ready())
    for at in (1, 4, 9):
        wire.reset_before(at)
    disturbed: list[int] = []
    found = detect(wire, Surroundings(disturbed=lambda: disturbed.append(1)))
    assert found.family == subject.family.name
    assert slept == sorted(slept)
    assert disturbed


def test_a_card_that_is_reset_each_time_is_given_up_and_the_cause_named(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cards.detection.time.sleep", lambda _seconds: None)
    wire = Wire(subject.ready())
    for at in range(1, 1000):
        wire.reset_before(at)
    with pytest.raises(CardReset, match="another program"):
        detect(wire, Surroundings())
    assert len(wire.sent) < 200
