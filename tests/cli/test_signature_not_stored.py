"""A signature that cannot be stored is shown and can be given back; it is never lost in silence."""

import json
import os
import resource
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
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


def close_folder(home: Path) -> None:
    """Have the home keep no signature either: a file lies where its folder would be."""
    (home / "undelivered").write_bytes(b"")


def kept_here(home: Path) -> list[dict[str, Any]]:
    return [json.loads(each.read_text()) for each in (home / "undelivered").glob("*.json")]


@pytest.mark.parametrize("rows", [0, 1, 4])
def test_what_cannot_be_stored_is_kept_in_the_home_and_delivered_once(
    asked: Asked, program: Program, home: Path, payment: str, rows: int
) -> None:
    break_table(home, "signature", rows)
    ended = program("--json", *signing(payment, "a", "b"), stdin=PINS, check=5)
    found = {label: error for label, error in errors(ended.document).items() if error}
    assert {error["code"] for error in found.values()} == {"signature_undelivered"}
    assert sum(error["count"] for error in found.values()) == 6 - rows == len(kept_here(home))
    assert "cHNidP8" not in ended.err
    assert {stat.S_IMODE(f.stat().st_mode) for f in (home / "undelivered").iterdir()} == {0o600}
    waits = asked("status")
    assert waits["delivered"] == []
    assert sum("kept on this computer" in each for each in waits["due"]) == len(found)
    mend(home)
    told = program("spend", "show", payment)
    assert "were delivered" in told.err
    assert asked("spend", "show", payment)["complete"]
    assert asked("status")["due"] == [] == kept_here(home)
    seen = [each["event"] for each in asked("custody", "log", "card:b")["events"]]
    assert seen.count("seen") == 1
    asked("spend", "finalize", payment)


def test_a_backup_takes_kept_signatures_along(
    asked: Asked, home: Path, payment: str, tmp_path: Path
) -> None:
    break_table(home, "signature")
    asked(*signing(payment, "a"), stdin=PINS, check=5)
    mend(home)
    lying = {each: each.read_bytes() for each in (home / "undelivered").iterdir()}
    asked("backup", "--out", str(tmp_path / "file"))
    back = Asked(tmp_path / "back")
    back("restore", str(tmp_path / "file"))
    assert len(lying) == 3
    assert back("spend", "show", payment)["have"] == 1


def test_what_was_never_written_to_its_end_is_removed_once_it_is_old(
    asked: Asked, home: Path, payment: str
) -> None:
    """A younger one may be another program's, which is at it just now."""
    folder = home / "undelivered"
    folder.mkdir(0o700)
    unfinished = folder / "abcd.json.x7"
    unfinished.write_bytes(b"{")
    assert asked("spend", "show", payment)["have"] == 0
    assert unfinished.exists()
    os.utime(unfinished, (0, 0))
    assert asked("spend", "show", payment)["have"] == 0
    assert not folder.exists()


@pytest.mark.parametrize("ended", ["abandon", "sign"])
def test_what_comes_too_late_is_kept_and_not_counted(
    asked: Asked, home: Path, payment: str, ended: str
) -> None:
    break_table(home, "signature")
    asked(*signing(payment, "a"), stdin=PINS, check=5)
    lying = {each: each.read_bytes() for each in (home / "undelivered").iterdir()}
    mend(home)
    if ended == "abandon":
        with sqlite3.connect(home / "cardquorum.db") as raw:
            raw.execute("UPDATE ceremony SET state = 'abandoned'")
        raw.close()
    else:
        for each in lying:
            each.unlink()
        asked(*signing(payment, "b", "c"), stdin=PINS)
        asked("spend", "finalize", payment)
        for each, said in lying.items():
            each.parent.mkdir(0o700, exist_ok=True)
            each.write_bytes(said)
    before = asked("spend", "show", payment)
    said = asked("status")
    assert said["delivered"] == []
    assert any("not counted: ceremony" in each for each in said["due"])
    assert {each: each.read_bytes() for each in (home / "undelivered").iterdir()} == lying
    assert asked("spend", "show", payment) == before


CHANGED: dict[str, Callable[[dict[str, Any]], object]] = {
    "another payment": lambda said: said.update(digest="00" * 32),
    "another input": lambda said: said.update(input=(said["input"] + 1) % 3),
    "an input there is not": lambda said: said.update(input=99),
    "a stranger's key": lambda said: said.update(pubkey="02" + "11" * 32),
    "a wrong signature": lambda said: said.update(signature="11" * 64),
    "an unknown ceremony": lambda said: said.update(ceremony="aaaa2222"),
    "half a digest": lambda said: said.update(digest="00"),
    "another format": lambda said: said.update(format="x"),
    "too much": lambda said: said.update(more="x" * 5_000),
}


def test_a_kept_signature_is_verified_again(asked: Asked, home: Path, payment: str) -> None:
    break_table(home, "signature")
    asked(*signing(payment, "a"), stdin=PINS, check=5)
    mend(home)
    files = {each: each.read_text() for each in (home / "undelivered").iterdir()}
    for name, change in CHANGED.items():
        for file, text in files.items():
            said = json.loads(text)
            change(said)
            file.write_text(json.dumps(said))
        told = asked("spend", "show", payment)
        assert told["have"] == 0, name
        assert len(list((home / "undelivered").iterdir())) == len(files), name
        assert any("undelivered" in each for each in asked("status")["due"]), name
    for file, text in files.items():
        file.write_text(text)
    assert asked("spend", "show", payment)["have"] == 1


@pytest.mark.parametrize("rows", [0, 1, 4])
def test_what_nobody_can_store_is_shown_and_taken_back(
    asked: Asked, program: Program, home: Path, payment: str, rows: int
) -> None:
    break_table(home, "signature", rows)
    close_folder(home)
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
    close_folder(home)
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
            assert have > before or b"cHNidP8" in done.stderr or kept_here(home)
        if done.returncode == 0:
            break
