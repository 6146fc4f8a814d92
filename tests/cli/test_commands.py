"""What holds for every command: help, an example, one JSON document, a home of its own."""

import sqlite3
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.program import Asked, Program, asking, run_program
from tests.test_documents import commands

COMMANDS = sorted(commands())
NAMES = [" ".join(pair).strip() for pair in COMMANDS]


@pytest.mark.parametrize("pair", COMMANDS, ids=NAMES)
def test_every_command_has_help_and_an_example(program: Program, pair: tuple[str, str]) -> None:
    words = [word for word in pair if word]
    text = program(*words, "--help").out
    summary = text.splitlines()[2].strip()
    assert summary
    assert len(text.split("\n\n")[1].strip().splitlines()[0]) <= 70
    assert f"Example: cardquorum {' '.join(words)}" in text
    assert "Options of every command, and exit statuses: cardquorum --help" in text


def test_options_stand_before_or_after_the_words(program: Program, tmp_path: Path) -> None:
    elsewhere = str(tmp_path / "elsewhere")
    program("--home", elsewhere, "init", "--network", "regtest")
    assert program("status", "--json", "--home", elsewhere).document["network"] == "regtest"
    assert program("--json", "--home", "/nowhere", "status", "--home", elsewhere).document


def test_a_home_of_a_newer_program_is_left_alone(vault: Asked, tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "home" / "cardquorum.db")
    database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.commit()
    database.close()
    assert vault("vault", "list", check=5)["error"]["code"] == "schema_too_new"


def test_a_home_and_a_backup_of_0_1_0_are_refused_with_the_way_out(
    vault: Asked, tmp_path: Path
) -> None:
    database = sqlite3.connect(tmp_path / "home" / "cardquorum.db")
    database.execute("UPDATE alembic_version SET version_num = '0012'")
    database.commit()
    database.close()
    backup = tmp_path / "backup"
    with tarfile.open(backup, "w:gz", format=tarfile.USTAR_FORMAT) as tar:
        for name in ("settings.toml", "cardquorum.db"):
            tar.add(tmp_path / "home" / name, name)
    new = tmp_path / "new"
    for refused in (
        vault("vault", "list", check=5)["error"],
        asking(new)("restore", str(backup), check=5)["error"],
    ):
        assert refused["code"] == "schema_too_old"
        assert "0.1.0" in refused["message"]
        for command in ("vault export", "custody log --export", "label export", "vault import"):
            assert command in refused["hint"]
    assert not new.exists()


def test_listing_vaults_loads_neither_engine_nor_reader_nor_peers(vault_home: Path) -> None:
    code = (
        "import sys; from coordinator.cli import run; run(sys.argv[1:]);"
        "sys.exit(bool({'bdkpython', 'pbk', 'smartcard', 'wallycore'} & set(sys.modules)))"
    )
    words = ["vault", "list", "--home", str(vault_home)]
    done = subprocess.run([sys.executable, "-c", code, *words], check=False, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert b"2-of-3" in done.stdout


def test_emulated_cards_are_refused_on_mainnet(asked: Asked) -> None:
    asked("init", "--network", "mainnet")
    assert asked("emulate", "new", "satochip", "x", check=2)["error"]["code"] == "usage_error"
    assert asked("status")["tip"] is None
    assert asked("sync", check=7)["error"]["code"] == "chain_unreachable"


def test_an_unknown_error_says_it_is_a_bug(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> object:
        raise ZeroDivisionError("oops")

    program("init", "--network", "regtest")
    monkeypatch.setattr("coordinator.home.settings.open_home", broken)
    ended = program("--json", "status", check=1)
    assert ended.document["error"]["code"] == "zero_division_error"
    assert "report" in ended.document["error"]["hint"]


def test_quiet_says_nothing_on_stderr(vault: Asked, tmp_path: Path) -> None:
    home = tmp_path / "home"
    loud = run_program(home, "vault", "list", "-v", "-v")
    assert run_program(home, "vault", "list", "--quiet").err == ""
    assert loud.out
    assert vault("vault", "list")["vaults"]


def test_the_demo_without_the_engine_uses_the_own_check(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pbk", None)
    done = program("--json", "demo", "--inputs", "2", "--quiet").document
    assert (done["accepted"], done["consensus"], done["signatures"]) == (True, "own-check", 4)


def test_the_demo_keeps_a_home_that_goes_on_working(program: Program, tmp_path: Path) -> None:
    kept = str(tmp_path / "kept")
    done = program("--json", "demo", "--inputs", "40", "--keep", kept, "--quiet").document
    assert (done["accepted"], done["signatures"], done["inputs"]) == (True, 80, 40)
    assert done["audit"]["findings"] == []
    again = program("--json", "demo", "--keep", kept, check=2).document
    assert again["error"]["code"] == "settings_error"
    shown = program("--json", "vault", "show", "savings", "--home", kept).document
    assert shown["descriptor"] == done["descriptor"]
    words = ("--json", "vault", "verify", "savings", "--home", kept, "--pin-stdin")
    stdin = "bank=123456\nfriend=123456\nhome=123456\n"
    assert len(program(*words, stdin=stdin).document["verified"]) == 3
    other = program("--json", "demo", "--quiet").document
    assert other["descriptor"] != done["descriptor"]
