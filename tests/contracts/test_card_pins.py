"""PINs: counted, blocked, freed, changed, and never spent by accident."""

import pytest

from cards.errors import (
    CardError,
    NotUnlocked,
    PinBlocked,
    PinIncorrect,
    PinUnsuitable,
    PukBlocked,
    PukIncorrect,
)
from cards.family import EmulatedCard
from cards.pin import Pin, Secret
from cards.session import PinChanger, PinUnblocker
from tests.contracts.subjects import (
    DIGEST,
    LEAF,
    NEW_PIN,
    PIN,
    WRONG_PIN,
    WRONG_PUK,
    Subject,
    attempts,
    block,
    counted,
    free,
    journey,
    needs,
    one_less,
    spent,
)


def test_a_locked_card_does_not_sign(subject: Subject, card: EmulatedCard) -> None:
    session, _ = subject.open(card)
    with pytest.raises(NotUnlocked):
        session.sign(LEAF, DIGEST)


def test_a_wrong_pin_counts_and_says_what_is_left(subject: Subject, card: EmulatedCard) -> None:
    full = attempts(subject, card)
    session, _ = subject.open(card)
    with pytest.raises(PinIncorrect) as caught:
        session.unlock(Pin(WRONG_PIN))
    left = full and full - 1
    assert caught.value.attempts_left == left
    assert ("does not count" if left is None else str(left)) in str(caught.value)
    assert spent(subject, card, full) == bool(full)


def test_a_wrong_pin_is_remembered_without_power(subject: Subject, card: EmulatedCard) -> None:
    full = counted(subject, card)
    with pytest.raises(PinIncorrect):
        subject.unlocked(card, WRONG_PIN)
    assert attempts(subject, card) == one_less(full)


def test_a_right_pin_gives_every_attempt_back(subject: Subject, card: EmulatedCard) -> None:
    full = attempts(subject, card)
    session, _ = subject.open(card)
    with pytest.raises(PinIncorrect):
        session.unlock(Pin(WRONG_PIN))
    session.unlock(Pin(PIN))
    assert session.identity().attempts_left == full


def test_a_wrong_pin_locks_what_a_right_one_opened(subject: Subject, card: EmulatedCard) -> None:
    session, _ = subject.unlocked(card)
    session.sign(LEAF, DIGEST)
    with pytest.raises(PinIncorrect):
        session.unlock(Pin(WRONG_PIN))
    with pytest.raises(NotUnlocked):
        session.sign(LEAF, DIGEST)


def test_the_last_attempt_blocks_the_card(subject: Subject, card: EmulatedCard) -> None:
    full = counted(subject, card)
    session, _ = subject.open(card)
    assert block(session) == list(range(full - 1, -1, -1))
    with pytest.raises(PinBlocked):
        session.unlock(Pin(PIN))
    with pytest.raises(PinBlocked):
        subject.unlocked(card)


def test_a_blocked_card_is_freed(subject: Subject, card: EmulatedCard) -> None:
    full = attempts(subject, card)
    session, _ = subject.open(card)
    unblocker = needs(session, PinUnblocker)
    block(session)
    pin = free(unblocker)
    assert session.identity().attempts_left == full
    subject.unlocked(card, pin)[0].sign(LEAF, DIGEST)


def test_a_wrong_puk_frees_nothing_and_counts(subject: Subject, card: EmulatedCard) -> None:
    session, _ = subject.open(card)
    unblocker = needs(session, PinUnblocker)
    block(session)
    with pytest.raises(PukIncorrect, match="PUK") as caught:
        free(unblocker, WRONG_PUK)
    assert caught.value.attempts_left
    with pytest.raises(PinBlocked):
        session.unlock(Pin(PIN))
    free(unblocker)


def test_a_puk_that_is_used_up_is_told_from_a_pin_that_is(
    subject: Subject, card: EmulatedCard
) -> None:
    session, _ = subject.open(card)
    unblocker = needs(session, PinUnblocker)
    block(session)
    left: int | None = None
    while left != 0:
        before = session.identity().puk_attempts_left
        with pytest.raises(PukIncorrect) as caught:
            free(unblocker, WRONG_PUK)
        left = caught.value.attempts_left
        assert (before, session.identity().puk_attempts_left) == ((left or 0) + 1, left)
    with pytest.raises(PukBlocked):
        free(unblocker)
    with pytest.raises(PinBlocked) as blocked:
        session.unlock(Pin(PIN))
    assert not isinstance(blocked.value, PukBlocked)


def test_a_pin_that_is_not_blocked_is_not_unblocked(subject: Subject, card: EmulatedCard) -> None:
    full = attempts(subject, card)
    session, _ = subject.open(card)
    with pytest.raises(CardError):
        needs(session, PinUnblocker).unblock(Secret(WRONG_PUK), None)
    assert session.identity().attempts_left == full
    session.unlock(Pin(PIN))


@pytest.mark.parametrize("pin", [b"", b"7" * 64, b"7" * 300])
def test_a_pin_no_card_takes_costs_nothing(
    subject: Subject, card: EmulatedCard, pin: bytes
) -> None:
    full = attempts(subject, card)
    session, _ = subject.open(card)
    with pytest.raises((PinUnsuitable, PinIncorrect) if pin else PinUnsuitable):
        session.unlock(Pin(pin))
    assert spent(subject, card, full) == 0
    subject.unlocked(card)


def test_a_changed_pin_replaces_the_old_one(subject: Subject, card: EmulatedCard) -> None:
    session, _ = subject.unlocked(card)
    key = session.xpub(LEAF)
    needs(session, PinChanger).change_pin(Pin(PIN), Pin(NEW_PIN))
    with pytest.raises(PinIncorrect):
        subject.unlocked(card, PIN)
    assert subject.unlocked(card, NEW_PIN)[0].xpub(LEAF) == key


def test_a_session_outlives_the_change_of_its_pin(subject: Subject, card: EmulatedCard) -> None:
    full = attempts(subject, card)
    session, wire = subject.unlocked(card)
    needs(session, PinChanger).change_pin(Pin(PIN), Pin(NEW_PIN))
    wire.power_cycle()
    session.sign(LEAF, DIGEST)
    assert session.identity().attempts_left == full


def test_a_change_with_a_wrong_old_pin_counts(subject: Subject, card: EmulatedCard) -> None:
    full = attempts(subject, card)
    session, _ = subject.unlocked(card)
    with pytest.raises(PinIncorrect) as caught:
        needs(session, PinChanger).change_pin(Pin(WRONG_PIN), Pin(NEW_PIN))
    assert caught.value.attempts_left == (full and full - 1)
    journey(subject.open(card)[0])


def test_the_callers_pin_may_be_wiped_at_once(subject: Subject, card: EmulatedCard) -> None:
    full = attempts(subject, card)
    session, wire = subject.open(card)
    with Pin(PIN) as pin:
        session.unlock(pin)
        assert len(pin) == len(PIN)
    session.sign(LEAF, DIGEST)
    wire.power_cycle()
    session.sign(LEAF, DIGEST)
    assert session.identity().attempts_left == full
