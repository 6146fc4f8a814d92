"""Tags, lengths and values as a Keycard writes them: one-byte tags, BER lengths."""

from cards.errors import ProtocolError

SHORT_MAX = 0x7F
ONE_BYTE_LENGTH = 0x81


def encode(tag: int, value: bytes) -> bytes:
    """Return one element of at most 255 bytes; lengths of 128 and more bring a leading 81."""
    long = bytes((ONE_BYTE_LENGTH,)) if len(value) > SHORT_MAX else b""
    return bytes((tag,)) + long + bytes((len(value),)) + value


def parse(data: bytes) -> list[tuple[int, bytes]]:
    """Return every element in order; raises ProtocolError where one is cut short."""
    found, at = [], 0
    while at < len(data):
        start, size = _extent(data, at)
        value = data[start : start + size]
        if len(value) != size:
            raise ProtocolError(f"an element of {size} bytes is cut short after {len(value)}")
        found.append((data[at], value))
        at = start + size
    return found


def template(data: bytes, tag: int) -> list[tuple[int, bytes]]:
    """Return what stands in a template that is the whole answer, whatever length it claims.

    Applet 4.0 counts its SELECT answer one byte too short, so the end of the answer counts.
    """
    if not data or data[0] != tag:
        raise ProtocolError(f"the answer is no template {tag:02X}")
    start, _ = _extent(data, 0)
    return parse(data[start:])


def first(elements: list[tuple[int, bytes]], tag: int) -> bytes:
    """Return the first value under a tag; raises ProtocolError where there is none."""
    for found, value in elements:
        if found == tag:
            return value
    raise ProtocolError(f"the answer has no element {tag:02X}")


def _extent(data: bytes, at: int) -> tuple[int, int]:
    """Return where the value of the element begins, and its size."""
    head = data[at + 1 : at + 3]
    if head[:1] == bytes((ONE_BYTE_LENGTH,)) and len(head) == 2:
        return at + 3, head[1]
    if not head or head[0] > SHORT_MAX:
        raise ProtocolError("an element has no length that a card writes")
    return at + 2, head[0]
