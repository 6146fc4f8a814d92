"""What both ends of a TAPSIGNER's wire agree on: names, codes, CBOR, what is signed and masked."""

import hashlib
import re
from enum import IntEnum
from typing import Final, NoReturn

from coincurve import PublicKey

from cards.errors import ProtocolError

CLA: Final = 0x00
INS: Final = 0xCB
REQUEST_MAX: Final = 255
PROTOCOL: Final = 1

NONCE: Final = 16
CVC_SIZES: Final = range(6, 33)
CHAIN_CODE: Final = 32
SIGNATURE: Final = 64
CERTIFICATE: Final = 65
DEPTH_MAX: Final = 8
SUBPATH_MAX: Final = 2
DELAY: Final = 15

NONCE_KEPT_SINCE: Final = (1, 0, 0)
DIGITS_ONLY_SINCE: Final = (1, 0, 1)
LENGTH_COUNTED_SINCE: Final = (1, 0, 2)
XPUB_VERSION: Final = bytes.fromhex("0488B21E")
TEST_XPUB_VERSION: Final = bytes.fromhex("043587CF")
_VERSION = re.compile(r"(\d{1,3})\.(\d{1,3})\.(\d{1,3})")
NESTED_MAX: Final = 4
_INTEGER, _BYTES, _TEXT, _ARRAY, _MAP, _SIMPLE = 0, 2, 3, 4, 5, 7
_SIMPLE_VALUES = {20: False, 21: True}
_ONE_BYTE, _EIGHT_BYTES = 24, 27


class ErrorCode(IntEnum):
    """What a TAPSIGNER refuses a command with."""

    UNLUCKY = 205
    BAD_ARGUMENTS = 400
    BAD_AUTH = 401
    NEEDS_AUTH = 403
    UNKNOWN_COMMAND = 404
    INVALID_STATE = 406
    WEAK_NONCE = 417
    BAD_CBOR = 422
    BACKUP_FIRST = 425
    RATE_LIMITED = 429


def version_number(text: str) -> tuple[int, ...]:
    """Return 1.0.3 as (1, 0, 3); raises ValueError."""
    found = _VERSION.fullmatch(text)
    if found is None:
        raise ValueError("a version is three numbers")
    return tuple(map(int, found.groups()))


def mask_cvc(cvc: bytes, key: bytes, card_nonce: bytes, *, name: str) -> bytes:
    """Return the CVC as it travels with a command; masking twice gives it back."""
    mask = xor(key, hashlib.sha256(card_nonce + name.encode()).digest())
    return xor(cvc, mask[: len(cvc)])


def xor(first: bytes, second: bytes) -> bytes:
    """Return the bytes of both, one against the other."""
    return bytes(a ^ b for a, b in zip(first, second, strict=True))


def proof_digest(card_nonce: bytes, nonce: bytes, what: bytes = b"") -> bytes:
    """Return the digest a card signs to prove what it says."""
    return hashlib.sha256(b"OPENDIME" + card_nonce + nonce + what).digest()


def is_point(key: bytes) -> bool:
    """Tell whether these are the 33 bytes of a point on the curve."""
    try:
        return len(key) == 33 and bool(PublicKey(key))
    except ValueError:
        return False


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
        if depth == NESTED_MAX or major not in {_ARRAY, _MAP}:
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
