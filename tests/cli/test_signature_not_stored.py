"""A signature that cannot be stored is shown and can be given back; it is never lost in silence."""

import resource
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.program import PIN, Asked, Program, made_vault, run_program

TO = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080:2500000"
PINS = "".join(f"{label}={PIN}\n" for label in "abc")
FULL = """
CREATE TRIGGER full BEFORE INSERT ON {table}
WHEN (SELECT count(*) FROM {table}) >= {rows}
BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END
"""


def break_table(home: Path, table: str, rows: int = 0) -> None:
    with sqlite3.connect(home / "cardquorum.db") as raw:
        raw.execute(FULL.format(table=table, rows=rows))
    raw.close()


def mend(home: Path) -> None:
    with sqlite3.connect(home / "cardquorum.db") as raw:
        raw.execute("DROP TRIGGER full")
    raw.close()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def payment(asked: Asked) -> str:
    made_vault(asked)
    return str(asked("spend", "create", "v", "--to", TO, "--feerate", "5")["ceremony"])


def errors(document: dict[str, Any]) -> dict[str, Any]:
    return {card["label"]: card["error"] for card in document["cards"]}


def signing(payment: str, *labels: str) -> tuple[str, ...]:
    where = [word for label in labels for word in ("--emulated", label)]
    return ("spend", "sign", payment, *where, "--pin-stdin", "--yes")


@pytest.mark.parametrize("rows", [0, 1, 4])
def test_what_cannot_be_stored_is_shown_and_taken_back(
    asked: Asked, program: Program, home: Path, payment: str, rows: int
) -> None:
    break_table(home, "signature", rows)
    ended = program("--json", *signing(payment, "a", "b"), stdin=PINS, check=5)
    found = {label: error for label, error in errors(ended.document).items() if error}
    assert {error["code"] for error in found.values()} == {"signature_not_kept"}
    assert "spend add" in next(iter(found.values()))["hint"]
    assert "nothing was changed" not in ended.out + ended.err
    assert sum(error["count"] for error in found.values()) == 6 - rows
    assert [card["signatures"] for card in ended.document["cards"]] == [3, 3]
    mend(home)
    for error in found.values():
        assert error["psbt"] in ended.err
        asked("spend", "add", payment, "-", stdin=error["psbt"])
    assert asked("spend", "show", payment)["complete"]
    asked("spend", "finalize", payment)


def test_quiet_shows_it_too(program: Program, home: Path, payment: str) -> None:
    break_table(home, "signature")
    ended = program(*signing(payment, "a"), "--quiet", stdin=PINS, check=5)
    assert "cHNidP8" in ended.err


def test_a_book_that_takes_no_event_is_told(
    asked: Asked, program: Program, home: Path, payment: str
) -> None:
    break_table(home, "custody_event")
    ended = program("--json", *signing(payment, "a", "b"), stdin=PINS, check=5)
    assert {error["code"] for error in errors(ended.document).values()} == {"storage_error"}
    assert [card["signatures"] for card in ended.document["cards"]] == [3, 3]
    assert "nothing was changed" not in ended.out + ended.err
    mend(home)
    assert asked("spend", "show", payment)["have"] == 2


def test_a_proof_of_a_drill_that_cannot_be_stored_is_told(
    asked: Asked, home: Path, payment: str
) -> None:
    assert payment
    drill = asked("drill", "start", "v")["drill"]
    break_table(home, "drill_proof")
    words = ("drill", "sign", drill, "--emulated", "a", "--pin-stdin")
    found = asked(*words, stdin=PINS, check=5)
    assert errors(found)["a"]["code"] == "signature_not_kept"
    assert "run the same command again" in errors(found)["a"]["hint"]


def sizes(home: Path) -> Iterator[int]:
    kept = max(file.stat().st_size for file in home.glob("cardquorum.db*"))
    yield from range(kept, kept + 120_000, 20_000)


def test_on_a_full_disk_a_signature_is_stored_or_shown(
    asked: Asked, home: Path, payment: str
) -> None:
    words = ["--home", str(home), "--json", *signing(payment, "a", "b", "c")]
    for limit in sizes(home):
        before = asked("spend", "show", payment)["have"]

        def bounded(limit: int = limit) -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        done = subprocess.run(
            [sys.executable, "-m", "coordinator.cli", *words],
            input=PINS.encode(),
            capture_output=True,
            preexec_fn=bounded,
            check=False,
            timeout=120,
        )
        assert b"Traceback" not in done.stderr
        assert done.returncode in {0, 5}, done
        run_program(home, "spend", "show", payment)
        have = asked("spend", "show", payment)["have"]
        if b'"cards"' in done.stdout and done.returncode:
            assert have > before or b"cHNidP8" in done.stderr
        if done.returncode == 0:
            break
