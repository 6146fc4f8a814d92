"""The emulated Satochip's certificate: personalisation in the factory, proof afterwards."""

import hashlib
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime

from coincurve import PrivateKey
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from cards.emulation import Refusal, sign_high_or_low
from cards.satochip.emulator_keys import prefixed
from cards.satochip.emulator_memory import Card, Handler, Reader, Request
from cards.satochip.roots import TEST_SUB_CA, TEST_SUB_CA_KEY
from cards.satochip.wire import Ins, Sw

INIT, PROCESS = 1, 2
NONCE = 32
SERIAL_TAGS = (0x9F7F, 0x0042, 0x0045)
VALID_FROM = datetime(2020, 12, 1, 12, tzinfo=UTC)
VALID_UNTIL = datetime(2040, 12, 1, 12, tzinfo=UTC)


def common_name(serials: Mapping[int, bytes]) -> str:
    """Return the name a card's certificate bears: SHA-1 of what the card manager answers."""
    answers = b"".join(serials[tag] for tag in SERIAL_TAGS)
    return hashlib.sha1(answers, usedforsecurity=False).hexdigest().upper()


def device_certificate(authentikey: bytes, subject: str) -> bytes:
    """Issue a card's certificate (DER) by the test sub-CA."""
    issuer = x509.load_der_x509_certificate(TEST_SUB_CA)
    point = PrivateKey(authentikey).public_key.format(compressed=False)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(issuer.subject)
        .public_key(ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), point))
        .serial_number(x509.random_serial_number())
        .not_valid_before(VALID_FROM)
        .not_valid_after(VALID_UNTIL)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    )
    authority = ec.derive_private_key(int.from_bytes(TEST_SUB_CA_KEY), ec.SECP256K1())
    return builder.sign(authority, hashes.SHA512()).public_bytes(Encoding.DER)


def export_certificate(card: Card, request: Request) -> bytes:
    """EXPORT PKI CERTIFICATE: first its size, then pieces of it."""
    certificate = card.flash.certificate
    if request.p2 == INIT:
        return len(certificate).to_bytes(2)
    if request.p2 != PROCESS:
        raise Refusal(Sw.INCORRECT_P2)
    fields = Reader(request.data, Sw.WRONG_LENGTH)
    offset, size = fields.short(), fields.short()
    _check_piece(offset, size, certificate)
    return certificate[offset : offset + size]


def challenge_response(card: Card, request: Request) -> bytes:
    """CHALLENGE RESPONSE PKI: sign a nonce of the host's together with one of the card's."""
    if len(request.data) != NONCE:
        raise Refusal(Sw.WRONG_LENGTH)
    nonce = secrets.token_bytes(NONCE)
    digest = hashlib.sha256(b"Challenge:" + nonce + request.data).digest()
    return nonce + prefixed(sign_high_or_low(card.flash.authentikey, digest))


def export_public_key(card: Card, _request: Request) -> bytes:
    """EXPORT PKI PUBKEY: what the factory certifies."""
    _need_unlocked(card)
    return PrivateKey(card.flash.authentikey).public_key.format(compressed=False)


def sign_request(card: Card, request: Request) -> bytes:
    """SIGN PKI CSR: sign the hash of a certificate request."""
    _need_unlocked(card)
    if len(request.data) != NONCE:
        raise Refusal(Sw.WRONG_LENGTH)
    return sign_high_or_low(card.flash.authentikey, request.data)


def import_certificate(card: Card, request: Request) -> bytes:
    """IMPORT PKI CERTIFICATE: first its size, then pieces of it."""
    _need_unlocked(card)
    fields = Reader(request.data, Sw.WRONG_LENGTH)
    if request.p2 == INIT:
        card.flash.certificate = bytes(fields.short())
        return b""
    if request.p2 != PROCESS:
        raise Refusal(Sw.INCORRECT_P2)
    offset = fields.short()
    piece = fields.take(fields.short())
    old = card.flash.certificate
    _check_piece(offset, len(piece), old)
    card.flash.certificate = old[:offset] + piece + old[offset + len(piece) :]
    return b""


def _check_piece(offset: int, size: int, certificate: bytes) -> None:
    """Refuse a piece that does not begin and end inside of the certificate."""
    if offset >= len(certificate) or offset + size > len(certificate):
        raise Refusal(Sw.WRONG_LENGTH)


def lock(card: Card, _request: Request) -> bytes:
    """LOCK PKI: end personalisation."""
    _need_unlocked(card)
    card.flash.personalised = True
    return b""


def _need_unlocked(card: Card) -> None:
    if card.flash.personalised:
        raise Refusal(Sw.PKI_LOCKED)


HANDLERS: dict[int, Handler] = {
    Ins.EXPORT_PKI_CERTIFICATE: export_certificate,
    Ins.CHALLENGE_RESPONSE_PKI: challenge_response,
    Ins.EXPORT_PKI_PUBKEY: export_public_key,
    Ins.SIGN_PKI_CSR: sign_request,
    Ins.IMPORT_PKI_CERTIFICATE: import_certificate,
    Ins.LOCK_PKI: lock,
}
