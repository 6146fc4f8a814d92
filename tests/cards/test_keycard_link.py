"""How a Keycard's link keeps a card apart from others, its channel and its login."""

import hashlib

import pytest
from embit.bip32 import HDKey

from cards.errors import (
    CardReset,
    NotGenuine,
    NotUnlocked,
    PathNotAvailable,
    PinIncorrect,
    PinUnsuitable,
    ProtocolError,
)
from cards.family import Surroundings, TransientMemory
from cards.keycard.emulator import emulate
from cards.keycard.session import KeycardSession, open_session
from cards.keycard.wire import Ins
from cards.pin import Pin, Secret
from cards.session import HARDENED
from cards.signature import verify
from tests.cards.keycard_host import SEED
from tests.contracts.wires import Wire

H = HARDENED
PROFILES = ("3.1", "3.2", "4.0")
PAIRED = ("3.1", "3.2")
PIN, PUK = b"493817", b"850273619482"
LEAF = (48 | H, 1 | H, 0, 5)
DIGEST = hashlib.sha256(b"a digest").digest()


def seeded(profile: str, memory: TransientMemory | None = None) -> tuple[KeycardSession, Wire]:
    wire = Wire(emulate(profile))
    session = open_session(wire, Surroundings(memory=memory or TransientMemory()))
    session.initialise({"pin": Pin(PIN), "puk": Secret(PUK)})
    session.unlock(Pin(PIN))
    session.load_seed(Secret(SEED))
    return session, wire


@pytest.mark.parametrize("profile", PAIRED)
def test_who_may_only_look_uses_a_pairing_that_is_kept_and_takes_none(profile: str) -> None:
    memory = TransientMemory()
    session, wire = seeded(profile, memory)
    card = wire.inner._chip
    session.close()
    known = open_session(card.insert(), Surroundings(memory=memory, look_only=True)).identity()
    assert (known.initialised, known.attempts_left) == (True, 3)
    strange = open_session(card.insert(), Surroundings(look_only=True)).identity()
    assert (strange.initialised, strange.attempts_left) == (True, None)
    assert len(card.flash.pairings) == 1


def test_a_certified_card_proves_its_key_before_it_is_asked_anything() -> None:
    honest, thief = emulate("4.0"), emulate("4.0")
    thief.flash.certificate = honest.flash.certificate
    with pytest.raises(NotGenuine, match="not signed by its identity key"):
        open_session(thief.insert(), Surroundings())


@pytest.mark.parametrize("profile", PROFILES)
def test_a_wrong_pin_ends_the_login_of_the_right_one(profile: str) -> None:
    session, _ = seeded(profile)
    with pytest.raises(PinIncorrect):
        session.unlock(Pin(b"000000"))
    with pytest.raises(NotUnlocked):
        session.sign(LEAF, DIGEST)
    assert session.identity().attempts_left == 2


def test_a_pin_that_is_replaced_is_wiped() -> None:
    session, _ = seeded("3.2")
    kept = session._link.pin.value
    session._link.pin.keep(Pin(b"654321"))
    assert kept is not None
    assert len(kept) == 0


@pytest.mark.parametrize("profile", PROFILES)
def test_a_login_that_is_lost_alone_is_made_again(profile: str) -> None:
    session, wire = seeded(profile)
    wire.inner._chip._card.power.verified = False
    assert len(session.sign(LEAF, DIGEST)) == 64


@pytest.mark.parametrize("profile", PAIRED)
def test_a_card_reset_while_its_channel_opens_is_selected_again(profile: str) -> None:
    _, first = seeded(profile)
    wire = Wire(first.inner._chip)
    disturbed: list[int] = []
    session = open_session(wire, Surroundings(disturbed=lambda: disturbed.append(1)))
    wire.reset_before(len(wire.sent))
    session.unlock(Pin(PIN))
    assert len(session.sign(LEAF, DIGEST)) == 64
    assert disturbed == [1]


@pytest.mark.parametrize("profile", PAIRED)
def test_a_card_reset_whenever_its_channel_opens_is_given_up(profile: str) -> None:
    _, first = seeded(profile)
    wire = Wire(first.inner._chip)
    session = open_session(wire, Surroundings())
    for number in range(len(wire.sent), 100):
        wire.reset_before(number)
    with pytest.raises(CardReset):
        session.unlock(Pin(PIN))
    assert len(wire.sent) < 20


@pytest.mark.parametrize("profile", PAIRED)
def test_a_card_that_was_just_selected_is_not_selected_again(profile: str) -> None:
    """Selecting it would take away a pairing that is made for a while only."""
    session, wire = seeded(profile)
    session.reset()
    start = len(wire.sent)
    session.initialise({"pin": Pin(PIN), "puk": Secret(PUK)})
    session.unlock(Pin(PIN))
    assert [apdu[1] for apdu in wire.sent[start:]].count(0xA4) == 2


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("left", [1, 2])
def test_a_last_attempt_is_never_spent_on_a_login_that_was_lost(profile: str, left: int) -> None:
    session, wire = seeded(profile)
    card, kept = wire.inner._chip, session._link.pin.value
    card._card.power.verified = False
    card.flash.pin.left = left
    if left > 1:
        assert len(session.sign(LEAF, DIGEST)) == 64
        return
    with pytest.raises(NotUnlocked, match="one attempt at most"):
        session.sign(LEAF, DIGEST)
    assert card.flash.pin.left == 1
    assert len(kept) == 0
    assert session._link.pin.value is None


@pytest.mark.parametrize("profile", PROFILES)
def test_a_pin_that_was_changed_elsewhere_is_presented_once_and_wiped(profile: str) -> None:
    session, wire = seeded(profile)
    card, kept = wire.inner._chip, session._link.pin.value
    card._card.power.verified = False
    card.flash.pin.value = b"702956"
    with pytest.raises(NotUnlocked, match="refuses the one from before"):
        session.sign(LEAF, DIGEST)
    assert card.flash.pin.left == 2
    assert len(kept) == 0
    with pytest.raises(NotUnlocked, match="wants its PIN first"):
        session.sign(LEAF, DIGEST)
    assert card.flash.pin.left == 2


@pytest.mark.parametrize("profile", PROFILES)
def test_a_pin_no_keycard_has_costs_no_command(profile: str) -> None:
    session, wire = seeded(profile)
    start = len(wire.sent)
    with pytest.raises(PinUnsuitable):
        session.unlock(Pin(b"12345"))
    assert len(wire.sent) == start


@pytest.mark.parametrize("profile", PROFILES)
def test_a_path_has_ten_steps_and_no_more(profile: str) -> None:
    session, wire = seeded(profile)
    deepest = (*LEAF, *range(6))
    expected = HDKey.from_seed(SEED).derive(list(deepest)).to_public()
    assert session.xpub(deepest).public_key == expected.get_public_key().sec()
    assert verify(session.xpub(deepest).public_key, DIGEST, session.sign(deepest, DIGEST))
    start = len(wire.sent)
    for act in (lambda: session.xpub((*deepest, 0)), lambda: session.sign((*deepest, 0), DIGEST)):
        with pytest.raises(PathNotAvailable):
            act()
    assert len(wire.sent) == start


@pytest.mark.parametrize("profile", PAIRED)
def test_a_card_that_took_another_pairing_password_is_noticed_at_once(profile: str) -> None:
    _, first = seeded(profile)
    pairing = next(at for at, apdu in enumerate(first.sent) if apdu[1] == Ins.PAIR)
    wire = Wire(emulate(profile))
    flash = wire.inner._chip.flash
    wire.before[pairing] = lambda: setattr(flash, "pairing_secret", bytes(32))
    session = open_session(wire, Surroundings())
    with pytest.raises(ProtocolError, match="another pairing password"):
        session.initialise({"pin": Pin(PIN), "puk": Secret(PUK)})
