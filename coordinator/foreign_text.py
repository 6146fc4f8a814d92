"""Text from elsewhere: whatever its encoding and line ends, decoded in one place or refused.

UTF-8 and UTF-16 are read, with or without a byte order mark. A table that is neither, as older
spreadsheet programs write them, is read as Windows-1252 where the caller allows that.
"""

import codecs
import re
from typing import Final

from coordinator.errors import UsageError

TEXT_MAX: Final = 64 * 1024 * 1024
LEGACY: Final = "cp1252"
MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
LINE_END: Final = re.compile("\r\n|\n|\r")
RARE: Final = 8
"""How many times as many zeros the one half of UTF-16 bytes has as the other, at least."""
SHOWN_BYTE: Final = "byte 0x{:02x} at {}"


def decoded(data: bytes, name: str, *, legacy: bool = False) -> str:
    """Return the text of a file, without its mark; raises UsageError naming the file.

    `legacy` reads what is not Unicode as Windows-1252: only for tables, whose addresses and amounts
    are ASCII, so that a wrong guess can only misspell a label.
    """
    if len(data) > TEXT_MAX:
        raise UsageError(f"{name} is larger than {TEXT_MAX // 2**20} MiB, too large for a text")
    for mark, encoding in MARKS:
        if data == mark:
            raise UsageError(f"{name} is not a text file")
        if data.startswith(mark):
            return _strict(data[len(mark) :], encoding, name)
    unmarked = _unmarked_utf16(data)
    if unmarked is not None:
        return _strict(data, unmarked, name)
    try:
        return _strict(data, "utf-8", name)
    except UsageError:
        if legacy and b"\0" not in data:
            return _strict(data, LEGACY, name)
        raise


def as_utf8(data: bytes) -> bytes:
    """Return bytes as they are, but a text in UTF-16 or with a mark as plain UTF-8.

    For secrets, which are bytes of any kind: a shell that marks what it pipes would change them.
    """
    marked = any(data.startswith(mark) for mark, _ in MARKS)
    try:
        return decoded(data, "it").encode() if marked or _unmarked_utf16(data) else data
    except UsageError:
        return data


def lines(text: str) -> list[str]:
    """Return the lines of a text; they end in LF, CRLF or CR, and in nothing else."""
    found = LINE_END.split(text)
    return found if found[-1] else found[:-1]


def codes_in(text: str, start: str) -> list[str]:
    """Return the codes of a text, which all start alike, one a line or wrapped over several."""
    codes: list[str] = []
    for piece in text.split():
        if piece[: len(start)].lower() == start.lower() or not codes:
            codes.append(piece)
        else:
            codes[-1] += piece
    return codes


def json_lines(text: str) -> list[str]:
    """Return the lines of a JSON Lines file: they end in LF; CR is white space in JSON.

    A file without any LF has lines that end in CR, which no JSON string can hold.
    """
    found = text.split("\n" if "\n" in text else "\r")
    return found if found[-1] else found[:-1]


def _unmarked_utf16(data: bytes) -> str | None:
    """Return which UTF-16 a text without a mark is; None where it is another encoding.

    Text of this program's formats is mostly ASCII: of each two bytes one is zero, always the same.
    """
    if len(data) % 2:
        return None
    first, second = data[::2].count(0), data[1::2].count(0)
    if max(first, second) * 4 <= len(data) or min(first, second) * RARE > max(first, second):
        return None
    return "utf-16-le" if second > first else "utf-16-be"


def _strict(data: bytes, encoding: str, name: str) -> str:
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as failure:
        wrong = SHOWN_BYTE.format(data[failure.start], failure.start)
        raise UsageError(f"{name} is not a text file: {wrong} is not {encoding}") from failure
    if "\0" in text:
        raise UsageError(f"{name} is not a text file: it holds zero bytes")
    return text.removeprefix("\ufeff")
