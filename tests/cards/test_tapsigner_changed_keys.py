"""A TAPSIGNER whose keys change under the session."""

import pytest
from coincurve import PrivateKey

from cards.errors import PinDelayed, ProtocolError
from cards.pin import Pin
from tests.cards.tapsigner_host import ACCOUNT, CVC, DIGEST, H, opened, unlocked, with_key

OTHER = (84 | H, 0 | H, 0 | H)


def test_another_key_at_the_same_path_is_noticed_when_it_is_derived() -> None:
    card = with_key()
    session, _ = unlocked(card)
    session.sign((*ACCOUNT, 0, 7), DIGEST)
    session.xpub(OTHER)
    card.flash.master = PrivateKey().secret
    with pytest.raises(ProtocolError, match="another key at the same path"):
        session.sign((*ACCOUNT, 0, 7), DIGEST)


def test_a_wait_of_a_minute_is_the_longest() -> None:
    card = with_key()
    session, wire = opened(card)
    card.flash.delay = 61
    start = len(wire.sent)
    with pytest.raises(PinDelayed) as told:
        session.unlock(Pin(CVC))
    assert told.value.seconds == 61
    assert len(wire.sent) - start < 5
    card.flash.delay = 60
    session.unlock(Pin(CVC))
    assert len(wire.sent) - start > 60
