"""A file split over several QR codes (BBQr 1.0.0, bbqr.org): each part says which one it is."""

import base64
import binascii
import zlib
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from coordinator.errors import UsageError

START: Final = "B$"
HEADER: Final = 8
PARTS_MAX: Final = 36 * 36 - 1
WINDOW_BITS: Final = -10
WIDEST_WINDOW_BITS: Final = -15
KINDS: Final = "PTJCUBX"
GROUP: Final = 8
CONTENT_MAX: Final = 1 << 22
DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
ENCODINGS: Final = "H2Z"


class Decoded(NamedTuple):
    """What the parts held and the letter of its kind: U text, P PSBT, J JSON."""

    kind: str
    data: bytes


def split(data: bytes, kind: str, size: int) -> list[str]:
    """Return the texts of QR codes of at most `size` characters each, of equal length but the last.

    Deflated where that is shorter (Z), in Base32 else (2).
    """
    packer = zlib.compressobj(9, zlib.DEFLATED, WINDOW_BITS)
    packed = packer.compress(data) + packer.flush()
    encoding, content = ("Z", packed) if len(packed) < len(data) else ("2", data)
    text = base64.b32encode(content).decode().rstrip("=")
    room = (size - HEADER) // GROUP * GROUP
    if room <= 0:
        raise UsageError(f"a QR code of {size} characters has no room for a part")
    count = -(-len(text) // room) or 1
    if count > PARTS_MAX:
        raise UsageError(f"{len(data)} bytes need {count} QR codes; {PARTS_MAX} is the most")
    even = -(-len(text) // count)
    step = -(-even // GROUP) * GROUP or GROUP
    pieces = [text[at : at + step] for at in range(0, len(text), step)] or [""]
    total = _base36(len(pieces))
    return [f"B${encoding}{kind}{total}{_base36(n)}{piece}" for n, piece in enumerate(pieces)]


def joined(texts: Iterable[str]) -> Decoded:
    """Put the parts together, in any order and with repetitions.

    Raises UsageError that says which are missing, or what does not belong.
    """
    parts: dict[int, str] = {}
    head = ""
    for text in (each.strip().upper() for each in texts):
        if not is_part(text):
            raise UsageError(f"{text[:12]!r} is no part of a BBQr")
        if head and text[:6] != head:
            raise UsageError(f"the part {text[:HEADER]} belongs to another file than {head}")
        head, number = text[:6], int(text[6:HEADER], 36)
        if parts.setdefault(number, text[HEADER:]) != text[HEADER:]:
            raise UsageError(f"part {number + 1} was read twice, with different content")
    _expect_all(parts, int(head[4:], 36) if head else 0)
    return Decoded(head[3], _decoded(head[2], [parts[number] for number in sorted(parts)]))


def is_one(text: str) -> bool:
    """Tell whether a text is of this format, perhaps of a kind that is not known."""
    return text[: len(START)].upper() == START


def is_part(text: str) -> bool:
    """Tell whether a text begins as a part does."""
    text = text[:HEADER].upper()
    return (
        len(text) >= HEADER
        and text.startswith(START)
        and text[2] in ENCODINGS
        and text[3] in KINDS
        and all(digit in DIGITS for digit in text[3:HEADER])
    )


def _expect_all(parts: Mapping[int, str], count: int) -> None:
    strange = [number + 1 for number in parts if number >= count]
    if strange or not count:
        raise UsageError(f"part {strange[0]} of {count}" if strange else "there is no part to read")
    missing = [str(number + 1) for number in range(count) if number not in parts]
    if missing:
        raise UsageError(f"of {count} QR codes these are missing: {', '.join(missing)}")


def _decoded(encoding: str, pieces: Iterable[str]) -> bytes:
    """Decode each piece by itself: each holds whole bytes."""
    try:
        if encoding == "H":
            return b"".join(bytes.fromhex(piece) for piece in pieces)
        content = b"".join(base64.b32decode(piece + "=" * (-len(piece) % 8)) for piece in pieces)
    except (ValueError, binascii.Error):
        raise UsageError("a QR code was misread: its text does not decode") from None
    if encoding == "2":
        return content
    unpacker = zlib.decompressobj(WIDEST_WINDOW_BITS)
    try:
        data = unpacker.decompress(content, CONTENT_MAX)
    except zlib.error:
        raise UsageError("a QR code was misread: its content does not inflate") from None
    if not unpacker.eof:
        raise UsageError(f"the QR codes hold more than {CONTENT_MAX} bytes, or end too early")
    return data


def _base36(number: int) -> str:
    return DIGITS[number // 36] + DIGITS[number % 36]
