"""What happened to the money, and what was left each time."""

from pathlib import Path
from typing import Any

from tests.cli.test_money import OTHER, STRANGER, WORTH, address, chain, sent
from tests.program import Asked, Program


def transactions(vault: Asked) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = vault("history", "v")["transactions"]
    return found


def test_the_balance_runs_and_waiting_ones_come_last_in_time(vault: Asked) -> None:
    first = sent(vault, "--to", f"{STRANGER}:400000")
    height = vault("regtest", "mine")["height"]
    vault("regtest", "fund", address(vault, 5), "70000")
    second = sent(vault, "--drain", address(vault, 6))
    owned = WORTH - 400_000 - first["fee_sats"]
    lines = transactions(vault)
    assert lines[2]["txid"] == first["txid"]
    assert {line["height"] for line in lines[:2]} == {None}
    oldest = {line["txid"]: line["balance_sats"] for line in lines[::-1]}
    assert list(oldest.values())[:2] == [WORTH, owned]
    assert oldest[second["txid"]] == owned + 70_000 - second["fee_sats"]
    assert lines[0]["balance_sats"] == sum(line["change_sats"] for line in lines)
    assert (lines[2]["confirmations"], lines[2]["final"], lines[0]["confirmations"]) == (
        1,
        False,
        0,
    )
    assert lines[2]["height"] == height
    vault("regtest", "mine", "5")
    assert [line["final"] for line in transactions(vault)] == [False, False, True, True]
    assert transactions(vault)[0]["balance_sats"] == vault("balance", "v")["confirmed_sats"]


def test_a_child_in_its_parents_block_comes_after_it(vault: Asked) -> None:
    parent = sent(vault, "--drain", address(vault, 5))
    child = sent(vault, "--drain", STRANGER)
    vault("regtest", "mine")
    lines = transactions(vault)
    assert [line["txid"] for line in lines[:2]] == [child["txid"], parent["txid"]]
    assert lines[0]["height"] == lines[1]["height"]
    assert [line["balance_sats"] for line in lines] == [0, WORTH - parent["fee_sats"], WORTH]


def test_what_each_was_and_what_it_cost(vault: Asked) -> None:
    moved = sent(vault, "--drain", address(vault, 5))
    paid = sent(vault, "--to", f"{STRANGER}:400000")
    both = sent(vault, "--to", f"{address(vault, 8)}:1000", "--to", f"{STRANGER}:200000")
    kinds = {line["txid"]: (line["kind"], line["fee_sats"]) for line in transactions(vault)}
    assert kinds[moved["txid"]] == ("moved", moved["fee_sats"])
    assert kinds[paid["txid"]] == ("sent", paid["fee_sats"])
    assert kinds[both["txid"]] == ("sent", both["fee_sats"])
    assert list(kinds.values())[-1] == ("received", None)
    assert {line["replaces"] for line in transactions(vault)} == {None}


def test_names_of_the_transaction_and_of_addresses_on_either_side(
    vault: Asked, program: Program
) -> None:
    paid = sent(vault, "--to", f"{STRANGER}:400000", "--to", f"{OTHER}:100000")
    received = transactions(vault)[-1]["txid"]
    assert transactions(vault)[0]["address_labels"] == []
    vault("label", "set", paid["txid"], "the roof")
    vault("label", "set", STRANGER, "roofer")
    vault("label", "set", address(vault, 0), "savings")
    vault("label", "import", "-", stdin='{"type":"addr","ref":"elsewhere","label":"foreign"}\n')
    named = {t["txid"]: (t["label"], t["address_labels"]) for t in transactions(vault)}
    assert named[paid["txid"]] == ("the roof", ["roofer"])
    assert named[received] == (None, ["savings"])
    shown = program("history", "v").out
    assert "the roof, roofer" in shown


def test_a_line_of_the_history_shows_amount_balance_and_fee(vault: Asked, program: Program) -> None:
    final = sent(vault, "--to", f"{STRANGER}:400000")
    header, line, first = program("history", "v").out.splitlines()
    assert header.split()[:5] == ["date", "what", "sat", "balance", "fee"]
    fee = final["fee_sats"]
    left = f"{WORTH - 400_000 - fee:,}".replace(",", " ")
    assert f"sent      -400 {fee}    {left}  {fee}  waits  {final['txid']}" in line
    assert "received  +3 000 000  3 000 000  -    101" in first


def test_dates_come_from_blocks_or_from_when_it_was_first_seen(
    vault: Asked, tmp_path: Path
) -> None:
    sent(vault, "--to", f"{STRANGER}:400000")
    waiting, confirmed = transactions(vault)
    assert waiting["time"] is None
    assert waiting["first_seen"]
    assert confirmed["time"]
    assert chain(tmp_path).tip().height == confirmed["height"]
