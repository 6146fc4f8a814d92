"""Which keys a map of version 0 may hold: types without data, types of BIP 370, derivations."""

import pytest
from embit.bip32 import HDKey

from psbt import codec
from psbt.codec import Previous
from psbt.errors import PsbtError
from psbt.transaction import Transaction, TransactionOutput
from tests.psbt.test_codec import RAW, joined, maps_of

BARE = {
    "globals": [0x00, 0x09, 0xFB],
    "inputs": [0x00, 0x01, 0x03, 0x04, 0x05, 0x07, 0x08, 0x13, 0x17, 0x18],
    "outputs": [0x00, 0x01, 0x05, 0x06],
}
LATER = {
    "globals": [0x02, 0x03, 0x04, 0x05, 0x06],
    "inputs": [0x0E, 0x0F, 0x10, 0x11, 0x12],
    "outputs": [0x03, 0x04],
}
UNKNOWN = 0xF0
POINT = b"\x02" + b"\x01" * 32
XPUB = HDKey.from_seed(bytes(32)).to_public().serialize()
DERIVATIONS = {"globals": b"\x01" + XPUB, "inputs": b"\x06" + POINT, "outputs": b"\x02" + POINT}


def with_field(scope: str, key: bytes, value: bytes) -> bytes:
    maps = maps_of(RAW)
    if scope == "globals":
        return joined(maps._replace(globals={**maps.globals, key: value}))
    first, *others = getattr(maps, scope)
    return joined(maps._replace(**{scope: ({**first, key: value}, *others)}))


@pytest.mark.parametrize(
    ("scope", "kind"), [(scope, kind) for scope, kinds in BARE.items() for kind in kinds]
)
def test_a_type_that_stands_alone_takes_no_data(scope: str, kind: int) -> None:
    with pytest.raises(PsbtError, match=rf"{scope}.* {kind:02x}00, which should be one byte"):
        codec.parse(with_field(scope, bytes((kind, 0)), b"\0"))


@pytest.mark.parametrize(
    ("scope", "kind"), [(scope, kind) for scope, kinds in LATER.items() for kind in kinds]
)
def test_a_type_of_version_2_is_refused(scope: str, kind: int) -> None:
    with pytest.raises(PsbtError, match=rf"{scope}.* {kind:02x}, which version 0 does not have"):
        codec.parse(with_field(scope, bytes((kind,)), b"\0"))


@pytest.mark.parametrize("scope", BARE)
def test_a_type_nobody_knows_is_kept_with_its_data(scope: str) -> None:
    raw = with_field(scope, bytes((UNKNOWN, 0)), b"\0")
    assert codec.to_bytes(codec.parse(raw)) == raw


@pytest.mark.parametrize(("scope", "last"), [("inputs", 0x06), ("outputs", 0x02)])
def test_only_the_first_byte_of_a_key_is_its_type(scope: str, last: int) -> None:
    raw = with_field(scope, bytes((UNKNOWN, last)), b"\0")
    assert codec.to_bytes(codec.parse(raw)) == raw


@pytest.mark.parametrize("scope", DERIVATIONS)
@pytest.mark.parametrize(("size", "accepted"), [(0, 0), (3, 0), (4, 1), (6, 0), (8, 1)])
def test_a_derivation_is_a_fingerprint_and_whole_steps(
    scope: str, size: int, accepted: int
) -> None:
    raw = with_field(scope, DERIVATIONS[scope], bytes(size))
    if accepted:
        codec.parse(raw)
        return
    with pytest.raises(PsbtError, match=f"{scope}.* a derivation of {size} bytes"):
        codec.parse(raw)


def test_previous_transactions_of_one_id_are_one_in_a_set() -> None:
    made = Transaction((), (TransactionOutput(1, b"\x51"),), 2, 0)
    other = Transaction((), (TransactionOutput(2, b"\x51"),), 2, 0)
    one, same = Previous(b"with witnesses", made), Previous(b"without", made)
    assert one == same
    assert hash(one) == hash(same)
    assert {one, same} == {one}
    assert one != Previous(b"other", other)
    assert one != "another thing"
    assert (one == "another thing") is False
