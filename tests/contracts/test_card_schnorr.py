"""BIP 340: whoever signs so signs with the leaf's own key, and what it cannot do it says."""

import pytest
from coincurve import PublicKeyXOnly

from cards.errors import CardError, NotUnlocked, PathNotAvailable
from cards.family import EmulatedCard
from cards.session import DIGEST_SIZE, SchnorrSigner
from cards.signature import verify
from tests.contracts.subjects import DIGEST, LEAF, OTHER_DIGEST, OTHER_LEAF, Subject, needs
from tests.contracts.wires import Change

PLAIN = bytes(DIGEST_SIZE)


def holds(public_key: bytes, digest: bytes, signature: bytes) -> bool:
    return PublicKeyXOnly(public_key[1:]).verify(signature, digest)


def test_only_a_version_that_signs_so_is_said_to_sign_for_taproot(
    subject: Subject, card: EmulatedCard
) -> None:
    session, _ = subject.unlocked(card)
    able = "tr" in subject.family.signs_at(subject.profile)
    assert isinstance(session, SchnorrSigner) is able


def test_signatures_verify_under_the_leafs_own_key(subject: Subject, card: EmulatedCard) -> None:
    session, _ = subject.unlocked(card)
    signer = needs(session, SchnorrSigner)
    for path in (LEAF, OTHER_LEAF, LEAF):
        for digest in (DIGEST, OTHER_DIGEST):
            signature = signer.sign_schnorr(path, digest, PLAIN)
            assert len(signature) == 64
            assert holds(session.xpub(path).public_key, digest, signature)
    assert not holds(session.xpub(OTHER_LEAF).public_key, OTHER_DIGEST, signature)


def test_both_kinds_of_signatures_are_given_in_turn(subject: Subject, card: EmulatedCard) -> None:
    session, _ = subject.unlocked(card)
    signer = needs(session, SchnorrSigner)
    for path in (LEAF, LEAF, OTHER_LEAF):
        key = session.xpub(path).public_key
        assert verify(key, DIGEST, session.sign(path, DIGEST))
        assert holds(key, DIGEST, signer.sign_schnorr(path, DIGEST, PLAIN))


def test_a_tweak_is_obeyed_or_refused(subject: Subject, card: EmulatedCard) -> None:
    session, _ = subject.unlocked(card)
    signer = needs(session, SchnorrSigner)
    key = PublicKeyXOnly(session.xpub(LEAF).public_key[1:])
    try:
        signature = signer.sign_schnorr(LEAF, DIGEST, OTHER_DIGEST)
    except CardError:
        return
    key.tweak_add(OTHER_DIGEST)
    assert key.verify(signature, DIGEST)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_digest_of_another_size_never_reaches_the_card(
    subject: Subject, card: EmulatedCard, size: int
) -> None:
    session, wire = subject.unlocked(card)
    signer = needs(session, SchnorrSigner)
    sent = len(wire.sent)
    with pytest.raises(ValueError, match=str(size)):
        signer.sign_schnorr(LEAF, bytes(size), PLAIN)
    assert len(wire.sent) == sent


def test_a_path_too_long_for_the_card_says_so(subject: Subject, card: EmulatedCard) -> None:
    session, _ = subject.unlocked(card)
    with pytest.raises(PathNotAvailable):
        needs(session, SchnorrSigner).sign_schnorr((0,) * 256, DIGEST, PLAIN)


def test_a_locked_card_does_not_sign(subject: Subject, card: EmulatedCard) -> None:
    session, _ = subject.open(card)
    with pytest.raises(NotUnlocked):
        needs(session, SchnorrSigner).sign_schnorr(LEAF, DIGEST, PLAIN)


@pytest.mark.parametrize("bend", [lambda a: a[:-3] + a[-2:], lambda a: bytes([a[0] ^ 1]) + a[1:]])
def test_one_lie_costs_an_error_at_most(subject: Subject, bend: Change) -> None:
    for number in range(4):
        session, wire = subject.unlocked(subject.ready())
        signer = needs(session, SchnorrSigner)
        key = session.xpub(LEAF).public_key
        wire.change[len(wire.sent) + number] = bend
        try:
            signature = signer.sign_schnorr(LEAF, DIGEST, PLAIN)
        except CardError:
            continue
        assert holds(key, DIGEST, signature)


def test_a_reset_at_any_command_is_survived_or_said(subject: Subject) -> None:
    for number in range(4):
        session, wire = subject.unlocked(subject.ready())
        signer = needs(session, SchnorrSigner)
        key = session.xpub(LEAF).public_key
        wire.reset_before(len(wire.sent) + number)
        try:
            signature = signer.sign_schnorr(LEAF, DIGEST, PLAIN)
        except CardError:
            continue
        assert holds(key, DIGEST, signature)
