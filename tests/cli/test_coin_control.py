"""Coins chosen by name or age; and whose they are while a ceremony holds them."""

import platform
from datetime import timedelta
from typing import Any

import pytest

from coordinator import clock
from coordinator.errors import CoinReserved
from tests.cli.test_money import STRANGER, address, later, pay
from tests.program import Asked, Program


def outpoints(vault: Asked) -> list[str]:
    return [coin["outpoint"] for coin in vault("coins", "v")["coins"]]


def spent(made: dict[str, Any]) -> set[str]:
    return {each["outpoint"] for each in made["review"]["inputs"]}


def dry(vault: Asked, *words: str, check: int = 0) -> dict[str, Any]:
    return pay(vault, *words, "--dry-run", check=check)


@pytest.fixture
def mixed(vault: Asked) -> Asked:
    """The vault with two coins more at an address of their own, in a later block."""
    for _ in range(2):
        vault("regtest", "fund", address(vault, 3), "50000")
    vault("regtest", "mine")
    return vault


def test_coins_go_by_their_own_name_their_address_or_their_transaction(mixed: Asked) -> None:
    old = {coin["outpoint"] for coin in mixed("coins", "v")["coins"] if coin["index"] == 0}
    new = set(outpoints(mixed)) - old
    one = min(old)
    mixed("label", "set", one, "boat")
    assert spent(dry(mixed, "--drain", STRANGER, "--coins-labelled", "boat")) == {one}
    assert spent(dry(mixed, "--drain", STRANGER, "--avoid-label", "boat")) == (old | new) - {one}
    mixed("label", "set", address(mixed, 3), "salary")
    assert spent(dry(mixed, "--drain", STRANGER, "--coins-labelled", "salary")) == new
    both = ("--coins-labelled", "salary", "--coins-labelled", "boat")
    assert spent(dry(mixed, "--drain", STRANGER, *both)) == new | {one}
    assert spent(dry(mixed, "--drain", STRANGER, *both, "--avoid-label", "boat")) == new
    mixed("label", "set", one.partition(":")[0], "gift")
    assert spent(dry(mixed, "--drain", STRANGER, "--avoid-label", "gift")) == new
    found = {coin["outpoint"]: coin for coin in mixed("coins", "v")["coins"]}
    assert (found[one]["label"], found[min(new)]["address_label"]) == ("boat", "salary")


def test_coins_are_chosen_by_their_age(mixed: Asked) -> None:
    depth = {c["outpoint"]: c["confirmations"] for c in mixed("coins", "v")["coins"]}
    assert sorted(depth.values()) == [1, 1, 2, 2, 2]
    deep = {outpoint for outpoint, confirmations in depth.items() if confirmations == 2}
    assert spent(dry(mixed, "--drain", STRANGER, "--min-confirmations", "2")) == deep
    assert spent(dry(mixed, "--drain", STRANGER, "--min-confirmations", "1")) == set(depth)
    told = dry(mixed, "--drain", STRANGER, "--min-confirmations", "3", check=2)["error"]["message"]
    assert told == "no free coin of vault v has 3 confirmations; the oldest has 2"


def test_what_fits_no_coin_is_named(mixed: Asked) -> None:
    words = ("--to", f"{STRANGER}:1000")
    told = dry(mixed, *words, "--coins-labelled", "moon", check=2)["error"]["message"]
    assert told == "no free coin of vault v is labelled 'moon'"
    first = outpoints(mixed)[0]
    dry(mixed, *words, "--coin", first, "--avoid-label", "moon", check=2)
    mixed("label", "set", first, "boat")
    error = dry(mixed, "--to", f"{STRANGER}:1500000", "--coins-labelled", "boat", check=5)["error"]
    assert (error["code"], error["have_sats"]) == ("insufficient_funds", 1_000_000)


def test_a_held_coin_says_by_whom_and_until_when(vault: Asked, program: Program) -> None:
    made = pay(vault, "--drain", STRANGER, "--coin", outpoints(vault)[0], "--expires", "7")
    held = next(coin for coin in vault("coins", "v")["coins"] if coin["reserved_by"])
    assert (held["reserved_by"], held["reserved_until"]) == (made["ceremony"], made["expires"])
    assert held["reserved_owner"] == platform.node()
    error = pay(vault, "--drain", STRANGER, "--coin", held["outpoint"], check=5)["error"]
    assert error["message"] == (
        f"coin {held['outpoint']} is reserved by ceremony {made['ceremony']}, "
        f"opened on {platform.node()}, until {made['expires']}"
    )
    assert (error["until"], error["opened_on"]) == (made["expires"], platform.node())
    until = made["expires"][:10]
    assert f"{made['ceremony']} on {platform.node()} until {until}" in program("coins", "v").out


def test_a_hold_that_is_renewed_says_the_new_end(
    vault: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    ceremony = pay(vault, "--drain", STRANGER, "--expires", "1")["ceremony"]
    later(monkeypatch, 1.5)
    assert {coin["reserved_until"] for coin in vault("coins", "v")["coins"]} == {None}
    vault("spend", "sign", ceremony, "--emulated", "a", "--yes", check=None)
    held = {coin["reserved_until"] for coin in vault("coins", "v")["coins"]}
    assert held == {clock.text(clock.now() + timedelta(days=1))}


def test_a_hold_of_an_earlier_version_names_no_computer() -> None:
    assert str(CoinReserved("x:0", "abcd2345")) == "coin x:0 is reserved by ceremony abcd2345"
