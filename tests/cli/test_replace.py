"""A card is gone: a new one takes its place, and the coins move to a vault without its key."""

from pathlib import Path
from typing import Any

import pytest

from tests.program import PIN, UNPROVED, Asked, Program

ACCEPTED = ("keys_unproved", "no_copy")


@pytest.fixture
def with_d(vault: Asked) -> Asked:
    """A vault of cards a, b and c with coins, and a new card d."""
    vault("emulate", "new", "satochip", "d")
    vault("card", "enrol", "d", "--emulated", "d", "--pin-stdin", stdin=PIN)
    return vault


def offered(*labels: str) -> tuple[list[str], str]:
    cards = [word for label in labels for word in ("--emulated", label)]
    return [*cards, "--pin-stdin"], "".join(f"{label}={PIN}\n" for label in labels)


def states(found: dict[str, Any]) -> list[str]:
    return [step["state"] for step in found["steps"]]


def state_of(found: dict[str, Any], item: str) -> str:
    [state] = [step["state"] for step in found["steps"] if step["item"] == item]
    return str(state)


def pay(asked: Asked, ceremony: str) -> None:
    words, stdin = offered("b", "c")
    asked("spend", "sign", ceremony, *words, "--yes", stdin=stdin)
    asked("spend", "finalize", ceremony)
    asked("spend", "broadcast", ceremony)
    asked("regtest", "mine", "1")


def start(asked: Asked, *words: str, check: int = 0) -> dict[str, Any]:
    rate = words or ("--feerate", "2")
    return asked("replace", "start", "v", "--card", "a", "--with", "d", *rate, check=check)


def test_a_plan_changes_nothing(with_d: Asked) -> None:
    with_d("card", "lost", "a")
    found = with_d("replace", "plan", "v", "--card", "a")
    assert (found["successor"], found["ceremony"], found["urgent"]) == (None, None, False)
    assert found["steps"][0]["command"] == "cardquorum card setup NEW --generate"
    assert [v["name"] for v in with_d("vault", "list")["vaults"]] == ["v"]


def test_a_lost_card_is_replaced_whole(with_d: Asked, program: Program) -> None:
    with_d("card", "lost", "a")
    found = start(with_d)
    assert (found["vault"], found["successor"], found["urgent"]) == ("v", "v-2", False)
    assert states(found)[:4] == ["done", "done", "open", "open"]
    assert found["steps"][2]["command"] == "cardquorum vault verify v-2"
    assert found["steps"][3]["command"] == f"cardquorum spend sign {found['ceremony']}"
    labels = [each["label"] for each in with_d("vault", "show", "v-2")["cosigners"]]
    assert labels == ["d", "b", "c"]
    vaults = {v["name"]: (v["state"], v["replaced_by"]) for v in with_d("vault", "list")["vaults"]}
    assert vaults == {"v": ("watch", "v-2"), "v-2": ("active", None)}
    words, stdin = offered("b", "c", "d")
    with_d("vault", "verify", "v-2", *words, stdin=stdin)
    pay(with_d, found["ceremony"])
    assert states(with_d("replace", "show", "v"))[:4] == ["done"] * 4
    balances = {v["name"]: v for v in with_d("status")["vaults"]}
    assert balances["v"]["confirmed_sats"] == 0
    assert balances["v-2"]["confirmed_sats"] > 2_990_000
    assert with_d("replace", "show", "v-2") == with_d("replace", "show", "v")
    assert "[done] vault v-2 is made" in program("replace", "plan", "v", "--card", "a").out


def test_the_old_vault_takes_no_payment_and_shows_a_late_one(with_d: Asked) -> None:
    address = with_d("address", "new", "v", *UNPROVED)["address"]
    found = start(with_d)
    assert "replaced by v-2" in with_d("address", "new", "v", check=5)["error"]["message"]
    pay(with_d, found["ceremony"])
    with_d("regtest", "fund", address, "70000")
    with_d("regtest", "mine", "1")
    steps = with_d("replace", "show", "v")["steps"]
    [late] = [step for step in steps if step["command"] == "cardquorum replace sweep v"]
    assert (late["state"], late["what"].partition(" sat ")[0]) == ("open", "70000")
    assert any("70000 sat" in line for line in with_d("status")["due"])
    again = with_d("replace", "sweep", "v", "--feerate", "2")
    assert again["ceremony"] != found["ceremony"]
    pay(with_d, again["ceremony"])
    assert not any("sat" in line for line in with_d("status")["due"])
    with_d("replace", "sweep", "v", "--feerate", "2", check=2)


def test_a_stolen_quorum_has_its_coins_moved_before_anything_else(with_d: Asked) -> None:
    for label in "ab":
        with_d("card", "stolen", label)
    planned = with_d("replace", "plan", "v", "--card", "a")
    assert planned["urgent"] is True
    assert planned["steps"][0]["command"] == "cardquorum spend create v --drain ADDRESS --target 1"
    found = start(with_d, "--target", "1")
    assert found["urgent"] is True
    assert found["steps"][2]["command"] == f"cardquorum spend sign {found['ceremony']}"
    assert found["steps"][3]["command"] == "cardquorum vault verify v-2"


def test_an_empty_vault_is_replaced_without_a_payment(with_d: Asked) -> None:
    start(with_d)
    ceremony = with_d("replace", "show", "v")["ceremony"]
    pay(with_d, ceremony)
    with_d("emulate", "new", "satochip", "e")
    with_d("card", "enrol", "e", "--emulated", "e", "--pin-stdin", stdin=PIN)
    cards = ("--card", "a", "--card", "b")
    with_d("vault", "create", "w", "--threshold", "1", *cards)
    words = ("replace", "start", "w", "--card", "a", "--with", "e", "--feerate", "2")
    assert with_d(*words)["ceremony"] is None


def test_what_else_carries_the_lost_key_is_taken_back(with_d: Asked) -> None:
    with_d("carrier", "add", "card:a", "plate", "steel")
    with_d("custody", "record", "plate:steel", "placed", "--at", "at-c")
    found = start(with_d)
    assert state_of(found, "plate:steel") == "waiting"
    with_d("replace", "done", "plate:steel", check=2)
    pay(with_d, found["ceremony"])
    assert state_of(with_d("replace", "show", "v"), "plate:steel") == "open"
    with_d("replace", "done", "card:b", check=2)
    with_d("replace", "done", "plate:steel")
    assert state_of(with_d("replace", "show", "v"), "plate:steel") == "done"
    with_d("replace", "done", "plate:steel", check=2)
    assert with_d("custody", "log", "plate:steel")["events"][-1]["event"] == "destroyed"


def test_a_card_of_no_vault_or_with_no_fresh_card_is_not_replaced(with_d: Asked) -> None:
    words = ("replace", "start", "v", "--feerate", "2")
    with_d(*words, "--card", "d", "--with", "a", check=2)
    with_d(*words, "--card", "a", "--with", "b", check=2)
    with_d(*words, "--card", "a", "--with", "nobody", check=2)
    with_d("replace", "show", "v", check=2)
    with_d("replace", "sweep", "v", "--feerate", "2", check=2)
    with_d("card", "lost", "d")
    assert "recorded as lost" in start(with_d, check=2)["error"]["message"]
    assert [v["name"] for v in with_d("vault", "list")["vaults"]] == ["v"]
    with_d("card", "found", "d")
    start(with_d)
    assert start(with_d, check=2)["error"]["code"] == "already_exists"


def test_copies_of_the_old_descriptor_are_taken_back_and_new_ones_put_there(
    with_d: Asked, tmp_path: Path
) -> None:
    planned = with_d("replace", "plan", "v", "--card", "a")["steps"]
    assert "take back copy:paper-b" in [step["what"] for step in planned]
    pay(with_d, start(with_d)["ceremony"])
    assert all(copy["stale"] for copy in with_d("copy", "list", "v")["copies"])
    open_ = [s["what"] for s in with_d("replace", "show", "v")["steps"] if s["state"] == "open"]
    assert "take back copy:paper-b from at-b" in open_
    assert "put a copy of vault v-2 at at-b" in open_
    with_d("kit", "v", "--out", str(tmp_path), "--location", "at-b", check=2)
    for label in "abc":
        out = str(tmp_path / label)
        with_d("kit", "v-2", "--out", out, "--location", f"at-{label}")
        with_d("replace", "done", f"copy:paper-{label}")
    assert [s["what"] for s in with_d("replace", "show", "v")["steps"] if s["state"] == "open"] == [
        "every key of vault v-2 is proved by its card: d, b, c did not yet"
    ]


@pytest.mark.parametrize("script", ["wsh({})", "sh(wsh({}))", "sh({})"])
def test_a_vault_whose_keys_have_an_order_keeps_it(
    with_d: Asked, tmp_path: Path, script: str
) -> None:
    """`multi` comes by import, and is never turned into the other."""
    a, b, c, d = (with_d("key", "export", label)["text"].strip() for label in "abcd")
    body = script.format(f"multi(2,{c}/<0;1>/*,{a}/<4;5>/*,{b}/<0;1>/*)")
    (tmp_path / "vault.txt").write_text(body)
    made = with_d("vault", "import", str(tmp_path / "vault.txt"), "--name", "w")
    with_d("vault", "approve", "w", "--checksum", made["checksum"])
    with_d("regtest", "fund", made["first_address"], "500000")
    with_d("regtest", "mine")
    with_d("sync", "w")
    with_d("card", "lost", "a")
    words = ("--card", "a", "--with", "d", "--feerate", "2")
    accept = [word for code in ACCEPTED for word in ("--accept", code)]
    found = with_d("replace", "start", "w", *words, *accept)
    shown = with_d("vault", "show", found["successor"])
    assert shown["descriptor"].partition("#")[0] == body.replace(a, d)
    assert found["ceremony"]
