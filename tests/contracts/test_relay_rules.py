"""The embedded chain relays what a real Bitcoin Core relays, where BITCOIND names one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.chain.core.rpc import call
from coordinator.chain.opening import open_chain
from coordinator.chain.regtest import RegtestChain
from coordinator.errors import TransactionRejected
from psbt.transaction import Transaction, TransactionOutput, parse_transaction
from tests.contracts.real_node import PROGRAM, RealNode, running
from tests.coordinator.chain.purse import Purse

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="BITCOIND names no program")
KEY = b"\x21\x02" + b"\x79\xbe\x66\x7e\xf9\xdc\xbb\xac\x55\xa0\x62\x95\xce\x87\x0b\x07"
KEY += b"\x02\x9b\xfc\xdb\x2d\xce\x28\xd9\x59\xf2\x81\x5b\x16\xf8\x17\x98"
SCRIPTS = {
    "p2pk": KEY + b"\xac",
    "bare multisig of 3": b"\x51" + KEY * 3 + b"\x53\xae",
    "bare multisig of 4": b"\x51" + KEY * 4 + b"\x54\xae",
    "anchor": bytes.fromhex("51024e73"),
    "later witness": b"\x60\x28" + bytes(40),
    "witness 0 of 30 bytes": b"\x00\x1e" + bytes(30),
    "data": b"\x6a\x04note",
    "data cut off": b"\x6a\x05note",
    "90,000 bytes of data": b"\x6a\x4e" + (90_000).to_bytes(4, "little") + bytes(90_000),
    "anyone": b"\x51",
}
FEES = (0, 10, 100, 1_000, 20_000)
VALUES = (0, 239, 240, 329, 330, 575, 576, 10_000)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RegtestChain, RealNode]]:
    folder = tmp_path_factory.mktemp("relay")
    chain = RegtestChain(folder / "chain")
    chain.mine(101)
    with running(chain, folder / "core") as real:
        yield chain, real


@pytest.mark.parametrize("version", [1, 2, 3, 4])
@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_both_take_and_refuse_the_same(
    node: tuple[RegtestChain, RealNode], script: bytes, version: int
) -> None:
    chain, real = node
    purse = Purse("relay")
    (txid,) = chain.fund(purse.script_pubkey, 1_000_000)
    chain.mine(1)
    real.settle()
    coins = purse.coins(chain.transaction(txid) or b"")[:1]
    inputs = purse.spend(coins).inputs
    for fee in FEES:
        for value in VALUES:
            left = 1_000_000 - fee - value
            outputs = (
                TransactionOutput(value, script),
                TransactionOutput(left, purse.script_pubkey),
            )
            payment = purse.sign(Transaction(inputs, outputs, version), [1_000_000])
            verdict = call(real.node, "testmempoolaccept", [payment.raw.hex()], 0)[0]
            reason = verdict.member("reject-reason")
            ours = None
            try:
                chain.pool().admit(parse_transaction(payment.raw))
            except TransactionRejected as failure:
                ours = failure.reason
            assert (reason.text() if reason else None) == ours, (fee, value)


def test_the_rules_told_are_those_of_the_program(
    node: tuple[RegtestChain, RealNode], tmp_path: Path
) -> None:
    chain, real = node
    url = f"bitcoind+http://127.0.0.1:{real.rpc_port}?cookie={real.cookie}"
    told, ours = open_chain(url, tmp_path, "regtest").relay(), chain.relay()
    assert told.median_time == ours.median_time
    assert told.rules.minimum == ours.rules.minimum
    assert told.rules.replacement_step == ours.rules.replacement_step
