"""Signed lists, exported drills and settings: read in any encoding, refused whatever they hold."""

import json
from pathlib import Path

import pytest

from coordinator.audit.advisories import FORMAT, advisories, signed_bytes
from coordinator.errors import SettingsError, UsageError
from coordinator.home.settings import create_home, open_home
from coordinator.vault import drills
from tests.coordinator.audit.test_advisories import FLAW, KEY, PUBLIC

HOSTILE = {
    "deep": b"[" * 100_000,
    "deeper": b'{"a":' * 100_000,
    "digits": b'{"format":' + b"9" * 10_000 + b"}",
    "exponent": b'{"format":1e999999}',
    "no number": b'{"format":NaN}',
    "half a pair": b'{"format":"\\ud800","advisories":[],"proofs":[],"signature":"00"}',
    "list": b"[]",
    "text": b'"x"',
    "null": b"null",
    "nothing": b"",
    "binary": bytes(range(256)),
    "large": b'{"x":"' + b"x" * (5 << 20) + b'"}',
    "wrong types": b'{"format":{},"signature":"00","advisories":{},"proofs":7,"network":[]}',
}


@pytest.mark.parametrize("which", HOSTILE)
def test_a_hostile_file_is_misuse(tmp_path: Path, which: str) -> None:
    (tmp_path / "file").write_bytes(HOSTILE[which])
    with pytest.raises(UsageError) as refused:
        drills.verified(HOSTILE[which])
    assert len(str(refused.value)) < 1000
    with pytest.raises(UsageError) as refused:
        advisories(tmp_path / "file", PUBLIC)
    assert len(str(refused.value)) < 1000


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_a_signed_list_is_read_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    said = {"format": FORMAT, "issued": "2026-11-01", "advisories": [FLAW]}
    signed = {"signature": KEY.sign(signed_bytes(said)).hex(), **said}
    (tmp_path / "list").write_bytes(json.dumps(signed, ensure_ascii=False).encode(encoding))
    assert advisories(tmp_path / "list", PUBLIC)[0].sentence == FLAW["sentence"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_settings_an_editor_saved_otherwise_are_read(tmp_path: Path, encoding: str) -> None:
    made = create_home(tmp_path / "home", "regtest")
    file = made.folder / "settings.toml"
    file.write_bytes(file.read_text().replace("\n", "\r\n").encode(encoding))
    assert open_home(made.folder) == made


@pytest.mark.parametrize(
    "text", ["a = " + "[" * 100_000, "x = 1\n" * 20_000, 'network = "regtest"\nchain = "a\\nb"']
)
def test_settings_beyond_all_bounds_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "settings.toml").write_text(text)
    with pytest.raises(SettingsError):
        open_home(tmp_path)


@pytest.mark.parametrize(
    "chain",
    ["p2p://host\n", "p2p://host\nnetwork = 'x'", "p2p://a\tb", "p2p://a\x7f", "p2p:\u202e"],
)
def test_a_chain_with_a_line_end_is_refused(tmp_path: Path, chain: str) -> None:
    with pytest.raises(SettingsError, match="line end"):
        create_home(tmp_path / "home", "signet", chain)
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("name", ['a "b"', "back\\slash", "ü", "'"])
def test_a_chain_is_kept_as_it_was_typed(tmp_path: Path, name: str) -> None:
    chain = f"bitcoind+http://127.0.0.1:8332?cookie=/{name}"
    create_home(tmp_path / "home", "signet", chain)
    assert open_home(tmp_path / "home").chain == chain
