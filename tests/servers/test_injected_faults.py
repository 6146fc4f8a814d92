"""The daemon misbehaves when told to, and only then."""

import http.client
import socket
import threading
import time
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from tests.coordinator.chain.purse import Purse
from tests.patience import SECONDS
from tests.servers.client import ask, post
from tests.servers.daemon import Daemon
from tests.servers.test_wallet import make, of, since
from tests.servers.vault import receive_script
from tests.servers.watcher import Watcher, bdk

COUNT = {"jsonrpc": "2.0", "id": 1, "method": "getblockcount"}


@pytest.mark.parametrize("status", [401, 500, 503])
def test_a_status_is_answered_so_many_times(daemon: Daemon, status: int) -> None:
    daemon.answer_with_status(status, times=2)
    assert [post(daemon, COUNT)[0] for _ in range(3)] == [status, status, 200]


def test_a_busy_node_says_so(daemon: Daemon) -> None:
    daemon.answer_with_status(503)
    assert post(daemon, COUNT) == (503, b"Work queue depth exceeded")


def test_a_loading_node_answers_nothing_else(daemon: Daemon) -> None:
    daemon.syncing = "loading"
    expected = {"code": -28, "message": "Loading block index…"}
    assert ask(daemon, "getblockchaininfo") == expected
    assert of(daemon, "getwalletinfo") == expected
    assert post(daemon, {"method": "getblockcount", "id": 1})[0] == 500
    daemon.syncing = ""
    assert ask(daemon, "getblockcount") == 101


def test_a_node_that_downloads_says_so(daemon: Daemon) -> None:
    daemon.syncing = "downloading"
    told = ask(daemon, "getblockchaininfo")
    assert told["initialblockdownload"] is True
    assert told["headers"] > told["blocks"] == 101
    assert told["verificationprogress"] < 1


def test_a_node_may_be_on_another_chain(daemon: Daemon) -> None:
    daemon.chain_name = "main"
    assert ask(daemon, "getblockchaininfo")["chain"] == "main"


def test_a_pruned_node_has_no_old_blocks(daemon: Daemon) -> None:
    daemon.keypool = 5
    (txid,) = daemon.chain.fund(receive_script(0), 10_000)
    daemon.chain.mine(1)
    daemon.pruned_below = 50
    told = ask(daemon, "getblockchaininfo")
    assert (told["pruned"], told["pruneheight"]) == (True, 50)
    hashes = daemon.chain.ledger().hashes
    assert ask(daemon, "getblock", hashes[49])["message"] == "Block not available (pruned data)"
    assert ask(daemon, "getblock", hashes[50])["height"] == 50
    (refused,) = make(daemon, 0)
    assert refused["error"]["code"] == -1
    assert refused["error"]["message"].startswith("Rescan failed for descriptor with timestamp 0.")
    assert [item["txid"] for item in since(daemon)["transactions"]] == [txid]
    assert of(daemon, "rescanblockchain", 49)["message"].startswith("Can't rescan beyond pruned")
    assert of(daemon, "rescanblockchain", 50)["start_height"] == 50


def test_a_wallet_older_than_the_pruned_blocks_does_not_load(daemon: Daemon) -> None:
    make(daemon, "now")
    ask(daemon, "unloadwallet", "vault-demo")
    daemon.chain.mine(10)
    daemon.pruned_below = 102
    assert ask(daemon, "loadwallet", "vault-demo") == {"name": "vault-demo"}
    ask(daemon, "unloadwallet", "vault-demo")
    daemon.chain.mine(10)
    daemon.pruned_below = 113
    assert ask(daemon, "loadwallet", "vault-demo")["message"].startswith("Prune: last wallet")


def test_an_answer_may_take_its_time(daemon: Daemon) -> None:
    daemon.delay_seconds = 0.3
    start = time.monotonic()
    ask(daemon, "getblockcount")
    assert time.monotonic() - start >= 0.3


def test_an_answer_breaks_off_once(daemon: Daemon) -> None:
    daemon.cut_after(2)
    assert [ask(daemon, "getblockcount") for _ in range(2)] == [101, 101]
    with pytest.raises(http.client.IncompleteRead):
        ask(daemon, "getblockcount")
    assert ask(daemon, "getblockcount") == 101


def test_a_lie_is_told_everywhere(daemon: Daemon, watcher: Watcher) -> None:
    daemon.keypool = 5
    (txid,) = daemon.chain.fund(receive_script(0), 10_000)
    make(daemon)
    lie = Purse("liar").spend([((txid, 0), 10_000)])
    daemon.lie(txid, lie.raw)
    assert ask(daemon, "getrawtransaction", txid) == lie.raw.hex()
    told = of(daemon, "gettransaction", txid)
    assert (told["txid"], told["hex"]) == (txid, lie.raw.hex())
    client = bdk.EsploraClient(daemon.esplora_url)
    assert client.get_tx(bdk.Txid.from_string(txid)).serialize() == lie.raw
    watcher.full_scan(client)
    assert txid not in {item.txid for item in watcher.seen}


def test_a_server_that_is_gone_comes_back_on_its_port(daemon: Daemon) -> None:
    url = daemon.url
    daemon.stop()
    with pytest.raises(ConnectionRefusedError):
        ask(daemon, "getblockcount")
    daemon.start()
    assert daemon.url == url
    assert ask(daemon, "getblockcount") == 101


def test_a_server_that_stops_hangs_up(daemon: Daemon) -> None:
    parts = urlsplit(daemon.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=SECONDS) as connection:
        daemon.stop()
        with suppress(ConnectionResetError):  # what one not taken in yet is told
            assert connection.recv(1) == b""
    daemon.start()


def test_many_ask_at_once(daemon: Daemon) -> None:
    heights: list[int] = []

    def work() -> None:
        heights.extend(ask(daemon, "getblockcount") for _ in range(10))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    daemon.chain.mine(3)
    for thread in threads:
        thread.join()
    assert len(heights) == 80
    assert set(heights) <= {101, 102, 103, 104}


def test_a_server_that_stops_drops_its_scan(daemon: Daemon) -> None:
    make(daemon)
    daemon.scan_seconds = 60
    gone: list[type[Exception]] = []

    def rescan() -> None:
        try:
            of(daemon, "rescanblockchain")
        except (OSError, http.client.HTTPException) as failure:
            gone.append(type(failure))

    scan = threading.Thread(target=rescan)
    scan.start()
    while not of(daemon, "getwalletinfo")["scanning"]:
        assert scan.is_alive()
    start = time.monotonic()
    daemon.stop()
    scan.join()
    assert len(gone) == 1
    assert time.monotonic() - start < 30
    daemon.start()
    assert ask(daemon, "loadwallet", "vault-demo") == {"name": "vault-demo"}
    assert of(daemon, "getwalletinfo")["scanning"] is False
