"""Esplora's interface on the daemon: a client follows a wallet, and sends."""

import json
from http.client import HTTPConnection
from typing import Any

import pytest

from coordinator.chain.regtest.blocks import merkle_root, parse_block
from psbt.transaction import parse_transaction
from tests.coordinator.chain.purse import Purse
from tests.patience import SECONDS
from tests.servers.daemon import Daemon
from tests.servers.index import script_hash
from tests.servers.vault import change_script, receive_script
from tests.servers.watcher import Watched, Watcher, bdk

Document = Any


def page(daemon: Daemon, path: str, body: bytes | None = None) -> tuple[int, Document]:
    connection = HTTPConnection("127.0.0.1", int(daemon.url.rpartition(":")[2]), timeout=SECONDS)
    try:
        connection.request("POST" if body else "GET", f"/esplora{path}", body)
        answer = connection.getresponse()
        text = answer.read()
        is_json = answer.headers.get_content_type() == "application/json"
        return answer.status, json.loads(text) if is_json else text
    finally:
        connection.close()


@pytest.fixture
def client(daemon: Daemon) -> object:
    return bdk.EsploraClient(daemon.esplora_url)


def test_a_wallet_follows_the_chain(daemon: Daemon, client: object, watcher: Watcher) -> None:
    chain = daemon.chain
    (first,) = chain.fund(receive_script(0), 70_000)
    watcher.full_scan(client)
    assert watcher.seen == {Watched(first, None)}

    chain.mine(1)
    watcher.sync(client)
    assert watcher.seen == {Watched(first, chain.tip().height)}
    assert watcher.tip_height == chain.tip().height

    height = chain.tip().height
    chain.reorganise(height - 1)
    watcher.sync(client)
    assert watcher.seen == {Watched(first, None)}
    assert watcher.tip_height == height + 1

    chain.mine(1)
    (second,) = chain.fund(change_script(19), 30_000)
    chain.mine(1)
    watcher.full_scan(client)
    tip = chain.tip().height
    assert watcher.seen == {Watched(first, tip - 1), Watched(second, tip)}
    assert watcher.balance_sats == 100_000


def test_an_address_with_more_than_a_page_of_payments(
    daemon: Daemon, client: object, watcher: Watcher
) -> None:
    for _ in range(60):
        daemon.chain.fund(receive_script(0), 10_000)
    daemon.chain.mine(1)
    watcher.full_scan(client)
    assert watcher.balance_sats == 600_000


def test_a_client_sends_through_it(daemon: Daemon, client: object) -> None:
    purse = Purse("payer")
    (gift,) = daemon.chain.fund(purse.script_pubkey, 100_000)
    daemon.chain.mine(1)
    coins = purse.coins(daemon.chain.transaction(gift))
    good, thief = purse.spend(coins), Purse("thief").spend(coins)
    status, reason = page(daemon, "/tx", thief.raw.hex().encode())
    assert status == 400
    assert b'RPC error: {"code": -26, "message": "mandatory-script-verify' in reason
    client.broadcast(bdk.Transaction(good.raw))
    assert daemon.chain.mempool() == [good.txid]
    spent = client.get_output_status(bdk.Txid.from_string(gift), coins[0][0].vout)
    assert (spent.spent, str(spent.txid)) == (True, good.txid)
    daemon.chain.mine(1)
    status, spends = page(daemon, f"/tx/{gift}/outspends")
    assert (status, spends[0]["txid"]) == (200, good.txid)
    assert spends[0]["status"]["block_height"] == daemon.chain.tip().height


def test_a_transaction_is_told_in_every_form(daemon: Daemon, client: object) -> None:
    txid = [daemon.chain.fund(receive_script(n), 10_000)[0] for n in range(4)][2]
    (block,) = daemon.chain.mine(1)
    raw = page(daemon, f"/tx/{txid}/raw")[1]
    assert parse_transaction(raw).txid == txid
    assert page(daemon, f"/tx/{txid}/hex") == (200, raw.hex().encode())
    status = page(daemon, f"/tx/{txid}/status")[1]
    assert (status["confirmed"], status["block_hash"]) == (True, block)
    info = client.get_tx_info(bdk.Txid.from_string(txid))
    assert info.fee > 0
    assert str(client.get_tx(bdk.Txid.from_string(txid)).compute_txid()) == txid
    proof = page(daemon, f"/tx/{txid}/merkle-proof")[1]
    node, place = txid, proof["pos"]
    for other in proof["merkle"]:
        node = merkle_root([other, node] if place % 2 else [node, other])[::-1].hex()
        place //= 2
    assert (
        bytes.fromhex(node)[::-1] == parse_block(page(daemon, f"/block/{block}/raw")[1]).header[1]
    )


def test_blocks_are_told_down_from_the_tip(daemon: Daemon, client: object) -> None:
    tip = daemon.chain.tip()
    assert client.get_height() == tip.height
    assert str(client.get_tip_hash()) == tip.hash
    assert str(client.get_block_hash(tip.height)) == tip.hash
    listed = page(daemon, "/blocks")[1]
    assert [item["height"] for item in listed] == list(range(tip.height, tip.height - 10, -1))
    assert listed[0]["id"] == tip.hash
    assert [item["height"] for item in page(daemon, "/blocks/3")[1]] == [3, 2, 1, 0]
    daemon.chain.reorganise(tip.height - 1)
    assert page(daemon, f"/block/{tip.hash}/status")[1] == {"in_best_chain": False}
    assert page(daemon, f"/block/{listed[1]['id']}/status")[1]["in_best_chain"] is True


def test_what_is_not_there_is_404(daemon: Daemon) -> None:
    for path in (
        f"/tx/{'00' * 32}",
        f"/tx/{'00' * 32}/raw",
        f"/tx/{'00' * 32}/merkle-proof",
        f"/block/{'00' * 32}/header",
        "/block-height/9999",
        "/nowhere",
    ):
        assert page(daemon, path)[0] == 404
    assert page(daemon, f"/scripthash/{script_hash(receive_script(0))}/txs") == (200, [])


def test_fees_are_estimated_when_told(daemon: Daemon, client: object) -> None:
    assert client.get_fee_estimates() == {}
    daemon.feerate_sats_per_kvb = 2_500
    assert client.get_fee_estimates()[6] == 2.5
