"""The one path a TAPSIGNER stores: borrowed, and given back whatever happens."""

from collections.abc import Callable

import cbor2
import pytest

from cards import emulation
from cards.errors import CardRemoved, ProtocolError, StatusWordError
from cards.family import Surroundings, TransientMemory
from cards.pin import Pin
from cards.signature import verify
from cards.tapsigner.emulator import TapsignerEmulator
from cards.tapsigner.session import open_session
from tests.cards.tapsigner_host import (
    ACCOUNT,
    CVC,
    DEFAULT,
    DIGEST,
    OTHER,
    H,
    unlocked,
    with_key,
)
from tests.contracts.wires import Wire

LEAF = (*ACCOUNT, 0, 7)


@pytest.fixture
def card() -> TapsignerEmulator:
    return with_key()


@pytest.fixture
def luck(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emulation, "chance", lambda _one_in: False)


def path_of(card: TapsignerEmulator) -> tuple[int, ...]:
    return tuple(card.flash.path)


def test_the_path_found_on_the_card_is_put_back(card: TapsignerEmulator) -> None:
    assert path_of(card) == DEFAULT
    session, _ = unlocked(card)
    session.sign(LEAF, DIGEST)
    session.xpub((*OTHER, 3))
    assert path_of(card) == OTHER
    session.close()
    assert path_of(card) == DEFAULT


@pytest.mark.usefixtures("luck")
def test_it_is_put_back_even_when_a_signature_fails(card: TapsignerEmulator) -> None:
    session, wire = unlocked(card)
    session.xpub(ACCOUNT)
    wire.change[len(wire.sent)] = lambda answer: answer[:9] + answer[-2:]
    with pytest.raises(ProtocolError):
        session.sign(LEAF, DIGEST)
    assert path_of(card) == ACCOUNT
    session.close()
    assert path_of(card) == DEFAULT


def test_it_is_put_back_by_the_next_session_if_this_one_is_cut_off(
    card: TapsignerEmulator,
) -> None:
    surroundings = Surroundings(memory=TransientMemory())
    session, wire = unlocked(card, surroundings)
    session.sign(LEAF, DIGEST)
    session.sign((*OTHER, 0), DIGEST)
    wire.inner.close()
    session.close()
    assert path_of(card) == OTHER
    again, _ = unlocked(card, surroundings)
    again.sign(LEAF, DIGEST)
    again.close()
    assert path_of(card) == DEFAULT
    assert surroundings.memory.read(card.flash.public_key.hex()) is None


@pytest.mark.parametrize("cut", [Wire.remove_before, Wire.remove_after], ids=["before", "after"])
@pytest.mark.parametrize("failures", range(3))
@pytest.mark.usefixtures("luck")
def test_it_is_put_back_after_a_cut_between_two_paths_of_ours(
    card: TapsignerEmulator, cut: Callable[[Wire, int], None], failures: int
) -> None:
    surroundings = Surroundings(memory=TransientMemory())
    session, wire = unlocked(card, surroundings)
    session.xpub(ACCOUNT)
    for step in range(failures):
        wire.change[len(wire.sent)] = lambda _answer: b"\x6f\0"
        with pytest.raises(StatusWordError):
            session.xpub((*OTHER, step | H))
    cut(wire, len(wire.sent) + bool(failures))
    with pytest.raises(CardRemoved):
        session.xpub(OTHER)
    session.close()
    assert path_of(card) != DEFAULT
    again, _ = unlocked(card, surroundings)
    again.close()
    assert path_of(card) == DEFAULT


def test_a_path_somebody_else_set_meanwhile_is_left_alone(card: TapsignerEmulator) -> None:
    surroundings = Surroundings(memory=TransientMemory())
    session, wire = unlocked(card, surroundings)
    session.sign(LEAF, DIGEST)
    wire.inner.close()
    session.close()
    card.flash.path = [1 | H]
    for _ in range(2):
        again, _ = unlocked(card, surroundings)
        again.sign(LEAF, DIGEST)
        again.close()
        assert path_of(card) == (1 | H,)
    third, _ = unlocked(card)
    third.sign(LEAF, DIGEST)
    card.flash.path = [2 | H]
    third.close()
    assert path_of(card) == (2 | H,)


def test_a_path_that_is_ours_already_is_not_written_again(card: TapsignerEmulator) -> None:
    card.flash.path = list(ACCOUNT)
    before = card.state()
    session, wire = unlocked(card)
    session.close()
    assert card.state() == before
    assert len(wire.sent) == 4


def test_a_damaged_memory_does_no_harm(card: TapsignerEmulator) -> None:
    memory = TransientMemory()
    said = (
        [1],
        "ab",
        [["x"], [1]],
        [[float("inf")], []],
        [[1 << 31] * 99, []],
        [list(DEFAULT), [-1]],
    )
    for kept in (b"", b"\xff", *map(cbor2.dumps, said)):
        memory.write(card.flash.public_key.hex(), kept)
        session, _ = unlocked(card, Surroundings(memory=memory))
        session.sign(LEAF, DIGEST)
        session.close()
        assert path_of(card) == DEFAULT


@pytest.mark.usefixtures("luck")
def test_a_path_changed_under_our_feet_is_noticed_at_the_signature(card: TapsignerEmulator) -> None:
    session, wire = unlocked(card)
    key = session.xpub(LEAF).public_key
    card.flash.path = list(OTHER)
    assert wire.cost(lambda: verify(key, DIGEST, session.sign(LEAF, DIGEST))) == 3
    assert verify(key, DIGEST, session.sign(LEAF, DIGEST))


def misread(answer: bytes, step: int = 3) -> bytes:
    """Return an answer that names a path the card does not have."""
    return cbor2.dumps(cbor2.loads(answer[:-2]) | {"path": [step | H]}) + answer[-2:]


MISREAD = {"selected": 0, "unlocked": 2, "put back": -1}


@pytest.mark.parametrize("when", MISREAD)
@pytest.mark.parametrize("owed", ["nothing", "a path"])
@pytest.mark.usefixtures("luck")
def test_a_path_misread_is_read_again(card: TapsignerEmulator, when: str, owed: str) -> None:
    surroundings = Surroundings(memory=TransientMemory())
    if owed == "a path":
        session, wire = unlocked(card, surroundings)
        session.sign(LEAF, DIGEST)
        wire.inner.close()
        session.close()
    wire = Wire(card)
    wire.change[MISREAD[when]] = misread
    session = open_session(wire, surroundings)
    session.unlock(Pin(CVC))
    session.sign(LEAF, DIGEST)
    if when == "put back":
        wire.change[len(wire.sent)] = misread
    session.close()
    assert path_of(card) == DEFAULT


def test_a_card_that_tells_another_path_each_time_is_given_no_cvc(card: TapsignerEmulator) -> None:
    wire = Wire(card)
    session = open_session(wire, Surroundings())
    for at in range(2, 9):
        wire.change[at] = lambda answer, step=at: misread(answer, step)
    with pytest.raises(ProtocolError, match="another stored path each time"):
        session.unlock(Pin(CVC))
    assert len(wire.sent) == 5
