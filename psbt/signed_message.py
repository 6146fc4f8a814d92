"""Messages signed the older way, by one key: a recoverable signature in base64 (BIP 137)."""

import base64
import binascii
from hashlib import sha256
from typing import Final

import coincurve

from psbt.errors import SignatureInvalid
from psbt.transaction import sized

MAGIC: Final = b"\x18Bitcoin Signed Message:\n"
SIGNATURE_SIZE: Final = 65
HEADER: Final = 27
COMPRESSED: Final = 4
HEADERS: Final = 16
"""How many headers there are: four kinds of address, four keys that may be meant."""


def message_digest(message: str) -> bytes:
    """Return what a signature of a message is for."""
    return sha256(sha256(MAGIC + sized(message.encode())).digest()).digest()


def format_signature(signature: bytes, digest: bytes, public_key: bytes) -> str:
    """Write a signature (r and s) so that the key can be recovered; raises SignatureInvalid.

    The header says that the key is compressed.
    """
    for number in range(4):
        if _recovered(signature + bytes([number]), digest) == public_key:
            header = bytes([HEADER + COMPRESSED + number])
            return base64.b64encode(header + signature).decode()
    raise SignatureInvalid(0, public_key)


def is_signed_by(text: str, message: str, public_key: bytes) -> bool:
    """Tell whether a signature of a message is by a key, whatever address its header means."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    if len(data) != SIGNATURE_SIZE or not HEADER <= data[0] < HEADER + HEADERS:
        return False
    number = (data[0] - HEADER) % COMPRESSED
    return _recovered(data[1:] + bytes([number]), message_digest(message)) == public_key


def _recovered(signature: bytes, digest: bytes) -> bytes | None:
    try:
        key = coincurve.PublicKey.from_signature_and_message(signature, digest, hasher=None)
    except ValueError:
        return None
    found: bytes = key.format()
    return found
