"""What of a vault a payment cannot have or leaves behind: named, with what frees it."""

import pytest

from psbt.coins import Terms
from tests.cli.test_money import STRANGER, WORTH, pay
from tests.program import PIN, Asked, run_program


@pytest.fixture
def two_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a standard transaction hold two coins only."""
    monkeypatch.setattr(Terms, "inputs_max", property(lambda _: 2))


def test_ceremonies_that_hold_coins_are_named_with_what_frees_them(vault: Asked) -> None:
    coins = [coin["outpoint"] for coin in vault("coins", "v")["coins"]]
    first = pay(vault, "--drain", STRANGER, "--coin", coins[0], "--coin", coins[1])
    second = pay(vault, "--drain", STRANGER, "--coin", coins[2])
    error = pay(vault, "--to", f"{STRANGER}:1000", check=5)["error"]
    assert (error["code"], error["have_sats"]) == ("insufficient_funds", 0)
    held = {each["ceremony"]: each for each in error["ceremonies"]}
    assert {name: (each["coins"], each["sats"]) for name, each in held.items()} == {
        first["ceremony"]: (2, 2_000_000),
        second["ceremony"]: (1, 1_000_000),
    }
    for made in (first, second):
        assert held[made["ceremony"]]["until"] == made["expires"]
        assert f"ceremony {made['ceremony']} holds" in error["message"]
        assert made["expires"] in error["message"]
        assert f"cardquorum spend abandon {made['ceremony']}" in error["hint"]
    vault("spend", "abandon", second["ceremony"])
    assert pay(vault, "--to", f"{STRANGER}:1000")["ceremony"]


def test_frozen_and_waiting_coins_are_named(vault: Asked) -> None:
    for coin in vault("coins", "v")["coins"]:
        vault("coin", "freeze", coin["outpoint"])
    error = pay(vault, "--to", f"{STRANGER}:1000", check=5)["error"]
    assert "3 coins of 3000000 sats are frozen" in error["message"]
    assert error["hint"] == "pay less, or wait for more coins"


def test_a_drain_says_what_stays(vault: Asked) -> None:
    assert pay(vault, "--drain", STRANGER, "--dry-run")["left"] is None
    coins = [coin["outpoint"] for coin in vault("coins", "v")["coins"]]
    vault("coin", "freeze", coins[0])
    held = pay(vault, "--to", f"{STRANGER}:1000", "--coin", coins[1])
    drained = pay(vault, "--drain", STRANGER)
    left = drained["left"]
    assert (left["coins"], left["sats"]) == (2, 2_000_000)
    assert [each["ceremony"] for each in left["held"]] == [held["ceremony"]]
    assert left["others"] == [{"why": "frozen", "coins": 1, "sats": 1_000_000}]


@pytest.mark.usefixtures("two_fit")
def test_what_does_not_fit_into_one_transaction_is_said(vault: Asked) -> None:
    drained = pay(vault, "--drain", STRANGER, "--dry-run")
    assert len(drained["review"]["inputs"]) == 2
    assert drained["left"]["others"] == [{"why": "free", "coins": 1, "sats": 1_000_000}]
    error = pay(vault, "--to", f"{STRANGER}:{WORTH - 100_000}", check=5)["error"]
    assert "only 2 of 3 coins fit into one transaction" in error["message"]
    assert "cardquorum spend consolidate v" in error["hint"]


@pytest.mark.usefixtures("two_fit")
def test_a_consolidation_takes_what_fits_and_says_what_is_left(vault: Asked) -> None:
    merged = vault("spend", "consolidate", "v", "--feerate", "1")
    assert len(merged["review"]["inputs"]) == 2
    assert merged["left_coins"] == 1
    assert "1 such coins are left" in merged["notices"][1]


def test_people_are_told_what_stays(vault: Asked, tmp_path: object) -> None:
    coins = [coin["outpoint"] for coin in vault("coins", "v")["coins"]]
    vault("coin", "freeze", coins[0])
    words = ("spend", "create", "v", "--drain", STRANGER, "--feerate", "2")
    ended = run_program(tmp_path / "home", *words)
    assert "LOOK TWICE: it stays: 1 coin of 1000000 sats is frozen" in ended.out


def test_a_replacement_is_not_done_while_another_payment_holds_coins(vault: Asked) -> None:
    held = pay(vault, "--drain", STRANGER)
    vault("emulate", "new", "satochip", "d")
    vault("card", "enrol", "d", "--emulated", "d", "--pin-stdin", stdin=PIN)
    started = ("replace", "start", "v", "--card", "a", "--with", "d", "--target", "1")
    steps = vault(*started)["steps"]
    (waiting,) = (step for step in steps if held["ceremony"] in step["what"])
    assert waiting["command"] == f"cardquorum spend abandon {held['ceremony']}"
    assert waiting["state"] == "open"
    assert {s["state"] for s in steps if s["what"].startswith("take back")} <= {"waiting"}
    error = vault("replace", "sweep", "v", "--target", "1", check=2)["error"]
    assert f"ceremony {held['ceremony']} holds 3 coins" in error["message"]
    vault("spend", "abandon", held["ceremony"])
    assert vault("replace", "sweep", "v", "--target", "1")["ceremony"]
