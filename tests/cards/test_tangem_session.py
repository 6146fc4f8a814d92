"""The Tangem driver and its emulator where they are like no other family."""

import dataclasses
import hashlib
import json
from typing import NoReturn

import pytest

from cards.apdu import Command, Response
from cards.bip32 import PublicNode, master_key
from cards.emulation import Node
from cards.errors import (
    CardError,
    CardNotInitialised,
    CardReset,
    NotEvidence,
    NotGenuine,
    NotSupported,
    NotUnlocked,
    PinIncorrect,
    ProtocolError,
)
from cards.family import Roots, Surroundings, TransientMemory
from cards.pin import Pin, Secret
from cards.session import BatchSigner, SeedLoader, Verdict
from cards.signature import CURVE_ORDER, verify
from cards.tangem import FAMILY, attestation, emulator
from cards.tangem.emulator import TangemEmulator, backup_set, emulate
from cards.tangem.link import Time
from cards.tangem.roots import ISSUER_KEY, ISSUER_SECRET, MANUFACTURER_SECRET
from cards.tangem.session import Keyring, TangemSession, open_session
from cards.tangem.wire import Fields, Ins, Setting, Sw, Tag, code_hash, tlv
from tests.contracts.wires import Wire

PIN, WRONG = b"493817", b"118822"
PATH = (48 | 0x80000000, 0, 5)
DIGESTS = [hashlib.sha256(bytes((n,))).digest() for n in range(23)]


def opened(
    card: TangemEmulator, surroundings: Surroundings | None = None
) -> tuple[TangemSession, Wire]:
    wire = Wire(card)
    return open_session(wire, surroundings or Surroundings()), wire


def ready(profile: str = "6.33", forbidden: int = 0) -> TangemEmulator:
    """A card with code and key; some settings are taken away."""
    card = emulate(profile)
    card.flash.settings &= ~forbidden
    session, _ = opened(card)
    session.initialise({"pin": Pin(PIN)})
    session.unlock(Pin(PIN))
    session.generate_key()
    session.close()
    return card


ENCRYPTION = [0, Setting.UNENCRYPTED, Setting.UNENCRYPTED | Setting.FAST]


@pytest.mark.parametrize("forbidden", ENCRYPTION, ids=["none", "fast", "strong"])
@pytest.mark.parametrize("profile", FAMILY.profiles)
def test_a_card_is_driven_in_the_encryption_it_wants(profile: str, forbidden: int) -> None:
    card = ready(profile, forbidden)
    session, wire = opened(card)
    with pytest.raises(PinIncorrect):
        session.unlock(Pin(WRONG))
    session.unlock(Pin(PIN))
    key = session.xpub(PATH).public_key
    assert verify(key, DIGESTS[0], session.sign(PATH, DIGESTS[0]))
    wire.power_cycle()
    assert verify(key, DIGESTS[1], session.sign(PATH, DIGESTS[1]))
    session.change_pin(Pin(PIN), Pin(b"0815-4711"))
    assert verify(key, DIGESTS[2], session.sign(PATH, DIGESTS[2]))
    assert session.attest().result is Verdict.TEST
    mode = ENCRYPTION.index(forbidden)
    assert {apdu[2] for apdu in wire.sent[-2:]} == {mode}
    assert not forbidden or code_hash(b"0815-4711") not in b"".join(wire.sent)


def test_a_change_of_code_whose_answer_is_lost_is_not_sent_again() -> None:
    card = ready()
    session, wire = opened(card)
    session.unlock(Pin(PIN))

    def lost(_answer: bytes) -> NoReturn:
        raise CardReset("the answer was lost")

    wire.change[len(wire.sent)] = lost
    with pytest.raises(CardReset):
        session.change_pin(Pin(PIN), Pin(b"0815-4711"))
    assert card.flash.code == code_hash(b"0815-4711")
    assert card.flash.failures == 0


def test_a_key_below_a_certain_one_is_reckoned_here() -> None:
    session, wire = opened(ready())
    session.unlock(Pin(PIN))
    session.xpub(PATH[:-1])
    assert wire.cost(lambda: session.sign(PATH, DIGESTS[0])) == 1


@pytest.mark.parametrize("liar", [(1,), (1, 2)])
def test_keys_that_do_not_follow_from_each_other_are_read_again(liar: tuple[int, ...]) -> None:
    master = Node(*master_key(bytes(range(32))))
    lies = [Node(*master_key(bytes(32)))]

    def shown(path: tuple[int, ...]) -> PublicNode:
        node = lies.pop() if lies and path == liar else master.below(path)
        return PublicNode(node.public_key, node.chain_code)

    keys = Keyring(shown)
    with pytest.raises(ProtocolError, match="not its parent's child"):
        keys.extended((1, 2))
    assert keys.extended((1, 2)).public_key == master.below((1, 2)).public_key


@pytest.mark.parametrize(("version", "mode"), [("6.20", None), ("6.21", 1)])
def test_the_cards_of_a_set_are_named_since_6_21(version: str, mode: int | None) -> None:
    card = backup_set("6.33", 2)[0]
    card.flash.profile = version
    session, wire = opened(card)
    session.initialise({"pin": Pin(PIN)})
    session.unlock(Pin(PIN))
    assert session.attest().siblings == 1
    proof = [apdu for apdu in wire.sent if apdu[1] == Ins.ATTEST_CARD][-1]
    assert Fields.parse(Command.parse(proof).data).number(Tag.MODE) == mode


def test_a_seed_travels_in_strong_encryption_only() -> None:
    card = emulate("6.33")
    session, wire = opened(card)
    session.initialise({"pin": Pin(PIN)})
    session.unlock(Pin(PIN))
    assert isinstance(session, SeedLoader)
    session.load_seed(Secret(bytes(range(32))))
    (creation,) = (apdu for apdu in wire.sent if apdu[1] == 0xF8)
    assert creation[2] == 2
    assert card.flash.wallets[0].status == 0x42
    assert card.flash.wallets[0].key not in b"".join(wire.sent)


def test_an_older_card_takes_no_seed() -> None:
    assert not isinstance(opened(emulate("4.52"))[0], SeedLoader)


def test_digests_of_one_path_travel_by_tens() -> None:
    session, wire = opened(ready())
    session.unlock(Pin(PIN))
    key = session.xpub(PATH).public_key
    assert isinstance(session, BatchSigner)
    start = len(wire.sent)
    signatures = session.sign_batch(PATH, DIGESTS)
    assert len(wire.sent) - start == 3
    assert all(verify(key, *pair) for pair in zip(DIGESTS, signatures, strict=True))
    assert session.sign_batch(PATH, []) == []
    with pytest.raises(ValueError, match="31"):
        session.sign_batch(PATH, [DIGESTS[0], bytes(31)])
    assert len(wire.sent) - start == 3


def test_the_emulator_signs_in_both_halves_of_the_curve() -> None:
    session, wire = opened(ready())
    session.unlock(Pin(PIN))
    session.sign_batch(PATH, DIGESTS[:10] * 2)
    raw = [Fields.parse(Response.parse(each).data).need(0x61) for each in wire.heard[-2:]]
    cut = [each[at + 32 : at + 64] for each in raw for at in range(0, 640, 64)]
    assert {int.from_bytes(s) > CURVE_ORDER // 2 for s in cut} == {True, False}


@pytest.mark.parametrize(("profile", "seconds"), [("4.52", 15), ("6.33", 5)])
def test_a_card_without_a_code_delays_and_tells_for_how_long(profile: str, seconds: int) -> None:
    heard: list[int] = []
    session, _ = opened(emulate(profile), Surroundings(progress=lambda _, left: heard.append(left)))
    session.initialise({"pin": Pin(PIN)})
    assert heard == list(range(seconds, 0, -1))
    session.unlock(Pin(PIN))
    session.generate_key()
    session.sign(PATH, DIGESTS[0])
    assert len(heard) == seconds


def test_a_card_that_is_not_smart_delays_every_signature() -> None:
    card, heard = ready(forbidden=Setting.SMART_DELAY), []
    session, _ = opened(card, Surroundings(progress=lambda _, left: heard.append(left)))
    session.unlock(Pin(PIN))
    session.sign(PATH, DIGESTS[0])
    assert heard == [5, 4, 3, 2, 1]


def test_wrong_codes_are_never_counted_but_slow_the_next_ones_down() -> None:
    card, heard = ready(), []
    session, _ = opened(card, Surroundings(progress=lambda _, left: heard.append(left)))
    card.flash.failures = 0
    for _ in range(8):
        with pytest.raises(PinIncorrect) as caught:
            session.unlock(Pin(WRONG))
        assert caught.value.attempts_left is None
    assert heard == [1, 2, 1]
    card.flash.failures = 300
    session.unlock(Pin(PIN))
    assert heard[3:] == list(range(45, 0, -1))
    assert card.flash.failures == 0


def test_a_pause_without_end_is_given_up() -> None:
    now, slept = [0.0], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    wire = Wire(ready())
    session = open_session(wire, Surroundings(), Time(lambda: now[0], sleep))
    session.unlock(Pin(PIN))
    pause = tlv([(0x1C, bytes((1, 0)))]) + Sw.PAUSE.to_bytes(2)
    wire.change = dict.fromkeys(range(len(wire.sent), 5000), lambda _answer: pause)
    with pytest.raises(ProtocolError, match="60 seconds"):
        session.sign(PATH, DIGESTS[0])
    assert 60 <= sum(slept) <= 70


def test_a_locked_card_is_known_by_its_chip_once_it_was_unlocked() -> None:
    card, memory = ready(), TransientMemory()
    session, _ = opened(card, Surroundings(memory=memory))
    with pytest.raises(NotUnlocked, match="tells nothing without it"):
        session.identity()
    session.unlock(Pin(PIN))
    known = session.identity()
    session.close()
    again, _ = opened(card, Surroundings(memory=memory))
    assert again.identity() == known
    other, _ = opened(ready(), Surroundings(memory=memory))
    with pytest.raises(NotUnlocked):
        other.identity()


def test_firmware_from_8_on_is_refused_before_anything_else() -> None:
    card = emulate("6.33")
    wire = Wire(card)
    wire.change[1] = lambda answer: answer.replace(b"6.33d SDK", b"8.01d SDK")
    with pytest.raises(NotSupported, match=r"8\.01"):
        open_session(wire, Surroundings())
    assert len(wire.sent) == 2


def test_a_passcode_is_asked_for_where_the_card_has_one() -> None:
    card = emulate("6.33")
    session, _ = opened(card)
    session.initialise({"pin": Pin(PIN), "passcode": Secret(b"second one")})
    session.unlock(Pin(PIN))
    with pytest.raises(NotUnlocked, match="passcode"):
        session.generate_key()
    given = Surroundings(secret=lambda kind: Secret(b"second one") if kind == "passcode" else None)
    session, _ = opened(card, given)
    session.unlock(Pin(PIN))
    session.generate_key()
    session.sign(PATH, DIGESTS[0])
    wrong, _ = opened(card, Surroundings(secret=lambda _: Secret(b"another one")))
    wrong.unlock(Pin(PIN))
    with pytest.raises(NotUnlocked, match="another passcode"):
        wrong.sign(PATH, DIGESTS[0])


@pytest.mark.parametrize("code", [b"", b"123", b"000000", b"000"])
def test_a_code_that_protects_nothing_is_not_set(code: bytes) -> None:
    card = emulate("6.33")
    session, wire = opened(card)
    sent = len(wire.sent)
    with pytest.raises(CardError):
        session.initialise({"pin": Pin(code)})
    assert (len(wire.sent), card.flash.code_is_default) == (sent, True)


@pytest.mark.parametrize("profile", FAMILY.profiles)
def test_cards_of_a_backup_set_carry_one_key_and_say_so(profile: str) -> None:
    keys = set()
    for card in backup_set(profile, 3):
        session, _ = opened(card)
        session.initialise({"pin": Pin(PIN)})
        session.unlock(Pin(PIN))
        keys.add(session.xpub(())[:2])
        found = session.attest()
        assert found.result is Verdict.TEST
        assert "3 cards of an active backup set" in found.reason
    assert len(keys) == 1
    session.reset()
    assert (card.flash.backup_status, card.flash.code_is_default) == (0, True)


def test_a_real_card_is_unproven_until_its_issuers_signatures_are_at_hand() -> None:
    """The developer's key stands in for the maker's."""
    card, memory = ready(), TransientMemory()
    roots = Roots(published=attestation.ROOTS.test)
    session, _ = opened(card, Surroundings({"tangem": roots}, memory))
    session.unlock(Pin(PIN))
    assert session.attest().result is Verdict.UNPROVEN
    sign = emulator.emulator_keys.sign_message
    card_key = emulator.emulator_keys.public_key(card.flash.card_key)
    document = {
        "manufacturerSignature": sign(MANUFACTURER_SECRET, ISSUER_KEY).hex(),
        "issuerSignature": sign(ISSUER_SECRET, card_key).hex(),
    }
    session.take_evidence(json.dumps(document).encode())
    assert session.attest().result is Verdict.GENUINE
    session, _ = opened(card, Surroundings({"tangem": roots}, memory))
    session.unlock(Pin(PIN))
    assert session.attest().result is Verdict.GENUINE
    document["issuerSignature"] = sign(MANUFACTURER_SECRET, card_key).hex()
    with pytest.raises(NotEvidence, match="did not sign its key"):
        session.take_evidence(json.dumps(document).encode())
    assert session.attest().result is Verdict.GENUINE
    memory.write(card.flash.card_id.hex(), json.dumps(document).encode())
    with pytest.raises(NotGenuine):
        session.attest()
    memory.write(card.flash.card_id.hex(), b"damaged")
    assert session.attest().result is Verdict.UNPROVEN


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b"[" * 4000,
        b'{"manufacturerSignature": 7, "issuerSignature": ""}',
        b'{"manufacturerSignature": "00", "issuerSignature": "11"}',
        b'{"manufacturerSignature": "%s", "issuerSignature": "%s"}' % (b"00" * 64, b"zz" * 64),
        b'{"manufacturerSignature": "%s", "issuerSignature": "%s"}%s'
        % (b"11" * 64, b"22" * 64, b" " * 4096),
    ],
)
def test_a_document_that_holds_no_signatures_is_not_kept(document: bytes) -> None:
    card, memory = ready(), TransientMemory()
    session, _ = opened(card, Surroundings(memory=memory))
    with pytest.raises(NotUnlocked):
        session.take_evidence(document)
    session.unlock(Pin(PIN))
    with pytest.raises(NotEvidence, match=r"signatures|JSON"):
        session.take_evidence(document)
    assert memory.read(card.flash.card_id.hex()) is None


def test_a_card_without_the_key_it_names_is_not_unlocked() -> None:
    card = ready()
    session, wire = opened(card)
    genuine = card.flash.card_key
    proof = len(wire.sent) + 1
    wire.before[proof] = lambda: setattr(card.flash, "card_key", bytes(31) + b"\1")
    with pytest.raises(NotGenuine):
        session.unlock(Pin(PIN))
    card.flash.card_key = genuine
    with pytest.raises(NotUnlocked):
        session.sign(PATH, DIGESTS[0])
    session.unlock(Pin(PIN))


def test_a_purged_slot_that_is_not_reusable_stays_so() -> None:
    card = ready()
    card.flash.settings &= ~1
    session, _ = opened(card)
    session.unlock(Pin(PIN))
    session.reset_seed(Pin(PIN))
    assert card.flash.wallets[0].status == 3
    with pytest.raises(CardNotInitialised):
        session.xpub(())
    session.generate_key()
    assert card.flash.wallets[1].status == 2


def test_a_reader_that_takes_other_lengths_is_followed() -> None:
    card = ready()
    wire = Wire(card)
    plain = wire.inner.transmit

    def short_only(apdu: bytes) -> bytes:
        extended = len(apdu) > 5 and apdu[4] == 0
        return bytes.fromhex("6700") if extended else plain(apdu)

    wire.inner.transmit = short_only
    session = open_session(wire, Surroundings())
    session.unlock(Pin(PIN))
    assert len(session.sign(PATH, DIGESTS[0])) == 64


def test_the_state_of_a_card_is_all_of_it() -> None:
    card = backup_set("6.33", 2)[0]
    again = emulator.revive(card.state())
    assert dataclasses.asdict(again.flash) == dataclasses.asdict(card.flash)
    with pytest.raises(CardError):
        emulator.revive(b"no card")
    with pytest.raises(NotSupported):
        emulate("8.01")


@pytest.mark.parametrize(("key", "chain_code"), [(bytes(65), bytes(32)), (bytes(33), bytes(31))])
def test_the_wallets_own_key_has_the_sizes_of_bip_32(key: bytes, chain_code: bytes) -> None:
    session, _ = opened(ready())
    session.unlock(Pin(PIN))
    session._keys.forget()
    session._wallet = session._our_wallet()._replace(public_key=key, chain_code=chain_code)
    with pytest.raises(ProtocolError, match="none of BIP 32"):
        session.xpub(())
