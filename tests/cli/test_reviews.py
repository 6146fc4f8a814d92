"""What a review knows of the vault's past, and who is asked to sign or to prove."""

import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from coordinator.payment import creation
from psbt import codec
from tests.program import PIN, UNPROVED, Asked

STRANGER = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
OTHER = "bcrt1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqc8gma6"
SEED = "7f" * 32


def pay(vault: Asked, *words: str) -> dict[str, Any]:
    return vault("spend", "create", "v", "--feerate", "2", *words)


def codes(made: dict[str, Any]) -> list[str]:
    return [each["code"] for each in made["review"]["warnings"]]


def signed(vault: Asked, ceremony: str, *cards: str, check: int = 0) -> dict[str, Any]:
    words = [word for card in cards for word in ("--emulated", card)]
    pins = "".join(f"{card}={PIN}\n" for card in cards)
    return vault("spend", "sign", ceremony, *words, "--yes", "--pin-stdin", stdin=pins, check=check)


def sent(vault: Asked, *words: str) -> None:
    ceremony = pay(vault, *words)["ceremony"]
    assert signed(vault, ceremony, "a")["state"] == "collecting"
    assert signed(vault, ceremony, "b")["state"] == "complete"
    vault("spend", "finalize", ceremony)
    vault("spend", "broadcast", ceremony)
    vault("regtest", "mine")


def test_what_was_paid_before_is_known(vault: Asked) -> None:
    assert codes(pay(vault, "--to", f"{STRANGER}:100000", "--dry-run")) == []
    sent(vault, "--to", f"{STRANGER}:100000")
    again = ("--to", f"{STRANGER}:100000", "--dry-run")
    assert codes(pay(vault, *again)) == ["address_reuse"]
    assert codes(pay(vault, "--to", f"{OTHER}:100000", "--dry-run")) == []
    assert codes(pay(vault, "--to", f"{OTHER}:100001", "--dry-run")) == ["unusual_amount"]


def test_an_own_address_that_was_paid_is_known(vault: Asked) -> None:
    used = vault("address", "list", "v")["addresses"][0]["address"]
    assert set(codes(pay(vault, "--to", f"{used}:100000"))) == {"own_address", "address_reuse"}


def test_a_waiting_coin_can_be_named(vault: Asked) -> None:
    vault("regtest", "fund", vault("address", "new", "v")["address"], "500000")
    (coin,) = (c["outpoint"] for c in vault("coins", "v")["coins"] if c["height"] is None)
    made = pay(vault, "--to", f"{STRANGER}:400000", "--coin", coin)
    assert [each["outpoint"] for each in made["review"]["inputs"]] == [coin]


def test_a_payment_without_change_uses_no_change_address(vault: Asked) -> None:
    pay(vault, "--drain", STRANGER)
    assert all(a["keychain"] == "receive" for a in vault("address", "list", "v")["addresses"])


def test_the_lock_time_is_the_tip_or_up_to_a_hundred_blocks_less(vault: Asked) -> None:
    tip = vault("regtest", "show")["height"]
    psbt = codec.parse(pay(vault, "--drain", STRANGER)["psbt"])
    assert tip - 100 < psbt.locktime <= tip
    rng = random.Random(1)
    found = [creation._locktime(1000, rng) for _ in range(3000)]
    assert 0.86 < found.count(1000) / len(found) < 0.94
    assert (min(found), max(found)) == (901, 1000)
    assert {creation._locktime(0, rng) for _ in range(100)} == {0}


@pytest.fixture
def twins(vault: Asked) -> Asked:
    """Two cards of one seed, x and y, in a 2-of-2 vault t beside card a."""
    for label in ("x", "y"):
        vault("emulate", "new", "satochip", label, "--no-setup")
        stdin = f"{label}={PIN}\n{label}.seed={SEED}\n"
        words = ("card", "setup", label, "--emulated", label, "--seed", "--pin-stdin")
        vault(*words, stdin=stdin)
    vault("vault", "create", "t", "--threshold", "2", "--card", "x", "--card", "a")
    vault("regtest", "fund", vault("address", "new", "t", *UNPROVED)["address"], "500000")
    vault("regtest", "mine")
    return vault


def test_two_carriers_of_one_key_sign_once(twins: Asked) -> None:
    ceremony = twins("spend", "create", "t", "--drain", STRANGER, "--feerate", "2")["ceremony"]
    done = signed(twins, ceremony, "x", "y")
    assert [(card["label"], card["signatures"]) for card in done["cards"]] == [("x", 1), ("y", 0)]
    assert (done["have"], done["signed_by"]) == (1, ["x"])


def test_a_second_carrier_signs_where_the_first_gave_no_pin(twins: Asked) -> None:
    ceremony = twins("spend", "create", "t", "--drain", STRANGER, "--feerate", "2")["ceremony"]
    words = ("spend", "sign", ceremony, "--emulated", "x", "--emulated", "y", "--yes")
    done = twins(*words, "--pin-stdin", stdin=f"y={PIN}\n", check=4)
    assert [(card["label"], card["signatures"]) for card in done["cards"]] == [("x", 0), ("y", 1)]
    assert done["cards"][0]["error"]["code"] == "pin_missing"
    assert done["have"] == 1


def test_a_card_named_twice_is_one_card(vault: Asked) -> None:
    ceremony = pay(vault, "--drain", STRANGER)["ceremony"]
    words = ("spend", "sign", ceremony, "--emulated", "a", "--emulated", "a", "--yes")
    done = vault(*words, "--pin-stdin", stdin=f"a={PIN}\n")
    assert [card["label"] for card in done["cards"]] == ["a"]


def verify(vault: Asked, *cards: str, check: int = 0) -> dict[str, Any]:
    words = [word for card in cards for word in ("--emulated", card)]
    pins = "".join(f"{card}={PIN}\n" for card in cards)
    return vault("vault", "verify", "v", *words, "--pin-stdin", stdin=pins, check=check)


def test_a_proof_is_remembered_until_another_says_otherwise(vault: Asked, tmp_path: Path) -> None:
    assert verify(vault, "a")["missing"] == ["b", "c"]
    assert verify(vault, "b")["missing"] == ["c"]
    with sqlite3.connect(tmp_path / "home" / "cardquorum.db") as database:
        database.execute("UPDATE key SET fingerprint = x'00000000' WHERE label = 'a'")
    database.close()
    found = verify(vault, "a", check=5)
    assert (found["verified"], found["missing"]) == ([], ["a", "c"])
    assert {each["cosigner"] for each in found["mismatches"]} == {None, "a"}


def test_a_known_card_of_another_vault_is_the_wrong_card(vault: Asked) -> None:
    vault("emulate", "new", "satochip", "d")
    vault("card", "enrol", "d", "--emulated", "d", "--pin-stdin", stdin=PIN)
    error = verify(vault, "d", check=3)["error"]
    assert (error["code"], error["found"]) == ("wrong_card", "d")
    ceremony = pay(vault, "--drain", STRANGER)["ceremony"]
    assert signed(vault, ceremony, "d", check=3)["cards"][0]["error"]["code"] == "wrong_card"


def test_a_proof_never_takes_the_last_attempt_unasked(vault: Asked) -> None:
    words = ("vault", "verify", "v", "--emulated", "a", "--pin-stdin")
    while vault("card", "check", "a")["attempts_left"] > 1:
        vault(*words, stdin="a=000000", check=4)
    assert vault(*words, stdin=f"a={PIN}", check=4)["error"]["code"] == "last_attempt"
    assert vault(*words, "--last-attempt", stdin=f"a={PIN}")["verified"] == ["a"]
