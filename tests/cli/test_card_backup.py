"""The encrypted backup a TAPSIGNER gives instead of copies."""

from pathlib import Path

from tests.program import PIN, Asked


def test_a_backup_is_written_once_and_privately(asked: Asked, tmp_path: Path) -> None:
    asked("init", "--network", "regtest")
    asked("emulate", "new", "tapsigner", "t")
    asked("card", "enrol", "t", "--emulated", "t", "--pin-stdin", stdin=PIN)
    file = tmp_path / "t.aes"
    words = ("card", "backup", "t", "--out", str(file), "--pin-stdin")
    asked(*words, stdin="000000", check=4)
    assert not file.exists()
    assert asked(*words, stdin=PIN) == {"card": "t", "file": str(file)}
    assert file.stat().st_mode & 0o777 == 0o600
    assert asked(*words, stdin=PIN, check=2)["error"]["code"] == "usage_error"


def test_a_card_that_gives_none_says_so(asked: Asked, tmp_path: Path) -> None:
    asked("init", "--network", "regtest")
    asked("emulate", "new", "satochip", "s")
    asked("card", "enrol", "s", "--emulated", "s", "--pin-stdin", stdin=PIN)
    words = ("card", "backup", "s", "--out", str(tmp_path / "x"), "--pin-stdin")
    assert asked(*words, stdin=PIN, check=3)["error"]["code"] == "not_supported"
    assert not (tmp_path / "x").exists()


def test_copies_of_a_card_that_loads_no_seed_are_refused(asked: Asked, tmp_path: Path) -> None:
    asked("init", "--network", "regtest")
    for name in ("x", "y"):
        asked("emulate", "new", "tapsigner", name, "--no-setup")
    slots = ("--emulated", "x", "--emulated", "y")
    words = ("card", "setup", "a", *slots, "--generate", "--copies", "1", "--pin-stdin")
    out = ("--words-out", str(tmp_path / "w"))
    refused = asked(*words, *out, stdin=f"a={PIN}\na-2={PIN}\n", check=3)
    assert "card backup" in refused["error"]["message"]
    assert not (tmp_path / "w").exists()
