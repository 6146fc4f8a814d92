"""PSBTs that other wallets wrote, read where they lie: some licences forbid to copy them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coordinator.payment import psbt_file
from psbt import codec
from psbt.errors import PsbtError
from psbt.sighash import sighashes
from psbt.signature import compact_from_partial, verifies

FOLDER = Path(__file__).parents[3] / "shared" / "vectors" / "interop"
MISSING = [pytest.param(None, {}, id="interop", marks=pytest.mark.skip("no shared vectors here"))]
NOTHING_OF_THIS_JADE = "893f53cc6fe2173dd263c635fffd2332b4e89038689c89d0466a7a74311400f9"
REFUSED_WHEN_USED = {"coldcard/psbt/wit-utxo-not-match-redeem-scr.psbt"}
"""Well-formed; what contradicts itself is refused where it would be signed, by input and field."""


def files() -> list[Any]:
    if not (FOLDER / "index.json").is_file():
        return MISSING
    return [
        pytest.param(FOLDER / each["file"], each["expect"], id=each["file"])
        for each in json.loads((FOLDER / "index.json").read_text())
        if each["file"].endswith(".psbt") and "accept" in each["expect"]
    ]


@pytest.mark.parametrize(("file", "expect"), files())
def test_a_file_is_read_as_a_right_reader_does(file: Path, expect: dict[str, Any]) -> None:
    data = file.read_bytes()
    if not expect["accept"] and str(file.relative_to(FOLDER)) not in REFUSED_WHEN_USED:
        with pytest.raises(PsbtError):
            psbt_file.read_psbt(data)
        return
    psbt = psbt_file.read_psbt(data)
    for version in (0, 2):
        assert codec.read_maps(codec.to_bytes(psbt, version)) == codec.read_maps(
            codec.to_bytes(psbt)
        )
    unsigned = codec.unsigned_transaction(psbt).txid
    assert unsigned == expect.get("txid", unsigned)


def jade_files() -> list[Any]:
    if not (FOLDER / "index.json").is_file():
        return MISSING
    return [
        pytest.param(FOLDER / each["file"], each["expect"]["unsigned"], id=each["file"])
        for each in json.loads((FOLDER / "index.json").read_text())
        if each["format"] == "PSBT" and each["file"].startswith("jade/")
    ]


@pytest.mark.parametrize(("file", "expect"), jade_files())
def test_what_a_jade_was_asked_and_signed_is_read_and_verifies(
    file: Path, expect: dict[str, Any]
) -> None:
    case = json.loads(file.read_text())
    asked = psbt_file.read_psbt(case["input"]["psbt"].encode())
    assert codec.unsigned_transaction(asked).txid == expect["txid"]
    answer = case.get("expected_output", {}).get("psbt")
    if answer is None:
        return
    signed = psbt_file.read_signed(answer.encode(), asked)
    assert codec.unique_id(signed) == codec.unique_id(asked)
    by_us = [index for index, psbt_in in enumerate(signed.inputs) if psbt_in.partial_sigs]
    for index, digest in sighashes(signed, by_us).items():
        for key, der in signed.inputs[index].partial_sigs.items():
            assert verifies(key.sec(), digest, compact_from_partial(der))
    assert by_us or expect["txid"] == NOTHING_OF_THIS_JADE


def texts() -> list[Any]:
    """Return every PSBT among the cases that were extracted from tests, with wally's verdict."""
    if not (FOLDER / "index.json").is_file():
        return MISSING
    return [
        pytest.param(case["text"], case["expect"], id=f"{name}-{case['id']}")
        for name in ("caravan/psbtv2.json", "libwally/psbt.json")
        for case in _cases(FOLDER / name)
    ]


def _cases(file: Path) -> Iterator[dict[str, Any]]:
    for case in json.loads(file.read_text()):
        if "btclib" in case.get("expect", {}):
            yield case


@pytest.mark.parametrize(("text", "expect"), texts())
def test_a_text_is_read_where_the_strictest_reader_does(text: str, expect: dict[str, str]) -> None:
    if expect["btclib"] == "accepts":
        codec.parse(text)
        return
    with pytest.raises(PsbtError):
        codec.parse(text)
