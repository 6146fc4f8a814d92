"""A node that answers what no node answers: bounded work, one sentence that names node and field.

Every answer of the daemon is recorded; then each value in each of them is replaced, one at a
time, by what a hostile or broken node might say instead.
"""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from coordinator.chain import ChainSource, ChainUpdate, Package, Tip, Watch
from coordinator.chain.core import rpc
from coordinator.chain.opening import open_chain
from coordinator.chain.regtest import RegtestChain
from coordinator.errors import ChainError, ChainUnreachable
from coordinator.foreign_json import HEIGHT_MAX, TIME_MAX
from psbt import consensus
from tests.servers.daemon import serve
from tests.servers.vault import DESCRIPTOR, receive_script

WATCH = Watch(frozenset({receive_script(0)}), None, DESCRIPTOR, (100, 100))
NAME = "a" * 64
# What stands in place of a value, written as JSON.
HOSTILE = {
    "null": "null",
    "true": "true",
    "a fraction": "1.5",
    "minus five": "-5",
    "2^64": str(2**64),
    "5,000 digits": "9" * 5_000,
    "1e999990": "1e999990",
    "-9e18": "-9e18",
    "1e308": "1e308",
    "a text": '"x"',
    "a long text": '"' + "x" * 100_000 + '"',
    "half a surrogate pair": r'"\ud800"',
    "a control sequence": r'"\u001b]0;x\u0007"',
    "another name": f'"{NAME}"',
    "nothing": "[]",
    "numbers": "[1.5, [], {}, null]",
    "an object": "{}",
    "100,000 deep": "[" * 100_000 + "]" * 100_000,
}
ASKED_MAX = 60
"""How many requests a whole round of questions may take, whatever is answered."""

Exchange = tuple[str, bytes]


def questions(source: ChainSource, chain: RegtestChain) -> list[object]:
    """Ask all there is to ask; returns what came of each."""
    waiting = chain.mempool()[0]
    raw = chain.transaction(waiting) or b""
    stale = Tip(3, NAME)
    asked: list[Callable[[], object]] = [
        source.tip,
        lambda: source.sync(WATCH),
        lambda: source.sync(WATCH._replace(since=stale)),
        lambda: source.feerate(6),
        lambda: source.package(waiting),  # type: ignore[attr-defined]  # a PackageSource
        lambda: source.broadcast(raw),
    ]
    outcomes: list[object] = []
    for ask in asked:
        try:
            outcomes.append(ask())
        except ChainError as failure:
            outcomes.append(failure)
    return outcomes


class Recording:
    """What the daemon answered, by what was asked, and how it is played back."""

    def __init__(self) -> None:
        self.bodies: dict[Exchange, str] = {}
        self.swapped: dict[str, str] = {}
        self.asked = 0
        self.ask = rpc._post

    def record(self, node: rpc.Node, path: str, body: bytes) -> tuple[int, bytes]:
        status, raw = self.ask(node, path, body)
        self.bodies.setdefault((path, body), raw.decode())
        return status, raw

    def play(self, _: rpc.Node, path: str, body: bytes) -> tuple[int, bytes]:
        self.asked += 1
        text = self.bodies.get((path, body))
        if text is None:
            number = json.loads(body)
            wanted = [each["id"] for each in (number if isinstance(number, list) else [number])]
            error = {"code": -5, "message": "Block not found"}
            return 200, json.dumps([{"id": each, "error": error} for each in wanted]).encode()
        return 200, self.swapped.get(text, text).encode()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recording, RegtestChain]:
    """Record a node with a payment in a block, one that waits, and a fee estimate."""
    if not consensus.engine_available():
        pytest.skip("libbitcoinkernel is not installed")
    folder = tmp_path_factory.mktemp("recorded")
    chain, recording = RegtestChain(folder / "chain"), Recording()
    chain.mine(101)
    chain.fund(receive_script(0), 50_000)
    chain.mine(1)
    chain.fund(receive_script(0), 60_000)
    with pytest.MonkeyPatch.context() as patch, serve(chain, folder / "core") as daemon:
        daemon.feerate_sats_per_kvb = 5_000
        patch.setattr(rpc, "_post", recording.record)
        url = f"bitcoind+http://127.0.0.1:{daemon.url.rpartition(':')[2]}?cookie={daemon.cookie}"
        for _ in range(2):  # the first round makes the wallet, the second finds it
            questions(open_chain(url, folder / "client", "regtest"), chain)
    return recording, chain


def places(value: object) -> Iterator[tuple[str | int, ...]]:
    """Yield the way to each value in a document."""
    yield ()
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, each in inner:
        yield from ((key, *way) for way in places(each))


def with_value(document: object, way: tuple[str | int, ...], text: str) -> str:
    """Return a document as JSON with one value replaced by a text as it stands."""
    mark = "\u0001here\u0001"
    if not way:
        return text
    copied = json.loads(json.dumps(document))
    holder = copied
    for key in way[:-1]:
        holder = holder[key]
    holder[way[-1]] = mark
    return json.dumps(copied).replace(json.dumps(mark), text)


def is_sound(outcome: object) -> bool:
    """Tell whether what came of a question may be stored, or says what was wrong."""
    if isinstance(outcome, ChainError):
        return len(str(outcome)) < 1_500
    if isinstance(outcome, Tip):
        return (
            type(outcome.height) is int
            and 0 <= outcome.height <= HEIGHT_MAX
            and len(outcome.hash) == 64
        )
    if isinstance(outcome, ChainUpdate):
        return is_sound(outcome.tip) and all(
            len(seen.txid) == 64
            and (seen.height is None or 0 <= seen.height <= HEIGHT_MAX)
            and (seen.block_hash is None or len(seen.block_hash) == 64)
            and (seen.time is None or 0 <= seen.time <= TIME_MAX)
            for seen in outcome.transactions
        )
    if isinstance(outcome, Package):
        return outcome.vsize > 0 and outcome.fee_sats >= 0
    return isinstance(outcome, int | str)


@pytest.mark.parametrize("turns", [5, pytest.param(1, marks=pytest.mark.matrix)])
@pytest.mark.parametrize("kind", HOSTILE)
def test_any_value_of_any_answer_may_be_anything(
    recorded: tuple[Recording, RegtestChain],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    turns: int,
) -> None:
    """In `make test` each value takes turns to be a third of them, in `make test-all` it is all."""
    recording, chain = recorded
    monkeypatch.setattr(rpc, "_post", recording.play)
    cookie = tmp_path / "cookie"
    cookie.write_text("a:b")
    met, tried, refused = [*HOSTILE].index(kind), 0, 0
    for text in sorted(set(recording.bodies.values())):
        document = json.loads(text)
        for way in places(document):
            met += 1
            if met % turns:
                continue
            said = with_value(document, way, HOSTILE[kind])
            recording.swapped, recording.asked = {text: said}, 0
            tried += 1
            url = f"bitcoind+http://127.0.0.1:1?cookie={cookie}"
            source = open_chain(url, tmp_path / str(tried), "regtest")
            outcomes = questions(source, chain)
            assert all(is_sound(outcome) for outcome in outcomes), (way, outcomes)
            assert recording.asked <= ASKED_MAX
            refused += any(isinstance(outcome, ChainError) for outcome in outcomes)
    recording.swapped = {}
    assert 0 < refused <= tried
    assert tried > 100 // turns


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def node_at(listener: socket.socket, tmp_path: Path, seconds: float = 5.0) -> rpc.Node:
    cookie = tmp_path / "cookie"
    cookie.write_text("a:b")
    return rpc.Node("127.0.0.1", listener.getsockname()[1], cookie, seconds)


def read_request(connection: socket.socket) -> None:
    """Read a request whole: what is left unread would end the connection in a reset."""
    with connection.makefile("rb") as asked:
        length = 0
        while (line := asked.readline().lower().strip()) != b"":
            name, _, value = line.partition(b":")
            length = int(value) if name == b"content-length" else length
        asked.read(length)


def serve_bytes(listener: socket.socket, pieces: Iterator[bytes]) -> None:
    """Answer one request with these bytes as fast as they are taken, until the client is gone."""

    def answer() -> None:
        with suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                read_request(connection)
                for piece in pieces:
                    connection.sendall(piece)
                connection.shutdown(socket.SHUT_WR)

    threading.Thread(target=answer, daemon=True).start()


def endless(head: bytes, piece: bytes) -> Iterator[bytes]:
    yield head
    while True:
        yield piece


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
BODIES = {
    "a body said to have 1.5 GiB": (
        lambda: iter([b"HTTP/1.1 200 OK\r\nContent-Length: 1610612736\r\n\r\n", b"["]),
        r"more than 100,000 bytes",
    ),
    "a body without end": (
        lambda: endless(b"HTTP/1.1 200 OK\r\n\r\n", b"[" * 65_536),
        r"more than 100,000 bytes",
    ),
    "chunks without end": (
        lambda: endless(CHUNKED, b"10000\r\n" + b"[" * 65_536 + b"\r\n"),
        r"more than 100,000 bytes",
    ),
    "a chunk of 2^200 bytes": (
        lambda: endless(CHUNKED + b"1" + b"0" * 50 + b"\r\n", b"[" * 65_536),
        r"more than 100,000 bytes",
    ),
    "a chunk of no length": (lambda: iter([CHUNKED, b"-x\r\n[]\r\n"]), "broke off in the middle"),
    "a header line without end": (
        lambda: endless(b"HTTP/1.1 200 OK\r\n", b"X" * 65_536),
        "broke off in the middle",
    ),
    "headers without end": (
        lambda: endless(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 1_000),
        "broke off in the middle",
    ),
    "no HTTP": (lambda: iter([b"\x00" * 1_000]), "broke off in the middle"),
    "compressed": (
        lambda: iter(
            [b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x08"]
        ),
        "JSON that cannot be read",
    ),
    "half of it": (
        lambda: iter([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[]"]),
        "broke off in the middle",
    ),
}


@pytest.mark.parametrize(("answer", "said"), BODIES.values(), ids=BODIES)
def test_a_body_is_read_up_to_a_bound(
    listener: socket.socket,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    answer: Callable[[], Iterator[bytes]],
    said: str,
) -> None:
    monkeypatch.setattr(rpc, "ANSWER_SIZE_MAX", 100_000)
    serve_bytes(listener, answer())
    with pytest.raises(ChainUnreachable, match=said):
        rpc.call(node_at(listener, tmp_path), "getblockcount")


TRICKLES = {
    "a body": (b"HTTP/1.1 200 OK\r\n\r\n", b"["),
    "chunks": (CHUNKED, b"1\r\n[\r\n"),
    "one interim answer after another": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "trailing lines after the last chunk": (CHUNKED + b"2\r\n[]\r\n0\r\n", b"X: y\r\n"),
}


@pytest.mark.parametrize(("head", "piece"), TRICKLES.values(), ids=TRICKLES)
def test_an_answer_that_trickles_in_comes_to_an_end(
    listener: socket.socket,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    head: bytes,
    piece: bytes,
) -> None:
    monkeypatch.setattr(rpc, "WHOLE_ANSWERS", 0.1)
    pause = threading.Event()

    def slowly() -> Iterator[bytes]:
        for each in endless(head, piece):
            pause.wait(0.01)
            yield each

    serve_bytes(listener, slowly())
    with pytest.raises(ChainUnreachable, match="does not end its answer within 1 seconds"):
        rpc.call(node_at(listener, tmp_path, seconds=10.0), "getblockcount")
