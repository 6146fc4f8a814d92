"""PSBTs that other wallets wrote, read where they lie: some licences forbid to copy them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coordinator.payment import psbt_file
from psbt import codec
from psbt.errors import PsbtError

FOLDER = Path(__file__).parents[3] / "shared" / "vectors" / "interop"
MISSING = [pytest.param(None, {}, id="interop", marks=pytest.mark.skip("no shared vectors here"))]
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
