"""What a Keycard's driver does that no other family's does."""

import hashlib
from dataclasses import replace

import pytest
from coincurve import PublicKeyXOnly
from embit.bip32 import HDKey

from cards.errors import (
    CardError,
    CardNotInitialised,
    NotSupported,
    NotUnlocked,
    PairingRefused,
    PathNotAvailable,
    PinBlocked,
    PinIncorrect,
    ProtocolError,
    StatusWordError,
    WrongCard,
)
from cards.family import Surroundings
from cards.keycard import commands
from cards.keycard.emulator import KeycardEmulator, emulate, uncertified
from cards.keycard.session import KeycardSession, TaprootSession, open_session
from cards.pin import Pin, Secret
from cards.session import HARDENED, UNTOLD_CHAIN_CODE, SchnorrSigner
from tests.cards.keycard_host import SEED
from tests.contracts.wires import Wire

H = HARDENED
PROFILES = ("3.1", "3.2", "4.0")
PAIRED = ("3.1", "3.2")
PIN, NEW_PIN, PUK = b"493817", b"702956", b"850273619482"
LEAF = (48 | H, 1 | H, 0, 5)
DIGEST = hashlib.sha256(b"a digest").digest()
PASSWORD = b"correct horse battery staple"


def owners_password(kind: str) -> Secret | None:
    return Secret(PASSWORD) if kind == "pairing" else None


def set_up(
    profile: str, surroundings: Surroundings | None = None, **more: bytes
) -> tuple[KeycardEmulator, KeycardSession, Wire]:
    card = emulate(profile)
    wire = Wire(card)
    session = open_session(wire, surroundings or Surroundings())
    secrets = {"pin": PIN, "puk": PUK} | more
    session.initialise({name: Secret(value) for name, value in secrets.items()})
    session.unlock(Pin(PIN))
    return card, session, wire


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("puk", [PUK, PIN + b"000000"])
def test_keys_come_from_the_seeds_own_tree(profile: str, puk: bytes) -> None:
    """Even where the PUK begins with the PIN, which would be the card's own duress PIN."""
    _, session, _ = set_up(profile, puk=puk)
    session.load_seed(Secret(SEED))
    expected = HDKey.from_seed(SEED).derive(list(LEAF)).to_public()
    assert session.xpub(LEAF).public_key == expected.key.sec()


@pytest.mark.parametrize("profile", PROFILES)
def test_the_duress_pin_is_random_and_not_the_pin(profile: str) -> None:
    duress = {set_up(profile)[0].flash.duress.value for _ in range(3)}
    assert len(duress) > 1
    assert not duress & {PIN, PUK[:6]}


@pytest.mark.parametrize("profile", PROFILES)
def test_a_duress_pin_that_is_given_opens_other_keys(profile: str) -> None:
    card, session, wire = set_up(profile, duress=b"654321")
    session.load_seed(Secret(SEED))
    true, master = session.xpub(LEAF), session.xpub(())
    again = open_session(wire, Surroundings())
    again.unlock(Pin(b"654321"))
    assert again.xpub(LEAF).public_key != true.public_key
    assert again.xpub(()) == master
    assert card.flash.pin.left == 3


@pytest.mark.parametrize("duress", [PIN, PUK[:6], b"12345", b"12345a"])
def test_a_duress_pin_of_no_use_is_refused_before_the_card_has_it(duress: bytes) -> None:
    card = emulate("4.0")
    session = open_session(card.insert(), Surroundings())
    with pytest.raises(CardError):
        session.initialise({"pin": Pin(PIN), "puk": Secret(PUK), "duress": Secret(duress)})
    assert not card.flash.initialised


@pytest.mark.parametrize("profile", PROFILES)
def test_a_seed_loaded_under_duress_is_taken_back(profile: str) -> None:
    card, _, wire = set_up(profile, duress=b"654321")
    session = open_session(wire, Surroundings())
    session.unlock(Pin(b"654321"))
    with pytest.raises(ProtocolError, match="other keys"):
        session.load_seed(Secret(SEED))
    assert card.flash.key == b""


@pytest.mark.parametrize("size", [16, 32, 63, 64])
@pytest.mark.parametrize("profile", PROFILES)
def test_a_seed_of_any_size_is_loaded(profile: str, size: int) -> None:
    _, session, _ = set_up(profile)
    session.load_seed(Secret(SEED[:size]))
    expected = HDKey.from_seed(SEED[:size]).derive(list(LEAF)).to_public()
    assert session.xpub(LEAF).chain_code == expected.chain_code


@pytest.mark.parametrize("profile", PROFILES)
def test_the_masters_chain_code_is_never_told(profile: str) -> None:
    _, session, wire = set_up(profile)
    session.load_seed(Secret(SEED))
    session.xpub(LEAF)
    expected = HDKey.from_seed(SEED).to_public()
    assert wire.cost(lambda: session.xpub(())) == 1
    assert session.xpub(()) == (expected.key.sec(), UNTOLD_CHAIN_CODE, 0, bytes(4), 0)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_path_the_card_keeps_to_itself_is_not_available(profile: str) -> None:
    _, session, _ = set_up(profile)
    session.generate_key()
    with pytest.raises(PathNotAvailable):
        session.xpub((43 | H, 60 | H, 1581 | H, 0, 0))
    assert len(session.sign(LEAF, DIGEST)) == 64


@pytest.mark.parametrize("profile", PROFILES)
def test_every_signature_costs_one_command(profile: str) -> None:
    _, session, wire = set_up(profile)
    session.generate_key()
    for leaf in range(5):
        assert wire.cost(lambda leaf=leaf: session.sign((*LEAF[:2], leaf), DIGEST)) == 1


@pytest.mark.parametrize("profile", PAIRED)
def test_a_pairing_is_used_again(profile: str) -> None:
    surroundings = Surroundings()
    card, session, wire = set_up(profile, surroundings)
    session.close()
    for _ in range(12):
        wire = Wire(card)
        session = open_session(wire, surroundings)
        session.unlock(Pin(PIN))
        session.close()
    assert list(card.flash.pairings) == [0]
    assert len(wire.sent) == 7


def test_a_card_without_a_free_slot_says_so() -> None:
    card, _, _ = set_up("3.1")
    for _ in range(4):
        open_session(card.insert(), Surroundings()).unlock(Pin(PIN))
    with pytest.raises(CardError, match="slot"):
        open_session(card.insert(), Surroundings()).unlock(Pin(PIN))


def test_without_a_free_slot_3_2_pairs_for_a_while() -> None:
    card, _, _ = set_up("3.2")
    for _ in range(9):
        open_session(card.insert(), Surroundings()).unlock(Pin(PIN))
    assert len(card.flash.pairings) == 10
    surroundings = Surroundings()
    wire = Wire(card)
    session = open_session(wire, surroundings)
    session.unlock(Pin(PIN))
    assert surroundings.memory.read(session.identity().card_id) is None
    session.generate_key()
    wire.power_cycle()
    assert len(session.sign(LEAF, DIGEST)) == 64


@pytest.mark.parametrize("kept", [{}, {0: bytes(32)}], ids=["no slot", "another key"])
@pytest.mark.parametrize("profile", PAIRED)
def test_a_refused_pairing_is_replaced_only_where_somebody_agrees(
    profile: str, kept: dict[int, bytes]
) -> None:
    surroundings = Surroundings()
    card, session, _ = set_up(profile, surroundings)
    card_id = session.identity().card_id
    before = surroundings.memory.read(card_id)
    card.flash.pairings = dict(kept)
    with pytest.raises(PairingRefused) as refused:
        open_session(card.insert(), surroundings).unlock(Pin(PIN))
    assert refused.value.codes == ("pairing_refused",)
    assert card.flash.pairings == kept
    assert surroundings.memory.read(card_id) == before
    agreed = replace(surroundings, pair_anew=lambda: True)
    open_session(card.insert(), agreed).unlock(Pin(PIN))
    assert surroundings.memory.read(card_id) != before


@pytest.mark.parametrize("profile", PAIRED)
def test_a_pairing_that_cannot_be_read_is_one_of_a_known_card(profile: str) -> None:
    surroundings = Surroundings()
    card, session, _ = set_up(profile, surroundings)
    surroundings.memory.write(session.identity().card_id, b"torn")
    with pytest.raises(PairingRefused):
        open_session(card.insert(), surroundings).identity()


@pytest.mark.parametrize("profile", PAIRED)
def test_a_slot_is_given_back(profile: str) -> None:
    surroundings = Surroundings()
    card, session, wire = set_up(profile, surroundings)
    session.unpair()
    assert card.flash.pairings == {}
    assert surroundings.memory.read(session.identity().card_id) is None
    assert wire.cost(lambda: None) == 0


def test_an_owners_pairing_password_is_asked_for_only_when_needed() -> None:
    card, session, _ = set_up("3.2", pairing=PASSWORD)
    session.close()
    with pytest.raises(CardError, match="pairing password"):
        open_session(card.insert(), Surroundings()).identity()
    assert len(card.flash.pairings) == 1
    open_session(card.insert(), Surroundings(secret=owners_password)).unlock(Pin(PIN))
    assert len(card.flash.pairings) == 2


def test_a_blocked_puk_says_so() -> None:
    _, session, _ = set_up("3.2")
    for _ in range(3):
        with pytest.raises(PinIncorrect):
            session.unlock(Pin(b"000000"))
    left = []
    for _ in range(5):
        with pytest.raises(PinIncorrect) as caught:
            session.unblock(Secret(b"000000000000"), Pin(NEW_PIN))
        left.append(caught.value.attempts_left)
    assert left == [4, 3, 2, 1, 0]
    with pytest.raises(PinBlocked):
        session.unblock(Secret(PUK), Pin(NEW_PIN))
    session.reset()
    assert session.identity().attempts_left is None


def test_a_factory_reset_forgets_the_pairing_that_was_kept() -> None:
    surroundings = Surroundings()
    _, session, _ = set_up("3.2", surroundings)
    card_id = session.identity().card_id
    assert surroundings.memory.read(card_id) is not None
    session.reset()
    assert surroundings.memory.read(card_id) is None


def test_freeing_wants_a_new_pin() -> None:
    _, session, _ = set_up("3.2")
    with pytest.raises(NotSupported, match="new PIN"):
        session.unblock(Secret(PUK), None)


@pytest.mark.parametrize("profile", PROFILES)
def test_bip_340_is_for_4_only(profile: str) -> None:
    _, session, _ = set_up(profile)
    assert isinstance(session, SchnorrSigner) == (profile == "4.0")


@pytest.mark.parametrize("tweak", [bytes(32), DIGEST])
def test_signatures_of_bip_340_verify(tweak: bytes) -> None:
    _, session, wire = set_up("4.0")
    assert isinstance(session, TaprootSession)
    session.load_seed(Secret(SEED))
    for leaf in range(6):
        key = PublicKeyXOnly(session.xpub((*LEAF, leaf)).public_key[1:])
        if any(tweak):
            key.tweak_add(tweak)
        assert key.verify(session.sign_schnorr((*LEAF, leaf), DIGEST, tweak), DIGEST)
    assert wire.cost(lambda: session.sign_schnorr(LEAF, DIGEST, tweak)) == 1
    with pytest.raises(ValueError, match="31"):
        session.sign_schnorr(LEAF, DIGEST, bytes(31))


def test_a_selection_one_byte_short_is_survived() -> None:
    card, session, _ = set_up("4.0")
    session.generate_key()
    for one_byte_short in (True, False):
        card.flash.one_byte_short = one_byte_short
        again = open_session(card.insert(), Surroundings())
        assert again.identity() == session_identity(card)
        again.unlock(Pin(PIN))
        assert len(again.sign(LEAF, DIGEST)) == 64


def session_identity(card: KeycardEmulator) -> tuple[object, ...]:
    return (card.flash.certificate[:33].hex(), "keycard", "4.0", True, 3, True, 5)


@pytest.mark.parametrize("answer", [bytes.fromhex("6D00"), bytes.fromhex("6982")])
def test_a_3_0_card_is_refused_before_init(answer: bytes) -> None:
    wire = Wire(emulate("3.1"))
    wire.change[1] = wire.change[3] = lambda _answer: answer  # it is selected and asked once more
    expected = NotSupported if answer == b"\x6d\x00" else CardError
    with pytest.raises(expected):
        open_session(wire, Surroundings())


def test_a_refusal_to_identify_is_no_missing_certificate() -> None:
    wire = Wire(emulate("3.2"))
    wire.change[1] = lambda _answer: bytes.fromhex("6D00")
    wire.change[3] = lambda _answer: bytes.fromhex("6F00")
    with pytest.raises(StatusWordError, match="6F00"):
        open_session(wire, Surroundings())


def test_a_3_0_card_is_refused_after_init() -> None:
    card, _, _ = set_up("3.1")
    wire = Wire(card)
    wire.change[0] = lambda answer: answer.replace(b"\x02\x02\x03\x01", b"\x02\x02\x03\x00")
    with pytest.raises(NotSupported, match="xpub"):
        open_session(wire, Surroundings())


@pytest.mark.parametrize("profile", PROFILES)
def test_another_card_is_noticed_before_anything_is_said_to_it(profile: str) -> None:
    _, session, wire = set_up(profile)
    other, _, _ = set_up(profile)
    wire.inner = other.insert()
    with pytest.raises(WrongCard):
        session.identity()
    assert len(other.flash.pairings) == (0 if profile == "4.0" else 1)


@pytest.mark.parametrize("profile", PAIRED)
def test_a_card_nobody_certified_is_named_by_its_instance(profile: str) -> None:
    card = uncertified(profile)
    session = open_session(card.insert(), Surroundings())
    session.initialise({"pin": Pin(PIN), "puk": Secret(PUK)})
    assert session.identity().card_id == card.flash.uid.hex()
    with pytest.raises(NotSupported):
        uncertified("4.0")


@pytest.mark.parametrize("profile", PROFILES)
def test_a_card_reset_elsewhere_is_not_initialised(profile: str) -> None:
    _, session, wire = set_up(profile)
    session.generate_key()
    wire.inner.transmit(commands.SELECT.encode())
    wire.inner.transmit(commands.FACTORY_RESET.encode())
    assert not session.identity().initialised
    with pytest.raises((CardNotInitialised, NotUnlocked)):
        session.sign(LEAF, DIGEST)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("at", range(4))
def test_a_command_is_not_sent_again_in_its_old_frame(profile: str, at: int) -> None:
    """A 3.x card would take it, decrypt another path and export that path's key."""
    _, session, wire = set_up(profile)
    session.load_seed(Secret(SEED))
    expected = HDKey.from_seed(SEED).derive(list(LEAF)).to_public()
    wire.change[len(wire.sent) + at] = lambda _answer: b"\x6c\x10"
    assert session.xpub(LEAF).public_key == expected.get_public_key().sec()
    assert len(set(wire.sent[-4:])) == len(wire.sent[-4:])
