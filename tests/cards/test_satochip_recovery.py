"""A Satochip that loses power, channel, login or its key under the driver's hands."""

import logging

import pytest

from cards.errors import (
    CardError,
    CardRemoved,
    CardReset,
    NotUnlocked,
    PinIncorrect,
    ProtocolError,
    StatusWordError,
    WrongCard,
)
from cards.family import Surroundings
from cards.pin import Pin, Secret
from cards.satochip.emulator import PROFILES, SatochipEmulator, emulate
from cards.satochip.session import SatochipSession, open_session
from cards.signature import verify
from tests.cards.readers import DIGEST, LEAF, PIN, PUK, SEED, opened, seeded

NEW = PROFILES[-1]


@pytest.fixture(params=PROFILES)
def card(request: pytest.FixtureRequest) -> SatochipEmulator:
    return emulate(request.param)


class TestRecovery:
    def test_a_card_that_lost_power_goes_on(self, card: SatochipEmulator) -> None:
        session, reader = seeded(card)
        key = session.xpub(LEAF).public_key
        session.sign(LEAF, DIGEST)
        acts = (
            lambda: verify(key, DIGEST, session.sign(LEAF, DIGEST)),
            lambda: session.label() == "",
            lambda: session.identity().initialised,
            lambda: session.xpub((9,)).depth == 1,
        )
        for act in acts:
            reader.inner.power_cycle()
            assert act()

    def test_a_reset_the_reader_tells_of_is_mended_too(self, card: SatochipEmulator) -> None:
        session, reader = seeded(card)

        def reset() -> None:
            reader.inner.power_cycle()
            raise CardReset("another program reset the card")

        for act in (session.label, session.identity, lambda: session.sign(LEAF, DIGEST)):
            reader.before = reset
            assert act() is not None

    def test_a_reset_between_derivation_and_signature_is_noticed(
        self, card: SatochipEmulator
    ) -> None:
        session, reader = seeded(card)
        key = session.xpub(LEAF).public_key
        session.sign(LEAF, DIGEST)

        def another_program() -> None:
            other = open_session(reader.inner, Surroundings())
            other.unlock(Pin(PIN))
            other.sign((1, 2, 3), DIGEST)
            reader.inner.power_cycle()

        reader.before = another_program
        assert verify(key, DIGEST, session.sign(LEAF, DIGEST))

    def test_power_lost_between_a_derivation_and_its_signature(
        self, card: SatochipEmulator
    ) -> None:
        session, reader = seeded(card)
        key = session.xpub(LEAF).public_key

        def lose_power(answer: bytes) -> bytes:
            reader.inner.power_cycle()
            return answer

        reader.next_answers(lose_power)
        assert verify(key, DIGEST, session.sign(LEAF, DIGEST))

    def test_a_lost_channel_is_opened_once_and_the_command_resent(
        self, card: SatochipEmulator
    ) -> None:
        session, reader = seeded(card)
        for sw in (0x9C20, 0x9C21, 0x9C22, 0x9C23):
            reader.next_answers(lambda _answer, sw=sw: sw.to_bytes(2))
            assert reader.cost(session.label) == 3
        for after in (1, 3):
            reader.next_answers(lambda _answer: b"\x9c\x21", after=after)
        with pytest.raises(CardError, match="9C21, twice"):
            session.label()

    def test_a_lost_login_is_renewed_once(self, card: SatochipEmulator) -> None:
        session, reader = seeded(card)
        card._card.log_out()
        assert session.label() == ""
        for after in (1, 4):
            reader.next_answers(lambda _answer: b"\x9c\x06", after=after)
        with pytest.raises(NotUnlocked):
            session.label()

    def test_a_pin_changed_elsewhere_is_spent_once_and_no_more(
        self, card: SatochipEmulator
    ) -> None:
        session, _ = seeded(card)
        card.flash.pins[0].value = b"another"
        card._card.log_out()
        with pytest.raises(PinIncorrect):
            session.label()
        with pytest.raises(NotUnlocked):
            session.label()
        assert session.identity().attempts_left == 4

    def test_the_last_attempt_is_never_spent_on_renewing_a_login(
        self, card: SatochipEmulator
    ) -> None:
        session, _ = seeded(card)
        card.flash.pins[0].left = 2
        card._card.log_out()
        assert session.label() == ""
        card.flash.pins[0].left = 1
        card._card.log_out()
        with pytest.raises(NotUnlocked, match="one attempt"):
            session.label()
        assert card.flash.pins[0].left == 1

    def test_another_card_is_not_given_the_pin(self, card: SatochipEmulator) -> None:
        session, reader = seeded(card)
        other = emulate(NEW)
        seeded(other)
        reader.inner = other.insert()
        with pytest.raises(WrongCard):
            session.label()
        assert other.flash.pins[0].left == 5

    def test_a_removed_card_says_so(self, card: SatochipEmulator) -> None:
        session, reader = seeded(card)
        reader.inner.eject()
        for act in (session.identity, session.label, lambda: session.sign(LEAF, DIGEST)):
            with pytest.raises(CardRemoved):
                act()
        session.close()

    def test_closing_logs_out_and_may_be_repeated(self, card: SatochipEmulator) -> None:
        session, reader = seeded(card)
        reader.close = lambda: None
        session.close()
        assert not card._card.power.verified
        with pytest.raises(NotUnlocked):
            session.label()
        session.close()

    def test_a_closed_session_answers_nothing_from_memory(self, card: SatochipEmulator) -> None:
        session, reader = seeded(card)
        session.xpub(LEAF)
        session.close()
        assert reader.inner._chip is None
        with pytest.raises(CardRemoved):
            session.xpub(LEAF)

    def test_a_kept_pin_is_wiped_when_it_is_no_longer_needed(self, card: SatochipEmulator) -> None:
        def log_out_with_tries(left: int) -> None:
            card.flash.pins[0].left = left
            card._card.log_out()
            with pytest.raises(CardError):
                session.label()

        session, _ = seeded(card)
        acts = (
            lambda: session.change_pin(Pin(PIN), Pin(PIN)),
            lambda: session.unlock(Pin(PIN)),
            lambda: log_out_with_tries(1),
            lambda: log_out_with_tries(0),
            session.reset,
            session.close,
        )
        for act in acts:
            if session._link.pin.value is None:
                card.flash.pins[0].left = 5
                session.unlock(Pin(PIN)) if card.flash.setup_done else initialise(session)
            kept = session._link.pin.value
            act()
            assert kept is not None
            assert len(kept) == 0

    def test_a_signature_by_another_key_is_asked_for_once_more(
        self, card: SatochipEmulator
    ) -> None:
        session, reader = seeded(card)
        key = session.xpub(LEAF).public_key
        session.sign(LEAF, DIGEST)
        use(card, b"\x07" * 32)
        assert reader.cost(lambda: session.sign(LEAF, DIGEST)) == 3
        use(card, b"\x07" * 32)
        assert verify(key, DIGEST, session.sign(LEAF, DIGEST))

    def test_a_card_that_keeps_signing_with_another_key_is_refused(
        self, card: SatochipEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        session, reader = seeded(card)
        monkeypatch.setattr(
            "cards.satochip.emulator_keys.signing_key", lambda _card, _number: b"\x07" * 32
        )
        sent = len(reader.sent)
        with pytest.raises(ProtocolError, match="not sign with the key it derived"):
            session.sign(LEAF, DIGEST)
        assert len(reader.sent) - sent == 4

    def test_a_refusal_to_sign_is_told_and_not_asked_again(self, card: SatochipEmulator) -> None:
        session, reader = seeded(card)
        session.sign(LEAF, DIGEST)
        reader.next_answers(lambda _answer: b"\x6f\x00")
        with pytest.raises(StatusWordError, match="6F00 to instruction 7A"):
            session.sign(LEAF, DIGEST)

    def test_nothing_signs_between_a_failed_derivation_and_the_next(
        self, card: SatochipEmulator
    ) -> None:
        session, reader = seeded(card)
        session.sign(LEAF, DIGEST)
        reader.next_answers(lambda _answer: b"\x6f\x00")
        with pytest.raises(StatusWordError, match="6F00 to instruction 6D"):
            session.sign((1, 2), DIGEST)
        assert reader.cost(lambda: session.sign(LEAF, DIGEST)) == 2

    def test_a_seed_changed_elsewhere_is_noticed(self, card: SatochipEmulator) -> None:
        session, reader = seeded(card)
        session.sign(LEAF, DIGEST)
        other = open_session(reader.inner, Surroundings())
        other.unlock(Pin(PIN))
        other.reset_seed(Pin(PIN))
        other.unlock(Pin(PIN))
        other.load_seed(Secret(bytes(64)))
        with pytest.raises(ProtocolError, match="another key at the same path"):
            session.sign(LEAF, DIGEST)

    def test_after_an_interruption_the_key_is_derived_again(self, card: SatochipEmulator) -> None:
        """Up to 0.15 the card would sign at once, and be it for a seed that it has no longer."""
        session, reader = seeded(card)
        session.sign(LEAF, DIGEST)
        assert reader.cost(lambda: session.sign(LEAF, DIGEST)) == 1
        reader.inner.power_cycle()
        assert session.label() == ""
        assert reader.cost(lambda: session.sign(LEAF, DIGEST)) == 2
        assert reader.cost(lambda: session.sign(LEAF, DIGEST)) == 1

    def test_a_key_from_the_wrong_place_in_the_cache_is_refused(
        self, card: SatochipEmulator
    ) -> None:
        session, _ = seeded(card)
        session.xpub(LEAF)
        other, _ = opened(card)
        other.unlock(Pin(PIN))
        cache = card.flash.cache
        first, *_, last = cache
        cache[last] = cache[first]
        with pytest.raises(ProtocolError, match="parent's child"):
            other.xpub(LEAF)


def use(card: SatochipEmulator, key: bytes) -> None:
    """Make another key the one that signs, as another program could."""
    if card.flash.version >= (0, 16):
        card._card.power.last_key = key
    else:
        card.flash.last_key = key


def test_no_log_and_no_error_ever_holds_a_secret(
    card: SatochipEmulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    session, reader = seeded(card)
    session.sign(LEAF, DIGEST)
    reader.inner.power_cycle()
    session.label()
    with pytest.raises(PinIncorrect) as caught:
        session.change_pin(Pin(b"wrong-one"), Pin(b"another"))
    session.change_pin(Pin(PIN), Pin(b"another"))
    session.reset_seed(Pin(b"another"))
    for code in (b"wrong-one",) * 5:
        with pytest.raises(PinIncorrect):
            session.unlock(Pin(code))
    session.unblock(Secret(PUK), None)
    session.reset()
    written = caplog.text + repr(caught.value) + repr(vars(session))
    assert "B0 42" in written
    for secret in (PIN, PUK, SEED, b"wrong-one", b"another"):
        for form in (secret.hex(), repr(secret)[2:-1], str(list(secret))):
            assert form not in written
            assert form.upper() not in written


def initialise(session: SatochipSession) -> None:
    session.initialise({"pin": Pin(PIN), "puk": Secret(PUK)})
    session.unlock(Pin(PIN))
