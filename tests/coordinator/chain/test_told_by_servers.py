"""What servers tell of waiting transactions, and what is kept of those sent, is not believed."""

import itertools
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from coordinator.chain.opening import silent
from coordinator.chain.url import parse_url
from coordinator.errors import ChainError
from psbt.coins import Outpoint
from psbt.transaction import Transaction, TransactionInput, TransactionOutput

bdk = pytest.importorskip("bdkpython")

PARENT = Transaction(
    (TransactionInput(Outpoint("aa" * 32, 0), b"\x51"),), (TransactionOutput(9_000, b"\x51"),)
)
CHILD = replace(PARENT, inputs=(TransactionInput(Outpoint(PARENT.txid, 0), b"\x51"),))


def electrum(told: dict[str, Transaction]) -> object:
    from coordinator.chain.bdk.electrum import ElectrumServer  # noqa: PLC0415 -- where BDK is

    server = ElectrumServer(parse_url("electrum+tcp://127.0.0.1:1"), "regtest", silent)
    fetch = lambda txid: bdk.Transaction(told[str(txid)].raw)  # noqa: E731 -- one line of a stub
    server.__dict__["_client"] = SimpleNamespace(fetch_tx=fetch)
    return server


def test_a_package_is_weighed_with_its_parents() -> None:
    cheaper = replace(CHILD, outputs=(TransactionOutput(8_000, b"\x51"),))
    told = electrum({cheaper.txid: cheaper, PARENT.txid: PARENT}).package(cheaper.txid)
    assert (told.vsize, told.fee_sats) == (cheaper.vsize, 1_000)


def test_another_transaction_than_the_one_asked_for_is_refused() -> None:
    with pytest.raises(ChainError, match=f"gives {CHILD.txid} for {PARENT.txid}"):
        electrum({CHILD.txid: CHILD, PARENT.txid: CHILD}).package(CHILD.txid)


def test_a_parent_without_the_output_that_is_spent_is_refused() -> None:
    beyond = replace(CHILD, inputs=(TransactionInput(Outpoint(PARENT.txid, 7), b"\x51"),))
    with pytest.raises(ChainError, match="spends an output that is not there"):
        electrum({beyond.txid: beyond, PARENT.txid: PARENT}).package(beyond.txid)


def test_ancestors_without_end_are_given_up() -> None:
    from coordinator.chain.bdk.esplora import ANCESTORS_MAX, EsploraServer  # noqa: PLC0415 -- needs BDK

    numbers = itertools.count()

    def another(_txid: object) -> object:
        source = TransactionInput(Outpoint(f"{next(numbers):064x}", 0))
        return bdk.Transaction(replace(PARENT, inputs=(source,)).raw)

    server = EsploraServer(parse_url("esplora+http://127.0.0.1:1"), "regtest", silent)
    waits = SimpleNamespace(status=SimpleNamespace(confirmed=False), weight=400, fee=100)
    server.__dict__["_client"] = SimpleNamespace(get_tx_info=lambda _: waits, get_tx=another)
    with pytest.raises(ChainError, match=f"more than {ANCESTORS_MAX} waiting ancestors"):
        server.package(CHILD.txid)
    assert next(numbers) <= ANCESTORS_MAX + 2


def test_a_torn_line_of_what_was_sent_is_passed_over(tmp_path: Path) -> None:
    from coordinator.chain.bdk.filters import FilterPeers  # noqa: PLC0415 -- where BDK is

    lines = (PARENT.raw.hex(), PARENT.raw.hex()[:31], "", "\x80", CHILD.raw.hex())
    (tmp_path / "p2p.sent").write_text("\n".join(lines), encoding="latin-1")
    (tmp_path / "p2p.tip").write_text("99999999999999999999 x", encoding="ascii")
    peers = FilterPeers(parse_url("p2p:"), tmp_path, "regtest", report=silent)
    assert [str(sent.compute_txid()) for sent in peers.sent()] == [PARENT.txid, CHILD.txid]
    assert peers.tip().height == 0
