"""A TAPSIGNER's CVC where firmwares and states of the card differ."""

import pytest

from cards.errors import NotUnlocked, PinIncorrect, PinUnsuitable
from cards.pin import Pin
from cards.tapsigner.channel import Sealed
from cards.tapsigner.commands import SELECT
from cards.tapsigner.emulator import FIRMWARES, emulate
from tests.cards.tapsigner_host import (
    ACCOUNT,
    CVC,
    DIGEST,
    NEWEST,
    WRONG,
    Bare,
    opened,
    unlocked,
    with_key,
)


def test_a_fresh_card_that_makes_everybody_wait_looks_at_the_cvc_afterwards() -> None:
    """While it counts down, `wait` succeeds whatever CVC comes along."""
    card = emulate(NEWEST)
    bare = Bare(card)
    for _ in range(3):
        bare.send("wait", WRONG)
    assert card.flash.delay == 15
    session, _ = opened(card)
    with pytest.raises(PinIncorrect):
        session.unlock(Pin(WRONG))
    with pytest.raises(NotUnlocked):
        session.generate_key()
    session.unlock(Pin(CVC))
    session.generate_key()
    assert card.flash.failures == 0


@pytest.mark.parametrize("profile", FIRMWARES)
def test_a_new_cvc_of_letters_is_refused_in_words(profile: str) -> None:
    """Firmwares before 1.0.1 would take it, and other programs could not type it."""
    card = with_key(profile)
    session, _ = unlocked(card)
    session.backup()
    with pytest.raises(PinUnsuitable, match="digits"):
        session.change_pin(Pin(CVC), Pin(b"letters"))
    assert card.flash.cvc == CVC
    session.sign(ACCOUNT, DIGEST)


def test_a_sealed_command_does_not_show_its_key() -> None:
    key = bytes(range(32))
    assert repr(key) not in repr(Sealed(SELECT, key))
