"""PSBTs and transactions as people hand them over: the one reader for every command that takes one.

Binary, base64 or hex; of text any encoding, line end and white space, in quotes, between lines of
dashes as mail has it, in the JSON that Bitcoin Core answers with, or the text of QR codes (BBqr,
UR, pMofN), one a line.
"""

import base64
import binascii
import re
from typing import Final

from coordinator import foreign_text
from coordinator.errors import UsageError
from coordinator.foreign_json import read_json
from psbt import codec
from psbt.codec import Psbt
from psbt.errors import PsbtError
from psbt.fields import MAGIC, SIZE_MAX
from psbt.transaction import Transaction, parse_transaction

TEXT_MAX: Final = 3 * SIZE_MAX  # hex, with line ends
NOTHING_SEEN: Final = re.compile(r"[\s\u200b-\u200d\u2060\ufeff\x00]+")
QUOTES: Final = "\"'`\u2018\u2019\u201c\u201d\u00ab\u00bb"
VERSION_END: Final = bytes(3)
"""How a transaction goes on after the first byte of its version; no text does."""
CODES: Final = re.compile(r"B\$|ur:|p[0-9]{1,2}of[0-9]{1,2} ", re.IGNORECASE)
HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2})+")
URL_SAFE: Final = str.maketrans("-_", "+/")
JSON_NAMES: Final = ("psbt", "hex")
AROUND: Final = re.compile(
    r"-----(?:BEGIN|END) [A-Z0-9 ]{1,40}-----|^data:[^,]{0,100},|^(?:psbt|bitcoin-psbt):",
    re.IGNORECASE,
)
"""What mail programs, pages and links put around base64."""
NEITHER: Final = "this is not a PSBT: neither its bytes nor base64 nor hex"


def read_psbt(data: bytes) -> Psbt:
    """Return the PSBT in a file or on standard input; raises PsbtError."""
    raw = _binary(data)
    if raw.startswith(MAGIC):
        return codec.parse(raw)
    if _is_transaction(raw):
        raise PsbtError("this is a finished transaction, not a PSBT: nothing is left to sign")
    raise PsbtError("this is not a PSBT: it does not start with the bytes psbt and ff")


def read_signed(data: bytes, asked: Psbt) -> Psbt:
    """Return what came back for a PSBT: one too, or that which a finished transaction came from.

    Raises PsbtError.
    """
    raw = _binary(data)
    if raw.startswith(MAGIC):
        return codec.parse_returned(raw, asked)
    return codec.final_psbt(_transaction(raw))


def read_finished(data: bytes) -> Psbt | Transaction:
    """Return what is to be sent: a transaction, or a PSBT whose inputs should be final.

    Raises PsbtError.
    """
    raw = _binary(data)
    return codec.parse(raw) if raw.startswith(MAGIC) else _transaction(raw)


def _transaction(raw: bytes) -> Transaction:
    try:
        return parse_transaction(raw)
    except PsbtError as error:
        raise PsbtError(f"this is neither a PSBT nor a transaction: {error}") from error


def holds_psbt(data: bytes) -> bool:
    """Tell whether data is a PSBT in any of the forms that are read."""
    try:
        return _binary(data).startswith(MAGIC)
    except PsbtError:
        return False


def holds_payment(data: bytes) -> bool:
    """Tell whether data is a PSBT or a transaction in any of the forms that are read."""
    try:
        raw = _binary(data)
    except PsbtError:
        return False
    return raw.startswith(MAGIC) or _is_transaction(raw)


def _is_transaction(raw: bytes) -> bool:
    try:
        parse_transaction(raw)
    except PsbtError:
        return False
    return True


def _binary(data: bytes) -> bytes:
    """Return the bytes that data holds, as they are or written as text."""
    if data.startswith(MAGIC) or data[1:4] == VERSION_END:
        return data
    if len(data) > TEXT_MAX:
        raise PsbtError(f"{len(data)} bytes are too many for a PSBT")
    try:
        text = foreign_text.decoded(data, "it")
    except UsageError as error:
        raise PsbtError(NEITHER) from error
    if CODES.match(text.lstrip()):
        from coordinator.interop import qr_text  # noqa: PLC0415 -- codes are rare, readers many

        try:
            held = qr_text.carried(text)
        except UsageError as error:
            raise PsbtError(str(error)) from error
        if held is not None:
            return _binary(held)
    return _decoded(_bare(text))


def _bare(text: str) -> str:
    """Return the digits alone, out of white space, quotes and JSON."""
    text = text.strip(f"{QUOTES} \t\r\n\ufeff")
    if text.startswith("{"):
        try:
            answer = read_json(text, size_max=TEXT_MAX)
        except ValueError as error:
            raise PsbtError(NEITHER) from error
        named = [answer.get(name) for name in JSON_NAMES] if isinstance(answer, dict) else []
        text = next((each for each in named if isinstance(each, str)), "")
    return NOTHING_SEEN.sub("", AROUND.sub("", text)).strip(QUOTES)


def _decoded(digits: str) -> bytes:
    if HEX.fullmatch(digits):
        return bytes.fromhex(digits)
    whole = digits.translate(URL_SAFE).rstrip("=")
    try:
        return base64.b64decode(whole + "=" * (-len(whole) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise PsbtError(NEITHER) from error
