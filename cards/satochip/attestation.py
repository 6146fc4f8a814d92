"""Whether a Satochip is its maker's: certificate, chain, chip and challenge."""

import hashlib
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from cards.apdu import SW_OK
from cards.errors import NotGenuine, ProtocolError, StatusWordError
from cards.family import Roots
from cards.satochip import answers, commands
from cards.satochip.link import Link
from cards.satochip.wire import Sw
from cards.session import Attestation, Verdict
from cards.signature import verify
from cards.transport import CardTransport, transmit

CHALLENGE = b"Challenge:"
HASHES = {"sha256", "sha384", "sha512"}
LENGTH_MAX = 5

Certificate = x509.Certificate


class _Certified(NamedTuple):
    """What a certificate says, once its chain holds."""

    verdict: Verdict
    root: str
    key: bytes
    chip: str


def chip_name(transport: CardTransport) -> str | None:
    """Ask the card manager for the chip's serial numbers; None where it does not tell them.

    Only before SELECT is there a card manager to ask.
    """
    found = [transmit(transport, commands.serial_number(tag)) for tag in commands.SERIAL_TAGS]
    if any(answer.sw != SW_OK for answer in found):
        return None
    serials = b"".join(answer.data for answer in found)
    return hashlib.sha1(serials, usedforsecurity=False).hexdigest()


def attest(link: Link, roots: Roots, chip: str | None) -> Attestation:
    """Return how far the card proves itself; raises NotGenuine where a proof fails.

    `chip` is what the chip's serial numbers make its name, where it told them.
    """
    der = _certificate(link)
    if not der:
        return Attestation(Verdict.UNPROVEN, "the card has no certificate")
    certified = _certified(der, roots)
    if certified.key != link.authentikey:
        raise NotGenuine("its certificate belongs to another card's key")
    nonce = secrets.token_bytes(answers.NONCE)
    card_nonce, signature = answers.parse_proof(link.send(commands.challenge(nonce)))
    digest = hashlib.sha256(CHALLENGE + card_nonce + nonce).digest()
    if not verify(link.authentikey, digest, signature):
        raise NotGenuine("it answered the challenge with a signature that is not its key's")
    if chip is not None and chip != certified.chip.lower():
        raise NotGenuine("its certificate was made for a chip with other serial numbers")
    compared = (
        "its chip told no serial numbers to compare"
        if chip is None
        else "its chip's serial numbers are the certified ones"
    )
    return Attestation(
        certified.verdict,
        f"its certificate ends in {certified.root} and it answered a fresh challenge, {compared}",
    )


def _certificate(link: Link) -> bytes:
    """Read the certificate piece by piece; empty where the card has none."""
    try:
        size = answers.parse_size(link.send(commands.CERTIFICATE_SIZE))
    except StatusWordError as refused:
        if refused.sw != Sw.UNKNOWN_INS:
            raise
        return b""
    offsets = range(0, size, commands.CERTIFICATE_PIECE)
    sizes = (min(commands.CERTIFICATE_PIECE, size - offset) for offset in offsets)
    pieces = map(commands.certificate_piece, offsets, sizes)
    certificate = b"".join(link.send(piece) for piece in pieces)
    if len(certificate) != size:
        raise ProtocolError(f"the card's certificate has {len(certificate)} of {size} bytes")
    return certificate


def _certified(der: bytes, roots: Roots) -> _Certified:
    """Read a device certificate and follow its chain to a root; raises NotGenuine."""
    try:
        device = x509.load_der_x509_certificate(der)
        known = [x509.load_der_x509_certificate(each) for each in roots.published + roots.test]
        root = root_of(device, known, datetime.now(UTC))
        published = root.public_bytes(Encoding.DER) in roots.published
        verdict = Verdict.GENUINE if published else Verdict.TEST
        return _Certified(verdict, _name(root), _public_key(device), _name(device))
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion):
        raise NotGenuine(f"its {len(der)} bytes of certificate cannot be read") from None


def _public_key(certificate: Certificate) -> bytes:
    """Return the compressed secp256k1 key a certificate is about."""
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256k1":
        raise NotGenuine("its certificate is not about a key of secp256k1")
    return key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)


def _name(certificate: Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else "a certificate without a name"


def root_of(device: Certificate, authorities: Iterable[Certificate], now: datetime) -> Certificate:
    """Return the self-signed authority the device's chain ends in; raises NotGenuine."""
    known = tuple(authorities)
    _check_dates(device, now)
    if _is_authority(device):
        raise NotGenuine("its certificate is an authority's, not a card's")
    child = device
    for below in range(LENGTH_MAX):
        issuer = _issuer(child, known)
        _check_dates(issuer, now)
        _check_authority(issuer, below)
        if issuer.subject == issuer.issuer:
            if not _signed(issuer, issuer):
                raise NotGenuine("its chain ends in a root that has not signed itself")
            return issuer
        child = issuer
    raise NotGenuine(f"its chain has more than {LENGTH_MAX} certificates")


def _issuer(child: Certificate, known: Iterable[Certificate]) -> Certificate:
    """Return the authority that signed; several may bear the same name."""
    named = [authority for authority in known if authority.subject == child.issuer]
    if not named:
        raise NotGenuine("its certificate comes from an authority nobody knows here")
    for authority in named:
        if _signed(child, authority):
            return authority
    raise NotGenuine("its certificate bears a signature that is not its authority's")


def _signed(child: Certificate, issuer: Certificate) -> bool:
    try:
        algorithm = child.signature_hash_algorithm
        child.verify_directly_issued_by(issuer)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return algorithm is not None and algorithm.name in HASHES


def _check_dates(certificate: Certificate, now: datetime) -> None:
    first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not first <= now <= last:
        raise NotGenuine(f"a certificate of its chain is valid from {first:%F} to {last:%F} only")


def _check_authority(issuer: Certificate, authorities_below: int) -> None:
    """Refuse an issuer that may not issue, or not at this height."""
    if not _is_authority(issuer):
        raise NotGenuine("its certificate was issued by something that is no authority")
    limit = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length
    if limit is not None and authorities_below > limit:
        raise NotGenuine(
            f"its chain has {authorities_below} authorities below one that allows {limit}"
        )


def _is_authority(certificate: Certificate) -> bool:
    try:
        found = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return False
    return found.value.ca
