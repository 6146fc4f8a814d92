"""Tangem's tag-length-value lists: one byte of tag, one or three of length."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Self

from cards.errors import ProtocolError

WORD = 0xFFFFFFFF
LONG = 0xFF

Item = tuple[int, bytes]


def encode(items: Iterable[Item]) -> bytes:
    """Return the list's bytes; a length of 255 or more takes three of them."""
    return b"".join(_encoded(tag, value) for tag, value in items)


class Fields(NamedTuple):
    """A list that has been taken apart; unknown tags do no harm."""

    items: tuple[Item, ...]

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a list; raises ProtocolError."""
        return cls(tuple(_items(data)))

    def find(self, tag: int) -> bytes | None:
        """Return the value of a tag, or None; raises ProtocolError where it is there twice."""
        values = self.every(tag)
        if len(values) > 1:
            raise ProtocolError(f"tag {tag:02X} is there {len(values)} times")
        return values[0] if values else None

    def need(self, tag: int) -> bytes:
        """Return the value of a tag; raises ProtocolError where it is missing."""
        value = self.find(tag)
        if value is None:
            raise ProtocolError(f"the card's answer has no tag {tag:02X}")
        return value

    def number(self, tag: int, most: int = WORD) -> int | None:
        """Return a number of any width, or None; raises ProtocolError where it is beyond `most`."""
        value = self.find(tag)
        found = None if value is None else int.from_bytes(value)
        if value is not None and found is not None and found > most:
            raise ProtocolError(f"tag {tag:02X} holds {len(value)} bytes, a number beyond {most}")
        return found

    def text(self, tag: int) -> str:
        """Return a text without its closing zero; raises ProtocolError."""
        try:
            return self.need(tag).rstrip(b"\0").decode()
        except UnicodeDecodeError:
            raise ProtocolError(f"the card's tag {tag:02X} is no text") from None

    def every(self, tag: int) -> list[bytes]:
        """Return all values of a tag that repeats."""
        return [value for each, value in self.items if each == tag]


def _encoded(tag: int, value: bytes) -> bytes:
    size = len(value)
    length = bytes((size,)) if size < LONG else bytes((LONG,)) + size.to_bytes(2)
    return bytes((tag,)) + length + value


def _items(data: bytes) -> Iterator[Item]:
    at = 0
    while at < len(data):
        size, start = _length(data, at + 1)
        value = data[start : start + size]
        if len(value) != size:
            raise ProtocolError(f"tag {data[at]:02X} announces {size} bytes and has {len(value)}")
        yield data[at], value
        at = start + size


def _length(data: bytes, at: int) -> tuple[int, int]:
    """Return a length and where its value begins."""
    size, start = data[at : at + 1], at + 1
    if size == b"\xff":
        size, start = data[at + 1 : at + 3], at + 3
    if not size or len(data) < start:
        raise ProtocolError("a tag-length-value list ends in the middle of a length")
    return int.from_bytes(size), start
