"""Payments from a table: read whole, every wrong line named, before anything is built."""

from pathlib import Path

import pytest

from coordinator import batch
from coordinator.errors import UsageError
from psbt.network import Network
from psbt.policy import format_address
from tests.program import Asked, Program

NETWORK = "regtest"


def address(number: int) -> str:
    return format_address(b"\x00\x14" + number.to_bytes(20), Network.REGTEST)


A, B, C = (address(number) for number in (1, 2, 3))


def test_a_table_is_paid_in_one_payment(vault: Asked, tmp_path: Path) -> None:
    table = f'address,amount,label\n{A},100000,"rent, may"\n\n{B},0.002btc,\n'
    (tmp_path / "pay.csv").write_text("\ufeff" + table)
    made = vault("spend", "create", "v", "--csv", str(tmp_path / "pay.csv"), "--feerate", "2")
    assert made["batch"] == {"payments": 2, "total_sats": 300_000, "notices": []}
    paid = {o["address"]: o["value_sats"] for o in made["review"]["outputs"]}
    assert (paid[A], paid[B]) == (100_000, 200_000)
    out = tmp_path / "labels"
    vault("label", "export", str(out))
    assert "rent, may" in out.read_text()


def test_it_comes_from_standard_input_beside_other_payments(
    vault: Asked, program: Program, tmp_path: Path
) -> None:
    words = ("spend", "create", "v", "--to", f"{C}:5000", "--feerate", "2", "--csv", "-")
    made = vault(*words, "--dry-run", stdin=f"{A},100000\n{A},1000")
    paid = [o["value_sats"] for o in made["review"]["outputs"] if o["address"] == A]
    assert sorted(paid) == [1000, 100_000]
    assert made["batch"]["notices"] == ["lines 1 and 2 pay the same address"]
    said = program(*words, "--dry-run", stdin=f"{A},100000\n{A},1000").out
    assert "LOOK TWICE: lines 1 and 2 pay the same address" in said
    assert "2 payments of 101 000 sat" in said
    assert vault("label", "export", str(tmp_path / "labels"))["labels"] == 0


def test_every_wrong_line_is_named_and_nothing_is_built(vault: Asked) -> None:
    table = f"{A},100\nnobody,100\n{B},1 btc\n{C}\n{A},1,x,y\n"
    refused = vault("spend", "create", "v", "--csv", "-", "--feerate", "2", stdin=table, check=2)
    told = refused["error"]["message"]
    assert [part.partition(":")[0] for part in told.split("; ") if part.startswith("line")] == [
        "line 2",
        "line 3",
        "line 4",
        "line 5",
    ]
    assert vault("spend", "list")["ceremonies"] == []


@pytest.mark.parametrize("table", ["", "\n \n", "address,amount\n", 'a,"b\n'])
def test_a_table_of_nothing(table: str) -> None:
    with pytest.raises(UsageError):
        batch.read(table, NETWORK)


def test_the_first_ten_of_many_wrong_lines() -> None:
    with pytest.raises(UsageError, match=r"line 10: .*; and 3 more"):
        batch.read("x,1\n" * 13, NETWORK)


def test_addresses_that_look_alike() -> None:
    rows = [
        batch.Row(number, f"bcrt1q{text}", 1, bytes([number]), "")
        for number, text in enumerate(("abcdxxxxwxyz", "abcdyyyywxyz", "abcdxxxxwxyq"), 1)
    ]
    assert list(batch._look_alikes(rows)) == [
        "lines 1 and 2 pay addresses that look alike: compare them letter by letter"
    ]
    assert list(batch._look_alikes([rows[0], rows[0]._replace(line=9)])) == []


def test_small_coins_are_merged_into_one_of_ours(vault: Asked) -> None:
    vault("regtest", "fund", vault("address", "new", "v")["address"], "2000", "--coins", "5")
    vault("regtest", "mine", "1")
    listed = vault("coins", "v")["coins"]
    small = {coin["outpoint"] for coin in listed if coin["value_sats"] == 2000}
    kept = small.pop()
    vault("coin", "freeze", kept)
    words = ("spend", "consolidate", "v", "--below", "2001", "--feerate", "1")
    made = vault(*words)
    assert {each["outpoint"] for each in made["review"]["inputs"]} == small
    [output] = made["review"]["outputs"]
    assert vault("address", "check", output["address"])["vault"] == "v"
    assert output["value_sats"] == 4 * 2000 - made["review"]["fee_sats"]
    assert made["notices"] == ["4 coins are seen to belong together from then on"]
    assert vault(*words, check=2)["error"]["message"].startswith("vault v has 0 such coins")
    assert len(vault("spend", "consolidate", "v", "--feerate", "1")["review"]["inputs"]) == 3
