"""Two processes want one coin: exactly one gets it, and nothing is half-written."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.altered import unguarded
from tests.cli.test_money import OTHER, STRANGER, pay
from tests.program import Asked
from tests.sampled import shortened
from tests.test_house import ROOT

AT_ONCE = """
import sys
from coordinator.cli import run
from coordinator.payment import creation
sys.stdout.write("ready\\n")
sys.stdout.flush()
sys.stdin.readline()
sys.exit(run(sys.argv[1:]))
"""
"""Loads everything first, then waits for the word: the race is about the database alone."""


def race(home: Path, *commands: tuple[str, ...]) -> list[tuple[int, dict[str, Any]]]:
    """Run commands at the same moment, each in a process; return how each ended."""
    environment = {**os.environ, "CARDQUORUM_HOME": str(home), "PYTHONPATH": str(ROOT)}
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", AT_ONCE, "--json", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for words in commands
    ]
    for racer in racers:
        assert racer.stdout
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin
        racer.stdin.write("go\n")
        racer.stdin.flush()
    outputs = [racer.communicate(timeout=120)[0] for racer in racers]
    return [(racer.returncode, json.loads(out)) for racer, out in zip(racers, outputs, strict=True)]


def drains(coin: str) -> list[tuple[str, ...]]:
    return [
        ("spend", "create", "v", "--feerate", "2", "--drain", payee, "--coin", coin)
        for payee in (STRANGER, OTHER)
    ]


def rows(home: Path, statement: str) -> list[tuple[Any, ...]]:
    with unguarded(home / "cardquorum.db") as raw:
        found = raw.execute(statement).fetchall()
        raw.commit()
    raw.close()
    return found


def winner_of(ended: list[tuple[int, dict[str, Any]]]) -> str:
    """Return the ceremony that got the coin, and check what the other was told."""
    (status, won), (refused, lost) = sorted(ended, key=lambda each: each[0])
    assert (status, refused) == (0, 5)
    assert lost["error"]["code"] == "coin_reserved"
    assert lost["error"]["ceremony"] == won["ceremony"]
    ceremony: str = won["ceremony"]
    return ceremony


@pytest.mark.parametrize("round_", shortened(range(3), 0))
def test_one_of_two_gets_the_coin(vault: Asked, tmp_path: Path, round_: int) -> None:
    home = tmp_path / "home"
    coin = vault("coins", "v")["coins"][round_]["outpoint"]
    won = winner_of(race(home, *drains(coin)))
    assert [each["ceremony"] for each in vault("spend", "list")["ceremonies"]] == [won]
    txid, _, vout = coin.partition(":")
    assert rows(home, "SELECT txid, vout FROM reservation") == [(txid, int(vout))]
    assert rows(home, "SELECT count(*) FROM address WHERE keychain = 1") == [(0,)]
    held = {c["outpoint"]: c["reserved_by"] for c in vault("coins", "v")["coins"]}
    assert held[coin] == won
    assert list(held.values()).count(None) == 2


def test_one_of_two_takes_over_what_expired(vault: Asked, tmp_path: Path) -> None:
    home = tmp_path / "home"
    coin = vault("coins", "v")["coins"][0]["outpoint"]
    slept = pay(vault, "--drain", STRANGER, "--coin", coin)["ceremony"]
    rows(home, "UPDATE reservation SET expires_at = '2026-01-01 00:00:00'")
    won = winner_of(race(home, *drains(coin)))
    assert won != slept
    live = rows(home, "SELECT count(*) FROM reservation WHERE released_at IS NULL")
    assert live == [(1,)]
    assert rows(home, "SELECT count(*) FROM reservation") == [(2,)]
    error = vault("spend", "sign", slept, "--yes", check=5)["error"]
    assert (error["code"], error["ceremony"]) == ("coin_reserved", won)


def test_the_owner_of_what_expired_races_a_newcomer(vault: Asked, tmp_path: Path) -> None:
    home = tmp_path / "home"
    coin = vault("coins", "v")["coins"][0]["outpoint"]
    slept = pay(vault, "--drain", STRANGER, "--coin", coin)["ceremony"]
    file = tmp_path / "same.psbt"
    file.write_text(vault("spend", "export", slept)["psbt"])
    rows(home, "UPDATE reservation SET expires_at = '2026-01-01 00:00:00'")
    (kept, back), (taken, new) = race(home, ("spend", "add", slept, str(file)), drains(coin)[1])
    assert {kept, taken} == {0, 5}
    error = (back if kept else new)["error"]
    holder = new["ceremony"] if kept else slept
    assert (error["code"], error["ceremony"]) == ("coin_reserved", holder)
    held = [c["reserved_by"] for c in vault("coins", "v")["coins"] if c["outpoint"] == coin]
    assert held == [holder]
