"""The CBOR a TAPSIGNER speaks: definite lengths only, no tags, no floats (RFC 8949)."""

from typing import NoReturn

from cards.errors import ProtocolError

DEPTH_MAX = 4
_INTEGER, _BYTES, _TEXT, _ARRAY, _MAP, _SIMPLE = 0, 2, 3, 4, 5, 7
_SIMPLE_VALUES = {20: False, 21: True}
_ONE_BYTE, _EIGHT_BYTES = 24, 27


def decode_map(data: bytes) -> dict[str, object]:
    """Return the one map in the data; raises ProtocolError for anything else."""
    reader = _Reader(data)
    found = reader.item(0)
    if not isinstance(found, dict) or not reader.at_end():
        _refuse(data)
    return found


class _Reader:
    """Reads one item after the other."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def at_end(self) -> bool:
        return self._at == len(self._data)

    def item(self, depth: int) -> object:
        major, value = self._head()
        if major == _INTEGER:
            return value
        if major == _BYTES:
            return self._take(value)
        if major == _TEXT:
            return self._take(value).decode("ascii", errors="replace")
        if major == _SIMPLE and value in _SIMPLE_VALUES:
            return _SIMPLE_VALUES[value]
        if depth == DEPTH_MAX or major not in {_ARRAY, _MAP}:
            _refuse(self._data)
        if major == _ARRAY:
            return [self.item(depth + 1) for _ in self._counted(value)]
        return {self._key(depth): self.item(depth + 1) for _ in self._counted(value)}

    def _key(self, depth: int) -> str:
        key = self.item(depth + 1)
        return key if isinstance(key, str) else _refuse(self._data)

    def _head(self) -> tuple[int, int]:
        """Return major type and value; lengths of any size are taken, indefinite ones are not."""
        first = self._take(1)[0]
        major, short = first >> 5, first & 0x1F
        if short < _ONE_BYTE:
            return major, short
        if short > _EIGHT_BYTES:
            _refuse(self._data)
        return major, int.from_bytes(self._take(1 << (short - _ONE_BYTE)))

    def _counted(self, count: int) -> range:
        """Return that many turns; each item takes a byte at least."""
        return range(count) if count <= len(self._data) else _refuse(self._data)

    def _take(self, size: int) -> bytes:
        taken = self._data[self._at : self._at + size]
        if len(taken) != size:
            _refuse(self._data)
        self._at += size
        return taken


def _refuse(data: bytes) -> NoReturn:
    raise ProtocolError(f"{len(data)} bytes are not one CBOR map of definite length")
