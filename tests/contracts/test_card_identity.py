"""Who a card is: known before any PIN, and the same for ever."""

import pytest

from cards.apdu import select
from cards.detection import detect
from cards.errors import (
    CardError,
    CardNotInitialised,
    CardRemoved,
    NotUnlocked,
    ProtocolError,
    StatusWordError,
)
from cards.family import CardFamily, EmulatedCard, Surroundings, families
from cards.pin import Pin
from cards.session import KeyGenerator, SeedLoader
from tests.contracts.subjects import (
    DIGEST,
    LEAF,
    PIN,
    Subject,
    give_key,
    identified,
    initialise,
    journey,
    needs,
)
from tests.contracts.wires import Wire


class Stranger:
    """A card that answers every command with one status word."""

    def __init__(self, sw: bytes) -> None:
        self.sw = sw

    def transmit(self, _apdu: bytes) -> bytes:
        return self.sw

    def close(self) -> None:
        pass


def test_a_card_is_known_before_any_pin(subject: Subject, card: EmulatedCard) -> None:
    session, _ = subject.open(card)
    if subject.family.identified_before_pin:
        before = session.identity()
        session.unlock(Pin(PIN))
    else:
        with pytest.raises(NotUnlocked):
            session.identity()
        session.unlock(Pin(PIN))
        before = session.identity()
    assert session.identity() == before
    assert before.family == subject.family.name
    assert before.version == subject.profile
    assert before.initialised


def test_a_fresh_card_is_known_and_not_initialised(subject: Subject) -> None:
    card = subject.fresh()
    session, _ = subject.open(card)
    fresh = session.identity()
    assert not fresh.initialised
    initialise(session)
    session.unlock(Pin(PIN))
    give_key(session)
    assert session.identity().initialised
    assert session.identity().card_id == fresh.card_id


def test_a_card_says_whether_it_has_a_pin(subject: Subject) -> None:
    session, _ = subject.open(subject.fresh())
    if not session.identity().has_pin:
        with pytest.raises(CardNotInitialised):
            session.unlock(Pin(PIN))
    initialise(session)
    found = session.identity()
    assert (found.has_pin, found.initialised) == (True, False)
    session.unlock(Pin(PIN))
    give_key(session)
    assert session.identity().has_pin


def test_a_card_stays_itself_from_insertion_to_insertion(
    subject: Subject, card: EmulatedCard
) -> None:
    session, wire = subject.open(card)
    found = {identified(subject, session).card_id}
    wire.power_cycle()
    found.add(session.identity().card_id)
    for each in (card, subject.family.revive(card.state())):
        found.add(identified(subject, subject.open(each)[0]).card_id)
    assert len(found) == 1


def test_a_card_stays_itself_when_its_seed_goes(subject: Subject, card: EmulatedCard) -> None:
    session, _ = subject.unlocked(card)
    before = session.identity()
    needs(session, SeedLoader).reset_seed(Pin(PIN))
    after = session.identity()
    assert after.card_id == before.card_id
    assert not after.initialised


def test_two_cards_differ_though_they_hold_one_seed(subject: Subject) -> None:
    def made() -> str:
        session, _ = subject.open(subject.fresh())
        initialise(session)
        session.unlock(Pin(PIN))
        give_key(session)
        return session.identity().card_id

    assert made() != made()


def test_a_card_is_detected_by_its_family_alone(subject: Subject, card: EmulatedCard) -> None:
    session = detect(card.insert(), Surroundings())
    assert identified(subject, session).family == subject.family.name


@pytest.mark.parametrize("kind", ["fresh", "ready"])
@pytest.mark.parametrize("before", [*families(), None], ids=lambda each: each and each.name)
def test_a_card_is_detected_whatever_was_selected_before(
    subject: Subject, kind: str, before: CardFamily | None
) -> None:
    card = subject.fresh() if kind == "fresh" else subject.ready()
    reader = card.insert()
    for family in [subject.family, before] if before else []:
        reader.transmit(select(family.aid).encode())
    assert detect(reader, Surroundings()).family == subject.family.name


@pytest.mark.parametrize("kind", ["fresh", "ready"])
@pytest.mark.parametrize("selected", [True, False])
def test_no_family_takes_a_card_of_another(subject: Subject, kind: str, *, selected: bool) -> None:
    card = subject.fresh() if kind == "fresh" else subject.ready()
    for family in families():
        if family is subject.family:
            continue
        reader = card.insert()
        if selected:
            reader.transmit(select(subject.family.aid).encode())
        with pytest.raises((StatusWordError, ProtocolError)):
            family.open(reader, Surroundings())


@pytest.mark.parametrize("sw", ["6A82", "6D00", "6E00", "6999", "9000", ""])
def test_a_stranger_is_refused(subject: Subject, sw: str) -> None:
    with pytest.raises(CardError):
        subject.family.open(Stranger(bytes.fromhex(sw)), Surroundings())


@pytest.mark.parametrize("sw", ["6A82", "6D00", "6E00", "6999", "6A86", "9000"])
def test_a_stranger_is_said_to_be_one(sw: str) -> None:
    with pytest.raises(CardError, match="no family known here"):
        detect(Stranger(bytes.fromhex(sw)), Surroundings())


def test_an_empty_answer_means_that_the_card_was_removed() -> None:
    with pytest.raises(CardRemoved, match="empty answer"):
        detect(Stranger(b""), Surroundings())


def test_the_key_is_made_where_the_family_says(subject: Subject) -> None:
    session, _ = subject.open(subject.fresh())
    assert isinstance(session, KeyGenerator) == subject.family.makes_key_on_card
    assert isinstance(session, KeyGenerator | SeedLoader)


def test_a_second_insertion_takes_the_card_from_the_first(
    subject: Subject, card: EmulatedCard
) -> None:
    first, _ = subject.unlocked(card)
    second, _ = subject.open(card)
    with pytest.raises(CardRemoved):
        first.identity()
    journey(second)


def test_a_session_closes_twice_and_then_does_nothing(subject: Subject, card: EmulatedCard) -> None:
    session, wire = subject.unlocked(card)
    session.close()
    session.close()
    assert wire.closed
    with pytest.raises(CardError):
        session.identity()


def test_a_closed_card_is_locked(subject: Subject, card: EmulatedCard) -> None:
    """Closing logs out even where the card keeps its power."""
    session, wire = subject.unlocked(card)
    session.sign(LEAF, DIGEST)
    wire.close = lambda: None
    session.close()
    with pytest.raises(NotUnlocked):
        session.sign(LEAF, DIGEST)
    with pytest.raises(NotUnlocked):
        subject.family.open(wire, Surroundings()).sign(LEAF, DIGEST)


def test_a_revived_card_is_the_same_card(subject: Subject, card: EmulatedCard) -> None:
    before = journey(subject.open(card)[0])
    after = journey(subject.family.open(Wire(subject.family.revive(card.state())), Surroundings()))
    assert (after.card_id, after.key) == (before.card_id, before.key)
