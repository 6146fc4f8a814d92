"""Addresses: given out with an amount and a name, listed with what came of them."""

import sqlite3
from pathlib import Path

import pytest

from coordinator.interop import bip21
from tests.cli.test_money import STRANGER, WORTH, address, sent
from tests.program import Asked, Program


@pytest.mark.parametrize(
    ("amount_sats", "label", "query"),
    [
        (None, None, ""),
        (1, None, "?amount=0.00000001"),
        (10_000_000, None, "?amount=0.1"),
        (100_000_000, "", "?amount=1"),
        (2_100_000_000_000_000, None, "?amount=21000000"),
        (123_456_789, None, "?amount=1.23456789"),
        (None, "Café & bar?", "?label=Caf%C3%A9%20%26%20bar%3F"),
        (1_000, "a/b=c#d", "?amount=0.00001&label=a%2Fb%3Dc%23d"),
    ],
)
def test_the_uri_says_it_as_bip_21_does(
    amount_sats: int | None, label: str | None, query: str
) -> None:
    assert bip21.write(bip21.Request(STRANGER, amount_sats, label)) == f"bitcoin:{STRANGER}{query}"


def test_an_address_is_asked_for_with_an_amount_and_a_name(vault: Asked, program: Program) -> None:
    made = vault("address", "new", "v", "--amount", "0.1btc", "--label", "the boat")
    assert made["uri"] == f"bitcoin:{made['address']}?amount=0.1&label=the%20boat"
    assert (made["amount_sats"], made["label"]) == (10_000_000, "the boat")
    assert vault("address", "list", "v")["addresses"][1]["label"] == "the boat"
    plain = vault("address", "new", "v")
    assert (plain["uri"], plain["label"]) == (f"bitcoin:{plain['address']}", None)
    for words in (("--amount", "0"), ("--label", "x" * 256)):
        before = len(vault("address", "list", "v")["addresses"])
        vault("address", "new", "v", *words, check=2)
        assert len(vault("address", "list", "v")["addresses"]) == before
    shown = program("address", "new", "v", "--amount", "5000").out.splitlines()
    assert shown[-1] == f"bitcoin:{shown[0]}?amount=0.00005"


def test_a_list_says_what_came_of_each(vault: Asked, program: Program) -> None:
    unpaid = vault("address", "new", "v")["address"]
    vault("regtest", "fund", address(vault, 0), "70000")
    final = sent(vault, "--to", f"{STRANGER}:1400000")
    found = {each["address"]: each for each in vault("address", "list", "v")["addresses"]}
    paid = found[address(vault, 0)]
    assert (paid["payments"], paid["received_sats"], paid["used"]) == (4, WORTH + 70_000, True)
    change = found[address(vault, 0, keychain=1)]
    spent = 1_400_000 + final["fee_sats"] + change["held_sats"]
    assert paid["held_sats"] == WORTH + 70_000 - spent
    assert (found[unpaid]["used"], found[unpaid]["payments"]) == (False, 0)
    assert [each["address"] for each in vault("address", "list", "v", "--unused")["addresses"]] == [
        unpaid
    ]
    assert "4 payments  3 070 000 sat" in program("address", "list", "v").out


def test_a_check_says_whether_it_was_paid(vault: Asked, program: Program) -> None:
    fresh, paid = vault("address", "new", "v")["address"], address(vault, 0)
    found = vault("address", "check", fresh)
    assert (found["used"], found["payments"], found["last_height"]) == (False, 0, None)
    found = vault("address", "check", paid)
    assert (found["used"], found["payments"], found["received_sats"], found["held_sats"]) == (
        True,
        3,
        WORTH,
        WORTH,
    )
    assert found["last_height"] == 101
    assert found["label"] is None
    vault("label", "set", paid, "savings")
    assert vault("address", "check", paid)["label"] == "savings"
    assert "never paid so far" in program("address", "check", fresh).out
    shown = program("address", "check", paid).out
    assert "called: savings" in shown
    assert "paid 3 times, 3 000 000 sat, the last in block 101" in shown
    vault("regtest", "fund", fresh, "1000")
    assert "the last waits for its block" in program("address", "check", fresh).out
    far = vault("address", "check", address(vault, 90))
    assert (far["index"], far["used"]) == (90, False)


def test_a_row_that_names_the_wrong_place_is_not_believed(vault: Asked, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "home" / "cardquorum.db") as raw:
        raw.execute('UPDATE address SET "index" = 7 WHERE keychain = 0')
    raw.close()
    assert vault("address", "check", address(vault, 0))["index"] == 0


def test_an_address_whose_payment_vanished_counts_as_used(
    vault: Asked, program: Program, tmp_path: Path
) -> None:
    fresh = vault("address", "new", "v")["address"]
    vault("regtest", "fund", fresh, "1000")
    vault("sync")
    (tmp_path / "home" / "chain" / "mempool.dat").unlink()
    found = vault("address", "check", fresh)
    assert (found["used"], found["payments"]) == (True, 0)
    assert "is gone: give out another one" in program("address", "check", fresh).out
    assert "yes" in program("address", "list", "v").out
