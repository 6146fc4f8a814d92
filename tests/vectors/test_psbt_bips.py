"""The PSBTs of BIP 174, 370 and 371 that must be read or refused, and the lock times of BIP 370."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from psbt import codec, fields
from psbt.errors import PsbtError

SHARED = Path(__file__).parents[3] / "shared" / "vectors"
BIPS = ("bip174", "bip370", "bip371")
MISSING = [pytest.param({}, id="bips", marks=pytest.mark.skip("no shared vectors here"))]


def load(*expected: str, bips: tuple[str, ...] = BIPS) -> list[Any]:
    if not (SHARED / "bip370.json").is_file():
        return MISSING
    return [
        pytest.param(vector, id=f"{bip}: {vector['name']}")
        for bip in bips
        for vector in json.loads((SHARED / f"{bip}.json").read_text())["vectors"]
        if vector["expect"] in expected
    ]


@pytest.mark.parametrize("vector", load("valid", bips=("bip174",)))
def test_a_valid_psbt_of_version_0_is_read_and_written_as_it_was(vector: dict[str, Any]) -> None:
    raw = base64.b64decode(vector["psbt"])
    for form in (vector["psbt"], raw, raw.hex()):
        assert codec.to_bytes(codec.parse(form)) == raw


@pytest.mark.parametrize("vector", load("valid", bips=("bip370", "bip371")))
def test_a_valid_psbt_loses_no_field_in_its_own_version(vector: dict[str, Any]) -> None:
    given, transaction = fields.read(base64.b64decode(vector["psbt"]))
    written = codec.read_maps(codec.to_bytes(codec.parse(vector["psbt"])), given.version)
    dropped = {fields.GLOBAL_TX_MODIFIABLE, fields.GLOBAL_FALLBACK_LOCKTIME} | REQUIRED_LOCKS
    for (name, values), (_, ours) in zip(given.named(), written.named(), strict=True):
        assert {k: v for k, v in values.items() if k not in dropped}.items() <= ours.items(), name
    assert fields.check(written) == transaction


@pytest.mark.parametrize("vector", load("invalid", "unsupported"))
def test_an_invalid_psbt_is_refused(vector: dict[str, Any]) -> None:
    with pytest.raises(PsbtError):
        codec.parse(vector["psbt"])


@pytest.mark.parametrize("vector", load("locktime"))
def test_the_lock_time_is_the_one_that_every_input_allows(vector: dict[str, Any]) -> None:
    if vector["locktime"] is None:
        with pytest.raises(PsbtError, match="by height only, others by time only"):
            codec.parse(vector["psbt"])
        return
    psbt = codec.parse(vector["psbt"])
    assert psbt.locktime == vector["locktime"]
    assert codec.parse(codec.to_bytes(psbt, 2)).locktime == vector["locktime"]


REQUIRED_LOCKS = {fields.IN_REQUIRED_TIME_LOCKTIME, fields.IN_REQUIRED_HEIGHT_LOCKTIME}
