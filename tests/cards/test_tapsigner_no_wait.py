"""A TAPSIGNER that does not know `wait`, as the maker's own emulator: `new` proves the CVC."""

import pytest

from cards.errors import NotUnlocked, PinIncorrect
from cards.family import Surroundings, family_named
from cards.pin import Pin
from cards.tapsigner.emulator import TapsignerEmulator, without_wait
from cards.tapsigner.session import TapsignerSession, open_session
from tests.program import PIN, Asked

CVC, WRONG = b"123456", b"654321"


@pytest.fixture
def card() -> TapsignerEmulator:
    return without_wait("1.0.3")


def opened(card: TapsignerEmulator) -> TapsignerSession:
    return open_session(card.insert(), Surroundings())


def test_its_key_is_made_all_the_same(card: TapsignerEmulator) -> None:
    session = opened(card)
    session.initialise({"pin": Pin(CVC)})
    session.unlock(Pin(CVC))
    session.generate_key()
    assert session.identity().initialised
    assert session.xpub(())
    again = opened(card)
    again.unlock(Pin(CVC))
    assert again.xpub(()) == session.xpub(())


def test_a_wrong_cvc_is_presented_once_and_refused_by_new(card: TapsignerEmulator) -> None:
    session = opened(card)
    session.initialise({"pin": Pin(WRONG)})
    session.unlock(Pin(WRONG))
    assert card.flash.failures == 0
    with pytest.raises(PinIncorrect):
        session.generate_key()
    assert card.flash.failures == 1
    with pytest.raises(NotUnlocked):
        session.generate_key()
    assert card.flash.failures == 1
    assert not session.identity().initialised


def test_the_home_has_such_cards_and_sets_them_up(asked: Asked) -> None:
    assert "no-wait" in family_named("tapsigner").variants
    asked("init", "--network", "regtest")
    made = asked("emulate", "new", "tapsigner", "t", "--variant", "no-wait")
    assert made["initialised"]
    asked("emulate", "new", "tapsigner", "u", "--variant", "no-wait", "--no-setup")
    words = ("card", "setup", "u", "--emulated", "u", "--generate", "--pin-stdin")
    assert asked(*words, stdin=PIN)["created_on"] == "card"


def test_a_variant_the_family_has_not_is_refused_by_name(asked: Asked) -> None:
    asked("init", "--network", "regtest")
    words = ("emulate", "new", "satochip", "t", "--variant", "no-wait")
    assert "uncertified" in asked(*words, check=2)["error"]["message"]


def test_an_uncertified_card_is_said_to_be_told_from_nothing(asked: Asked) -> None:
    asked("init", "--network", "regtest")
    asked("emulate", "new", "satochip", "t", "--variant", "uncertified")
    words = ("card", "enrol", "t", "--emulated", "t", "--pin-stdin")
    proof = asked(*words, stdin=PIN)["attestation"]
    assert proof["result"] == "unproven"
    assert "nothing tells it from software" in proof["reason"]
