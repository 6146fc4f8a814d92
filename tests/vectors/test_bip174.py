import base64
import json
from pathlib import Path
from typing import Any

import pytest

from psbt import codec
from psbt.errors import PsbtError

FILE = Path(__file__).parents[3] / "shared" / "vectors" / "bip174.json"
MISSING = [pytest.param({}, id="bip174", marks=pytest.mark.skip("no shared vectors here"))]


def load(*expected: str) -> list[Any]:
    if not FILE.is_file():
        return MISSING
    vectors = json.loads(FILE.read_text())["vectors"]
    return [pytest.param(v, id=v["name"]) for v in vectors if v["expect"] in expected]


@pytest.mark.parametrize("vector", load("valid", "invalid", "unsupported"))
def test_bip174(vector: dict[str, Any]) -> None:
    match vector["expect"]:
        case "valid":
            assert codec.to_base64(codec.parse(vector["psbt"])) == vector["psbt"]
        case "invalid" | "unsupported":
            with pytest.raises(PsbtError):
                codec.parse(vector["psbt"])
        case unknown:
            pytest.fail(f"unknown expectation: {unknown}")


@pytest.mark.parametrize("vector", load("valid"))
def test_bytes_and_hex_are_read_like_base64(vector: dict[str, Any]) -> None:
    raw = base64.b64decode(vector["psbt"])
    assert codec.to_bytes(codec.parse(raw)) == raw
    assert codec.to_bytes(codec.parse(raw.hex())) == raw
