"""Payments from a table: read whole, every wrong line named, before anything is built."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.errors import UsageError
from coordinator.payment import batch
from psbt.network import Network
from psbt.policy import format_address
from tests.program import Asked, Program

NETWORK = "regtest"


def address(number: int) -> str:
    return format_address(b"\x00\x14" + number.to_bytes(20), Network.REGTEST)


A, B, C = (address(number) for number in (1, 2, 3))


def test_a_batch_is_one_payment(vault: Asked, tmp_path: Path) -> None:
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
    table = f"{A},100\nnobody,100\n{B},1 mbtc\n{C}\n{A},1,x,y\n"
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
def test_an_empty_batch_is_refused(table: str) -> None:
    with pytest.raises(UsageError):
        batch.read(table, NETWORK)


def test_the_first_ten_of_many_wrong_lines() -> None:
    with pytest.raises(UsageError, match=r"line 10: .*; and 3 more"):
        batch.read("x,1\n" * 13, NETWORK)


ROWS = [(A, 100_000, "rent, may"), (B, 200_000, "")]
COMMAS = f'{A},100000,"rent, may"\n{B},0.002btc,\n'
SEMICOLONS = f'{A};100 000 sat;"rent, may"\n{B};.002 BTC;\n'
TABS = f"{A}\t100000\trent, may\n{B}\t0.002btc\n"


@pytest.mark.parametrize(
    "table",
    [
        COMMAS,
        SEMICOLONS,
        TABS,
        COMMAS.replace("\n", "\r"),
        COMMAS.replace("\n", "\r\n"),
        "Address,AMOUNT,Label\n" + COMMAS,
        " address ; Amount ; label ;\r" + SEMICOLONS.replace("\n", "\r"),
        "sep=;\n" + SEMICOLONS,
        "\nSEP=\t\r\nADDRESS\tamount\tlabel\r\n" + TABS,
        f'label,amount,address\n"rent, may",100000,{A}\n,0.002btc,{B}\n',
        f'address,label,amount\n{A},"rent, may",100000\nbitcoin:{B}?amount=0.002\n',
    ],
)
def test_a_batch_is_read_as_spreadsheets_write_it(table: str) -> None:
    found = batch.read(table, NETWORK).rows
    assert [(row.address, row.value_sats, row.label) for row in found] == ROWS


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "cp1252"])
def test_a_batch_is_read_in_any_encoding(vault: Asked, tmp_path: Path, encoding: str) -> None:
    table = f"Address;Amount;Label\r\n{A};100000;Miete Müller\r\n"
    (tmp_path / "pay.csv").write_bytes(table.encode(encoding))
    vault("spend", "create", "v", "--csv", str(tmp_path / "pay.csv"), "--feerate", "2")
    vault("label", "export", str(tmp_path / "labels"))
    assert "Miete Müller" in (tmp_path / "labels").read_text()


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (f"{A};0,001btc;rent", "line 1: '0,001btc' may mean more than one amount"),
        (f"{A},0,001btc", "line 1: 0,001btc may be one amount or an amount and a label"),
        (f"{A},0,001btc,rent", "is a comma in one of them not in quotes"),
        (f"{A}|1|rent", "line 1: 1 columns"),
        ("address,amount,memo\nx,1,y", "the column 'memo'"),
        (f"{A},1,{'x' * 256}", "a label of 256 characters"),
        (f"bitcoin:{A}?amount=1,100", "100 sat are typed, the URI asks for 100000000 sat"),
    ],
)
def test_what_cannot_be_read_is_one_clear_sentence(table: str, told: str) -> None:
    with pytest.raises(UsageError) as refused:
        batch.read(table, NETWORK)
    assert told in str(refused.value)


@given(st.text())
def test_a_batch_is_payments_or_a_usage_error(table: str) -> None:
    try:
        batch.read(table, NETWORK)
    except UsageError as refused:
        assert len(str(refused)) < 5000  # noqa: PT017 -- either is right


def test_a_batch_longer_than_any_payment_is_refused() -> None:
    with pytest.raises(UsageError, match="more than 10000 lines"):
        batch.read(f"{A},1000\n" * 10_001, NETWORK)


def test_addresses_that_look_alike_are_named() -> None:
    rows = [
        batch.Row(number, f"bcrt1q{text}", 1, bytes([number]), "")
        for number, text in enumerate(("abcdxxxxwxyz", "abcdyyyywxyz", "abcdxxxxwxyq"), 1)
    ]
    assert [each.sentence for each in batch._look_alikes(rows)] == [
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
