"""A payment that waits too long or was a mistake, on the embedded chain, to the satoshi."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from coordinator.chain.regtest import RegtestChain
from tests.cli.test_money import STRANGER, address, chain, pay, sent, sign
from tests.coordinator.chain.purse import Purse
from tests.program import UNPROVED, Asked
from tests.sampled import shortened


def finish(vault: Asked, made: dict[str, Any]) -> dict[str, Any]:
    sign(vault, made["ceremony"], "a", "c")
    final = vault("spend", "finalize", made["ceremony"])
    vault("spend", "broadcast", made["ceremony"])
    return final


def state(vault: Asked, ceremony: str) -> str:
    found: str = vault("spend", "show", ceremony)["state"]
    return found


def rate(final: dict[str, Any]) -> float:
    return final["fee_sats"] * 1_000 / final["vsize"]


def test_a_bump_takes_the_place_of_a_payment(vault: Asked, tmp_path: Path) -> None:
    old = sent(vault, "--to", f"{STRANGER}:400000")
    made = vault("spend", "bump", old["ceremony"], "--feerate", "20")
    assert (made["replaces"], made["old_fee_sats"]) == (old["ceremony"], old["fee_sats"])
    review = made["review"]
    assert review["fee_sats"] == -(-review["vsize"] * 20_000 // 1_000)
    assert review["warnings"] == []
    paid = [each for each in review["outputs"] if each["kind"] == "payment"]
    assert [(each["address"], each["value_sats"]) for each in paid] == [(STRANGER, 400_000)]
    final = finish(vault, made)
    assert chain(tmp_path).mempool() == [final["txid"]]
    assert 20_000 <= rate(final) <= 20_400
    vault("regtest", "mine")
    vault("sync")
    assert state(vault, old["ceremony"]) == "replaced"
    assert state(vault, made["ceremony"]) == "confirmed"
    left = 3_000_000 - 400_000 - final["fee_sats"]
    assert vault("balance", "v")["confirmed_sats"] == left


def test_the_old_payment_may_still_win(vault: Asked) -> None:
    old = sent(vault, "--to", f"{STRANGER}:400000")
    made = vault("spend", "bump", old["ceremony"], "--feerate", "20")
    vault("regtest", "mine")
    vault("sync")
    assert state(vault, old["ceremony"]) == "confirmed"
    assert state(vault, made["ceremony"]) == "replaced"
    assert vault("balance", "v")["reserved_sats"] == 0
    refused = vault("spend", "bump", old["ceremony"], "--feerate", "30", check=5)
    assert "is in a block already" in refused["error"]["message"]


def test_a_bump_that_nodes_would_refuse_names_the_least_rate(vault: Asked, tmp_path: Path) -> None:
    old = sent(vault, "--to", f"{STRANGER}:400000")
    refused = vault("spend", "bump", old["ceremony"], "--feerate", "2.51", check=2)["error"]
    least = refused["least_feerate"]
    assert f"takes {least / 1000:g} sat/vB" in refused["message"]
    words = ("spend", "bump", old["ceremony"], "--feerate")
    below = vault(*words, f"{(least - 1) / 1000:.3f}", check=2)
    assert below["error"]["message"].startswith(f"{(least - 1) / 1000:g} sat/vB do not replace")
    final = finish(vault, vault(*words, f"{least / 1000:.3f}"))
    assert chain(tmp_path).mempool() == [final["txid"]]


def test_a_bump_adds_coins_where_the_change_cannot_pay(vault: Asked, tmp_path: Path) -> None:
    old = sent(vault, "--to", f"{STRANGER}:990000")
    made = vault("spend", "bump", old["ceremony"], "--feerate", "100")
    assert len(made["review"]["inputs"]) == 2
    final = finish(vault, made)
    assert chain(tmp_path).mempool() == [final["txid"]]


def test_a_payee_bears_the_fee_only_with_shrink(vault: Asked) -> None:
    old = sent(vault, "--drain", STRANGER)
    short = vault("spend", "bump", old["ceremony"], "--feerate", "20", check=5)["error"]
    assert short["code"] == "insufficient_funds"
    review = vault("spend", "bump", old["ceremony"], "--feerate", "20", "--shrink")["review"]
    assert [each["value_sats"] for each in review["outputs"]] == [3_000_000 - review["fee_sats"]]
    assert review["fee_sats"] == -(-review["vsize"] * 20_000 // 1_000)


def test_shrink_needs_one_payee(vault: Asked) -> None:
    words = ("--to", f"{STRANGER}:1000", "--to", f"{address(vault, 9)}:2000")
    old = pay(vault, *words)
    refused = vault("spend", "bump", old["ceremony"], "--feerate", "9", "--shrink", check=2)
    assert "exactly one payee; this payment has 2" in refused["error"]["message"]


def test_an_unsigned_payment_is_replaced_at_any_rate(vault: Asked) -> None:
    old = pay(vault, "--to", f"{STRANGER}:400000")
    made = vault("spend", "bump", old["ceremony"], "--feerate", "1")
    assert state(vault, old["ceremony"]) == "abandoned"
    assert state(vault, made["ceremony"]) == "collecting"
    refused = vault("spend", "bump", old["ceremony"], "--feerate", "9", check=5)
    assert "was abandoned" in refused["error"]["message"]


def test_a_pending_payment_is_cancelled(vault: Asked, tmp_path: Path) -> None:
    old = sent(vault, "--to", f"{STRANGER}:400000")
    made = vault("spend", "cancel", old["ceremony"], "--feerate", "20")
    (back,) = made["review"]["outputs"]
    assert (back["kind"], back["own"]) == ("change", True)
    final = finish(vault, made)
    assert chain(tmp_path).mempool() == [final["txid"]]
    vault("regtest", "mine")
    vault("sync")
    assert state(vault, old["ceremony"]) == "replaced"
    assert vault("balance", "v")["confirmed_sats"] == 3_000_000 - final["fee_sats"]


def test_an_abandoned_payment_whose_signatures_are_about_is_ended_for_good(vault: Asked) -> None:
    old = pay(vault, "--to", f"{STRANGER}:400000")
    sign(vault, old["ceremony"], "a", "b")
    assert "exist" in vault("spend", "abandon", old["ceremony"])["warning"]
    made = vault("spend", "cancel", old["ceremony"], "--feerate", "5")
    finish(vault, made)
    vault("regtest", "mine")
    vault("sync")
    assert vault("spend", "add", old["ceremony"], "-", check=5)["error"]["message"]
    assert state(vault, made["ceremony"]) == "confirmed"


def incoming(
    vault: Asked, tmp_path: Path, value_sats: int, name: str = "v", *accept: str
) -> tuple[RegtestChain, str, int]:
    """Have a stranger pay the vault with a fee so low that it waits."""
    node, purse = chain(tmp_path), Purse("stranger")
    (txid,) = node.fund(purse.script_pubkey, value_sats)
    node.mine(1)
    raw = node.transaction(txid)
    assert raw is not None
    to = bytes.fromhex(vault("address", "new", name, *UNPROVED, *accept)["script_pubkey"])
    parent = purse.spend(purse.coins(raw), fee_sats=200, to=to)
    node.broadcast(parent.raw)
    return node, parent.txid, parent.vsize


def test_a_child_pays_for_an_incoming_payment(vault: Asked, tmp_path: Path) -> None:
    node, parent, parent_size = incoming(vault, tmp_path, 900_000)
    made = vault("spend", "accelerate", parent, "--feerate", "30")
    assert made["replaces"] is None
    child = made["review"]
    together = 200 + child["fee_sats"]
    assert together == -(-(parent_size + child["vsize"]) * 30_000 // 1_000)
    assert made["package_feerate"] in range(30_000, 30_010)
    final = finish(vault, made)
    assert node.mempool() == [parent, final["txid"]]
    package = node.package(final["txid"])
    # What the longest signatures could weigh more than those made: two bytes an input at most.
    assert package.fee_sats == together
    assert child["vsize"] - 2 <= final["vsize"] <= child["vsize"]
    vault("regtest", "mine")
    assert vault("balance", "v")["confirmed_sats"] == 3_000_000 + 900_000 - together


def test_a_child_of_our_change_pays_for_our_payment(vault: Asked, tmp_path: Path) -> None:
    old = sent(vault, "--to", f"{STRANGER}:400000")
    made = vault("spend", "accelerate", old["txid"], "--feerate", "30")
    final = finish(vault, made)
    package = chain(tmp_path).package(final["txid"])
    assert package.fee_sats == old["fee_sats"] + final["fee_sats"]
    assert 30_000 <= package.fee_sats * 1_000 / package.vsize <= 30_400


def test_what_a_child_cannot_pay_is_named(vault: Asked, tmp_path: Path) -> None:
    _, parent, _ = incoming(vault, tmp_path, 4_000)
    refused = vault("spend", "accelerate", parent, "--feerate", "100", check=2)["error"]
    most = round(float(refused["message"].split("at most to ")[1].split(";")[0]) * 1000)
    vault("spend", "accelerate", parent, "--feerate", f"{(most + 10) / 1000:.3f}", check=2)
    coin = vault("coins", "v")["coins"][0]["outpoint"]
    helped = vault("spend", "accelerate", parent, "--feerate", "100", "--coin", coin)
    assert len(helped["review"]["inputs"]) == 2
    vault("spend", "abandon", helped["ceremony"])
    assert vault("spend", "accelerate", parent, "--feerate", f"{most / 1000:.3f}")["ceremony"]


def test_a_payment_at_the_rate_already_needs_no_child(vault: Asked, tmp_path: Path) -> None:
    _, parent, _ = incoming(vault, tmp_path, 50_000)
    pays = vault("spend", "accelerate", parent, "--feerate", "1", check=2)["error"]["message"]
    assert pays.endswith("sat/vB already")
    vault("regtest", "mine")
    done = vault("spend", "accelerate", parent, "--feerate", "9", check=2)["error"]["message"]
    assert "already" in done
    unknown = vault("spend", "accelerate", "00" * 32, "--feerate", "9", check=2)["error"]
    assert "pays no vault" in unknown["message"]
    assert vault("spend", "accelerate", "xyz", "--feerate", "9", check=2)["error"]["code"]


def test_a_waiting_child_counts_against_a_bump(vault: Asked) -> None:
    old = sent(vault, "--to", f"{STRANGER}:400000")
    child = finish(vault, vault("spend", "accelerate", old["txid"], "--feerate", "30"))
    vault("sync")
    refused = vault("spend", "bump", old["ceremony"], "--feerate", "20", check=2)["error"]
    least = refused["least_feerate"]
    assert f"takes {least / 1000:g} sat/vB" in refused["message"]
    made = vault("spend", "bump", old["ceremony"], "--feerate", f"{least / 1000:.3f}")
    assert made["review"]["fee_sats"] > old["fee_sats"] + child["fee_sats"]
    finish(vault, made)


@pytest.mark.parametrize("_round", shortened(range(2), 0))
def test_of_two_processes_one_bumps(vault: Asked, tmp_path: Path, _round: int) -> None:
    old = sent(vault, "--to", f"{STRANGER}:400000")
    words = ("--json", "spend", "bump", old["ceremony"], "--feerate", "20")
    command = [sys.executable, "-m", "coordinator.cli", *words, "--home", str(tmp_path / "home")]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    for each in both:
        each.communicate()
    assert sorted(each.returncode for each in both) == [0, 5]
    states = [each["state"] for each in vault("spend", "list")["ceremonies"]]
    assert sorted(states) == ["broadcast", "collecting"]
