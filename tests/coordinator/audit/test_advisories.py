"""Signed lists of known flaws: read only under the key that is trusted."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from coordinator.audit.advisories import FORMAT, advisories, signed_bytes
from coordinator.audit.facts import Severity
from coordinator.errors import Untrusted, UsageError
from tests.program import Asked

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw().hex()
FLAW = {
    "id": "CQ-1",
    "family": "satochip",
    "versions": ["0.12"],
    "severity": "danger",
    "sentence": "the PIN can be read by measuring its power — überall",
    "remedy": "replace it",
}


def signed(folder: Path, **changed: object) -> Path:
    said = {"format": FORMAT, "issued": "2026-11-01", "advisories": [FLAW], **changed}
    path = folder / "advisories.json"
    signature = KEY.sign(signed_bytes(said)).hex()
    path.write_text(json.dumps({"signature": signature, **said}))
    return path


def test_a_signed_list_is_read(tmp_path: Path) -> None:
    [found] = advisories(signed(tmp_path), PUBLIC)
    assert (found.id, found.severity, found.remedy) == ("CQ-1", Severity.DANGER, "replace it")
    assert found.concerns("satochip", "0.12-0.6")
    assert not found.concerns("satochip", "0.14-0.1")
    assert not found.concerns("keycard", "0.12")


def test_another_key_or_another_text_is_refused(tmp_path: Path) -> None:
    stranger = Ed25519PrivateKey.generate().public_key().public_bytes_raw().hex()
    path = signed(tmp_path)
    with pytest.raises(Untrusted):
        advisories(path, stranger)
    path.write_text(path.read_text().replace("replace it", "ignore it"))
    with pytest.raises(Untrusted):
        advisories(path, PUBLIC)


@pytest.mark.parametrize(
    "changed",
    [
        {"format": "another"},
        {"advisories": None},
        {"advisories": [{"id": "x"}]},
        {"advisories": [{**FLAW, "severity": "dreadful"}]},
    ],
)
def test_what_is_no_list_is_refused(tmp_path: Path, changed: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        advisories(signed(tmp_path, **changed), PUBLIC)


@pytest.mark.parametrize("text", ["", "[]", "7", '{"signature": 1}', "{" * 9999])
def test_garbage_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "advisories.json"
    path.write_text(text)
    with pytest.raises(UsageError):
        advisories(path, PUBLIC)


@pytest.mark.parametrize("key", ["", "00", "zz" * 32])
def test_a_key_that_is_none(tmp_path: Path, key: str) -> None:
    with pytest.raises(UsageError):
        advisories(signed(tmp_path), key)


def test_the_audit_names_the_cards_that_have_the_flaw(vault: Asked, tmp_path: Path) -> None:
    path = str(signed(tmp_path, advisories=[{**FLAW, "versions": ["0."]}]))
    vault("audit", "v", "--advisories", path, check=2)
    found = vault("audit", "v", "--advisories", path, "--advisory-key", PUBLIC, check=5)
    advised = [f for f in found["findings"] if f["code"] == "advisory"]
    assert [f["subjects"] for f in advised] == [["card:a"], ["card:b"], ["card:c"]]
    assert "überall (CQ-1)" in advised[0]["message"]
    refused = vault("audit", "v", "--advisories", path, "--advisory-key", "00" * 32, check=5)
    assert refused["error"]["code"] == "untrusted"
