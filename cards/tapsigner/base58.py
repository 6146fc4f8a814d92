"""Base58Check, for the xprv in a backup."""

import hashlib

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def encode_check(payload: bytes) -> str:
    """Return the payload with its checksum in base 58."""
    checksum = hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:4]
    number = int.from_bytes(payload + checksum)
    digits = ""
    while number:
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    zeros = len(payload) - len(payload.lstrip(b"\0"))
    return ALPHABET[0] * zeros + digits
