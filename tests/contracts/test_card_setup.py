"""From the factory to a card with a key, and back."""

import pytest

from cards.errors import CardError, CardNotInitialised, NotUnlocked, PinIncorrect
from cards.family import EmulatedCard, Surroundings
from cards.pin import Pin, Secret
from cards.session import Initialiser, KeyGenerator, Labeller, Resetter, SeedLoader
from cards.signature import verify
from tests.contracts.subjects import (
    DIGEST,
    LEAF,
    NEW_PIN,
    OTHER_SEED,
    PIN,
    PUK,
    WRONG_PIN,
    Subject,
    attempts,
    give_key,
    initialise,
    journey,
    needs,
    spent,
)


def test_a_card_is_initialised_once(subject: Subject, card: EmulatedCard) -> None:
    full = attempts(subject, card)
    session, _ = subject.open(card)
    with pytest.raises(CardError):
        needs(session, Initialiser).initialise({"pin": Pin(NEW_PIN), "puk": Secret(PUK)})
    assert spent(subject, card, full) == 0
    journey(subject.open(card)[0])


def test_a_key_is_given_once(subject: Subject, card: EmulatedCard) -> None:
    session, _ = subject.unlocked(card)
    key = session.xpub(LEAF)
    with pytest.raises(CardError):
        give_key(session, OTHER_SEED)
    assert subject.unlocked(card)[0].xpub(LEAF) == key


def test_a_card_that_has_a_key_makes_no_other(subject: Subject, card: EmulatedCard) -> None:
    session, _ = subject.unlocked(card)
    maker, key = needs(session, KeyGenerator), session.xpub(LEAF)
    with pytest.raises(CardError):
        maker.generate_key()
    assert subject.unlocked(card)[0].xpub(LEAF) == key


def test_a_key_made_on_the_card_is_read_afresh(subject: Subject) -> None:
    """What a session knew of a key that is gone is not shown for the next one."""
    session, _ = subject.open(subject.fresh())
    initialise(session)
    session.unlock(Pin(PIN))
    maker, resetter = needs(session, KeyGenerator), needs(session, Resetter)
    maker.generate_key()
    first = session.xpub(LEAF)
    resetter.reset()
    initialise(session)
    session.unlock(Pin(PIN))
    maker.generate_key()
    second = session.xpub(LEAF)
    assert second != first
    assert verify(second.public_key, DIGEST, session.sign(LEAF, DIGEST))


def test_a_locked_card_takes_no_seed(subject: Subject) -> None:
    session, _ = subject.open(subject.fresh())
    loader = needs(session, SeedLoader)
    initialise(session)
    with pytest.raises(NotUnlocked):
        give_key(session)
    session.unlock(Pin(PIN))
    loader.load_seed(Secret(OTHER_SEED))


@pytest.mark.parametrize("size", [0, 15, 65])
def test_a_seed_of_no_size_bip_32_knows_never_reaches_the_card(subject: Subject, size: int) -> None:
    session, wire = subject.open(subject.fresh())
    loader = needs(session, SeedLoader)
    sent = len(wire.sent)
    with pytest.raises(ValueError, match=str(size)):
        loader.load_seed(Secret(bytes(size)))
    assert len(wire.sent) == sent


def test_a_card_without_a_key_neither_shows_nor_signs(subject: Subject) -> None:
    session, _ = subject.open(subject.fresh())
    initialise(session)
    session.unlock(Pin(PIN))
    for act in (lambda: session.xpub(LEAF), lambda: session.sign(LEAF, DIGEST)):
        with pytest.raises(CardNotInitialised):
            act()
    give_key(session)
    session.sign(LEAF, DIGEST)


def test_a_fresh_card_takes_no_pin_but_a_printed_one(subject: Subject) -> None:
    session, _ = subject.open(subject.fresh())
    needs(session, Initialiser)
    with pytest.raises((CardNotInitialised, PinIncorrect)):
        session.unlock(Pin(WRONG_PIN))


def test_a_seed_is_reset_by_its_pin_alone(subject: Subject, card: EmulatedCard) -> None:
    full = attempts(subject, card)
    session, _ = subject.unlocked(card)
    key = session.xpub(LEAF)
    with pytest.raises(CardError):
        needs(session, SeedLoader).reset_seed(Pin(NEW_PIN))
    assert spent(subject, card, full) == bool(full)
    assert subject.unlocked(card)[0].xpub(LEAF) == key


def test_a_factory_reset_leaves_the_card_and_nothing_on_it(
    subject: Subject, card: EmulatedCard
) -> None:
    session, wire = subject.unlocked(card)
    before, key = session.identity(), session.xpub(LEAF)
    needs(session, Resetter).reset()
    for each in (session, subject.family.open(wire, Surroundings())):
        after = each.identity()
        assert not after.initialised
        assert after.card_id == before.card_id
        with pytest.raises(CardError):
            each.sign(LEAF, DIGEST)
    again, _ = subject.open(card)
    initialise(again)
    again.unlock(Pin(PIN))
    give_key(again, OTHER_SEED)
    assert again.xpub(LEAF) != key


def test_a_label_stays_on_the_card(subject: Subject, card: EmulatedCard) -> None:
    session, _ = subject.unlocked(card)
    needs(session, Labeller).set_label("Tresor Zürich 2")
    again = needs(subject.unlocked(card)[0], Labeller)
    assert again.label() == "Tresor Zürich 2"
    again.set_label("")
    assert again.label() == ""


def test_a_label_too_long_is_refused_and_the_old_one_stays(
    subject: Subject, card: EmulatedCard
) -> None:
    session = needs(subject.unlocked(card)[0], Labeller)
    session.set_label("old")
    with pytest.raises(CardError):
        session.set_label("ü" * 200)
    assert session.label() == "old"
