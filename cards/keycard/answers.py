"""What a Keycard answers, taken apart: one pure function each."""

from typing import NamedTuple

from coincurve import PublicKey

from cards.errors import ProtocolError
from cards.keycard import tlv
from cards.keycard.wire import (
    CERTIFICATE,
    POINT,
    STATUS_READY,
    TAG_APPLICATION,
    TAG_BOOLEAN,
    TAG_CERTIFICATE,
    TAG_CHAIN_CODE,
    TAG_INSTANCE_UID,
    TAG_INTEGER,
    TAG_KEY_TEMPLATE,
    TAG_KEY_UID,
    TAG_PUBLIC_KEY,
    TAG_SCHNORR,
    TAG_SEQUENCE,
    TAG_SIGNATURE_TEMPLATE,
    TAG_STATUS,
    TAG_STATUS_TEMPLATE,
)
from cards.signature import compact_from_der

HASH = 32
UID = 16
COMPRESSED = 33
VERSION = 2
TRIES_TAGS = 2


class Application(NamedTuple):
    """SELECT's answer: a version of None where a 3.x card has not been initialised."""

    version: tuple[int, int] | None
    initialised: bool
    uid: bytes = b""
    point: bytes = b""
    certificate: bytes = b""
    has_key: bool = False

    @property
    def certified(self) -> bool:
        """Tell whether the card speaks the channel of 4.x, by certificate."""
        return self.version is not None and self.version >= (4, 0)


class Status(NamedTuple):
    """GET STATUS's answer."""

    pin_tries: int
    puk_tries: int
    has_key: bool


class Certificate(NamedTuple):
    """The maker's signature on a card's identity key."""

    key: bytes
    signature: bytes


class Proof(NamedTuple):
    """IDENTIFY's answer: certificate, and r‖s over the nonce."""

    certificate: bytes
    signature: bytes


class Handshake(NamedTuple):
    """A 4.x card's answer to OPEN: its ephemeral point, and r‖s by its identity key."""

    point: bytes
    signature: bytes


class SignedBy(NamedTuple):
    """A signature of 64 bytes, and the key the card says it is of."""

    public_key: bytes
    signature: bytes


def parse_select(data: bytes) -> Application:
    """Read SELECT."""
    if data[:1] == bytes((TAG_PUBLIC_KEY,)):
        return Application(None, initialised=False, point=_point(tlv.first(tlv.parse(data), 0x80)))
    elements = tlv.template(data, TAG_APPLICATION)
    version = tlv.first(elements, TAG_INTEGER)
    if len(version) != VERSION:
        raise ProtocolError(f"the card's version has {len(version)} bytes, not {VERSION}")
    if (version[0], version[1]) >= (4, 0):
        return Application(
            version=(version[0], version[1]),
            initialised=bool(sized(tlv.first(elements, TAG_STATUS), 1)[0] & STATUS_READY),
            certificate=sized(tlv.first(elements, TAG_CERTIFICATE), CERTIFICATE),
        )
    return Application(
        version=(version[0], version[1]),
        initialised=True,
        uid=sized(tlv.first(elements, TAG_INSTANCE_UID), UID),
        point=_point(tlv.first(elements, TAG_PUBLIC_KEY)),
        has_key=any(value for tag, value in elements if tag == TAG_KEY_UID),
    )


def parse_status(data: bytes) -> Status:
    """Read GET STATUS."""
    elements = tlv.template(data, TAG_STATUS_TEMPLATE)
    tries = [sized(value, 1)[0] for tag, value in elements if tag == TAG_INTEGER]
    if len(tries) != TRIES_TAGS:
        raise ProtocolError(f"the status counts {len(tries)} codes, not {TRIES_TAGS}")
    return Status(tries[0], tries[1], any(tlv.first(elements, TAG_BOOLEAN)))


def parse_certificate(data: bytes) -> Certificate:
    """Read a certificate: identity key, r‖s and recovery number by the maker."""
    return Certificate(data[:COMPRESSED], sized(data, CERTIFICATE)[COMPRESSED:])


def parse_proof(data: bytes) -> Proof:
    """Read IDENTIFY."""
    elements = tlv.template(data, TAG_SIGNATURE_TEMPLATE)
    certificate = sized(tlv.first(elements, TAG_CERTIFICATE), CERTIFICATE)
    return Proof(certificate, _signature(elements))


def parse_handshake(data: bytes) -> Handshake:
    """Read a 4.x card's OPEN."""
    return Handshake(_point(data[:POINT]), compact_from_der(data[POINT:]))


def parse_public_key(data: bytes) -> bytes:
    """Read EXPORT of a public key; return it compressed."""
    return _compressed(tlv.first(tlv.template(data, TAG_KEY_TEMPLATE), TAG_PUBLIC_KEY))


def parse_extended_key(data: bytes) -> tuple[bytes, bytes]:
    """Read EXPORT of an extended public key: compressed key, chain code."""
    chain_code = tlv.first(tlv.template(data, TAG_KEY_TEMPLATE), TAG_CHAIN_CODE)
    return parse_public_key(data), sized(chain_code, HASH)


def parse_signature(data: bytes) -> SignedBy:
    """Read SIGN by ECDSA; some cards leave zeros before a short S, which DER forbids."""
    elements = tlv.template(data, TAG_SIGNATURE_TEMPLATE)
    return SignedBy(_compressed(tlv.first(elements, TAG_PUBLIC_KEY)), _signature(elements))


def parse_schnorr(data: bytes) -> SignedBy:
    """Read SIGN by BIP 340; the key is the untweaked one."""
    elements = tlv.template(data, TAG_SIGNATURE_TEMPLATE)
    signature = sized(tlv.first(elements, TAG_SCHNORR), 2 * HASH)
    return SignedBy(_compressed(tlv.first(elements, TAG_PUBLIC_KEY)), signature)


def sized(data: bytes, size: int) -> bytes:
    """Return the data; raises ProtocolError where it is of another size."""
    if len(data) != size:
        raise ProtocolError(f"the card's answer has a field of {len(data)} bytes, not {size}")
    return data


def _signature(elements: list[tuple[int, bytes]]) -> bytes:
    return compact_from_der(tlv.encode(TAG_SEQUENCE, tlv.first(elements, TAG_SEQUENCE)))


def _point(data: bytes) -> bytes:
    """Return an uncompressed point of the curve."""
    _compressed(data)
    return data


def _compressed(point: bytes) -> bytes:
    try:
        return PublicKey(sized(point, POINT)).format()
    except ValueError:
        raise ProtocolError("the card sent a point that is not on the curve") from None
