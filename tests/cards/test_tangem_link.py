"""What a Tangem's link spends on sessions: one for a code, another once it is lost."""

import hashlib

import pytest

from cards.family import Surroundings
from cards.pin import Pin
from cards.tangem import FAMILY
from cards.tangem.emulator import TangemEmulator, emulate
from cards.tangem.session import TangemSession, open_session
from cards.tangem.wire import INS_OPEN_SESSION, INS_SIGN, SETTING_FAST, SETTING_UNENCRYPTED
from tests.contracts.wires import Wire

PIN = b"493817"
ENCRYPTED = (SETTING_UNENCRYPTED, SETTING_UNENCRYPTED | SETTING_FAST)
DIGEST = hashlib.sha256(b"a digest").digest()


def made(profile: str, forbidden: int) -> TangemEmulator:
    card = emulate(profile)
    card.flash.settings &= ~forbidden
    session = open_session(card.insert(), Surroundings())
    session.initialise({"pin": Pin(PIN)})
    session.unlock(Pin(PIN))
    session.generate_key()
    session.close()
    return card


def unlocked(card: TangemEmulator) -> tuple[TangemSession, Wire]:
    wire = Wire(card)
    session = open_session(wire, Surroundings())
    session.unlock(Pin(PIN))
    return session, wire


def instructions(wire: Wire, start: int) -> list[int]:
    return [apdu[1] for apdu in wire.sent[start:]]


@pytest.mark.parametrize("forbidden", ENCRYPTED, ids=["fast", "strong"])
@pytest.mark.parametrize("profile", FAMILY.profiles)
def test_a_session_is_opened_once_and_again_after_a_reset(profile: str, forbidden: int) -> None:
    """Asking the chip's number at the end of unlocking has taken the session away."""
    session, wire = unlocked(made(profile, forbidden))
    start = len(wire.sent)
    session.xpub(())
    session.sign((), DIGEST)
    opening = instructions(wire, start)
    assert opening.count(INS_OPEN_SESSION) == 1
    assert opening[0] == INS_OPEN_SESSION
    start = len(wire.sent)
    session.sign((), DIGEST)
    assert INS_OPEN_SESSION not in instructions(wire, start)
    wire.power_cycle()
    start = len(wire.sent)
    session.sign((), DIGEST)
    again = instructions(wire, start)
    assert (again.count(INS_OPEN_SESSION), again[-1]) == (1, INS_SIGN)


def test_a_pause_of_no_stated_length_is_waited_for() -> None:
    session, wire = unlocked(made("6.33", 0))
    heard: list[tuple[str, int]] = []
    session._link._progress = lambda *said: heard.append(said)
    wire.change[len(wire.sent)] = lambda _answer: b"\x97\x89"
    assert len(session.sign((), DIGEST)) == 64
    assert heard == [("the card makes us wait", 0)]


@pytest.mark.parametrize("forbidden", ENCRYPTED, ids=["fast", "strong"])
@pytest.mark.parametrize("profile", FAMILY.profiles)
def test_a_reset_the_reader_tells_of_ends_the_session(profile: str, forbidden: int) -> None:
    session, wire = unlocked(made(profile, forbidden))
    session.sign((), DIGEST)
    wire.reset_before(len(wire.sent))
    start = len(wire.sent)
    assert len(session.sign((), DIGEST)) == 64
    lost, *mended = instructions(wire, start)
    assert lost == INS_SIGN
    assert mended[:2] == [0xA4, INS_OPEN_SESSION]
