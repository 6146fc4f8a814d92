"""Bitcoin Core's own lists of PSBTs it reads and refuses (MIT; read where they lie, not copied)."""

import base64
import binascii
import json
from pathlib import Path

import pytest

from psbt import codec
from psbt.errors import PsbtError
from psbt.transaction import ByteReader

SHARED = Path(__file__).parents[3] / "shared" / "vectors" / "interop"
FILE = SHARED / "core" / "rpc_psbt.json"
REASON = "Bitcoin Core's vectors are not here"
VERSION_2 = b"\x01\xfb\x04\x02\x00\x00\x00"


def load(*kinds: str) -> list[object]:
    if not FILE.is_file():
        return [pytest.param("", id="rpc_psbt", marks=pytest.mark.skip(REASON))]
    found = json.loads(FILE.read_text())
    texts = [
        (f"{kind}-{number}", each if isinstance(each, str) else each[0])
        for kind in kinds
        for number, each in enumerate(found[kind])
    ]
    return [pytest.param(text, id=name) for name, text in texts if VERSION_2 not in bytes_of(text)]


def bytes_of(text: str) -> bytes:
    """Return what a text holds; one that is no base64 holds no version."""
    try:
        return base64.b64decode(text)
    except binascii.Error:
        return b""


@pytest.mark.parametrize("text", load("invalid", "invalid_with_msg"))
def test_what_core_refuses_is_refused_when_read(text: str) -> None:
    with pytest.raises(PsbtError):
        codec.parse(text)


@pytest.mark.parametrize("text", load("valid"))
def test_what_core_reads_is_read_and_nothing_of_it_is_lost(text: str) -> None:
    raw = base64.b64decode(text)
    written = codec.to_bytes(codec.parse(text))
    assert sorted(fields_of(written)) == sorted(fields_of(raw))


def fields_of(raw: bytes) -> list[tuple[int, bytes, bytes]]:
    """Return every field with the number of its map, their order within it left out."""
    reader, scope = ByteReader(raw[5:]), 0
    found = []
    while reader.left:
        key = reader.sized()
        if not key:
            scope += 1
            continue
        found.append((scope, key, reader.sized()))
    return [each for each in found if each[1] != b"\xfb"]
