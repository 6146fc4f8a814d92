"""Keys and signatures: right, verified, and no more commands than they are worth."""

import hashlib
import threading
from itertools import pairwise

import pytest
from embit.bip32 import HDKey

from cards.bip32 import fingerprint, public_child
from cards.errors import CardError, PathNotAvailable
from cards.family import EmulatedCard, Surroundings
from cards.pin import Pin, Secret
from cards.session import HARDENED, UNTOLD_CHAIN_CODE, Path, SeedLoader
from cards.signature import CURVE_ORDER, verify
from tests.contracts.subjects import (
    ACCOUNT,
    DIGEST,
    LEAF,
    OTHER_DIGEST,
    OTHER_LEAF,
    OTHER_SEED,
    PIN,
    SEED,
    Subject,
    needs,
)

PATHS: list[Path] = [(), (7,), ACCOUNT, LEAF, (0,) * 8]


def digests(count: int) -> list[bytes]:
    return [hashlib.sha256(bytes((number,))).digest() for number in range(count)]


@pytest.mark.parametrize("path", PATHS, ids=len)
def test_a_key_is_the_one_bip_32_derives(subject: Subject, card: EmulatedCard, path: Path) -> None:
    session, _ = subject.unlocked(card)
    needs(session, SeedLoader)
    expected = HDKey.from_seed(SEED).derive(list(path)).to_public()
    key = session.xpub(path)
    assert key.public_key == expected.key.sec()
    assert key.chain_code in {expected.chain_code, b"" if path else UNTOLD_CHAIN_CODE}
    assert key.depth == expected.depth
    assert key.parent_fingerprint == expected.fingerprint
    assert key.child_number == expected.child_number


def test_a_key_knows_its_parent(subject: Subject, card: EmulatedCard) -> None:
    session, _ = subject.unlocked(card)
    account = session.xpub(ACCOUNT)
    child = session.xpub((*ACCOUNT, 3))
    assert (child.public_key, child.chain_code) == public_child(*account[:2], 3)
    assert child.parent_fingerprint == fingerprint(account.public_key)
    assert (child.depth, child.child_number) == (len(ACCOUNT) + 1, 3)


def test_a_first_hardened_key_is_told_after_its_parent(
    subject: Subject, card: EmulatedCard
) -> None:
    session, _ = subject.unlocked(card)
    session.xpub(ACCOUNT[:1])
    assert session.xpub((ACCOUNT[0], HARDENED)).child_number == HARDENED


@pytest.mark.parametrize("path", PATHS, ids=len)
def test_signatures_verify_under_the_key_at_their_path(
    subject: Subject, card: EmulatedCard, path: Path
) -> None:
    session, _ = subject.unlocked(card)
    try:
        signatures = [session.sign(path, digest) for digest in digests(8)]
    except PathNotAvailable:
        assert len(path) > len(LEAF)
        pytest.skip("this family does not sign that deep")
    key = session.xpub(path).public_key
    assert all(map(verify, [key] * 8, digests(8), signatures))
    assert {len(signature) for signature in signatures} == {64}
    assert all(int.from_bytes(each[32:]) <= CURVE_ORDER // 2 for each in signatures)


def test_a_signature_is_of_its_own_path_and_digest_only(
    subject: Subject, card: EmulatedCard
) -> None:
    session, _ = subject.unlocked(card)
    signature = session.sign(LEAF, DIGEST)
    assert not verify(session.xpub(OTHER_LEAF).public_key, DIGEST, signature)
    assert not verify(session.xpub(LEAF).public_key, OTHER_DIGEST, signature)
    assert verify(session.xpub(LEAF).public_key, DIGEST, signature)


def test_paths_taken_in_turn_never_mix(subject: Subject, card: EmulatedCard) -> None:
    session, _ = subject.unlocked(card)
    for path in (LEAF, OTHER_LEAF, LEAF, ACCOUNT, LEAF, (), OTHER_LEAF):
        signature = session.sign(path, DIGEST)
        assert verify(session.xpub(path).public_key, DIGEST, signature)
        assert verify(session.xpub(path).public_key, DIGEST, session.sign(path, DIGEST))


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_digest_of_another_size_never_reaches_the_card(
    subject: Subject, card: EmulatedCard, size: int
) -> None:
    session, wire = subject.unlocked(card)
    sent = len(wire.sent)
    with pytest.raises(ValueError, match=str(size)):
        session.sign(LEAF, bytes(size))
    assert len(wire.sent) == sent


def test_a_path_too_long_for_the_card_says_so(subject: Subject, card: EmulatedCard) -> None:
    session, _ = subject.unlocked(card)
    with pytest.raises(PathNotAvailable) as caught:
        session.sign((0,) * 256, DIGEST)
    assert caught.value.path == (0,) * 256
    assert verify(session.xpub(LEAF).public_key, DIGEST, session.sign(LEAF, DIGEST))


@pytest.mark.usefixtures("luck")
def test_opening_and_unlocking_cost_six_commands(subject: Subject, card: EmulatedCard) -> None:
    """From the family's selection on; what is asked of the chip before is for its attestation.

    A card that is met for the first time may want more: what it gives is remembered.
    """
    surroundings = Surroundings()
    for _ in range(2):
        session, wire = subject.open(card, surroundings)
        session.unlock(Pin(PIN))
    selected = next(n for n, apdu in enumerate(wire.sent) if subject.family.aid in apdu)
    assert len(wire.sent) - selected <= 6


@pytest.mark.usefixtures("luck")
def test_a_signature_costs_two_commands_and_the_next_one(
    subject: Subject, card: EmulatedCard
) -> None:
    session, wire = subject.unlocked(card)
    assert wire.cost(lambda: session.sign(LEAF, DIGEST)) <= 2
    assert wire.cost(lambda: session.sign(LEAF, OTHER_DIGEST)) == 1
    assert wire.cost(lambda: session.sign(OTHER_LEAF, DIGEST)) <= 2
    assert wire.cost(lambda: session.sign(LEAF, DIGEST)) <= 2


def test_a_known_key_costs_nothing(subject: Subject, card: EmulatedCard) -> None:
    session, wire = subject.unlocked(card)
    assert wire.cost(lambda: session.xpub(LEAF)) <= 2
    assert wire.cost(lambda: session.xpub(LEAF)) == 0


@pytest.mark.usefixtures("luck")
def test_a_hundred_leaves_cost_two_commands_each(subject: Subject) -> None:
    card = subject.ready()
    session, wire = subject.unlocked(card)
    costs = [
        wire.cost(lambda leaf=leaf: session.sign((*ACCOUNT, 1, leaf), DIGEST))
        for leaf in range(100)
    ]
    assert max(costs) <= 2


@pytest.mark.usefixtures("luck")
def test_what_was_derived_before_costs_one_round_at_most(
    subject: Subject, card: EmulatedCard
) -> None:
    before, _ = subject.unlocked(card)
    for leaf in range(26):
        before.sign((*ACCOUNT, 1, leaf), DIGEST)
    session, wire = subject.unlocked(card)
    key = session.xpub((*ACCOUNT, 0))
    start = len(wire.sent)
    for leaf in range(100):
        signature = session.sign((*ACCOUNT, 0, leaf), DIGEST)
        child, _ = public_child(*key[:2], leaf)
        assert verify(child, DIGEST, signature)
    assert len(wire.sent) - start <= 2 * 100 + 1


def test_two_cards_sign_at_once(subject: Subject) -> None:
    """One thread per card, as a ceremony does it."""
    together = threading.Barrier(2, timeout=30)
    signed: dict[int, list[bool]] = {}

    def sign(number: int) -> None:
        session, _ = subject.unlocked(subject.ready(number))
        together.wait()
        key = session.xpub(LEAF).public_key
        signed[number] = [verify(key, each, session.sign(LEAF, each)) for each in digests(10)]
        session.close()

    threads = [threading.Thread(target=sign, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert signed == {0: [True] * 10, 1: [True] * 10}


def test_two_sessions_taken_in_turn_keep_to_their_cards(subject: Subject) -> None:
    sessions = [subject.unlocked(subject.ready(number))[0] for number in range(2)]
    keys = [session.xpub(LEAF).public_key for session in sessions]
    assert keys[0] != keys[1]
    for digest in digests(3):
        signatures = [session.sign(LEAF, digest) for session in sessions]
        assert all(map(verify, keys, [digest] * 2, signatures))


def test_nonces_never_repeat(subject: Subject, card: EmulatedCard) -> None:
    """Two digests under one r would give the key away."""
    session, _ = subject.unlocked(card)
    nonces = sorted(session.sign(LEAF, digest)[:32] for digest in digests(8))
    assert all(first != second for first, second in pairwise(nonces))


def test_no_key_is_taken_for_one_of_another_seed(subject: Subject, card: EmulatedCard) -> None:
    session, _ = subject.unlocked(card)
    first = session.xpub(LEAF)
    session.sign(LEAF, DIGEST)
    loader = needs(session, SeedLoader)
    loader.reset_seed(Pin(PIN))
    with pytest.raises(CardError):
        session.sign(LEAF, DIGEST)
    session.unlock(Pin(PIN))
    loader.load_seed(Secret(OTHER_SEED))
    assert session.xpub(LEAF) != first
    assert verify(session.xpub(LEAF).public_key, DIGEST, session.sign(LEAF, DIGEST))
