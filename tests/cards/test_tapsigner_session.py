"""A TAPSIGNER's session: keys, the wait, the backup, the nonces, the product."""

import hashlib
from itertools import count

import cbor2
import pytest
from embit.bip32 import HDKey

from cards import emulation
from cards.detection import detect
from cards.errors import (
    CardError,
    CardRemoved,
    NotGenuine,
    NotSupported,
    NotUnlocked,
    PathNotAvailable,
    PinDelayed,
    PinIncorrect,
    PinUnsuitable,
    ProtocolError,
    WrongCard,
)
from cards.family import Roots, Surroundings
from cards.pin import Pin
from cards.session import BackupExporter, KeyGenerator, PinChanger, SeedLoader, Verdict
from cards.signature import verify
from cards.tapsigner import FAMILY
from cards.tapsigner.emulator import TapsignerEmulator, emulate
from cards.tapsigner.roots import TEST_ROOT
from cards.tapsigner.wire import decode_map
from tests.cards.tapsigner_host import (
    ACCOUNT,
    CVC,
    DIGEST,
    NEWEST,
    WRONG,
    Bare,
    H,
    open_backup,
    opened,
    unlocked,
    unlucky,
    with_key,
)
from tests.contracts.wires import Change, Wire

NEW_CVC = b"84930217"
LEAF = (*ACCOUNT, 0, 7)


@pytest.fixture
def card() -> TapsignerEmulator:
    return with_key()


@pytest.fixture
def luck(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emulation, "chance", lambda _one_in: False)


def edited(**changes: object) -> Change:
    """Return a lie: an answer with some fields changed; None takes a field away."""

    def change(answer: bytes) -> bytes:
        fields = decode_map(answer[:-2]) | changes
        kept = {name: value for name, value in fields.items() if value is not None}
        return cbor2.dumps(kept) + answer[-2:]

    return change


# Keys and signatures


def test_keys_are_those_of_the_backup(card: TapsignerEmulator) -> None:
    session, _ = unlocked(card)
    xprv, path = open_backup(session.backup(), card.flash.backup_key)
    assert path == "m/84h/0h/0h"
    master = HDKey.from_string(xprv)
    for each in ((), (5,), ACCOUNT, LEAF, (*ACCOUNT, 1, 2, 3)):
        key, expected = session.xpub(each), master.derive(list(each)).to_public()
        assert (key.public_key, key.chain_code) == (expected.key.sec(), expected.chain_code)
        assert (key.depth, key.child_number) == (len(each), expected.child_number)
        hardened_last = bool(each) and each[-1] >= H
        assert key.parent_fingerprint == (bytes(4) if hardened_last else expected.fingerprint)


@pytest.mark.parametrize("path", [(*ACCOUNT, 0, 1, 2), (0, H), (H,) * 9, (0, 0, 0)])
def test_what_the_card_cannot_sign_for_is_refused_before_it_is_asked(
    card: TapsignerEmulator, path: tuple[int, ...]
) -> None:
    session, wire = unlocked(card)
    sent = len(wire.sent)
    with pytest.raises(PathNotAvailable):
        session.sign(path, DIGEST)
    assert len(wire.sent) == sent


def test_eight_hardened_steps_and_two_normal_ones_are_signed_for(card: TapsignerEmulator) -> None:
    session, _ = unlocked(card)
    path = (*((n | H) for n in range(8)), 1, 2)
    assert verify(session.xpub(path).public_key, DIGEST, session.sign(path, DIGEST))


@pytest.mark.parametrize("profile", ["0.9.0", NEWEST])
@pytest.mark.parametrize("times", [1, 4])
def test_an_unlucky_nonce_is_tried_again(
    profile: str, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, wire = unlocked(with_key(profile))
    key = session.xpub(LEAF).public_key
    monkeypatch.setattr(emulation, "chance", unlucky(times))
    made: list[bytes] = []
    cost = wire.cost(lambda: made.append(session.sign(LEAF, DIGEST)))
    assert verify(key, DIGEST, made[0])
    assert cost == 1 + times * (2 if profile == "0.9.0" else 1)


def test_unlucky_nonces_for_ever_are_given_up(
    card: TapsignerEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, wire = unlocked(card)
    session.xpub(LEAF)
    monkeypatch.setattr(emulation, "chance", lambda _one_in: True)
    sent = len(wire.sent)
    with pytest.raises(ProtocolError, match="out of luck"):
        session.sign(LEAF, DIGEST)
    assert len(wire.sent) - sent == 20
    monkeypatch.setattr(emulation, "chance", lambda _one_in: False)
    session.sign(LEAF, DIGEST)


def test_a_signature_costs_eight_sevenths_of_a_command(
    card: TapsignerEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = count(1)
    monkeypatch.setattr(emulation, "chance", lambda one_in: next(turns) % one_in == 0)
    session, wire = unlocked(card)
    session.xpub(LEAF)
    digests = [hashlib.sha256(bytes((n,))).digest() for n in range(70)]
    assert wire.cost(lambda: [session.sign(LEAF, each) for each in digests]) == 79
    assert next(turns) == 80


def test_a_card_that_leaves_out_the_chain_code_is_refused() -> None:
    session, wire = unlocked(emulate(NEWEST))

    def lie(answer: bytes) -> bytes:
        raw = decode_map(answer[:-2])["xpub"]
        return edited(xpub=raw[:13] + bytes(31) + b"\1" + raw[45:])(answer)

    wire.change[len(wire.sent) + 2] = lie
    with pytest.raises(ProtocolError, match="do not use it"):
        session.generate_key()


def test_two_keys_have_two_chain_codes() -> None:
    first, second = with_key(), with_key()
    assert first.flash.chain_code != second.flash.chain_code
    assert len(set(first.flash.chain_code)) > 8


# CVC and wait


def spoil(card: TapsignerEmulator, times: int = 3) -> None:
    bare = Bare(card)
    for _ in range(times):
        bare.send("xpub", WRONG, master=True)


def test_the_card_counts_down_and_everybody_hears(card: TapsignerEmulator) -> None:
    spoil(card)
    heard: list[int] = []
    session, _ = opened(card, Surroundings(progress=lambda _why, left: heard.append(left)))
    session.unlock(Pin(CVC))
    assert heard == list(range(15, 0, -1))
    session.sign(LEAF, DIGEST)
    assert card.flash.failures == 0


def test_a_wrong_cvc_after_the_wait_is_presented_once(card: TapsignerEmulator) -> None:
    spoil(card)
    session, _ = opened(card)
    with pytest.raises(PinIncorrect) as caught:
        session.unlock(Pin(WRONG))
    assert caught.value.attempts_left is None
    assert (card.flash.failures, card.flash.delay) == (4, 15)


def test_two_wrong_cvcs_cost_no_wait(card: TapsignerEmulator) -> None:
    spoil(card, 2)
    heard: list[int] = []
    session, _ = opened(card, Surroundings(progress=lambda _why, left: heard.append(left)))
    session.unlock(Pin(CVC))
    assert heard == []


def test_a_card_that_does_not_count_down_is_given_up(card: TapsignerEmulator) -> None:
    spoil(card)
    session, wire = opened(card)

    def frozen(answer: bytes) -> bytes:
        fields = decode_map(answer[:-2])
        return edited(auth_delay=15)(answer) if "auth_delay" in fields else answer

    wire.change = dict.fromkeys(range(100), frozen)
    with pytest.raises(PinDelayed) as caught:
        session.unlock(Pin(CVC))
    assert caught.value.seconds == 15
    assert len(wire.sent) < 10


def test_a_wait_without_end_is_not_begun(card: TapsignerEmulator) -> None:
    spoil(card)
    card.flash.delay = 10**6
    session, wire = opened(card)
    with pytest.raises(PinDelayed) as caught:
        session.unlock(Pin(CVC))
    assert caught.value.seconds == 10**6
    assert len(wire.sent) < 10


def test_a_delay_begun_elsewhere_stops_a_signature(card: TapsignerEmulator) -> None:
    session, _ = unlocked(card)
    session.xpub(LEAF)
    card.flash.delay = 15
    with pytest.raises(PinDelayed) as caught:
        session.sign(LEAF, DIGEST)
    assert caught.value.seconds == 15


def test_a_cvc_changed_elsewhere_is_forgotten(card: TapsignerEmulator) -> None:
    session, _ = unlocked(card)
    session.xpub(LEAF)
    card.flash.cvc = NEW_CVC
    for _ in range(4):
        with pytest.raises(NotUnlocked):
            session.sign(LEAF, DIGEST)
    assert card.flash.failures == 1


@pytest.mark.usefixtures("luck")
@pytest.mark.parametrize("profile", ["0.9.0", NEWEST])
def test_a_nonce_another_program_used_up_is_asked_for(profile: str) -> None:
    card = with_key(profile)
    session, wire = unlocked(card)
    key = session.xpub(LEAF).public_key
    card._card.next_nonce()
    made: list[bytes] = []
    assert wire.cost(lambda: made.append(session.sign(LEAF, DIGEST))) == 3
    assert verify(key, DIGEST, made[0])


def test_a_fresh_card_is_proved_by_its_printed_cvc_alone() -> None:
    card = emulate(NEWEST)
    session, _ = opened(card)
    with pytest.raises(PinIncorrect):
        session.initialise({"pin": Pin(WRONG)})
    session.initialise({"pin": Pin(CVC)})
    with pytest.raises(NotUnlocked):
        session.generate_key()


def test_a_cvc_that_wait_proved_counts_as_one_the_card_took() -> None:
    card = emulate(NEWEST)
    session, _ = opened(card)
    session.unlock(Pin(CVC))
    card.flash.cvc = NEW_CVC
    with pytest.raises(NotUnlocked, match="no longer accepts"):
        session.generate_key()


def test_a_refusal_of_a_command_in_clear_says_what_it_means(card: TapsignerEmulator) -> None:
    session, wire = opened(card)
    refused = cbor2.dumps({"error": "needs auth", "code": 403})
    wire.change[len(wire.sent) + 1] = lambda _answer: refused + b"\x90\x00"
    with pytest.raises(NotUnlocked, match="with this command"):
        session.attest()


@pytest.mark.parametrize(("firmware", "commands"), [("0.9.0", 3), ("1.0.0", 2), ("1.0.1", 2)])
def test_an_error_changes_the_nonce_before_1_0_0_only(
    firmware: str, commands: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chances = iter([False, True, False])
    monkeypatch.setattr(emulation, "chance", lambda _one_in: next(chances))
    session, wire = unlocked(with_key(firmware))
    session.sign(LEAF, DIGEST)
    assert wire.cost(lambda: session.sign(LEAF, DIGEST)) == commands


def test_the_cvc_stays_until_a_backup_was_made(card: TapsignerEmulator) -> None:
    session, _ = unlocked(card)
    assert isinstance(session, PinChanger)
    with pytest.raises(NotSupported, match="before a backup"):
        session.change_pin(Pin(CVC), Pin(NEW_CVC))
    assert isinstance(session, BackupExporter)
    session.backup()
    session.change_pin(Pin(CVC), Pin(NEW_CVC))
    session.sign(LEAF, DIGEST)
    session.close()
    opened(card)[0].unlock(Pin(NEW_CVC))


@pytest.mark.parametrize("cvc", [b"12345", b"1" * 33])
def test_a_new_cvc_of_no_size_a_card_takes_is_not_sent(card: TapsignerEmulator, cvc: bytes) -> None:
    session, _ = unlocked(card)
    session.backup()
    with pytest.raises(PinUnsuitable, match=f"6 to 32 digits, not {len(cvc)}"):
        session.change_pin(Pin(CVC), Pin(cvc))
    assert card.flash.cvc == CVC


# What it is, and whose


def test_what_it_can_do(card: TapsignerEmulator) -> None:
    session, _ = opened(card)
    assert isinstance(session, KeyGenerator)
    assert not isinstance(session, SeedLoader)


def test_a_satscard_is_refused_in_words(card: TapsignerEmulator) -> None:
    for opening in (opened_on, lambda wire: detect(wire, Surroundings())):
        wire = Wire(card)
        wire.change = dict.fromkeys(range(9), satscard)
        with pytest.raises(NotSupported, match="SATSCARD"):
            opening(wire)


def satscard(answer: bytes) -> bytes:
    if answer[-2:] != b"\x90\x00":
        return answer
    return edited(tapsigner=None, num_backups=None, path=None, slots=[0, 10], addr="bc1")(answer)


def opened_on(wire: Wire) -> object:
    return FAMILY.open(wire, Surroundings())


def test_a_satschip_signs_and_says_what_it_lacks() -> None:
    card = with_key()
    card.flash.satschip = True
    session, _ = unlocked(card)
    assert verify(session.xpub(LEAF).public_key, DIGEST, session.sign(LEAF, DIGEST))
    with pytest.raises(NotSupported, match="SATSCHIP"):
        session.backup()
    with pytest.raises(NotSupported, match="SATSCHIP"):
        session.change_pin(Pin(CVC), Pin(NEW_CVC))


def test_it_proves_itself_before_any_cvc(card: TapsignerEmulator) -> None:
    session, _ = opened(card)
    assert session.attest().result is Verdict.TEST
    roots = {"tapsigner": Roots(published=(TEST_ROOT,))}
    assert opened(card, Surroundings(roots=roots))[0].attest().result is Verdict.GENUINE


def test_a_card_that_was_tampered_with_is_not_genuine(card: TapsignerEmulator) -> None:
    session, wire = opened(card)
    wire.change[len(wire.sent)] = edited(tampered=True)
    with pytest.raises(NotGenuine, match="tampered"):
        session.attest()


def test_a_card_that_does_not_own_its_key_is_refused(card: TapsignerEmulator) -> None:
    wire = Wire(card)
    wire.change[0] = edited(pubkey=emulate(NEWEST).flash.public_key)
    with pytest.raises(CardError):
        opened_on(wire)


def test_a_removed_card_still_wipes_the_cvc(card: TapsignerEmulator) -> None:
    session, wire = unlocked(card)
    wire.inner.close()
    with pytest.raises(CardRemoved):
        session.identity()
    session.close()
    assert session._link.cvc.value is None


def test_another_card_in_its_place_hears_no_cvc(card: TapsignerEmulator) -> None:
    session, wire = unlocked(card)
    other = with_key()
    wire.inner = other.insert()
    with pytest.raises(WrongCard) as caught:
        session.sign(LEAF, DIGEST)
    assert caught.value.found == other.flash.public_key.hex()
    assert other.flash.failures == 0


def test_a_cvc_counts_as_proved_by_a_signed_answer_only(card: TapsignerEmulator) -> None:
    session, wire = opened(card)
    wire.change[len(wire.sent) + 1] = edited(sig=b"\1" * 64)
    with pytest.raises(ProtocolError, match="proved"):
        session.unlock(Pin(CVC))
    with pytest.raises(NotUnlocked):
        session.sign(LEAF, DIGEST)


def test_certificates_of_another_card_prove_nothing_without_its_key(
    card: TapsignerEmulator,
) -> None:
    session, wire = opened(card)
    wire.change[len(wire.sent) + 2] = edited(auth_sig=b"\1" * 64)
    with pytest.raises(NotGenuine, match="challenge"):
        session.attest()
