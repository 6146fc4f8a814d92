"""Answers that are cut, padded, garbled or somebody else's: an error or the truth, nothing else."""

import secrets
from collections.abc import Callable
from contextlib import suppress

import pytest

from cards.errors import CardError, PinIncorrect
from cards.family import EmulatedCard, Surroundings
from cards.pin import Pin
from cards.session import (
    Attester,
    CardSession,
    Labeller,
    PinChanger,
    Resetter,
    SeedLoader,
)
from cards.signature import verify
from tests.contracts.subjects import (
    ACCOUNT,
    DIGEST,
    LEAF,
    NEW_PIN,
    OTHER_LEAF,
    PIN,
    WRONG_PIN,
    Result,
    Subject,
    attempts,
    every_way,
    journey,
    needs,
    spent,
)
from tests.contracts.wires import Change, Wire
from tests.sampled import in_turn, sampled


def flipped(answer: bytes, at: int) -> bytes:
    """Return the answer with one bit turned over."""
    changed = bytearray(answer)
    changed[at] ^= 0x10
    return bytes(changed)


LIES: dict[str, Change] = {
    "nothing": lambda _answer: b"",
    "one byte": lambda answer: answer[:1],
    "status alone": lambda answer: answer[-2:],
    "no status": lambda answer: answer[:-2],
    "one byte short": lambda answer: answer[:-3] + answer[-2:],
    "half": lambda answer: answer[: len(answer) // 2] + answer[-2:],
    "first byte gone": lambda answer: answer[1:],
    "one byte long": lambda answer: answer[:-2] + b"\0" + answer[-2:],
    "a block long": lambda answer: answer[:-2] + bytes(16) + answer[-2:],
    "300 bytes long": lambda answer: answer[:-2] + b"\x30" * 300 + answer[-2:],
    "twice": lambda answer: answer[:-2] + answer,
    "zeros": lambda answer: bytes(len(answer) - 2) + answer[-2:],
    "ones": lambda answer: b"\xff" * (len(answer) - 2) + answer[-2:],
    "noise": lambda answer: secrets.token_bytes(len(answer) - 2) + answer[-2:],
    "backwards": lambda answer: answer[-3::-1] + answer[-2:],
    "first bit": lambda answer: flipped(answer, 0),
    "middle bit": lambda answer: flipped(answer, len(answer) // 2),
    "last bit": lambda answer: flipped(answer, -3 if len(answer) > 2 else 0),
}
# fmt: off
STATUS_WORDS = [
    0x0000, 0x6100, 0x61FF, 0x6300, 0x63C0, 0x63C2, 0x6700, 0x6982, 0x6983,
    0x6A82, 0x6C00, 0x6C10, 0x6D00, 0x6E00, 0x6F00, 0x9000, 0x9C01, 0x9C04,
    0x9C06, 0x9C0C, 0x9C13, 0x9C14, 0x9C20, 0x9C21, 0x9C23, 0x9FFF, 0xFFFF,
]
# fmt: on


def told(subject: Subject, wire: Wire) -> Result | None:
    """Return what a journey on the wire brings, or None where the driver refuses an answer."""
    try:
        session = subject.family.open(wire, Surroundings())
    except CardError:
        return None
    try:
        return journey(session)
    except CardError:
        return None
    finally:
        session.close()


def is_true(found: Result | None, expected: Result) -> bool:
    """Tell whether nothing was believed that is not so."""
    return found is None or (
        found[:2] == expected[:2] and verify(expected.key.public_key, DIGEST, found.signature)
    )


def whole_way(subject: Subject, number: int = 0) -> tuple[Result, Wire]:
    session, wire = subject.open(subject.ready(number))
    return journey(session), wire


def lied_to(subject: Subject, lie: Change, turn: int, every: int) -> None:
    """Tell the lie in place of one in `every` answers; which of them goes on with the turn."""
    expected, straight = whole_way(subject)
    full = attempts(subject, subject.ready())
    for at in in_turn(range(len(straight.sent)), turn, every):
        card = subject.ready()
        wire = Wire(card)
        wire.change[at] = lie
        assert is_true(told(subject, wire), expected), at
        assert attempts(subject, card) == full, at


@every_way
@pytest.mark.parametrize("name", LIES)
@sampled(3)
def test_a_damaged_answer_is_refused_or_does_no_harm(
    subject: Subject, name: str, every: int
) -> None:
    lied_to(subject, LIES[name], list(LIES).index(name), every)


@every_way
@sampled(3)
def test_any_status_word_at_any_command_is_refused_or_does_no_harm(
    subject: Subject, every: int
) -> None:
    for turn, sw in enumerate(STATUS_WORDS):
        lied_to(subject, lambda _answer, sw=sw: sw.to_bytes(2), turn, every)


@every_way
@pytest.mark.parametrize("name", ["nothing", "half", "noise", "twice", "status alone"])
def test_a_transport_that_only_lies_is_refused(subject: Subject, name: str) -> None:
    wire = Wire(subject.ready())
    wire.change = dict.fromkeys(range(2000), LIES[name])
    assert told(subject, wire) is None
    assert len(wire.sent) < 1000


@every_way
@sampled(3)
def test_a_card_that_answers_one_status_for_ever_is_given_up(subject: Subject, every: int) -> None:
    commands = range(len(whole_way(subject)[1].sent))
    for turn, sw in enumerate(STATUS_WORDS):
        for start in in_turn(commands, turn, every):
            wire = Wire(subject.ready())
            wire.change = dict.fromkeys(range(start, 2000), lambda _answer, sw=sw: sw.to_bytes(2))
            told(subject, wire)
            assert len(wire.sent) < 1000, (start, f"{sw:04X}")


@every_way
@pytest.mark.parametrize(
    ("number", "path"), [(0, LEAF), (0, OTHER_LEAF), (1, LEAF)], ids=["again", "path", "card"]
)
def test_an_answer_from_another_session_is_not_believed(
    subject: Subject, number: int, path: tuple[int, ...]
) -> None:
    expected, straight = whole_way(subject)
    session, other = subject.open(subject.ready(number))
    journey(session, path)
    for at in range(len(straight.sent)):
        for last in (at, len(straight.sent)):
            wire = Wire(subject.ready())
            for each in range(at, min(last + 1, len(other.heard))):
                wire.change[each] = lambda _answer, each=each: other.heard[each]
            assert is_true(told(subject, wire), expected), at


def test_an_older_answer_is_not_taken_for_a_new_one(subject: Subject) -> None:
    expected, straight = whole_way(subject)
    for at in range(1, len(straight.sent)):
        for back in range(1, at + 1):
            wire = Wire(subject.ready())
            wire.change[at] = lambda _answer, w=wire, at=at, back=back: w.heard[at - back]
            assert is_true(told(subject, wire), expected), (at, back)


def test_the_answer_for_one_key_is_not_taken_for_anothers(
    subject: Subject, card: EmulatedCard
) -> None:
    """The answers to two signatures change places; no signature comes out under a wrong key."""
    session, wire = subject.unlocked(card)
    keys = {path: session.xpub(path).public_key for path in (LEAF, OTHER_LEAF)}
    session.sign(LEAF, DIGEST)
    old = wire.heard[-1]
    for path in (OTHER_LEAF, LEAF):
        for after in range(2):
            wire.change[len(wire.sent) + after] = lambda _answer: old
            try:
                signature = session.sign(path, DIGEST)
            except CardError:
                continue
            assert verify(keys[path], DIGEST, signature)
    wire.change.clear()
    session.unlock(Pin(PIN))
    assert verify(keys[LEAF], DIGEST, session.sign(LEAF, DIGEST))


@every_way
@pytest.mark.parametrize("name", LIES)
def test_a_session_survives_one_lie(subject: Subject, card: EmulatedCard, name: str) -> None:
    session, wire = subject.unlocked(card)
    key = session.xpub(LEAF).public_key
    for after in range(3):
        wire.change = {len(wire.sent) + after: LIES[name]}
        for path in (LEAF, ACCOUNT, LEAF):
            try:
                session.sign(path, DIGEST)
            except CardError:
                continue
        wire.change = {}
        assert verify(key, DIGEST, session.sign(LEAF, DIGEST))


@every_way
@pytest.mark.parametrize("name", LIES)
def test_a_lie_never_makes_one_wrong_pin_two(subject: Subject, name: str) -> None:
    session, straight = subject.open(subject.ready())
    with pytest.raises(PinIncorrect):
        session.unlock(Pin(WRONG_PIN))
    full = attempts(subject, subject.ready())
    for at in range(len(straight.sent)):
        card = subject.ready()
        wire = Wire(card)
        wire.change[at] = LIES[name]
        with pytest.raises(CardError):
            subject.family.open(wire, Surroundings()).unlock(Pin(WRONG_PIN))
        assert spent(subject, card, full) <= 1, at


OTHER_ACTS: dict[str, Callable[[CardSession], object]] = {
    "attest": lambda session: needs(session, Attester).attest(),
    "label": lambda session: needs(session, Labeller).label(),
    "set_label": lambda session: needs(session, Labeller).set_label("label"),
    "change_pin": lambda session: needs(session, PinChanger).change_pin(Pin(PIN), Pin(NEW_PIN)),
    "reset_seed": lambda session: needs(session, SeedLoader).reset_seed(Pin(PIN)),
    "reset": lambda session: needs(session, Resetter).reset(),
}


@every_way
@pytest.mark.parametrize("name", OTHER_ACTS)
def test_a_lie_to_any_other_act_raises_a_card_error_or_nothing(subject: Subject, name: str) -> None:
    session, straight = subject.unlocked(subject.ready())
    commands = straight.cost(lambda: OTHER_ACTS[name](session))
    for at in range(commands):
        for lie in LIES.values():
            session, wire = subject.unlocked(subject.ready())
            wire.change[len(wire.sent) + at] = lie
            with suppress(CardError):
                OTHER_ACTS[name](session)
            session.close()
