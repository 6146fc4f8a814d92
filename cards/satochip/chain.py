"""From a device certificate up to a root: signatures, names, validity, constraints."""

from collections.abc import Iterable
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from cards.errors import NotGenuine

HASHES = {"sha256", "sha384", "sha512"}
LENGTH_MAX = 5

Certificate = x509.Certificate


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
            _check_signature(issuer, issuer)
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


def _check_signature(child: Certificate, issuer: Certificate) -> None:
    if not _signed(child, issuer):
        raise NotGenuine("its chain ends in a root that has not signed itself")


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
