"""The daemon's wallets answer as the recorded Bitcoin Core's did, and see what they should."""

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from coordinator.chain.regtest import RegtestChain
from tests.coordinator.chain.purse import Purse
from tests.servers.client import Document, ask, keys, recorded
from tests.servers.daemon import Daemon, serve
from tests.servers.vault import DESCRIPTOR, change_script, receive_script, spend

PATH = "/wallet/vault-demo"


@pytest.fixture
def wallet(daemon: Daemon) -> Daemon:
    """A daemon with one wallet that watches the vault from its first block."""
    daemon.keypool = 20
    make(daemon)
    return daemon


def make(daemon: Daemon, timestamp: object = 0, **fields: object) -> Document:
    ask(daemon, "createwallet", "vault-demo", True, True, "", False, True, False)
    return import_vault(daemon, timestamp, **fields)


def import_vault(daemon: Daemon, timestamp: object = 0, **fields: object) -> Document:
    request = {"desc": DESCRIPTOR, "timestamp": timestamp, "active": True, **fields}
    return of(daemon, "importdescriptors", [request])


def of(daemon: Daemon, method: str, *params: object) -> Document:
    return ask(daemon, method, *params, path=PATH)


def since(daemon: Daemon, block_hash: str = "") -> Document:
    """List all with change and what was removed, as our own client does."""
    return of(daemon, "listsinceblock", block_hash, 1, True, True, True)


def confirmations(daemon: Daemon) -> dict[str, int]:
    return {item["txid"]: item["confirmations"] for item in since(daemon)["transactions"]}


def test_a_wallet_is_made_once(daemon: Daemon) -> None:
    made = ask(daemon, "createwallet", "vault-demo", True, True, "", False, True, False)
    assert made == recorded("createwallet")
    again = ask(daemon, "createwallet", "vault-demo", True, True, "", False, True, False)
    known = recorded("createwallet", 1)
    place = str(daemon.folder)
    assert {**again, "message": again["message"].replace(place, "DATADIR")} == known


def test_a_wallet_is_loaded_unloaded_and_listed(daemon: Daemon) -> None:
    missing = ask(daemon, "loadwallet", "vault-demo")
    known = recorded("loadwallet")
    assert {
        **missing,
        "message": missing["message"].replace(str(daemon.folder), "DATADIR"),
    } == known
    assert ask(daemon, "getwalletinfo")["code"] == -18
    assert of(daemon, "getwalletinfo")["code"] == -18
    ask(daemon, "createwallet", "vault-demo", True, True)
    assert ask(daemon, "loadwallet", "vault-demo")["code"] == -35
    assert ask(daemon, "listwallets") == ["vault-demo"]
    assert ask(daemon, "getwalletinfo")["walletname"] == "vault-demo"
    ask(daemon, "createwallet", "other", True, True)
    assert ask(daemon, "getwalletinfo")["code"] == -19
    assert ask(daemon, "unloadwallet", "vault-demo") == {}
    assert ask(daemon, "unloadwallet", "vault-demo")["code"] == -18
    assert ask(daemon, "listwallets") == ["other"]
    assert [item["name"] for item in ask(daemon, "listwalletdir")["wallets"]] == [
        "other",
        "vault-demo",
    ]


def test_a_restarted_daemon_has_the_wallet_but_not_loaded(wallet: Daemon) -> None:
    (first,) = wallet.chain.fund(receive_script(0), 70_000)
    since(wallet)
    ask(wallet, "createwallet", "always", True, True, "", False, True, True)
    wallet.stop()
    wallet.chain.mine(1)
    (second,) = wallet.chain.fund(receive_script(1), 30_000)
    wallet.start()
    assert ask(wallet, "listwallets") == ["always"]
    assert of(wallet, "getwalletinfo")["code"] == -18
    assert ask(wallet, "loadwallet", "vault-demo") == {"name": "vault-demo"}
    assert confirmations(wallet) == {first: 1, second: 0}
    assert of(wallet, "listdescriptors")["descriptors"][0]["next_index"] == 2


def test_a_descriptor_is_imported_whole(wallet: Daemon) -> None:
    listed = of(wallet, "listdescriptors")
    assert keys(listed) == keys(recorded("listdescriptors"))
    receive, change = listed["descriptors"]
    assert (receive["internal"], change["internal"]) == (False, True)
    assert "/0/*" in receive["desc"]
    assert "/1/*" in change["desc"]
    assert receive["range"] == [0, 19]
    assert keys(of(wallet, "getwalletinfo")) == keys(recorded("getwalletinfo"))
    info = ask(wallet, "getdescriptorinfo", DESCRIPTOR)
    assert info.keys() == recorded("getdescriptorinfo").keys()
    assert info["checksum"] == DESCRIPTOR.partition("#")[2]
    assert info["multipath_expansion"] == [receive["desc"], change["desc"]]


def test_a_descriptor_that_is_wrong_is_refused(wallet: Daemon) -> None:
    body, _, checksum = DESCRIPTOR.partition("#")
    told = import_vault(wallet, desc=f"{body}#aaaaaaaa")[0]
    known = recorded("importdescriptors", 1)[0]["error"]
    words = known["message"].replace("8lya595x", checksum)
    assert told == {"success": False, "error": {**known, "message": words}}
    assert import_vault(wallet, desc=body)[0]["error"]["message"] == "Missing checksum"
    assert import_vault(wallet, range=[5, 2])[0]["error"]["code"] == -8
    shrunk = import_vault(wallet, range=[0, 9])[0]["error"]
    assert shrunk == {"code": -8, "message": "new range must include current range = [0,19]"}
    assert import_vault(wallet, range=[0, 29])[0] == {"success": True}
    without = of(wallet, "importdescriptors", [{"desc": DESCRIPTOR}])
    assert without["code"] == -3


def test_a_payment_waits_then_confirms(wallet: Daemon) -> None:
    (txid,) = wallet.chain.fund(receive_script(0), 70_000)
    (entry,) = since(wallet)["transactions"]
    assert (entry["confirmations"], entry["trusted"], entry["amount"]) == (0, False, 0.0007)
    assert of(wallet, "getbalances")["mine"]["untrusted_pending"] == 0.0007
    assert of(wallet, "listunspent") == []
    (block,) = wallet.chain.mine(1)
    told = since(wallet)
    assert keys(told) == keys(recorded("listsinceblock"))
    assert told["lastblock"] == block
    assert keys(of(wallet, "gettransaction", txid, True, True)).keys() == (
        recorded("gettransaction").keys()
    )
    (coin,) = of(wallet, "listunspent")
    assert keys(coin) == keys(recorded("listunspent")[0])
    assert (coin["amount"], coin["confirmations"], coin["safe"]) == (0.0007, 1, True)
    assert keys(of(wallet, "getbalances")) == keys(recorded("getbalances"))
    assert of(wallet, "gettransaction", "00" * 32)["code"] == -5


def test_only_news_is_listed(wallet: Daemon) -> None:
    wallet.chain.fund(receive_script(0), 10_000)
    wallet.chain.mine(1)
    last = since(wallet)["lastblock"]
    assert since(wallet, last)["transactions"] == []
    (txid,) = wallet.chain.fund(receive_script(1), 20_000)
    assert [item["txid"] for item in since(wallet, last)["transactions"]] == [txid]
    wallet.chain.mine(1)
    assert [item["txid"] for item in since(wallet, last)["transactions"]] == [txid]
    assert since(wallet, "00" * 32)["code"] == -5


def test_a_replaced_block_is_told(wallet: Daemon) -> None:
    (txid,) = wallet.chain.fund(receive_script(0), 10_000)
    (block,) = wallet.chain.mine(1)
    wallet.chain.reorganise(wallet.chain.tip().height - 1)
    told = since(wallet, block)
    assert [item["txid"] for item in told["removed"]] == [txid]
    assert [item["confirmations"] for item in told["transactions"]] == [0]
    assert told["lastblock"] == wallet.chain.tip().hash


def test_a_conflict_has_negative_confirmations(wallet: Daemon) -> None:
    purse = Purse("payer")
    (gift,) = wallet.chain.fund(purse.script_pubkey, 100_000)
    wallet.chain.mine(1)
    coins = purse.coins(wallet.chain.transaction(gift))
    first = wallet.chain.broadcast(purse.spend(coins, 1_000, to=receive_script(0)).raw)
    assert confirmations(wallet) == {first: 0}
    second = wallet.chain.broadcast(purse.spend(coins, 3_000, to=receive_script(1)).raw)
    told = {item["txid"]: item for item in since(wallet)["transactions"]}
    assert told[first]["confirmations"] == told[second]["confirmations"] == 0
    assert told[first]["walletconflicts"] == told[first]["mempoolconflicts"] == [second]
    assert told[second]["mempoolconflicts"] == []
    assert told[first]["bip125-replaceable"] == "unknown"
    assert told[second]["bip125-replaceable"] == "yes"
    assert [coin["txid"] for coin in of(wallet, "listunspent", 0)] == [second]
    wallet.chain.mine(2)
    assert confirmations(wallet) == {first: -2, second: 2}


def test_a_coinbase_matures(wallet: Daemon) -> None:
    wallet.chain.mine(1, receive_script(0))
    (entry,) = since(wallet)["transactions"]
    assert (entry["category"], entry["generated"]) == ("immature", True)
    assert of(wallet, "listunspent") == []
    assert of(wallet, "getbalances")["mine"]["immature"] > 0
    wallet.chain.mine(99)
    assert since(wallet)["transactions"][0]["category"] == "immature"
    wallet.chain.mine(1)
    assert since(wallet)["transactions"][0]["category"] == "generate"
    assert len(of(wallet, "listunspent")) == 1


def test_addresses_beyond_the_last_used_are_watched(wallet: Daemon) -> None:
    (near,) = wallet.chain.fund(receive_script(19), 10_000)
    (out_of_reach,) = wallet.chain.fund(receive_script(40), 10_000)
    assert set(confirmations(wallet)) == {near}
    (next_one,) = wallet.chain.fund(receive_script(39), 10_000)
    (change,) = wallet.chain.fund(change_script(0), 10_000)
    assert set(confirmations(wallet)) == {near, next_one, change}
    wallet.chain.mine(1)
    # What it did not watch when it was sent, it sees in its block.
    assert set(confirmations(wallet)) == {near, next_one, change, out_of_reach}
    assert of(wallet, "listdescriptors")["descriptors"][0]["range"] == [0, 60]


def test_old_blocks_are_read_from_two_hours_before_the_birthday(tmp_path: Path) -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    clock = [moment]
    chain = RegtestChain(tmp_path / "chain", now=lambda: clock[0])
    (early,) = chain.fund(receive_script(0), 10_000)
    chain.mine(1)
    clock[0] = moment + timedelta(hours=3)
    (late,) = chain.fund(receive_script(1), 20_000)
    chain.mine(1)
    with serve(chain, tmp_path / "core") as daemon:
        daemon.keypool = 5
        birthday = int((moment + timedelta(hours=4)).timestamp())
        assert make(daemon, birthday) == [
            {"success": True, "warnings": ["Range not given, using default keypool range"]}
        ]
        assert set(confirmations(daemon)) == {late}
        assert of(daemon, "rescanblockchain", 0) == {"start_height": 0, "stop_height": 102}
        assert set(confirmations(daemon)) == {early, late}
        assert of(daemon, "rescanblockchain", 9_999)["code"] == -8


def test_a_long_scan_is_seen_and_stopped(wallet: Daemon) -> None:
    wallet.scan_seconds = 20
    told: list[Document] = []
    scan = threading.Thread(target=lambda: told.append(of(wallet, "rescanblockchain")))
    scan.start()
    while not (going := of(wallet, "getwalletinfo")["scanning"]):
        assert scan.is_alive()
    assert 0 <= going["progress"] < 1
    assert of(wallet, "rescanblockchain")["code"] == -4
    assert of(wallet, "abortrescan") is True
    scan.join()
    assert told == [{"code": -1, "message": "Rescan aborted."}]
    assert of(wallet, "getwalletinfo")["scanning"] is False


def test_a_payment_of_the_wallet_lists_what_went_out_and_what_came_back(wallet: Daemon) -> None:
    (gift,) = wallet.chain.fund(receive_script(0), 100_000)
    wallet.chain.mine(1)
    paid = wallet.chain.broadcast(spend(wallet.chain, gift, pay_sats=60_000, fee_sats=1_000))
    told = [item for item in since(wallet)["transactions"] if item["txid"] == paid]
    assert sorted((item["category"], item["amount"]) for item in told) == [
        ("receive", 0.00039),
        ("send", -0.0006),
        ("send", -0.00039),
    ]
    assert all(item["trusted"] for item in told)
    without = of(wallet, "listsinceblock", "", 1, True, True)["transactions"]
    (entry,) = [item for item in without if item["txid"] == paid]
    assert (entry["amount"], entry["fee"]) == (-0.0006, -0.00001)
    (coin,) = of(wallet, "listunspent", 0)
    assert (coin["txid"], coin["amount"], coin["safe"]) == (paid, 0.00039, True)
    assert of(wallet, "getbalances")["mine"]["trusted"] == 0.00039
    wallet.chain.mine(1)
    told = of(wallet, "gettransaction", paid, True, True)
    known = recorded("gettransaction", 1)
    assert told.keys() == known.keys()
    assert told["details"][0].keys() == known["details"][0].keys()
    assert (told["amount"], told["fee"]) == (-0.0006, -0.00001)
