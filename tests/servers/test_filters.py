import json
from pathlib import Path

import pytest

from coordinator.chain.regtest.blocks import GENESIS_HASH, parse_block
from psbt.coins import Outpoint
from psbt.transaction import Transaction, TransactionInput, TransactionOutput
from tests.servers.filters import (
    basic_filter,
    filter_hash,
    filter_header,
    genesis,
    siphash,
    spent_scripts,
)

VECTORS = json.loads((Path(__file__).parent / "bip158.json").read_text())
"""Blocks of the test network with their filters, as BIP 158 publishes them (CC0-1.0)."""


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: str(vector["height"]))
def test_filters_are_those_bip_158_publishes(vector: dict[str, object]) -> None:
    block = parse_block(bytes.fromhex(vector["block"]))
    filtered = basic_filter(block, [bytes.fromhex(script) for script in vector["spent"]])
    previous = bytes.fromhex(vector["previous_header"])[::-1]
    assert block.hash == vector["hash"]
    assert filtered.hex() == vector["filter"]
    assert filter_header(filtered, previous)[::-1].hex() == vector["header"]


def test_there_is_a_vector_with_spent_scripts_and_one_without_any() -> None:
    assert {bool(vector["spent"]) for vector in VECTORS} == {True, False}
    assert {vector["filter"] for vector in VECTORS} >= {"00", "019dfca8"}


@pytest.mark.parametrize(
    ("size", "expected"),
    [(0, 0x726FDB47DD0E0E31), (7, 0xAB0200F58B01D137), (15, 0xA129CA6149BE45E5)],
)
def test_siphash_is_that_of_its_authors(size: int, expected: int) -> None:
    assert siphash(bytes(range(16)), bytes(range(size))) == expected


def test_the_first_block_of_regtest_is_rebuilt_whole() -> None:
    assert genesis().hash == GENESIS_HASH
    assert genesis().whole
    assert basic_filter(genesis(), []).hex() == "014756c0"


def test_a_header_covers_the_filter_and_the_header_before_it() -> None:
    assert len({filter_header(b"\x00", bytes(32)), filter_header(b"\x01", bytes(32))}) == 2
    assert filter_header(b"\x00", bytes(32)) != filter_header(b"\x00", b"\x01" * 32)
    assert filter_hash(b"\x00") != filter_header(b"\x00", bytes(32))


def test_only_the_coinbase_spends_no_script() -> None:
    coin = Outpoint("11" * 32, 1)
    spending = Transaction((TransactionInput(coin),), (TransactionOutput(1, b"\x51"),))
    first = genesis()
    block = type(first)(first.header, (*first.transactions, spending))
    assert spent_scripts(block, {coin: b"\x52"}) == [b"\x52"]
    assert spent_scripts(first, {}) == []
