"""What a Tangem's link spends on sessions: one for a code, another once it is lost."""

import hashlib

import pytest
from coincurve import PrivateKey

from cards.errors import (
    CardNotInitialised,
    NotGenuine,
    NotUnlocked,
    PinIncorrect,
    PinUnsuitable,
    ProtocolError,
)
from cards.family import Surroundings
from cards.pin import Pin
from cards.session import Verdict
from cards.signature import verify
from cards.tangem import FAMILY
from cards.tangem.emulator import TangemEmulator, emulate
from cards.tangem.emulator_memory import Wallet
from cards.tangem.session import TangemSession, open_session
from cards.tangem.wire import WALLET_IMPORTED, WALLET_LOADED, Fields, Ins, Setting, Tag, tlv
from tests.contracts.wires import Wire

PIN = b"493817"
ENCRYPTED = (Setting.UNENCRYPTED, Setting.UNENCRYPTED | Setting.FAST)
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


class Picky(Wire):
    """A reader that takes commands in one form only: extended, with a length, or short."""

    def __init__(self, card: TangemEmulator, form: int) -> None:
        super().__init__(card)
        self.form = form

    def transmit(self, apdu: bytes) -> bytes:
        if len(apdu) > 6 and apdu[1] != 0xA4:
            extended = apdu[4] == 0
            body = int.from_bytes(apdu[5:7]) if extended else apdu[4]
            form = 2 if not extended else int(len(apdu) > 7 + body)
            if form != self.form:
                return b"\x67\x00"
        return super().transmit(apdu)


@pytest.mark.parametrize("form", range(3))
def test_commands_are_written_as_the_reader_takes_them(form: int) -> None:
    card = made("6.33", 0)
    session = open_session(Picky(card, form), Surroundings())
    session.unlock(Pin(PIN))
    assert len(session.sign((), DIGEST)) == 64


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
    assert opening.count(Ins.OPEN_SESSION) == 1
    assert opening[0] == Ins.OPEN_SESSION
    start = len(wire.sent)
    session.sign((), DIGEST)
    assert Ins.OPEN_SESSION not in instructions(wire, start)
    wire.power_cycle()
    start = len(wire.sent)
    session.sign((), DIGEST)
    again = instructions(wire, start)
    assert (again.count(Ins.OPEN_SESSION), again[-1]) == (1, Ins.SIGN)


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
    assert lost == Ins.SIGN
    assert mended[:2] == [0xA4, Ins.OPEN_SESSION]


def test_a_fresh_card_proves_itself_without_a_key() -> None:
    session = open_session(emulate("6.33").insert(), Surroundings())
    assert session.attest().result is Verdict.TEST


@pytest.mark.parametrize("proof", [Ins.ATTEST_CARD, Ins.ATTEST_WALLET])
def test_a_card_proves_itself_and_its_key_afresh_whenever_it_is_asked_to(proof: int) -> None:
    session, wire = unlocked(made("6.33", 0))
    assert session.attest().result is Verdict.TEST

    def forged(answer: bytes) -> bytes:
        if wire.sent[-1][1] != proof or answer[-2:] != b"\x90\x00":
            return answer
        return answer[:-3] + bytes((answer[-3] ^ 1,)) + answer[-2:]

    wire.change = dict.fromkeys(range(500), forged)
    with pytest.raises(NotGenuine):
        session.attest()


@pytest.mark.parametrize("mark", [0, WALLET_IMPORTED])
def test_a_card_without_a_code_says_whose_key_it_has(mark: int) -> None:
    card = emulate("6.33")
    session = open_session(card.insert(), Surroundings())
    with pytest.raises(CardNotInitialised):
        session.made_its_key()
    card.flash.wallets[0] = Wallet(0, WALLET_LOADED | mark, bytes(range(1, 33)), bytes(32))
    assert open_session(card.insert(), Surroundings()).made_its_key() is (not mark)


@pytest.mark.parametrize("pin", [b"118822", b"1"])
def test_a_code_that_was_accepted_is_wiped_when_another_is_presented(pin: bytes) -> None:
    session, _ = unlocked(made("6.33", 0))
    kept = session._code
    assert kept is not None
    with pytest.raises((PinIncorrect, PinUnsuitable)):
        session.unlock(Pin(pin))
    assert len(kept) == 0
    with pytest.raises(NotUnlocked):
        session.sign((), DIGEST)


def test_a_code_that_was_changed_is_wiped() -> None:
    session, _ = unlocked(made("6.33", 0))
    kept = session._code
    session.change_pin(Pin(PIN), Pin(b"702956"))
    assert kept is not None
    assert len(kept) == 0
    assert len(session.sign((), DIGEST)) == 64


@pytest.mark.parametrize("forbidden", [0, *ENCRYPTED], ids=["none", "fast", "strong"])
def test_nothing_of_a_session_is_left_when_it_is_closed(forbidden: int) -> None:
    session, _ = unlocked(made("6.33", forbidden))
    session.sign((), DIGEST)
    kept = session._code
    session.close()
    assert len(kept) == 0
    assert session._link._session is None


def test_a_card_that_changes_its_own_key_is_not_the_same() -> None:
    session, wire = unlocked(made("6.33", 0))
    wire.inner._chip.flash.card_key = PrivateKey().secret
    with pytest.raises(ProtocolError, match="another key of its own"):
        session.identity()


def test_a_key_that_was_shown_wrongly_is_read_again() -> None:
    session, wire = unlocked(made("6.33", 0))
    other = PrivateKey().public_key.format()
    path = (48 | 0x80000000,)

    def another(answer: bytes) -> bytes:
        fields = Fields.parse(answer[:-2]).items
        items = [(tag, other if tag == Tag.PUBLIC_KEY else value) for tag, value in fields]
        return tlv(items) + answer[-2:]

    wire.change[len(wire.sent)] = another
    with pytest.raises(ProtocolError, match="another key than it showed"):
        session.sign(path, DIGEST)
    signed = session.sign(path, DIGEST)
    assert verify(session.xpub(path).public_key, DIGEST, signed)


def test_a_key_without_a_code_neither_shows_itself_nor_signs() -> None:
    card = emulate("6.33")
    card.flash.wallets[0] = Wallet(0, WALLET_LOADED, bytes(range(1, 33)), bytes(32))
    session = open_session(card.insert(), Surroundings())
    path = (48 | 0x80000000,)
    for act in (lambda: session.xpub(path), lambda: session.sign(path, DIGEST)):
        with pytest.raises(CardNotInitialised, match="no access code"):
            act()


def test_a_card_without_a_code_is_reset() -> None:
    card = emulate("6.33")
    card.flash.wallets[0] = Wallet(0, WALLET_LOADED, bytes(range(1, 33)), bytes(32))
    session = open_session(card.insert(), Surroundings())
    session.reset()
    with pytest.raises(CardNotInitialised):
        session.made_its_key()
    assert not card.flash.wallets[0].key
