"""What a field of version 0 may hold: the sizes of its key and value, and what they say."""

import pytest

from psbt import codec
from psbt.errors import PsbtError
from psbt.transaction import sized
from tests.psbt.test_codec_keys import with_field

POINT = b"\x02" + b"\x01" * 32
NO_POINT = b"\x02" + b"\xff" * 32
OPEN_POINT = b"\x04" + bytes(64)
X_ONLY = bytes.fromhex("50929b74c1a04954b78b4b6035e97a5e078a5a0f28ec96d547bfee9ace803ac0")
LEAF = b"\xc0" + sized(b"\x51")
ORIGIN = bytes(8)
SIGNATURE = bytes(71)
CONTROL = b"\xc0" + X_ONLY

REFUSED = {
    "a version of one byte": ("globals", b"\xfb", b"\0"),
    "an extended key cut off": ("globals", b"\x01" + bytes(77), ORIGIN),
    "a spent output above all bitcoin": ("inputs", b"\x01", b"\xff" * 8 + b"\x01\x51"),
    "a signature of a short key": ("inputs", b"\x02" + POINT[:-1], SIGNATURE),
    "a signature of a hybrid key": ("inputs", b"\x02\x06" + OPEN_POINT[1:], SIGNATURE),
    "a signature too long": ("inputs", b"\x02" + POINT, bytes(74)),
    "a signature too short": ("inputs", b"\x02" + POINT, bytes(8)),
    "a sighash type of one byte": ("inputs", b"\x03", b"\x01"),
    "a sighash type that is none": ("inputs", b"\x03", b"\x84\0\0\0"),
    "a derivation of a long key": ("inputs", b"\x06" + POINT + b"\0", ORIGIN),
    "a derivation deeper than BIP 32": ("inputs", b"\x06" + POINT, bytes(4 * 257)),
    "a witness of more items than it has": ("inputs", b"\x08", b"\xff" + b"\xff" * 8),
    "a witness with something behind it": ("inputs", b"\x08", b"\x01\x01\x51\x00"),
    "a preimage under a short hash": ("inputs", b"\x0b" + bytes(31), b"x"),
    "a Schnorr signature of 63 bytes": ("inputs", b"\x13", bytes(63)),
    "one that says DEFAULT": ("inputs", b"\x13", bytes(65)),
    "one of a sighash type that is none": ("inputs", b"\x13", bytes(64) + b"\x84"),
    "a leaf of another version": ("inputs", b"\x15" + CONTROL, b"\x51\xc2"),
    "a Schnorr signature of 66 bytes": ("inputs", b"\x13", bytes(66)),
    "a script signature of 63 bytes": ("inputs", b"\x14" + X_ONLY + bytes(32), bytes(63)),
    "a script signature without a leaf": ("inputs", b"\x14" + X_ONLY, bytes(64)),
    "a control block of 32 bytes": ("inputs", b"\x15" + CONTROL[:-1], b"\x51\xc0"),
    "a control block with half a hash": ("inputs", b"\x15" + CONTROL + bytes(16), b"\x51\xc0"),
    "a control block deeper than 128": ("inputs", b"\x15" + CONTROL + bytes(32 * 129), b"Q\xc0"),
    "a leaf script of nothing": ("inputs", b"\x15" + CONTROL, b""),
    "a taproot derivation of endless leaves": ("inputs", b"\x16" + X_ONLY, b"\xff" + b"\xff" * 8),
    "a taproot derivation without origin": ("inputs", b"\x16" + X_ONLY, b"\0"),
    "an internal key of 33 bytes": ("inputs", b"\x17", POINT),
    "a Merkle root of 31 bytes": ("inputs", b"\x18", bytes(31)),
    "participants that are no points": ("inputs", b"\x1a" + POINT, NO_POINT),
    "a nonce of 65 bytes": ("inputs", b"\x1b" + POINT + POINT, bytes(65)),
    "a taproot tree of nothing": ("outputs", b"\x06", b""),
    "a taproot tree with an open keychain": ("outputs", b"\x06", b"\x01" + LEAF),
    "a taproot tree with a leaf too many": ("outputs", b"\x06", b"\0" + LEAF + b"\0" + LEAF),
    "a taproot tree with a leaf too high": (
        "outputs",
        b"\x06",
        b"\x02" + LEAF + b"\x01" + LEAF + b"\x02" + LEAF,
    ),
    "a taproot tree deeper than 128": ("outputs", b"\x06", b"\x81" + LEAF),
    "a taproot leaf of an odd version": ("outputs", b"\x06", b"\0\xc1" + sized(b"\x51")),
    "a taproot leaf cut off": ("outputs", b"\x06", b"\0\xc0\x05\x51"),
    "an output's internal key of 31 bytes": ("outputs", b"\x05", X_ONLY[1:]),
}

READ = {
    "a Schnorr signature": ("inputs", b"\x13", bytes(64)),
    "one with its sighash type": ("inputs", b"\x13", bytes(64) + b"\x01"),
    "a leaf script": ("inputs", b"\x15" + CONTROL + bytes(64), b"\x51\xc0"),
    "a taproot derivation": ("inputs", b"\x16" + X_ONLY, b"\x01" + bytes(32) + ORIGIN),
    "a tree of one leaf": ("outputs", b"\x06", b"\0" + LEAF),
    "a tree of three": ("outputs", b"\x06", b"\x01" + LEAF + b"\x02" + LEAF + b"\x02" + LEAF),
    "a tree of three the other way": (
        "outputs",
        b"\x06",
        b"\x02" + LEAF + b"\x02" + LEAF + b"\x01" + LEAF,
    ),
    "a deep derivation": ("inputs", b"\x06" + POINT, bytes(4 * 256)),
    "a proprietary field": ("inputs", b"\xfc\x03abc\x01xyz", b"anything"),
}


@pytest.mark.parametrize("field", REFUSED.values(), ids=REFUSED)
def test_a_field_that_cannot_be_is_refused_with_its_map(field: tuple[str, bytes, bytes]) -> None:
    with pytest.raises(PsbtError, match=field[0]):
        codec.parse(with_field(*field))


@pytest.mark.parametrize("field", READ.values(), ids=READ)
def test_a_field_as_it_should_be_is_read_and_kept(field: tuple[str, bytes, bytes]) -> None:
    raw = with_field(*field)
    assert sorted(codec.to_bytes(codec.parse(raw))) == sorted(raw)
