"""A card that is not the one that is meant is presented no PIN, by no command."""

import sqlite3
from pathlib import Path

import pytest

from cards.errors import WrongCard
from cards.family import families
from tests.program import PIN, Asked

NAMES = [family.name for family in families()]
TO = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080:50000"
WRONG = "meant=000000\nmeant.new=111111\nmeant.puk=00000000\n"


@pytest.fixture
def commands(asked: Asked, tmp_path: Path, request: pytest.FixtureRequest) -> list[tuple[str, ...]]:
    """A home whose vault has one card, of the family asked for; a card of each lies beside it."""
    asked("init", "--network", "regtest")
    for name in NAMES:
        asked("emulate", "new", name, name)
    asked("emulate", "new", request.param, "slot")
    asked("card", "enrol", "meant", "--emulated", "slot", "--pin-stdin", stdin=PIN)
    asked("vault", "create", "v", "--threshold", "1", "--card", "meant")
    asked("vault", "verify", "v", "--pin-stdin", stdin=f"meant={PIN}")
    address = asked("address", "new", "v", "--accept", "no_copy")["address"]
    asked("regtest", "fund", address, "99999")
    asked("regtest", "mine", "1")
    payment = asked("spend", "create", "v", "--to", TO, "--feerate", "5")["ceremony"]
    drill = asked("drill", "start", "v")["drill"]
    return [
        ("spend", "sign", payment, "--yes"),
        ("drill", "sign", drill),
        ("vault", "verify", "v"),
        ("card", "check", "meant"),
        ("card", "pin", "meant"),
        ("card", "unblock", "meant"),
        ("card", "backup", "meant", "--out", str(tmp_path / "backup")),
        ("card", "reset", "meant", "--yes", "--accept", "card_in_use"),
        ("card", "enrol", "meant"),
    ]


PAIRS = [
    pytest.param(meant, lying, marks=[pytest.mark.matrix] * (turn % len(NAMES) > 1))
    for first, meant in enumerate(NAMES)
    for turn, lying in enumerate(NAMES, len(NAMES) - first)
]
"""Each family beside itself and the next one; beside all others in `make test-all`."""


@pytest.mark.parametrize(("commands", "lying"), PAIRS, indirect=["commands"])
def test_another_card_is_presented_no_pin(
    asked: Asked, commands: list[tuple[str, ...]], lying: str
) -> None:
    before = asked("emulate", "list")["cards"]
    for words in commands:
        document = asked(*words, "--emulated", lying, "--pin-stdin", stdin=WRONG, check=None)
        errors = [document.get("error"), *(card["error"] for card in document.get("cards", ()))]
        (code,) = [error["code"] for error in errors if error]
        taken = words[1] == "enrol" and code == "already_exists"
        assert code == "wrong_card" or taken, words
    assert asked("emulate", "list")["cards"] == before


@pytest.mark.parametrize("commands", NAMES, indirect=True)
def test_a_card_that_says_another_version_is_presented_no_pin(
    asked: Asked, commands: list[tuple[str, ...]], tmp_path: Path
) -> None:
    with sqlite3.connect(tmp_path / "home" / "cardquorum.db") as raw:
        raw.execute("UPDATE card SET version = '0.0'")
    raw.close()
    for words in commands[:-1]:
        document = asked(*words, "--emulated", "slot", "--pin-stdin", stdin=WRONG, check=3)
        errors = [document.get("error"), *(card["error"] for card in document.get("cards", ()))]
        (error,) = [error for error in errors if error]
        assert (error["code"], "enrol it again" in error["message"]) == ("wrong_card", True), words
    asked(*commands[-1], "--emulated", "slot", "--pin-stdin", stdin=f"meant={PIN}")
    asked("card", "check", "meant", "--pin-stdin", stdin=f"meant={PIN}")


def test_a_card_that_is_meant_by_no_name_is_told_plainly() -> None:
    assert str(WrongCard("a card of vault v", "t1")) == "expected a card of vault v, found t1"
    assert str(WrongCard("blue", "green")) == "expected card blue, found green"
