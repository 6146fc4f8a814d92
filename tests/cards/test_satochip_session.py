"""A Satochip's session against the emulated card, version by version."""

import pytest
from coincurve import PublicKey

from cards.detection import detect
from cards.emulation import EmulatedTransport
from cards.errors import (
    CardError,
    CardNotInitialised,
    NotSupported,
    NotUnlocked,
    PinBlocked,
    PinIncorrect,
    ProtocolError,
    StatusWordError,
)
from cards.family import Surroundings, families, family_named
from cards.pin import Pin, Secret
from cards.satochip.emulator import PROFILES, SatochipEmulator, emulate
from cards.satochip.session import SatochipSession, open_session
from cards.transport import CardTransport
from tests.cards.readers import (
    ACCOUNT,
    DIGEST,
    PIN,
    PUK,
    SEED,
    initialised,
    opened,
    seeded,
)

OLD, NEW = PROFILES[0], PROFILES[-1]


@pytest.fixture(params=PROFILES)
def card(request: pytest.FixtureRequest) -> SatochipEmulator:
    return emulate(request.param)


class TestIdentity:
    def test_a_card_says_who_it_is_before_any_pin(self, card: SatochipEmulator) -> None:
        first = opened(card)[0].identity()
        assert first.family == "satochip"
        assert first.version == card.flash.profile
        assert not first.initialised
        assert first.attempts_left is None
        seeded(card)
        later = opened(card)[0].identity()
        assert later == first._replace(
            initialised=True, attempts_left=5, has_pin=True, puk_attempts_left=3
        )
        public = PublicKey.from_valid_secret(card.flash.authentikey)
        assert first.card_id == public.format().hex()

    def test_a_pin_alone_is_not_initialised(self, card: SatochipEmulator) -> None:
        identity = initialised(card)[0].identity()
        assert not identity.initialised
        assert identity.attempts_left == 5

    def test_the_family_is_found_by_listing_and_by_detection(self, card: SatochipEmulator) -> None:
        family = family_named("satochip")
        assert family in families()
        assert family.profiles == PROFILES
        assert not family.makes_key_on_card
        assert detect(card.insert(), Surroundings()).identity().family == "satochip"

    def test_another_applet_is_no_satochip(self) -> None:
        class Other:
            def transmit(self, _apdu: bytes) -> bytes:
                return b"\x6a\x82"

            def close(self) -> None:
                pass

        with pytest.raises(StatusWordError):
            open_session(Other(), Surroundings())

    def test_a_version_before_0_12_is_refused(self) -> None:
        class Older:
            def __init__(self, inner: CardTransport) -> None:
                self.inner = inner

            def transmit(self, apdu: bytes) -> bytes:
                answer = self.inner.transmit(apdu)
                return b"\0\x0b" + answer[2:] if apdu.startswith(b"\xb0\x3c") else answer

            def close(self) -> None:
                self.inner.close()

        with pytest.raises(NotSupported, match=r"before 0\.12"):
            open_session(Older(emulate(OLD).insert()), Surroundings())


class TestPins:
    def test_a_wrong_pin_says_what_is_left_until_the_card_blocks(
        self, card: SatochipEmulator
    ) -> None:
        session, _ = seeded(card)
        for left in (4, 3, 2, 1, 0):
            with pytest.raises(PinIncorrect) as caught:
                session.unlock(Pin(b"000000"))
            assert caught.value.attempts_left == left
            assert session.identity().attempts_left == left
        with pytest.raises(PinBlocked):
            session.unlock(Pin(PIN))

    def test_a_wrong_pin_locks_what_a_right_one_opened(self, card: SatochipEmulator) -> None:
        session, _ = seeded(card)
        with pytest.raises(PinIncorrect):
            session.unlock(Pin(b"000000"))
        with pytest.raises(NotUnlocked):
            session.label()
        assert session.identity().attempts_left == 4

    @pytest.mark.parametrize("size", [0, 3, 17])
    def test_a_size_no_pin_has_never_reaches_the_card(self, size: int) -> None:
        session, reader = seeded(emulate(NEW))
        bad, good = Pin(b"x" * size), Pin(PIN)
        sent = len(reader.sent)
        for act in (
            lambda: session.change_pin(good, bad),
            lambda: session.change_pin(bad, good),
            lambda: session.reset_seed(bad),
            lambda: session.unlock(bad),
        ):
            with pytest.raises(CardError, match=f"4 to 16 bytes, not {size}"):
                act()
        assert all(apdu.startswith(b"\xb0\x3c") for apdu in reader.sent[sent:])

    @pytest.mark.parametrize("size", [4, 16])
    def test_the_shortest_and_the_longest_pin_do(self, size: int) -> None:
        session, _ = opened(emulate(NEW))
        pin = Pin(b"p" * size)
        session.initialise({"pin": pin, "puk": Secret(b"u" * size)})
        session.unlock(pin)

    def test_a_changed_pin_keeps_the_session_open(self, card: SatochipEmulator) -> None:
        session, _ = seeded(card)
        session.change_pin(Pin(PIN), Pin(b"654321"))
        assert session.label() == ""
        again, _ = opened(card)
        with pytest.raises(PinIncorrect):
            again.unlock(Pin(PIN))
        again.unlock(Pin(b"654321"))

    def test_changing_the_pin_of_a_locked_card_unlocks_nothing(
        self, card: SatochipEmulator
    ) -> None:
        seeded(card)
        session, _ = opened(card)
        session.change_pin(Pin(PIN), Pin(b"654321"))
        with pytest.raises(NotUnlocked):
            session.label()

    def test_a_wrong_old_pin_counts(self, card: SatochipEmulator) -> None:
        session, _ = seeded(card)
        with pytest.raises(PinIncorrect) as caught:
            session.change_pin(Pin(b"000000"), Pin(b"654321"))
        assert caught.value.attempts_left == 4

    def test_the_puk_frees_a_blocked_pin(self, card: SatochipEmulator) -> None:
        session, _ = seeded(card)
        with pytest.raises(NotSupported, match="not blocked"):
            session.unblock(Secret(PUK), None)
        block(session)
        with pytest.raises(PinIncorrect) as caught:
            session.unblock(Secret(b"00000000"), None)
        assert caught.value.attempts_left == 2
        session.unblock(Secret(PUK), None)
        assert session.identity().attempts_left == 5
        with pytest.raises(NotUnlocked):
            session.label()
        session.unlock(Pin(PIN))

    def test_the_last_wrong_puk_blocks_it(self, card: SatochipEmulator) -> None:
        session, _ = seeded(card)
        block(session)
        for _ in range(3):
            with pytest.raises(PinIncorrect):
                session.unblock(Secret(b"00000000"), None)
        with pytest.raises(PinBlocked):
            session.unblock(Secret(PUK), None)

    def test_only_since_0_16_the_puk_brings_a_new_pin(self, card: SatochipEmulator) -> None:
        session, _ = seeded(card)
        block(session)
        if card.flash.version < (0, 16):
            with pytest.raises(NotSupported):
                session.unblock(Secret(PUK), Pin(b"2222"))
            assert session.identity().attempts_left == 0
            return
        session.unblock(Secret(PUK), Pin(b"2222"))
        session.unlock(Pin(b"2222"))


class TestSetup:
    def test_setup_is_done_once(self, card: SatochipEmulator) -> None:
        session, _ = initialised(card)
        with pytest.raises(NotSupported, match="set up twice"):
            session.initialise({"pin": Pin(PIN), "puk": Secret(PUK)})

    def test_the_spare_codes_are_random(self) -> None:
        cards = [emulate(NEW) for _ in range(2)]
        for card in cards:
            initialised(card)
        spare = [card.flash.pins[1].value for card in cards]
        spare += [card.flash.puks[1].value for card in cards]
        assert len(set(spare)) == 4
        assert {len(code) for code in spare} == {16}

    def test_a_seed_goes_in_once(self, card: SatochipEmulator) -> None:
        session, _ = seeded(card)
        with pytest.raises(NotSupported, match="second seed"):
            session.load_seed(Secret(SEED))

    @pytest.mark.parametrize("size", [15, 65])
    def test_a_seed_has_16_to_64_bytes(self, size: int) -> None:
        session, _ = initialised(emulate(NEW))
        with pytest.raises(ValueError, match=f"not {size}"):
            session.load_seed(Secret(bytes(size)))
        session.load_seed(Secret(bytes(16)))

    def test_a_card_without_setup_or_seed_says_so(self, card: SatochipEmulator) -> None:
        session, _ = opened(card)
        with pytest.raises(CardNotInitialised, match="set up"):
            session.unlock(Pin(PIN))
        session, _ = initialised(card)
        for act in (lambda: session.xpub(()), lambda: session.sign((), DIGEST)):
            with pytest.raises(CardNotInitialised, match="seed"):
                act()

    def test_a_seed_that_was_reset_makes_room_for_another(self, card: SatochipEmulator) -> None:
        session, _ = seeded(card)
        before = session.xpub(ACCOUNT)
        with pytest.raises(PinIncorrect):
            session.reset_seed(Pin(b"000000"))
        session.reset_seed(Pin(PIN))
        assert not session.identity().initialised
        session.unlock(Pin(PIN))
        session.load_seed(Secret(bytes(64)))
        assert session.xpub(ACCOUNT) != before

    def test_the_label_is_kept(self, card: SatochipEmulator) -> None:
        seeded(card)[0].set_label("Tresor Zürich")
        session = opened_and_unlocked(card)
        assert session.label() == "Tresor Zürich"
        with pytest.raises(CardError, match="at most 64 bytes, not 66"):
            session.set_label("ü" * 33)
        session.set_label("ü" * 32)

    def test_a_factory_reset_leaves_the_authentikey(self, card: SatochipEmulator) -> None:
        session, _ = seeded(card)
        before, key = session.identity(), session.xpub(ACCOUNT)
        session.reset()
        after = session.identity()
        assert after == before._replace(
            initialised=False, attempts_left=None, has_pin=False, puk_attempts_left=None
        )
        session.initialise({"pin": Pin(b"2222"), "puk": Secret(PUK)})
        session.unlock(Pin(b"2222"))
        session.load_seed(Secret(bytes(64)))
        assert session.xpub(ACCOUNT) != key

    def test_an_old_card_is_not_reset_where_power_cannot_be_switched(self) -> None:
        class Reader:
            def __init__(self, inner: EmulatedTransport) -> None:
                self.transmit, self.close = inner.transmit, inner.close

        old, new = (open_session(Reader(emulate(v).insert()), Surroundings()) for v in (OLD, NEW))
        for session in (old, new):
            session.initialise({"pin": Pin(PIN), "puk": Secret(PUK)})
        with pytest.raises(NotSupported, match="power"):
            old.reset()
        assert old.identity().attempts_left == 5
        new.reset()
        assert new.identity().attempts_left is None

    def test_a_reset_that_is_miscounted_stops(self) -> None:
        session, reader = seeded(emulate(OLD))
        reader.next_answers(lambda _answer: b"\xff\xff", after=4)
        with pytest.raises(ProtocolError, match="FFFF with 4"):
            session.reset()

    def test_a_second_factor_is_refused_before_the_pin(self) -> None:
        card = emulate(NEW)
        seeded(card)
        card.flash.second_factor = bytes(20)
        session, _ = opened(card)
        for act in (session.unlock, session.reset_seed):
            with pytest.raises(NotSupported, match="2FA"):
                act(Pin(b"000000"))
        assert session.identity().attempts_left == 5


def block(session: SatochipSession) -> None:
    for _ in range(5):
        with pytest.raises(PinIncorrect):
            session.unlock(Pin(b"000000"))


def opened_and_unlocked(card: SatochipEmulator) -> SatochipSession:
    session, _ = opened(card)
    session.unlock(Pin(PIN))
    return session
