"""How far a card proves to be its maker's."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from cards.errors import CardError, NotGenuine, NotSupported, NotUnlocked
from cards.family import EmulatedCard, Roots, Surroundings
from cards.pin import Pin
from cards.session import Attester, Verdict
from tests.contracts.subjects import PIN, Subject, initialise, needs


def foreign_root() -> bytes:
    """Return a root that certified no card."""
    key = ec.generate_private_key(ec.SECP384R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Somebody else's root")])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        .sign(key, hashes.SHA512())
        .public_bytes(Encoding.DER)
    )


def test_an_emulated_card_is_a_test_card_and_no_more(subject: Subject, card: EmulatedCard) -> None:
    session, _ = subject.unlocked(card)
    attestation = needs(session, Attester).attest()
    assert attestation.result is Verdict.TEST
    assert attestation.reason


def test_attestation_leaves_the_card_unlocked(subject: Subject, card: EmulatedCard) -> None:
    session, _ = subject.unlocked(card)
    before = session.identity()
    first = needs(session, Attester).attest()
    assert needs(session, Attester).attest() == first
    assert session.identity() == before
    assert len(session.sign((), bytes(range(32)))) == 64


@pytest.mark.parametrize("kind", ["published", "test"])
def test_a_foreign_root_proves_nothing(subject: Subject, card: EmulatedCard, kind: str) -> None:
    roots = Roots(**{"published": (), kind: (foreign_root(),)})
    session, _ = subject.open(card, Surroundings({subject.family.name: roots}))
    session.unlock(Pin(PIN))
    with pytest.raises(NotGenuine) as caught:
        needs(session, Attester).attest()
    assert caught.value.reason


def test_roots_of_another_family_do_not_count(subject: Subject, card: EmulatedCard) -> None:
    session, _ = subject.open(card, Surroundings({"another": Roots((foreign_root(),))}))
    session.unlock(Pin(PIN))
    assert needs(session, Attester).attest().result is Verdict.TEST


def test_a_card_without_a_certificate_is_unproven(subject: Subject) -> None:
    emulate_uncertified = subject.family.variants.get("uncertified")
    if emulate_uncertified is None:
        pytest.skip("this family's emulator always has a certificate")
    try:
        card = emulate_uncertified(subject.profile)
    except NotSupported:
        pytest.skip("this version does not work without a certificate")
    session, _ = subject.open(card)
    initialise(session)
    session.unlock(Pin(PIN))
    attestation = needs(session, Attester).attest()
    assert attestation.result is Verdict.UNPROVEN
    assert attestation.reason


def test_a_locked_card_proves_itself_or_asks_for_its_pin(
    subject: Subject, card: EmulatedCard
) -> None:
    session, _ = subject.open(card)
    try:
        result = needs(session, Attester).attest().result
    except NotUnlocked:
        return
    assert result is Verdict.TEST


def test_two_cards_proofs_do_not_change_places(subject: Subject) -> None:
    """What one card answered proves nothing for another."""
    session, other = subject.unlocked(subject.ready(1))
    start = len(other.sent)
    needs(session, Attester).attest()
    proof = other.heard[start:]
    for only in [range(len(proof)), *([n] for n in range(len(proof)))]:
        session, wire = subject.unlocked(subject.ready())
        for n in only:
            wire.change[len(wire.sent) + n] = lambda _answer, n=n: proof[n]
        with pytest.raises(CardError):
            needs(session, Attester).attest()
