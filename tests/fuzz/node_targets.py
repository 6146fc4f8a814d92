"""What nodes and servers answer, and the files that are kept of it.

A node's honest answers are recorded once; a script then says what a liar says instead.
"""

import http.client
import io
import json
import shutil
import struct
import threading
import unicodedata
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache, partial
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from unittest import mock

import cbor2

from cards.emulation import open_card
from cards.errors import CardError
from cards.faults import parse as parse_fault
from cards.keycard.channel import Pairing
from cards.tangem.attestation import IssuerSignatures
from cards.tangem.session import Recognition
from coordinator import foreign_json, foreign_text, shown_text
from coordinator.chain import Birthday
from coordinator.chain.core import source
from coordinator.chain.core import wallet as core_wallet
from coordinator.chain.core.scan_note import ScanNote, read_note
from coordinator.chain.opening import silent
from coordinator.chain.regtest import RegtestChain
from coordinator.chain.regtest.log import BlockLog, framed
from coordinator.chain.regtest.pool import read_transactions, write_transactions
from coordinator.chain.url import parse_url
from coordinator.errors import CoordinatorError
from coordinator.guide import status
from coordinator.home import approvals
from coordinator.home.settings import OFFLINE, Home
from coordinator.wallet import overview, scans
from coordinator.wallet.balance import balances
from psbt.errors import PsbtError
from psbt.policy import RECEIVE, vault_script
from psbt.transaction import parse_transaction
from storage import encryption
from storage.errors import StorageError
from tests.contracts.subjects import SUBJECTS
from tests.fuzz.card_targets import Remembering
from tests.fuzz.home import ADDRESSES, NAME, KeptHome
from tests.fuzz.psbt_targets import TWICE, VAULT, extract, finalize, transaction_seeds
from tests.fuzz.target import Target
from tests.servers.daemon import Daemon
from tests.servers.rpc import Reply, reply

Read = Callable[[bytes], object]

ROOTS = (CoordinatorError, PsbtError, StorageError)
RAW = extract(finalize(TWICE, VAULT.policy))
REQUESTS_MOST = 2_000
TURNING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI", "BN"}
UNKNOWN = {"code": -32601, "message": "Method not found"}
PUBLIC_KEY = bytes.fromhex("02e6642fd69bd211f93f7f1f36ca51a26a5290eb2dd1b0d8279a87bb0d480c8443")


class Lying:
    """A node that answers what a script says, a line each: the method, then the result.

    `!` before the result makes it an error; `*` instead of a method is the whole body of the next
    answer, `@` all of it (`|` ends its lines), and a number its HTTP status. What no line is left
    for is answered as recorded.
    """

    def __init__(self, recorded: dict[str, list[object]], script: bytes) -> None:
        self._recorded = recorded
        self._asked: dict[str, int] = defaultdict(int)
        self._lies: dict[bytes, deque[bytes]] = defaultdict(deque)
        self.asked = 0
        for line in script.split(b"\n"):
            method, _, result = line.partition(b" ")
            self._lies[method].append(result)

    def answers(self, _path: str, body: bytes) -> bytes:
        """Return the answer to the body of a request."""
        self.asked += 1
        if self.asked > REQUESTS_MOST:
            raise AssertionError(f"more than {REQUESTS_MOST} requests")
        if self._lies[b"@"]:
            return self._lies[b"@"].popleft().replace(b"|", b"\r\n")
        if self._lies[b"*"]:
            return http_answer(200, self._lies[b"*"].popleft())
        for code in (401, 403, 500, 503):
            if self._lies[b"%d" % code]:
                return http_answer(code, self._lies[b"%d" % code].popleft())
        request = json.loads(body)
        if isinstance(request, list):
            return http_answer(200, b"[" + b",".join(map(self._one, request)) + b"]")
        return http_answer(200, self._one(request))

    def _one(self, request: dict[str, object]) -> bytes:
        method = str(request["method"])
        number = json.dumps(request["id"]).encode()
        lies = self._lies[method.encode()]
        said = lies.popleft() if lies else self._honest(method)
        kind, said = (b"error", said[1:]) if said[:1] == b"!" else (b"result", said)
        return b'{"jsonrpc":"2.0","id":' + number + b',"' + kind + b'":' + said + b"}"

    def _honest(self, method: str) -> bytes:
        known = self._recorded.get(method, [])
        if not known:
            return b"!" + json.dumps(UNKNOWN).encode()
        at = min(self._asked[method], len(known) - 1)
        self._asked[method] += 1
        return json.dumps(known[at]).encode()


class Connection(http.client.HTTPConnection):
    """An HTTP connection to whoever answers: what goes over it stays in memory."""

    answers: Callable[[str, bytes], bytes]

    def connect(self) -> None:
        self.sock = Socket(self.answers)


class Socket:
    """What an HTTP connection asks of its socket."""

    def __init__(self, answers: Callable[[str, bytes], bytes]) -> None:
        self._answers = answers
        self._asked = b""

    def sendall(self, data: bytes) -> None:
        self._asked += data

    def makefile(self, *_: object, **__: object) -> io.BytesIO:
        head, _, body = self._asked.partition(b"\r\n\r\n")
        return io.BytesIO(self._answers(head.split(b" ")[1].decode(), body))

    def settimeout(self, _seconds: float | None) -> None:
        """Wait for nothing."""

    def shutdown(self, _how: int) -> None:
        """Cut nothing."""

    def close(self) -> None:
        """Do nothing."""


def http_answer(status: int, body: bytes) -> bytes:
    """Return an answer as it goes over the wire."""
    return b"HTTP/1.1 %d x\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body


@contextmanager
def answered_by(answers: Callable[[str, bytes], bytes]) -> Iterator[None]:
    """Have every HTTP connection answered here."""
    kind = type("Answering", (Connection,), {"answers": staticmethod(answers)})
    with (
        mock.patch.object(http.client, "HTTPConnection", kind),
        mock.patch.object(threading, "Timer"),  # nothing is overdue: no thread has to watch
    ):
        yield


def acts(kept: KeptHome, folder: Path) -> list[Callable[[], object]]:
    """Return what a home asks of its node."""
    cookie = folder / "cookie"
    cookie.write_text("name:password")
    url = parse_url(f"bitcoind+http://127.0.0.1:18443?cookie={cookie}&timeout=1")
    chain = source.CoreChain(url, folder / "chain", "regtest", report=silent)

    def all_of_it() -> None:
        with kept.undone() as database:
            synced = partial(overview.sync, kept.home, database, chain, vault=NAME, say=silent)
            for act in (
                chain.tip,
                synced,
                synced,
                lambda: synced(look=scans.Look(Birthday(height=5))),
                lambda: chain.feerate(6),
                lambda: chain.package(parse_transaction(RAW).txid),
                lambda: chain.broadcast(RAW),
            ):
                with suppress(*ROOTS):
                    act()
            _shows(kept, database)

    return [all_of_it]


def _shows(kept: KeptHome, database: object) -> None:
    """See that nothing was stored that keeps the home from being shown."""
    try:
        balances(database, None)
        status.status(kept.home, database, lambda: None)
    except ROOTS as failure:
        raise AssertionError(f"what was stored disables status: {failure}") from failure


def recorded(folder: Path) -> dict[str, list[object]]:
    """Ask the node that serves in the tests."""
    chain = RegtestChain(folder / "world")
    chain.mine(101)
    for index in range(3):
        chain.fund(vault_script(VAULT.policy, RECEIVE, index).script_pubkey, 70_000 + index)
    chain.mine(1)
    (folder / "core").mkdir()
    daemon = Daemon(chain, folder / "core")
    found: dict[str, list[object]] = defaultdict(list)

    def answers(path: str, body: bytes) -> bytes:
        def noted(method: str, params: object) -> object:
            daemon.look()
            result = daemon._ask(path, method, params)
            found[method].append(result)
            return result

        told: Reply = reply(body, noted)
        return http_answer(told.status, json.dumps(told.document).encode())

    with answered_by(answers):
        for act in acts(KeptHome(folder), folder):
            act()
    return dict(found)


def prepare_core(folder: Path) -> Read:
    kept = KeptHome(folder)
    honest = honest_answers()
    tried = acts(kept, folder)

    def read(data: bytes) -> None:
        lying = Lying(honest, data)
        shutil.rmtree(folder / "chain", ignore_errors=True)
        with (
            answered_by(lying.answers),
            mock.patch.object(core_wallet, "POLL_SECONDS", 0.05),
            mock.patch.object(core_wallet, "LOOKED", ADDRESSES),
        ):
            for act in tried:
                act()

    return read


@cache
def honest_answers() -> dict[str, list[object]]:
    """Return what an honest node answers, in order, by method."""
    with TemporaryDirectory() as folder:
        return recorded(Path(folder))


def core_seeds() -> Iterator[bytes]:
    """Yield what an honest node says of all it is asked, and something odd for each method."""
    known = honest_answers()
    yield b"\n".join(
        method.encode() + b" " + json.dumps(results[0]).encode()
        for method, results in known.items()
    )
    odd = cycle((b"null", b"[]", b"18446744073709551616", b'!{"code":-18,"message":"x"}'))
    for method in known:
        yield b"\n".join(method.encode() + b" " + next(odd) for _ in range(3))
    yield b"* " + b"[" * 2_000
    yield b"* []\n401 x\n500 {}"
    yield b"@ HTTP/1.1 200 OK|Transfer-Encoding: chunked||-1|{}|0||"
    yield b"@ HTTP/1.1 200 OK|Content-Length: 99999999999999||{}\n@ \n@ HTTP/1.1 999 x||"


def prepare_servers(_folder: Path) -> Read:
    """Have an Electrum and an Esplora client of BDK's say anything their types allow."""
    from coordinator.chain.bdk.conversions import is_known, rejection  # noqa: PLC0415 -- needs BDK
    from coordinator.chain.bdk.electrum import ElectrumServer  # noqa: PLC0415 -- where BDK is
    from coordinator.chain.bdk.esplora import EsploraServer  # noqa: PLC0415 -- needs BDK

    electrum = ElectrumServer(parse_url("electrum+tcp://127.0.0.1:1"), "regtest", silent)
    esplora = EsploraServer(parse_url("esplora+http://127.0.0.1:1"), "regtest", silent)
    txid = parse_transaction(RAW).txid

    def read(data: bytes) -> None:
        is_known(rejection(data.decode("utf-8", "surrogateescape")))
        for server in (electrum, esplora):
            server.__dict__["_client"] = OddClient(data)
            with suppress(*ROOTS):
                assert 0 < server.feerate(6) < 1 << 53
            with suppress(*ROOTS):
                assert server.package(txid).vsize > 0

    return read


class OddClient:
    """A client of BDK's whose server says what the bytes say: a rate, targets, transactions."""

    def __init__(self, data: bytes) -> None:
        self._rate = struct.unpack("<d", data[:8].ljust(8, b"\0"))[0]
        self._targets = data[8:16]
        self._chosen = cycle(data[16:] or b"\0")

    def estimate_fee(self, _blocks: int) -> float:
        return self._rate

    def get_fee_estimates(self) -> dict[int, float]:
        return dict.fromkeys(self._targets, self._rate)

    def fetch_tx(self, _txid: object) -> object:
        return bdk_transactions()[next(self._chosen) % len(bdk_transactions())]

    def get_tx(self, txid: object) -> object:
        return self.fetch_tx(txid) if next(self._chosen) else None

    def get_tx_info(self, _txid: object) -> object:
        chosen = next(self._chosen)
        status = SimpleNamespace(confirmed=chosen % 7 == 3)
        return SimpleNamespace(status=status, weight=chosen * 9, fee=chosen) if chosen else None


@cache
def bdk_transactions() -> list[object]:
    """Return transactions a server may name: the one asked for, its parents, and others."""
    import bdkpython as bdk  # noqa: PLC0415 -- where it is

    own = parse_transaction(RAW)
    beyond = own.inputs[0]._replace(outpoint=own.inputs[0].outpoint._replace(vout=9), witness=())
    odd = replace(own, inputs=(beyond,)).raw
    return [bdk.Transaction(raw) for raw in (*transaction_seeds(), odd)]


def server_seeds() -> Iterator[bytes]:
    for rate in (0.00001, 12.5, -1.0, 0.0, 1e308, float("inf"), float("nan")):
        yield struct.pack("<d", rate) + b"\1\6\x90"
        yield struct.pack("<d", rate) + b"\1\6\x90AAAAA" + bytes(range(9))
    yield bytes(16) + b"\0\1\2\3"
    yield bytes(16) + b"\4\5"
    yield b'sendrawtransaction RPC error: {"code":-26,"message":"min relay fee not met"}'
    yield b"the transaction was rejected\n\n{" + b"[" * 600 + b"}"


def prepare_files(folder: Path) -> Read:
    file = folder / "a.card"
    opening_key = encryption.OpeningKey(bytes(range(32)))
    readers: list[Read] = [
        lambda _: list(BlockLog(file).news()),
        lambda _: read_transactions(file),
        lambda _: open_card(file).close(),
        Pairing.decode,
        IssuerSignatures.parse,
        lambda data: Recognition(Remembering(data)).recall(b"uid"),
        lambda data: opening_key.open(data, "location 1"),
        lambda data: opening_key.open(_sealed(opening_key, data), "location 1"),
        lambda data: [parse_fault(line) for line in data.decode("utf-8", "replace").splitlines()],
        lambda data: _approved(Home(folder, "regtest", OFFLINE), data),
        lambda data: foreign_json.Field(foreign_json.read_json(data))["a"].integer(0, 9),
        lambda data: foreign_text.lines(foreign_text.decoded(data, "x", legacy=True)),
        lambda _: read_note(file, "descriptor"),
        _shown,
    ]
    with suppress(ImportError):
        from coordinator.chain.bdk.filters import FilterPeers  # noqa: PLC0415 -- where BDK is

        peers = FilterPeers(parse_url("p2p:"), folder, "regtest", report=silent)
        readers.append(partial(_kept_of_peers, folder / "p2p.tip", peers))
        readers.append(partial(_kept_of_peers, folder / "p2p.sent", peers))

    def read(data: bytes) -> None:
        kind = data[0] % len(readers) if data else 0
        file.write_bytes(data[1:])
        readers[kind](data[1:])

    return read


def _kept_of_peers(file: Path, peers: object, data: bytes) -> None:
    file.write_bytes(data)
    peers.tip()
    peers.sent()


def _shown(data: bytes) -> None:
    """See that nothing a terminal acts on is left of a text."""
    shown = shown_text.visible(data.decode("utf-8", "surrogateescape"))
    assert shown_text.visible(shown) == shown
    assert not any(unicodedata.category(each) in {"Cc", "Cs", "Zl", "Zp"} for each in shown)
    assert not any(unicodedata.bidirectional(each) in TURNING for each in shown)


def _approved(home: Home, data: bytes) -> None:
    """Read a list of approvals that anyone may have written."""
    approvals.approve_policy(home, NAME, "descriptor")
    _, approved = approvals.files(home)
    approved.write_bytes(data)
    approvals.policy_standing(home, NAME, "descriptor")
    approvals.payment_standing(home, "ceremony", b"payment")
    approvals.danger_accepted(home, NAME, "code", facts="facts")


def _sealed(opening_key: encryption.OpeningKey, content: bytes) -> bytes:
    """Seal any bytes at all: whoever has the public key may."""
    with mock.patch.object(cbor2, "dumps", return_value=content):
        return encryption.seal(opening_key.sealing_key, "location 1", {})


def file_seeds() -> Iterator[bytes]:
    with TemporaryDirectory() as folder:
        chain = RegtestChain(Path(folder))
        chain.mine(2)
        yield b"\0" + b"".join(framed(block) for _, block in chain.blocks())
        mempool = Path(folder) / "mempool"
        write_transactions(mempool, map(parse_transaction, transaction_seeds()))
        yield b"\1" + mempool.read_bytes()
    state = SUBJECTS[0].ready().state()
    envelope = cbor2.dumps(["cardquorum emulated card", 1, "satochip", "0.12", b"", state])
    yield b"\2" + envelope[:400]
    yield b"\3" + envelope[:400]
    yield b"\4" + bytes(33)
    yield (
        b"\5"
        + json.dumps(
            dict.fromkeys(("manufacturerSignature", "issuerSignature"), "00" * 64)
        ).encode()
    )
    yield b'\6["FF01", "6.33", true]'
    yield b"\7" + encryption.seal(PUBLIC_KEY[1:], "location 1", {"name": "home"})
    yield b"\x08" + cbor2.dumps({"name": "home", "region": None, "access": "x"})
    yield b"\tflip 3 2\ntear 1 after a4\nsw 6982"
    approved = {"network": "regtest", "kind": "policy", "vault": NAME}
    yield b"\n" + json.dumps({"format": approvals.FORMAT, "approvals": [approved]}).encode()
    yield b'\x0b{"a": 3, "b": [1.5, 1e300, {"c": "\\ud800"}]}'
    yield b"\x0c" + "a;b\r\nc\td".encode("utf-16")
    note = ScanNote("w", "descriptor", 0, False, (9, 9), (1, 1), 3, 0, 7, "ab" * 32, done=True)
    yield b"\r" + json.dumps(note._asdict()).encode()
    yield b"\x0e" + "\x1b[31m\u202e\u2028\x07 \u0600\u06dd\U000e0001".encode()
    yield b"\x0f7 " + b"ab" * 32
    yield b"\x10" + RAW.hex().encode() + b"\n" + RAW[:9].hex().encode()


TARGETS = (
    Target("core", core_seeds, prepare_core, (), 4096, runs=10, steps=600_000, steps_per_byte=500),
    Target("servers", server_seeds, prepare_servers, (), 512),
    Target(
        "own_files", file_seeds, prepare_files, (*ROOTS, CardError, ValueError), 4096, runs=600
    ),
)  # fmt: skip
