"""What kits write, held fast: a kit printed today must be read for ever, by others too."""

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from coordinator.errors import CoordinatorError
from coordinator.interop import bip138
from coordinator.recovery import typed_lines
from psbt.keys import parse_key_expression
from psbt.network import Network

VECTORS = json.loads((Path(__file__).parent / "kit.json").read_text())
OPENER = Path(__file__).parents[2] / "examples" / "open_backup.py"


def named(group: str) -> list[Any]:
    return [pytest.param(vector, id=vector["name"]) for vector in VECTORS[group]]


def opened_by_others(folder: Path, text: str, key: str) -> subprocess.CompletedProcess[str]:
    (folder / "copy.txt").write_text(text)
    words = [sys.executable, str(OPENER), str(folder / "copy.txt"), key.partition("]")[2]]
    return subprocess.run(words, check=False, capture_output=True, text=True)


@pytest.mark.parametrize("vector", named("backups"))
def test_an_encrypted_descriptor(vector: dict[str, Any], tmp_path: Path) -> None:
    keys = [parse_key_expression(text, Network(vector["network"])) for text in vector["keys"]]
    given = iter(bytes.fromhex(each) for each in vector["chance"])
    public = [key.key.public_key for key in keys]
    made = bip138.encrypt(
        vector["descriptor"], public, [key.path for key in keys], chance=lambda _: next(given)
    )
    assert base64.b64encode(made).decode() == vector["text"]
    assert list(given) == []
    wrapped = "\n".join(vector["text"][at : at + 64] for at in range(0, len(vector["text"]), 64))
    for key, text in zip(public, vector["keys"], strict=True):
        assert bip138.decrypt(wrapped.encode(), key) == [vector["descriptor"]]
        assert opened_by_others(tmp_path, wrapped, text).stdout == vector["descriptor"] + "\n"


@pytest.mark.parametrize("vector", named("refused"))
def test_what_must_not_open(vector: dict[str, Any], tmp_path: Path) -> None:
    key = parse_key_expression(vector["key"], Network.MAINNET).key.public_key
    with pytest.raises(CoordinatorError, match=vector["expect"]):
        bip138.decrypt(vector["text"].encode(), key)
    refused = opened_by_others(tmp_path, vector["text"], vector["key"])
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("vector", named("lines"))
def test_the_printed_lines(vector: dict[str, Any]) -> None:
    assert typed_lines.numbered(vector["text"]) == vector["lines"]
    assert typed_lines.joined(vector["lines"]) == vector["text"]
