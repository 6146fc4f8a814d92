"""ElectrumX on the daemon: a client sees payments, blocks, reorganisations, vanished payments."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.coordinator.chain.purse import Purse
from tests.servers.daemon import Daemon
from tests.servers.electrumx import INSTALLED, ElectrumServer, electrumx
from tests.servers.vault import change_script, receive_script
from tests.servers.watcher import Watched, Watcher, bdk

pytestmark = pytest.mark.skipif(not INSTALLED, reason="electrumx is not installed")


@pytest.fixture
def server(daemon: Daemon, tmp_path: Path) -> Iterator[ElectrumServer]:
    with electrumx(daemon, tmp_path / "electrumx") as server:
        yield server


@pytest.fixture
def client(server: ElectrumServer) -> object:
    return bdk.ElectrumClient(server.client_url)


def test_a_wallet_follows_the_chain(
    server: ElectrumServer, client: object, watcher: Watcher
) -> None:
    chain = server.daemon.chain
    (first,) = chain.fund(receive_script(0), 70_000)
    server.wait_until_current()
    watcher.full_scan(client)
    assert watcher.seen == {Watched(first, None)}

    chain.mine(1)
    server.wait_until_current()
    watcher.sync(client)
    assert watcher.seen == {Watched(first, chain.tip().height)}
    assert watcher.tip_height == chain.tip().height

    height = chain.tip().height
    chain.reorganise(height - 1)
    server.wait_until_current()
    watcher.sync(client)
    assert watcher.seen == {Watched(first, None)}
    assert watcher.tip_height == height + 1

    chain.mine(1)
    (second,) = chain.fund(change_script(19), 30_000)
    chain.mine(1)
    server.wait_until_current()
    watcher.full_scan(client)
    tip = chain.tip().height
    assert watcher.seen == {Watched(first, tip - 1), Watched(second, tip)}
    assert watcher.balance_sats == 100_000


def test_a_replaced_payment_is_gone(
    server: ElectrumServer, client: object, watcher: Watcher
) -> None:
    chain, purse = server.daemon.chain, Purse("payer")
    (gift,) = chain.fund(purse.script_pubkey, 100_000)
    chain.mine(1)
    coins = purse.coins(chain.transaction(gift))
    chain.broadcast(purse.spend(coins, fee_sats=1_000, to=receive_script(0)).raw)
    server.wait_until_current()
    watcher.full_scan(client)
    assert watcher.balance_sats == 99_000
    chain.broadcast(purse.spend(coins, fee_sats=3_000).raw)
    server.wait_until_current()
    watcher.sync(client)
    assert watcher.balance_sats == 0


def test_a_client_sends_through_it(server: ElectrumServer, client: object) -> None:
    chain, purse = server.daemon.chain, Purse("payer")
    (gift,) = chain.fund(purse.script_pubkey, 100_000)
    chain.mine(1)
    server.wait_until_current()
    coins = purse.coins(chain.transaction(gift))
    good, thief = purse.spend(coins), Purse("thief").spend(coins)
    with pytest.raises(bdk.ElectrumError):
        client.transaction_broadcast(bdk.Transaction(thief.raw))
    sent = client.transaction_broadcast(bdk.Transaction(good.raw))
    assert chain.mempool() == [good.txid] == [str(sent)]


def test_the_server_outlives_its_daemon(server: ElectrumServer) -> None:
    server.daemon.stop()
    server.daemon.chain.mine(1)
    server.daemon.start()
    server.wait_until_current()


def test_a_lie_reaches_the_client(server: ElectrumServer, client: object, watcher: Watcher) -> None:
    (txid,) = server.daemon.chain.fund(receive_script(0), 70_000)
    server.daemon.chain.mine(1)
    server.wait_until_current()
    lie = Purse("liar").spend([((txid, 0), 70_000)])
    server.daemon.lie(txid, lie.raw)
    assert client.transaction_get_raw(bdk.Txid.from_string(txid)) == lie.raw
    watcher.full_scan(client)
    assert watcher.seen == set()
