"""Whether a Satochip is genuine: certificates made here, good and bad, on emulated cards."""

import base64
import hashlib
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from coincurve import PrivateKey
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from cards.errors import CardNotInitialised, NotGenuine, NotUnlocked, ProtocolError
from cards.family import Roots, Surroundings
from cards.pin import Pin
from cards.satochip import emulator, roots
from cards.satochip.attestation import root_of
from cards.satochip.emulator import HANDLERS, PROFILES, SatochipEmulator, emulate
from cards.satochip.roots import TEST_ROOT, TEST_SUB_CA
from cards.satochip.session import open_session
from cards.session import Attestation, Attester, Verdict
from tests.cards.readers import PIN, initialised, opened
from tests.cards.satochip_host import VECTORS

NOW = datetime.now(UTC)
YEAR = timedelta(days=365)
AuthorityKey = ec.EllipticCurvePrivateKey


@dataclass
class Issue:
    """What a certificate should say."""

    subject: str
    issuer: str
    key: AuthorityKey
    signer: AuthorityKey
    authority: bool | None = True
    limit: int | None = None
    first: datetime = field(default_factory=lambda: NOW - YEAR)
    last: datetime = field(default_factory=lambda: NOW + YEAR)
    digest: hashes.HashAlgorithm = field(default_factory=hashes.SHA512)

    def made(self) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(name(self.subject))
            .issuer_name(name(self.issuer))
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.first)
            .not_valid_after(self.last)
        )
        if self.authority is not None:
            limits = x509.BasicConstraints(ca=self.authority, path_length=self.limit)
            builder = builder.add_extension(limits, critical=True)
        return builder.sign(self.signer, self.digest)


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


ROOT_KEY, SUB_KEY, OTHER_KEY = (
    ec.generate_private_key(curve) for curve in (ec.SECP384R1(), ec.SECP256K1(), ec.SECP256K1())
)
ROOT = Issue("root", "root", ROOT_KEY, ROOT_KEY, limit=1)
SUB = Issue("sub", "root", SUB_KEY, ROOT_KEY, limit=0)
DEVICE = Issue("device", "sub", OTHER_KEY, SUB_KEY, authority=False)


def der(issue: Issue) -> bytes:
    return issue.made().public_bytes(Encoding.DER)


def authentikey(card: SatochipEmulator) -> AuthorityKey:
    return ec.derive_private_key(int.from_bytes(card.flash.authentikey), ec.SECP256K1())


def issued(card: SatochipEmulator) -> Issue:
    """A good certificate for this card."""
    chip = emulator.common_name(card.flash.serials)
    return replace(DEVICE, subject=chip, key=authentikey(card))


def attested(card: SatochipEmulator, roots: Roots | None = None) -> Attestation:
    """Set a card up and attest it."""
    initialised(card)
    surroundings = Surroundings({"satochip": roots} if roots else {})
    session = open_session(card.insert(), surroundings)
    session.unlock(Pin(PIN))
    assert isinstance(session, Attester)
    return session.attest()


@pytest.fixture(params=PROFILES)
def card(request: pytest.FixtureRequest) -> SatochipEmulator:
    return emulate(request.param)


class TestVerdicts:
    def test_an_emulated_card_proves_itself_to_the_test_root(self, card: SatochipEmulator) -> None:
        found = attested(card)
        assert found.result is Verdict.TEST
        assert "TEST root 1" in found.reason
        assert "are the certified ones" in found.reason

    def test_a_chain_to_a_published_root_is_genuine(self, card: SatochipEmulator) -> None:
        card.flash.certificate = der(issued(card))
        found = attested(card, Roots(published=(der(ROOT), der(SUB))))
        assert found.result is Verdict.GENUINE

    def test_the_same_roots_as_tests_say_test(self, card: SatochipEmulator) -> None:
        card.flash.certificate = der(issued(card))
        assert attested(card, Roots((), (der(ROOT), der(SUB)))).result is Verdict.TEST

    def test_no_certificate_is_unproven(self, card: SatochipEmulator) -> None:
        card.flash.certificate = b""
        found = attested(card)
        assert found.result is Verdict.UNPROVEN
        assert "no certificate" in found.reason

    def test_a_card_without_the_instruction_is_unproven(
        self, card: SatochipEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delitem(HANDLERS, 0x93)
        assert attested(card).result is Verdict.UNPROVEN

    def test_the_pin_comes_first(self, card: SatochipEmulator) -> None:
        with pytest.raises(CardNotInitialised):
            opened(card)[0].attest()
        initialised(card)
        with pytest.raises(NotUnlocked):
            opened(card)[0].attest()

    def test_a_chip_that_tells_nothing_is_no_failure(self, card: SatochipEmulator) -> None:
        del card.flash.serials[0x0045]
        found = attested(card)
        assert found.result is Verdict.TEST
        assert "no serial numbers" in found.reason

    def test_a_certificate_of_another_chip_is_refused(self, card: SatochipEmulator) -> None:
        card.flash.serials[0x0045] = b"else"
        with pytest.raises(NotGenuine, match="other serial numbers"):
            attested(card)

    def test_a_certificate_of_another_card_is_refused(self, card: SatochipEmulator) -> None:
        card.flash.certificate = emulate(PROFILES[0]).flash.certificate
        with pytest.raises(NotGenuine, match="another card's key"):
            attested(card)

    def test_a_certified_card_that_cannot_sign_is_refused(
        self, card: SatochipEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wrong = PrivateKey().secret
        sign = emulator.sign_high_or_low
        monkeypatch.setattr(emulator, "sign_high_or_low", lambda _key, d: sign(wrong, d))
        with pytest.raises(NotGenuine, match="challenge"):
            attested(card)

    def test_another_curve_is_refused(self, card: SatochipEmulator) -> None:
        wrong = replace(issued(card), key=ec.generate_private_key(ec.SECP256R1()))
        card.flash.certificate = der(wrong)
        with pytest.raises(NotGenuine, match="secp256k1"):
            attested(card, Roots((der(ROOT), der(SUB))))

    @pytest.mark.parametrize("cut", [0, 1, 40, 200])
    def test_a_damaged_certificate_is_refused(self, cut: int, card: SatochipEmulator) -> None:
        good = card.flash.certificate
        card.flash.certificate = good[:cut] + bytes((good[cut] ^ 1,)) + good[cut + 1 :]
        with pytest.raises(NotGenuine):
            attested(card)
        card.flash.certificate = good[:-1]
        with pytest.raises(NotGenuine, match=f"{len(good) - 1} bytes"):
            attested(emulate_with(card.flash.certificate))

    def test_a_certificate_that_comes_short_is_a_protocol_error(
        self, card: SatochipEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        answers = {1: b"\1\1", 2: b"short"}
        monkeypatch.setitem(HANDLERS, 0x93, lambda _card, request: answers[request.p2])
        with pytest.raises(ProtocolError, match="15 of 257 bytes"):
            attested(card)


def emulate_with(certificate: bytes) -> SatochipEmulator:
    card = emulate(PROFILES[-1])
    card.flash.certificate = certificate
    return card


class TestChain:
    def test_a_good_chain_ends_in_its_root(self) -> None:
        root, sub = ROOT.made(), SUB.made()
        assert root_of(DEVICE.made(), [sub, root], NOW) == root

    def test_of_two_authorities_of_one_name_the_right_one_counts(self) -> None:
        root = ROOT.made()
        twin = replace(SUB, key=OTHER_KEY).made()
        assert root_of(DEVICE.made(), [twin, SUB.made(), root], NOW) == root

    @pytest.mark.parametrize(
        ("device", "sub", "root", "why"),
        [
            (replace(DEVICE, signer=OTHER_KEY), SUB, ROOT, "signature"),
            (DEVICE, replace(SUB, signer=OTHER_KEY), ROOT, "signature"),
            (DEVICE, SUB, replace(ROOT, signer=OTHER_KEY), "not signed itself"),
            (replace(DEVICE, issuer="nobody"), SUB, ROOT, "nobody knows"),
            (DEVICE, replace(SUB, issuer="nobody"), ROOT, "nobody knows"),
            (replace(DEVICE, last=NOW - timedelta(days=1)), SUB, ROOT, "valid from"),
            (DEVICE, replace(SUB, last=NOW - timedelta(days=1)), ROOT, "valid from"),
            (DEVICE, SUB, replace(ROOT, first=NOW + timedelta(days=1)), "valid from"),
            (DEVICE, replace(SUB, authority=False), ROOT, "no authority"),
            (DEVICE, replace(SUB, authority=None, limit=None), ROOT, "no authority"),
            (DEVICE, SUB, replace(ROOT, limit=0), "1 authorities below one that allows 0"),
            (replace(DEVICE, authority=True), SUB, ROOT, "not a card's"),
        ],
    )
    def test_a_broken_chain_is_refused(
        self, device: Issue, sub: Issue, root: Issue, why: str
    ) -> None:
        if not sub.authority:
            sub = replace(sub, limit=None)
        with pytest.raises(NotGenuine, match=why):
            root_of(device.made(), [sub.made(), root.made()], NOW)

    def test_a_device_without_constraints_is_no_authority(self) -> None:
        root = ROOT.made()
        device = replace(DEVICE, authority=None)
        assert root_of(device.made(), [SUB.made(), root], NOW) == root

    def test_a_chain_of_weak_digests_is_refused(self) -> None:
        weak = replace(DEVICE, digest=hashes.SHA224())
        with pytest.raises(NotGenuine, match="signature"):
            root_of(weak.made(), [SUB.made(), ROOT.made()], NOW)

    def test_a_certificate_is_valid_from_its_first_to_its_last_second(self) -> None:
        first, last = (NOW.replace(microsecond=0) + days * YEAR for days in (0, 1))
        chain = [SUB, ROOT]
        lasting = [replace(each, first=first - YEAR, last=last + YEAR).made() for each in chain]
        device = replace(DEVICE, first=first, last=last).made()
        for moment in (first, last):
            assert root_of(device, lasting, moment) == lasting[1]
        for moment in (first - timedelta(seconds=1), last + timedelta(seconds=1)):
            with pytest.raises(NotGenuine, match="valid from"):
                root_of(device, lasting, moment)

    def test_a_circle_of_authorities_is_refused(self) -> None:
        keys = [ec.generate_private_key(ec.SECP256K1()) for _ in range(2)]
        circle = [
            Issue("left", "right", keys[0], keys[1]).made(),
            Issue("right", "left", keys[1], keys[0]).made(),
        ]
        device = Issue("device", "left", OTHER_KEY, keys[0], authority=False)
        with pytest.raises(NotGenuine, match="more than 5"):
            root_of(device.made(), circle, NOW)


class TestCertificates:
    def test_the_makers_certificates_are_the_published_ones(self) -> None:
        if not Path(VECTORS).exists():
            pytest.skip("the vectors are not beside this checkout")
        known = json.loads(VECTORS.read_text())["satochip"]["ca_certificates"]["certs"]
        ours = {
            "ca": roots.ROOT,
            "subca-satochip": roots.SUB_CA,
            "test-ca": roots.MAKERS_TEST_ROOT,
            "test-subca-satochip": roots.MAKERS_TEST_SUB_CA,
        }
        for place, certificate in ours.items():
            assert certificate == base64.b64decode(known[place]["der_b64"])
            assert hashlib.sha256(certificate).hexdigest() == known[place]["sha256_der"]

    def test_their_digests_are_the_ones_the_maker_ships(self) -> None:
        digests = [hashlib.sha256(each).hexdigest() for each in roots.ROOTS.published]
        assert [digest[:8] + digest[-4:] for digest in digests] == ["3423ce42dbb5", "7886002c4530"]

    @pytest.mark.parametrize(
        ("sub", "root"),
        [
            (roots.SUB_CA, roots.ROOT),
            (roots.MAKERS_TEST_SUB_CA, roots.MAKERS_TEST_ROOT),
            (TEST_SUB_CA, TEST_ROOT),
        ],
    )
    def test_every_sub_ca_was_issued_by_its_root(self, sub: bytes, root: bytes) -> None:
        below, above = (x509.load_der_x509_certificate(each) for each in (sub, root))
        below.verify_directly_issued_by(above)
        above.verify_directly_issued_by(above)

    def test_no_test_authority_is_among_the_published(self) -> None:
        known = roots.ROOTS
        assert not set(known.published) & set(known.test)
        assert {TEST_ROOT, TEST_SUB_CA} <= set(known.test)
