"""What the text of QR codes carries: BBqr, UR, Specter's parts; one code a line, in any order."""

import base64
from typing import Final

from coordinator.errors import UsageError
from coordinator.foreign_text import codes_in, lines
from coordinator.interop import bbqr, pmofn, ur, ur_types

PAYMENT_FORMATS: Final = ("psbt", "base64", "hex", "bbqr", "ur", "pmofn")
CODES: Final = frozenset({"bbqr", "ur", "pmofn"})
"""The formats of QR codes, each in as many as it takes."""
CODE_CHARACTERS: Final = 224
"""How many characters a code of BBqr has: a QR code of version 10."""
UR_AROUND: Final = 80
"""Characters of a UR code that are no part of the message: its type, numbers and sums."""


def carried(text: str) -> bytes | None:
    """Return what codes carry; None where the text is none of theirs.

    Raises UsageError that says which codes are missing, or which does not belong.
    """
    text = text.strip()
    if bbqr.is_one(text):
        return bbqr.joined(codes_in(text, bbqr.START)).data
    if ur.is_part(text):
        message = ur.joined(codes_in(text, ur.SCHEME))
        if message.type not in (ur_types.BYTES, *ur_types.PAYMENTS):
            raise UsageError(f"the codes hold ur:{message.type}, which is no payment")
        return ur_types.bytes_of(message)
    if pmofn.is_part(text):
        return pmofn.joined(lines(text)).encode()
    return None


def payment_lines(psbt: bytes, format_: str, characters: int = CODE_CHARACTERS) -> list[str]:
    """Return a PSBT as the text of a format: one line, or that of each QR code.

    A code has about so many `characters` at most.
    """
    match format_:
        case "hex":
            return [psbt.hex()]
        case "bbqr":
            return bbqr.split(psbt, "P", characters)
        case "ur":
            size = max((characters - UR_AROUND) // 2, 10)  # two letters a byte
            size = ur.FRAGMENT_SIZE if characters == CODE_CHARACTERS else size
            return ur.split(ur_types.payment(psbt), size)
        case "pmofn":
            return pmofn.split(base64.b64encode(psbt).decode(), characters)
    return [base64.b64encode(psbt).decode()]
