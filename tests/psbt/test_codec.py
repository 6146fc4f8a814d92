import base64
import re
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from psbt import codec, fields
from psbt.errors import PsbtError
from psbt.fields import Fields, Maps, read_fields
from psbt.transaction import (
    ByteReader,
    Transaction,
    TransactionInput,
    TransactionOutput,
    sized,
)
from tests.psbt.soft_vault import soft_vault

VAULT = soft_vault(2, 3)
SPEND = VAULT.sign(VAULT.spend([50_000, 60_000, 70_000], 100_000, 70_000), 1)
RAW = codec.to_bytes(SPEND)


def written(values: Fields) -> bytes:
    return b"".join(sized(key) + sized(value) for key, value in values.items()) + b"\x00"


def joined(maps: Maps) -> bytes:
    scopes = (maps.globals, *maps.inputs, *maps.outputs)
    return fields.MAGIC + b"".join(written(scope) for scope in scopes)


def maps_of(raw: bytes) -> Maps:
    reader = ByteReader(raw[5:])
    own = read_fields(reader, "globals")
    return Maps(
        own,
        tuple(read_fields(reader, "input") for _ in SPEND.inputs),
        tuple(read_fields(reader, "output") for _ in SPEND.outputs),
    )


def test_embit_computes_with_the_library() -> None:
    assert codec.secp_backend() == "libsecp256k1"


@pytest.mark.parametrize(
    "data",
    [
        RAW,
        RAW.hex(),
        RAW.hex().upper(),
        base64.b64encode(RAW).decode(),
        base64.b64encode(RAW),
        base64.encodebytes(RAW),
    ],
)
def test_every_form_is_read(data: bytes | str) -> None:
    assert codec.to_bytes(codec.parse(data)) == RAW


@pytest.mark.parametrize("data", ["", "éa", "cHNi!", "70736274zz", b"psbt", b"\xff\xfe", RAW[:5]])
def test_what_is_no_psbt_is_refused(data: bytes | str) -> None:
    with pytest.raises(PsbtError):
        codec.parse(data)


def test_another_magic_is_no_psbt_whatever_follows() -> None:
    with pytest.raises(PsbtError, match="does not start with the bytes psbt and ff"):
        codec.parse(base64.b64encode(b"psbu\xff" + RAW[5:]))


def test_base64_with_foreign_characters_is_refused() -> None:
    text = base64.b64encode(RAW).decode()
    with pytest.raises(PsbtError, match="neither its bytes nor base64 nor hex"):
        codec.parse(text[:8] + "!" + text[8:])


@pytest.mark.parametrize("size", [1, 5, 300])
def test_trailing_bytes_are_refused(size: int) -> None:
    with pytest.raises(PsbtError, match=f"{size} bytes"):
        codec.parse(RAW + bytes(size))


def test_a_missing_end_is_refused() -> None:
    for end in range(len(RAW) - 1, len(RAW) - 200, -1):
        with pytest.raises(PsbtError):
            codec.parse(RAW[:end])


@pytest.mark.parametrize(("scope", "name"), [(1, r"inputs\[0\]"), (4, r"outputs\[0\]")])
def test_a_key_given_twice_is_refused(scope: int, name: str) -> None:
    maps = maps_of(RAW)
    scopes = [written(s) for s in (maps.globals, *maps.inputs, *maps.outputs)]
    pair = sized(b"\xfc\x01") + sized(b"x")
    scopes[scope] = pair + pair + scopes[scope]
    with pytest.raises(PsbtError, match=f"{name} holds the key fc01 twice"):
        codec.parse(fields.MAGIC + b"".join(scopes))


BAD_INPUT_FIELDS = {
    "previous txid of version 2": (b"\x0e", bytes(32)),
    "output index of version 2": (b"\x0f", bytes(4)),
    "sequence of version 2": (b"\x10", bytes(4)),
    "long key": (b"\x03\x00", bytes(4)),
    "short sighash type": (b"\x03", bytes(3)),
    "partial signature of no point": (b"\x02\x02" + b"\xff" * 32, b"\x01"),
    "derivation of no point": (b"\x06\x02" + b"\xff" * 32, bytes(4)),
    "derivation without fingerprint": (b"\x06\x02" + b"\x01" * 32, bytes(3)),
    "derivation of half a step": (b"\x06\x02" + b"\x01" * 32, bytes(6)),
    "empty witness utxo": (b"\x01", b""),
    "witness utxo with a long length": (b"\x01", bytes(8) + b"\xfd\x01\x00\x51"),
    "previous transaction in pieces": (b"\x00", b"\x02\x00\x00\x00\x01"),
    "witness cut off": (b"\x08", b"\x01\x05\x00"),
}


@pytest.mark.parametrize("field", BAD_INPUT_FIELDS.values(), ids=BAD_INPUT_FIELDS)
def test_a_bad_field_is_refused_with_its_input(field: tuple[bytes, bytes]) -> None:
    maps = maps_of(RAW)
    inputs = (maps.inputs[0], {**maps.inputs[1], field[0]: field[1]}, maps.inputs[2])
    with pytest.raises(PsbtError, match=r"inputs\[1\]|announced"):
        codec.parse(joined(maps._replace(inputs=inputs)))


@pytest.mark.parametrize("key", [b"\x03", b"\x04"])
def test_fields_of_version_2_are_refused_in_outputs(key: bytes) -> None:
    maps = maps_of(RAW)
    outputs = (maps.outputs[0], {**maps.outputs[1], key: bytes(8)})
    with pytest.raises(PsbtError, match=r"outputs\[1\] .* version 0 does not have"):
        codec.parse(joined(maps._replace(outputs=outputs)))


@pytest.mark.parametrize("version", [1, 3, 255])
def test_a_version_that_is_none_is_refused(version: int) -> None:
    maps = maps_of(RAW)
    own = {**maps.globals, fields.GLOBAL_VERSION: version.to_bytes(4, "little")}
    with pytest.raises(PsbtError, match=f"version {version} "):
        codec.parse(joined(maps._replace(globals=own)))


def test_a_version_0_that_is_stated_is_read_and_written_without_it() -> None:
    maps = maps_of(RAW)
    own = {**maps.globals, fields.GLOBAL_VERSION: bytes(4)}
    assert codec.to_bytes(codec.parse(joined(maps._replace(globals=own)))) == RAW


def test_what_embit_would_write_otherwise_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(scope: codec.InputScope, stream: BytesIO, key: bytes) -> None:
        if key != b"\x05":
            read_value(scope, stream, key)

    read_value = codec.InputScope.read_value
    monkeypatch.setattr(codec.InputScope, "read_value", forgetful)
    with pytest.raises(PsbtError, match=r"inputs\[0\] would not be written as it was read"):
        codec.parse(RAW)


def test_only_the_codec_speaks_with_embit_about_psbts() -> None:
    folder = Path(codec.__file__).parent
    about = re.compile(r"^from embit(\.(psbt|script|transaction|ec|base))\b", re.MULTILINE)
    assert [
        file.name for file in sorted(folder.glob("*.py")) if about.search(file.read_text())
    ] == ["codec.py"]


def with_unsigned(raw: bytes | None) -> bytes:
    maps = maps_of(RAW)
    own = {k: v for k, v in maps.globals.items() if k != fields.GLOBAL_UNSIGNED_TX}
    own |= {} if raw is None else {fields.GLOBAL_UNSIGNED_TX: raw}
    return joined(maps._replace(globals=own))


def test_without_a_transaction_there_is_nothing_to_sign() -> None:
    with pytest.raises(PsbtError, match="globals hold no unsigned transaction"):
        codec.parse(with_unsigned(None))


@pytest.mark.parametrize("more", [b"\0", bytes(4)])
def test_more_than_the_transaction_is_refused(more: bytes) -> None:
    raw = maps_of(RAW).globals[fields.GLOBAL_UNSIGNED_TX]
    assert codec.to_bytes(codec.parse(with_unsigned(raw))) == RAW
    with pytest.raises(PsbtError, match="not in the form without witnesses"):
        codec.parse(with_unsigned(raw + more))


def test_a_locktime_of_four_bytes_is_kept() -> None:
    raw = maps_of(RAW).globals[fields.GLOBAL_UNSIGNED_TX][:-4] + bytes.fromhex("01020384")
    assert codec.parse(with_unsigned(raw)).locktime == 0x84030201


def assembled(transaction: Transaction) -> codec.Psbt:
    own = {fields.GLOBAL_UNSIGNED_TX: transaction.stripped}
    return codec.assemble(
        Maps(own, tuple({} for _ in transaction.inputs), tuple({} for _ in transaction.outputs))
    )


def test_version_0_and_sequence_0_stay_what_they_are() -> None:
    tx_in = TransactionInput(SPEND_OUTPOINT, sequence=0)
    transaction = Transaction((tx_in,), (TransactionOutput(0, b"\x6a"),), version=0)
    psbt = assembled(transaction)
    assert codec.unsigned_transaction(psbt) == transaction
    assert codec.to_bytes(codec.parse(codec.to_bytes(psbt))) == codec.to_bytes(psbt)
    assert codec.txid(psbt) == transaction.txid


def test_more_than_all_bitcoin_is_refused() -> None:
    tx_in = TransactionInput(SPEND_OUTPOINT)
    at_most = 2_100_000_000_000_000
    assembled(Transaction((tx_in,), (TransactionOutput(at_most, b"\x6a"),)))
    with pytest.raises(PsbtError, match="21 million"):
        assembled(Transaction((tx_in,), (TransactionOutput(at_most + 1, b"\x6a"),)))


def test_a_filled_script_sig_is_refused() -> None:
    tx_in = TransactionInput(SPEND_OUTPOINT, script_sig=b"\x51")
    with pytest.raises(PsbtError, match=r"input 0 .* script_sig"):
        assembled(Transaction((tx_in,), (TransactionOutput(1, b"\x6a"),)))


def test_unknown_fields_stay_with_their_input() -> None:
    maps = maps_of(RAW)
    inputs = (maps.inputs[0], {**maps.inputs[1], b"\xfcx": b"kept"}, maps.inputs[2])
    psbt = codec.parse(joined(maps._replace(inputs=inputs)))
    assert [psbt_in.unknown for psbt_in in psbt.inputs] == [{}, {b"\xfcx": b"kept"}, {}]
    assert codec.to_bytes(codec.parse(RAW)) == RAW


def test_a_copy_shares_no_map() -> None:
    twin = codec.copy(SPEND)
    twin.unknown[b"\xfc"] = b""
    for scope in (*twin.inputs, *twin.outputs):
        scope.unknown[b"\xfc"] = b""
        scope.bip32_derivations.clear()
    for psbt_in in twin.inputs:
        psbt_in.partial_sigs.clear()
    assert codec.to_bytes(SPEND) == RAW
    assert codec.to_bytes(twin) != RAW


@given(st.integers(0, len(RAW) - 1), st.binary(max_size=4), st.integers(0, 4))
def test_damage_is_refused_or_read_as_it_stands(place: int, new: bytes, gone: int) -> None:
    damaged = RAW[:place] + new + RAW[place + gone :]
    try:
        psbt = codec.parse(damaged)
    except PsbtError:
        return
    again = codec.to_bytes(psbt)
    assert codec.to_bytes(codec.parse(again)) == again
    assert sorted(again) == sorted(damaged) or fields.GLOBAL_VERSION in damaged


SPEND_OUTPOINT = codec.unsigned_transaction(SPEND).inputs[0].outpoint
