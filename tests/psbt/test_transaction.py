import pytest
from hypothesis import given
from hypothesis import strategies as st

from psbt.coins import Outpoint
from psbt.errors import PsbtError
from psbt.transaction import (
    NULL_OUTPOINT,
    ByteReader,
    Transaction,
    TransactionInput,
    TransactionOutput,
    compact_size,
    parse_transaction,
)
from tests.judges import judge

wally = judge("wallycore")

GENESIS_COINBASE = (
    "01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff4d04ffff00"
    "1d0104455468652054696d65732030332f4a616e2f32303039204368616e63656c6c6f72206f6e206272696e6b20"
    "6f66207365636f6e64206261696c6f757420666f722062616e6b73ffffffff0100f2052a01000000434104678afd"
    "b0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb649f6bc3f4cef38c4f35504e51ec112de5c"
    "384df7ba0b8d578a4c702b6bf11d5fac00000000"
)
GENESIS_TXID = "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b"

u32 = st.integers(0, 2**32 - 1)
scripts = st.binary(max_size=300)
inputs = st.builds(
    TransactionInput,
    st.builds(Outpoint, st.binary(min_size=32, max_size=32).map(bytes.hex), u32),
    scripts,
    u32,
    st.lists(scripts, max_size=3).map(tuple),
)
outputs = st.builds(TransactionOutput, st.integers(0, 21 * 10**14), scripts)
transactions = st.builds(
    Transaction,
    st.lists(inputs, min_size=1, max_size=4).map(tuple),
    st.lists(outputs, min_size=1, max_size=4).map(tuple),
    u32,
    u32,
)


def test_the_first_coinbase_is_parsed() -> None:
    parsed = parse_transaction(bytes.fromhex(GENESIS_COINBASE))
    assert (parsed.txid, parsed.wtxid) == (GENESIS_TXID, GENESIS_TXID)
    assert parsed.is_coinbase
    assert not parsed.has_witness
    assert parsed.inputs[0].outpoint == NULL_OUTPOINT
    assert parsed.outputs[0].value_sats == 50 * 100_000_000
    assert (parsed.weight, parsed.vsize) == (4 * 204, 204)


@given(transactions)
def test_what_is_written_is_read(transaction: Transaction) -> None:
    assert parse_transaction(transaction.raw) == transaction


@given(transactions)
def test_ids_and_weight_are_those_of_libwally(transaction: Transaction) -> None:
    peer = wally.tx_from_bytes(transaction.raw, 1)
    assert transaction.txid == bytes(wally.tx_get_txid(peer))[::-1].hex()
    assert transaction.weight == wally.tx_get_weight(peer)
    assert transaction.vsize == wally.tx_get_vsize(peer)


@given(transactions, st.data())
def test_a_part_of_a_transaction_is_refused(transaction: Transaction, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(transaction.raw) - 1))
    with pytest.raises(PsbtError):
        parse_transaction(transaction.raw[:cut])


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (GENESIS_COINBASE + "00", "1 bytes follow"),
        ("01000000" + "0002", "unknown marker"),
        ("01000000" + "0000" + "00000000", "without inputs"),
        (GENESIS_COINBASE[:8] + "fd0100" + GENESIS_COINBASE[10:], "more than it needs"),
        (GENESIS_COINBASE[:8] + "0001" + GENESIS_COINBASE[8:-8] + "00" + "00000000", "no witness"),
    ],
)
def test_what_the_network_would_not_read_is_refused(raw: str, reason: str) -> None:
    with pytest.raises(PsbtError, match=reason):
        parse_transaction(bytes.fromhex(raw))


@pytest.mark.parametrize(
    ("value", "size"),
    [(0, 1), (0xFC, 1), (0xFD, 3), (0xFFFF, 3), (1 << 16, 5), (1 << 32, 9), ((1 << 64) - 1, 9)],
)
def test_compact_sizes_round_trip(value: int, size: int) -> None:
    written = compact_size(value)
    assert len(written) == size
    assert ByteReader(written).compact_size() == value


@pytest.mark.parametrize("written", ["fdfc00", "feffff0000", "ffffffffff00000000"])
def test_longer_compact_sizes_are_refused(written: str) -> None:
    with pytest.raises(PsbtError, match="more than it needs"):
        ByteReader(bytes.fromhex(written)).compact_size()


def test_a_length_beyond_the_format_is_refused() -> None:
    with pytest.raises(PsbtError, match="too large"):
        compact_size(2**64)
