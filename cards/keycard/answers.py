"""What a Keycard answers, taken apart, and what it means by a status word."""

from typing import NamedTuple

from coincurve import PublicKey

from cards.bip32 import PublicNode
from cards.errors import (
    CardError,
    PinIncorrect,
    PinNotBlocked,
    ProtocolError,
    PukIncorrect,
    StatusWordError,
)
from cards.keycard import NAME
from cards.keycard.wire import (
    CERTIFICATE,
    POINT,
    STATUS_READY,
    Ins,
    Sw,
    Tag,
    first,
    parse_tlv,
    template,
    tlv,
)
from cards.signature import compact_from_der

HASH = 32
UID = 16
COMPRESSED = 33
VERSION = 2
TRIES_TAGS = 2
_TRIES = 0xF


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


class SignedBy(NamedTuple):
    """A signature of 64 bytes, and the key the card says it is of."""

    public_key: bytes
    signature: bytes


def parse_select(data: bytes) -> Application:
    """Read SELECT."""
    if data[:1] == bytes((Tag.PUBLIC_KEY,)):
        return Application(None, initialised=False, point=_point(first(parse_tlv(data), 0x80)))
    elements = template(data, Tag.APPLICATION)
    version = first(elements, Tag.INTEGER)
    if len(version) != VERSION:
        raise ProtocolError(f"the card's version has {len(version)} bytes, not {VERSION}")
    major, minor = version
    if major >= 4:
        return Application(
            version=(major, minor),
            initialised=bool(sized(first(elements, Tag.STATUS), 1)[0] & STATUS_READY),
            certificate=sized(first(elements, Tag.CERTIFICATE), CERTIFICATE),
        )
    return Application(
        version=(major, minor),
        initialised=True,
        uid=sized(first(elements, Tag.INSTANCE_UID), UID),
        point=_point(first(elements, Tag.PUBLIC_KEY)),
        has_key=any(value for tag, value in elements if tag == Tag.KEY_UID),
    )


def parse_status(data: bytes) -> Status:
    """Read GET STATUS."""
    elements = template(data, Tag.STATUS_TEMPLATE)
    tries = [sized(value, 1)[0] for tag, value in elements if tag == Tag.INTEGER]
    if len(tries) != TRIES_TAGS:
        raise ProtocolError(f"the status counts {len(tries)} codes, not {TRIES_TAGS}")
    return Status(tries[0], tries[1], any(first(elements, Tag.BOOLEAN)))


def parse_certificate(data: bytes) -> Certificate:
    """Read a certificate: identity key, r‖s and recovery number by the maker."""
    return Certificate(data[:COMPRESSED], sized(data, CERTIFICATE)[COMPRESSED:])


def parse_proof(data: bytes) -> Proof:
    """Read IDENTIFY."""
    elements = template(data, Tag.SIGNATURE_TEMPLATE)
    certificate = sized(first(elements, Tag.CERTIFICATE), CERTIFICATE)
    return Proof(certificate, _signature(elements))


def parse_handshake(data: bytes) -> tuple[bytes, bytes]:
    """Read a 4.x card's OPEN: its ephemeral point, and r‖s by its identity key."""
    return _point(data[:POINT]), compact_from_der(data[POINT:])


def parse_public_key(data: bytes) -> bytes:
    """Read EXPORT of a public key; return it compressed."""
    return _compressed(first(template(data, Tag.KEY_TEMPLATE), Tag.PUBLIC_KEY))


def parse_extended_key(data: bytes) -> PublicNode:
    """Read EXPORT of an extended public key."""
    chain_code = first(template(data, Tag.KEY_TEMPLATE), Tag.CHAIN_CODE)
    return PublicNode(parse_public_key(data), sized(chain_code, HASH))


def parse_signature(data: bytes) -> SignedBy:
    """Read SIGN by ECDSA; some cards leave zeros before a short S, which DER forbids."""
    elements = template(data, Tag.SIGNATURE_TEMPLATE)
    return SignedBy(_compressed(first(elements, Tag.PUBLIC_KEY)), _signature(elements))


def parse_schnorr(data: bytes) -> SignedBy:
    """Read SIGN by BIP 340; the key is the untweaked one."""
    elements = template(data, Tag.SIGNATURE_TEMPLATE)
    signature = sized(first(elements, Tag.SCHNORR), 2 * HASH)
    return SignedBy(_compressed(first(elements, Tag.PUBLIC_KEY)), signature)


def sized(data: bytes, size: int) -> bytes:
    """Return the data; raises ProtocolError where it is of another size."""
    if len(data) != size:
        raise ProtocolError(f"the card's answer has a field of {len(data)} bytes, not {size}")
    return data


def _signature(elements: list[tuple[int, bytes]]) -> bytes:
    return compact_from_der(tlv(Tag.SEQUENCE, first(elements, Tag.SEQUENCE)))


def _point(data: bytes) -> bytes:
    """Return an uncompressed point of the curve."""
    _compressed(data)
    return data


def _compressed(point: bytes) -> bytes:
    try:
        return PublicKey(sized(point, POINT)).format()
    except ValueError:
        raise ProtocolError("the card sent a point that is not on the curve") from None


def refusal(sw: int, ins: int) -> CardError:
    """Return the error a status word stands for."""
    if sw & ~_TRIES == Sw.TRIES_LEFT:
        return (PukIncorrect if ins == Ins.UNBLOCK_PIN else PinIncorrect)(sw & _TRIES)
    if (sw, ins) == (Sw.CONDITIONS, Ins.UNBLOCK_PIN):
        return PinNotBlocked(NAME)
    return StatusWordError(sw, ins)
