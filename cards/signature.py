"""ECDSA signatures as cards give them, and as this program keeps them: r‖s, low S."""

from coincurve import PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from cards.errors import ProtocolError

CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
COMPACT_SIZE = 64
_SEQUENCE, _INTEGER = 0x30, 0x02


def compact_from_der(der: bytes) -> bytes:
    """Return r‖s with the lower S; padding of the integers is not held against a card.

    Raises ProtocolError where there are no two integers of the curve's size.
    """
    body = _element(der, 0, _SEQUENCE)
    r_bytes = _element(body, 0, _INTEGER)
    s_bytes = _element(body, 2 + len(r_bytes), _INTEGER)
    return _compact(int.from_bytes(r_bytes), int.from_bytes(s_bytes))


def low_s(compact: bytes) -> bytes:
    """Return r‖s with the lower S; raises ProtocolError where it is no signature."""
    if len(compact) != COMPACT_SIZE:
        raise ProtocolError(f"the card's signature has {len(compact)} bytes, not {COMPACT_SIZE}")
    return _compact(int.from_bytes(compact[:32]), int.from_bytes(compact[32:]))


def _compact(r: int, s: int) -> bytes:
    if not (0 < r < CURVE_ORDER and 0 < s < CURVE_ORDER):
        raise ProtocolError("the card's signature is out of the curve's range")
    return r.to_bytes(32) + min(s, CURVE_ORDER - s).to_bytes(32)


def der_from_compact(compact: bytes) -> bytes:
    """Return the strict DER form of r‖s."""
    return encode_dss_signature(int.from_bytes(compact[:32]), int.from_bytes(compact[32:]))


def verify(public_key: bytes, digest: bytes, compact: bytes) -> bool:
    """Tell whether r‖s, low S, is the key's signature of the digest."""
    try:
        return PublicKey(public_key).verify(der_from_compact(compact), digest, hasher=None)
    except ValueError:
        return False


def signers(digest: bytes, compact: bytes) -> frozenset[bytes]:
    """Return every compressed public key that could have made the signature: two, hardly ever four.

    Which half S was in makes no difference: both halves have the same candidates.
    """
    found = {recovered(digest, compact + bytes((recovery,))) for recovery in range(4)}
    return frozenset(key for key in found if key is not None)


def recovered(digest: bytes, signature: bytes) -> bytes | None:
    """Return the compressed key that r‖s and the recovery number behind it tell, or None."""
    try:
        return PublicKey.from_signature_and_message(signature, digest, hasher=None).format()
    except ValueError:
        return None


def _element(data: bytes, start: int, tag: int) -> bytes:
    """Return the content of the short-form element at `start`; what follows it is ignored."""
    head, content = data[start : start + 2], data[start + 2 :]
    if len(head) != 2 or head[0] != tag or head[1] > len(content):
        raise ProtocolError("the card's signature is not DER")
    return content[: head[1]]
