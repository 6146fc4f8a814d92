"""The RPC client and the node's source against what a real Bitcoin Core 31.99 answered."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from coordinator.chain.core.rpc import Node, RpcError, call
from coordinator.chain.opening import open_chain
from coordinator.errors import NoEstimate, TransactionRejected
from psbt.transaction import parse_transaction
from tests.servers.client import TRANSCRIPT
from tests.servers.wire import Answer, Mischief, Request, Server

EXCHANGES: list[dict[str, Any]] = (
    json.loads(TRANSCRIPT.read_text(), parse_float=Decimal)["exchanges"]
    if TRANSCRIPT.exists()
    else []
)
pytestmark = pytest.mark.skipif(not EXCHANGES, reason="the recorded transcript is not here")


def play(request: Request) -> Answer:
    """Answer as recorded; nothing else is answered."""
    asked = json.loads(request.body)
    for each in EXCHANGES:
        same = (each["path"], each["method"]) == (request.path, asked["method"])
        if same and json.loads(json.dumps(each["params"], default=float)) == asked["params"]:
            document = {**each["response"], "id": asked["id"]}
            return Answer(each["http_status"], json.dumps(document, default=float).encode())
    raise AssertionError(f"{asked['method']} was not recorded with these parameters")


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    cookie = tmp_path / "cookie"
    cookie.write_text("a:b")
    server = Server(play, Mischief())
    server.start("a:b")
    yield Node("127.0.0.1", server.port, cookie, 10.0)
    server.stop()


@pytest.mark.parametrize("number", range(len(EXCHANGES)))
def test_every_answer_is_understood(node: Node, number: int) -> None:
    each = EXCHANGES[number]
    first = next(e for e in EXCHANGES if all(e[k] == each[k] for k in ("path", "method", "params")))
    wallet = each["path"].removeprefix("/wallet/").strip("/")
    params = json.loads(json.dumps(each["params"], default=float))
    response = first["response"]
    if "error" not in response:
        assert call(node, each["method"], *params, wallet=wallet).value == response["result"]
        return
    with pytest.raises(RpcError) as caught:
        call(node, each["method"], *params, wallet=wallet)
    assert caught.value.rpc_code == response["error"]["code"]
    assert caught.value.rpc_message == response["error"]["message"]


def sent(note: str | None, method: str = "sendrawtransaction") -> str:
    found = next(e for e in EXCHANGES if e["method"] == method and e["note"] == note)
    raw = found["params"][0]
    return str(raw[0] if isinstance(raw, list) else raw)


def test_the_source_asks_what_a_real_node_answers(node: Node, tmp_path: Path) -> None:
    url = f"bitcoind+http://127.0.0.1:{node.port}?cookie={node.credentials}"
    source = open_chain(url, tmp_path, "regtest")
    recorded = next(e for e in EXCHANGES if e["method"] == "getblockchaininfo")["response"]
    assert source.tip() == (recorded["result"]["blocks"], recorded["result"]["bestblockhash"])
    with pytest.raises(NoEstimate):
        source.feerate(6)
    good = bytes.fromhex(sent(None, "testmempoolaccept"))
    txid = parse_transaction(good).txid
    assert source.broadcast(good) == txid
    assert source.package(txid) == (189, 378)
    with pytest.raises(TransactionRejected, match="Signature must be zero for failed CHECK"):
        source.broadcast(bytes.fromhex(sent("a signature with a flipped bit")))
