"""The daemon answers as the recorded Bitcoin Core did."""

from coordinator.chain.regtest.blocks import GENESIS_HASH, parse_block
from psbt.transaction import parse_transaction
from tests.coordinator.chain.purse import Purse
from tests.servers.client import ask, keys, post, recorded
from tests.servers.daemon import Daemon


def test_getnetworkinfo_has_the_recorded_shape(daemon: Daemon) -> None:
    assert keys(ask(daemon, "getnetworkinfo")) == keys(recorded("getnetworkinfo"))


def test_getblockchaininfo_has_the_recorded_shape(daemon: Daemon) -> None:
    told = ask(daemon, "getblockchaininfo")
    assert keys(told) == keys(recorded("getblockchaininfo"))
    assert (told["blocks"], told["bestblockhash"]) == daemon.chain.tip()


def test_getindexinfo_names_the_index(daemon: Daemon) -> None:
    expected = recorded("getindexinfo")["txindex"]
    assert keys(ask(daemon, "getindexinfo")["txindex"]) == keys(expected)


def test_blocks_are_found_by_height_and_hash(daemon: Daemon) -> None:
    tip = ask(daemon, "getbestblockhash")
    assert ask(daemon, "getblockhash", 101) == tip
    assert ask(daemon, "getblockhash", 0) == GENESIS_HASH
    header = ask(daemon, "getblockheader", tip)
    assert keys(header) == keys(recorded("getblockheader"))
    assert (header["confirmations"], header["height"]) == (1, 101)
    raw = bytes.fromhex(ask(daemon, "getblock", tip, 0))
    assert parse_block(raw).hash == tip
    assert raw.startswith(bytes.fromhex(ask(daemon, "getblockheader", tip, False)))
    assert ask(daemon, "getblock", GENESIS_HASH)["nextblockhash"] == daemon.chain.ledger().hashes[1]


def test_what_is_not_there_has_the_recorded_error(daemon: Daemon) -> None:
    assert ask(daemon, "getblockhash", 999_999) == recorded("getblockhash")
    assert ask(daemon, "nosuchmethod") == recorded("nosuchmethod")
    assert ask(daemon, "getblockheader", "00" * 32)["code"] == -5
    assert ask(daemon, "getrawtransaction", "00" * 32)["code"] == -5


def test_a_block_that_lost_is_told_with_no_confirmations(daemon: Daemon) -> None:
    (lost,) = daemon.chain.mine(1)
    daemon.chain.reorganise(101)
    assert ask(daemon, "getblockheader", lost)["confirmations"] == -1


def test_a_transaction_goes_from_the_mempool_into_a_block(daemon: Daemon) -> None:
    purse = Purse("daemon")
    (txid,) = daemon.chain.fund(purse.script_pubkey, 50_000)
    assert ask(daemon, "getrawmempool") == [txid]
    entry = ask(daemon, "getmempoolentry", txid)
    assert keys(entry) == keys(recorded("getmempoolentry"))
    assert ask(daemon, "getmempoolinfo")["size"] == 1
    assert keys(ask(daemon, "getmempoolinfo")) == keys(recorded("getmempoolinfo"))
    told = ask(daemon, "getrawtransaction", txid, 2)
    assert told.keys() == recorded("getrawtransaction", 1).keys()
    (block,) = daemon.chain.mine(1)
    assert ask(daemon, "getmempoolentry", txid)["code"] == -5
    told = ask(daemon, "getrawtransaction", txid, 1)
    assert (told["blockhash"], told["confirmations"]) == (block, 1)
    assert parse_transaction(bytes.fromhex(told["hex"])).txid == txid


def test_a_transaction_is_judged_sent_and_known(daemon: Daemon) -> None:
    purse = Purse("daemon")
    (txid,) = daemon.chain.fund(purse.script_pubkey, 50_000)
    daemon.chain.mine(1)
    (coin,) = purse.coins(daemon.chain.transaction(txid))
    good = purse.spend([coin]).raw.hex()
    assert keys(ask(daemon, "testmempoolaccept", [good])) == keys(recorded("testmempoolaccept", 1))
    assert ask(daemon, "gettxout", *coin[0])["value"] == 0.0005
    sent = ask(daemon, "sendrawtransaction", good)
    assert daemon.chain.mempool() == [sent]
    assert ask(daemon, "sendrawtransaction", good) == sent
    assert ask(daemon, "testmempoolaccept", [good])[0]["reject-reason"] == "txn-already-in-mempool"
    assert ask(daemon, "gettxout", *coin[0]) is None
    assert ask(daemon, "gettxout", *coin[0], False)["confirmations"] == 1
    daemon.chain.mine(1)
    assert ask(daemon, "sendrawtransaction", good) == recorded("sendrawtransaction", 4)


def test_a_refused_transaction_has_the_recorded_codes(daemon: Daemon) -> None:
    purse, thief = Purse("daemon"), Purse("thief")
    (txid,) = daemon.chain.fund(purse.script_pubkey, 5_000_000)
    coins = purse.coins(daemon.chain.transaction(txid))
    for wrong, code, reason in (
        (thief.spend(coins), -26, "mandatory-script-verify-flag-failed"),
        (purse.spend([((txid, 7), 9_000_000)]), -25, "bad-txns-inputs-missingorspent"),
        (purse.spend(coins, fee_sats=1), -26, "min relay fee not met"),
        (purse.spend(coins, fee_sats=4_000_000), -25, "Fee exceeds maximum"),
    ):
        error = ask(daemon, "sendrawtransaction", wrong.raw.hex())
        assert error["code"] == code
        assert error["message"].startswith(reason)
        assert ask(daemon, "testmempoolaccept", [wrong.raw.hex()])[0]["allowed"] is False
    assert daemon.chain.mempool() == [txid]
    assert ask(daemon, "sendrawtransaction", "00") == recorded("sendrawtransaction", 1)


def test_fees_are_estimated_when_told(daemon: Daemon) -> None:
    assert ask(daemon, "estimatesmartfee", 6) == recorded("estimatesmartfee")
    daemon.feerate_sats_per_kvb = 2_500
    assert ask(daemon, "estimatesmartfee", 6) == {"feerate": 0.000025, "blocks": 6}


def test_without_an_index_only_what_waits_is_found(daemon: Daemon) -> None:
    daemon.has_index = False
    (txid,) = daemon.chain.fund(Purse("daemon").script_pubkey, 50_000)
    assert isinstance(ask(daemon, "getrawtransaction", txid), str)
    (block,) = daemon.chain.mine(1)
    assert "-txindex" in ask(daemon, "getrawtransaction", txid)["message"]
    assert isinstance(ask(daemon, "getrawtransaction", txid, 0, block), str)
    assert ask(daemon, "getindexinfo") == {}


def test_1_x_errors_come_with_a_status(daemon: Daemon) -> None:
    assert post(daemon, {"method": "getblockhash", "params": [9_999], "id": 7}) == (
        500,
        {"result": None, "error": {"code": -8, "message": "Block height out of range"}, "id": 7},
    )
    assert post(daemon, {"method": "nosuchmethod", "id": 7})[0] == 404
    assert post(daemon, {"method": 5, "id": 7})[0] == 400
    status, document = post(daemon, b"{")
    assert (status, document["error"]["code"]) == (500, -32700)
    status, document = post(daemon, {"method": "getblockcount", "id": 7})
    assert (status, document) == (200, {"result": 101, "error": None, "id": 7})


def test_a_batch_is_answered_in_order(daemon: Daemon) -> None:
    batch = [{"method": "getblockhash", "params": [n], "id": n} for n in (1, 9_999, 0)]
    status, answers = post(daemon, batch)
    assert status == 200
    assert [answer["id"] for answer in answers] == [1, 9_999, 0]
    assert [bool(answer["error"]) for answer in answers] == [False, True, False]


def test_parameters_go_by_name_too(daemon: Daemon) -> None:
    request = {"jsonrpc": "2.0", "id": 1, "method": "getblockhash", "params": {"height": 0}}
    assert post(daemon, request)[1]["result"] == GENESIS_HASH
    wrong = {**request, "params": {"tall": 0}}
    assert post(daemon, wrong)[1]["error"]["message"] == "Unknown named parameter tall"
    assert ask(daemon, "getblockhash")["code"] == -1


def test_a_notification_has_no_answer(daemon: Daemon) -> None:
    assert post(daemon, {"jsonrpc": "2.0", "method": "getblockcount"}) == (204, b"")


def test_strangers_are_refused(daemon: Daemon) -> None:
    assert post(daemon, {"method": "getblockcount"}, login="__cookie__:wrong") == (401, b"")
    assert daemon.password_file.read_text() == daemon.cookie.read_text()
