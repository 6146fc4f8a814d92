"""Electrum and Esplora servers that answer anything: bounded, one sentence, the server named."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from coordinator.chain import ChainSource, ChainUpdate, SeenTransaction, Tip, check_update
from coordinator.chain.opening import open_chain
from coordinator.errors import ChainError, ChainUnreachable
from psbt.relay import CORE_30
from tests.contracts.books import Book
from tests.contracts.worlds import make
from tests.judges import judge
from tests.patience import SECONDS

judge("bdkpython")
GENESIS = "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"
HEADER = bytes(80).hex()
HASH = "ab" * 32
UNKNOWN = '{"code": -32601, "message": "unknown method"}'
OK = b"HTTP/1.1 200 OK\r\n"

Respond = Callable[[bytes], Iterator[bytes]]


@contextmanager
def serving(respond: Respond) -> Iterator[int]:
    """Answer each request with the pieces a function gives, on a port of the loopback.

    A request is a line of JSON, or what ends with an empty line.
    """

    def converse(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            lines = connection.makefile("rb")
            while asked := lines.readline():
                while not asked.startswith(b"{") and not asked.endswith(b"\r\n\r\n"):
                    asked += lines.readline()
                for piece in respond(asked):
                    connection.sendall(piece)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=converse, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


def electrum(answers: dict[str, str]) -> Respond:
    """Answer as an Electrum server; JSON as it stands, `…` is a line without end."""

    def respond(asked: bytes) -> Iterator[bytes]:
        request = json.loads(asked)
        text = answers.get(request["method"], "null")
        if text == "…":
            while True:
                yield b"[" * 65_536
        kind = "error" if text == UNKNOWN else "result"
        yield f'{{"jsonrpc":"2.0","id":{request["id"]},"{kind}":{text}}}\n'.encode()

    features = {"genesis_hash": GENESIS, "server_version": "x", "protocol_min": "1.4"}
    features |= {"protocol_max": "1.4", "hash_function": "sha256", "pruning": None, "hosts": {}}
    usual = {"server.version": '["x", "1.4"]', "server.features": json.dumps(features)}
    answers = {**usual, **answers}
    return respond


def esplora(answers: dict[str, str]) -> Respond:
    """Answer as an Esplora server; `…` is a body without end, `huge` one said to have 1.5 GiB."""

    def respond(asked: bytes) -> Iterator[bytes]:
        path = asked.split(b" ")[1].decode()
        text = {"/block-height/0": GENESIS, **answers}.get(path, "{}")
        if text == "huge":
            yield OK + b"Content-Length: 1610612736\r\n\r\n"
        elif text in {"…", "chunks"}:
            yield OK + (b"Transfer-Encoding: chunked\r\n\r\n" if text == "chunks" else b"\r\n")
        else:
            yield OK + f"Content-Length: {len(text)}\r\n\r\n{text}".encode()
            return
        while True:
            yield (b"10000\r\n" if text == "chunks" else b"") + b"[" * 65_536 + b"\r\n"

    return respond


def asked_for(source: ChainSource, question: str) -> object:
    asking: dict[str, Callable[[], object]] = {
        "tip": source.tip,
        "feerate": lambda: source.feerate(6),
        "relay": source.relay,
    }
    return asking[question]()


LINES = {
    "server.features": ("tip", ["…", "[]", "null", '"x"', "1e400", "[" * 5_000]),
    "blockchain.headers.subscribe": (
        "tip",
        [
            "…",
            "[]",
            '{"height": -5, "hex": ""}',
            '{"height": true}',
            "[" * 5_000,
            f'{{"height": 4294967296, "hex": "{HEADER}"}}',
            f'{{"height": 18446744073709551615, "hex": "{HEADER}"}}',
        ],
    ),
    "blockchain.estimatefee": ("feerate", ["…", "1e308", "1.1", "[]", '"x"', "true", "[" * 5_000]),
    "blockchain.relayfee": ("relay", ["…", "1e308", "2", "[]", '"x"', "[" * 5_000]),
}


@pytest.mark.parametrize(
    ("method", "question", "text"),
    [(method, question, text) for method, (question, texts) in LINES.items() for text in texts],
)
def test_an_electrum_server_may_answer_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, question: str, text: str
) -> None:
    monkeypatch.setattr("coordinator.chain.bdk.local_proxy.ANSWER_SIZE_MAX", 200_000)
    with serving(electrum({method: text})) as port:
        source = open_chain(f"electrum+tcp://127.0.0.1:{port}?timeout=60", tmp_path, "regtest")
        with pytest.raises(ChainError) as refused:
            asked_for(source, question)
        source.close()
    assert len(str(refused.value)) < 500
    if text == "…":
        assert str(refused.value).endswith("answers with more than 200,000 bytes")


def test_an_electrum_server_need_not_tell_what_it_relays(tmp_path: Path) -> None:
    for text, minimum in ((UNKNOWN, 100), ("0.00001", 1_000), ("0", 100), ("-1", 100)):
        with serving(electrum({"blockchain.relayfee": text})) as port:
            source = open_chain(f"electrum+tcp://127.0.0.1:{port}?timeout=60", tmp_path, "regtest")
            assert source.relay().rules == CORE_30._replace(minimum=minimum)
            source.close()


BODIES = {
    "/block-height/0": ("tip", ["…", "huge", "chunks", "x", "[" * 5_000]),
    "/blocks/tip/height": ("tip", ["…", "chunks", "4294967296", "-5", "x", "true", "1e3"]),
    "/fee-estimates": (
        "feerate",
        ["…", "huge", "[]", '{"6":1e308}', '{"6":-1e9}', '{"x":1}', "[" * 5_000],
    ),
}


@pytest.mark.parametrize(
    ("path", "question", "text"),
    [(path, question, text) for path, (question, texts) in BODIES.items() for text in texts],
)
def test_an_esplora_server_may_answer_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, question: str, text: str
) -> None:
    monkeypatch.setattr("coordinator.chain.bdk.local_proxy.ANSWER_SIZE_MAX", 200_000)
    monkeypatch.setattr("coordinator.chain.bdk.esplora.SECONDS", SECONDS)
    with serving(esplora({path: text})) as port:
        source = open_chain(f"esplora+http://127.0.0.1:{port}", tmp_path, "regtest")
        with pytest.raises(ChainError) as refused:
            asked_for(source, question)
        source.close()
    assert len(str(refused.value)) < 500
    if text in {"…", "huge", "chunks"}:
        assert str(refused.value).endswith("answers with more than 200,000 bytes")


@pytest.mark.parametrize("kind", ["electrum+tcp", "esplora+http"])
def test_a_server_that_falls_silent_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr("coordinator.chain.bdk.esplora.SECONDS", 1.0)
    option = "?timeout=1" if kind.startswith("electrum") else ""
    with serving(lambda _: iter(())) as port:
        source = open_chain(f"{kind}://127.0.0.1:{port}{option}", tmp_path, "regtest")
        with pytest.raises(ChainUnreachable):
            source.tip()
        source.close()


@pytest.mark.parametrize("source", ["electrum", "esplora"])
def test_a_scan_that_never_ends_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.setattr("coordinator.chain.bdk.electrum.SCRIPTS_MAX", 30)
    with make(source, tmp_path) as world:
        book = Book(tmp_path / "home")
        book.add()
        asked = open_chain(world.url, tmp_path / "client", "regtest")
        with pytest.raises(ChainUnreachable, match="30 addresses were used, one after the other"):
            book.sync(asked)
        assert book.coins() == {}
        asked.close()
        book.close()


TOLD = SeenTransaction(HASH, b"", 5, HASH, 1_700_000_000)
IMPOSSIBLE = {
    "a height below 0": TOLD._replace(height=-1),
    "a height of 2^64": TOLD._replace(height=2**64),
    "a height without a block": TOLD._replace(block_hash=None),
    "a block without a height": TOLD._replace(height=None),
    "a block of another shape": TOLD._replace(block_hash="x"),
    "a name of another shape": TOLD._replace(txid="../../x"),
    "a time after 2106": TOLD._replace(time=2**32),
    "a time below 0": TOLD._replace(time=-1),
}


@pytest.mark.parametrize("seen", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_what_no_chain_holds_is_kept_from_no_source(seen: SeenTransaction) -> None:
    tip = Tip(10, HASH)
    assert check_update(ChainUpdate(tip, None, (TOLD,))).transactions == (TOLD,)
    with pytest.raises(ChainError):
        check_update(ChainUpdate(tip, None, (seen,)))


@pytest.mark.parametrize("tip", [Tip(-1, HASH), Tip(2**31, HASH), Tip(1, "x"), Tip(1, "")])
def test_a_tip_no_chain_has_is_kept_from_no_source(tip: Tip) -> None:
    with pytest.raises(ChainError, match="an impossible tip"):
        check_update(ChainUpdate(tip, None, ()))
