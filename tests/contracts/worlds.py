"""A world per chain source: the embedded chain, and what stands between it and the source."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from importlib import util
from pathlib import Path
from unittest import mock

import pytest

from coordinator.chain import ChainSource
from coordinator.chain.opening import open_chain
from coordinator.chain.regtest import RegtestChain
from coordinator.wallet import scripts, sync
from psbt import consensus
from tests.contracts import real_node
from tests.coordinator.chain.purse import Purse
from tests.patience import SECONDS
from tests.servers import daemon as daemons
from tests.servers import electrumx, peer
from tests.servers.chains import mature_chain

SOURCES = ("regtest", "bitcoind", "electrum", "esplora", "p2p")
REAL = ("core", "core-p2p") if real_node.PROGRAM else ()
"""The same through a real Bitcoin Core, where there is one."""
FEW_AHEAD = 20
UNSEEN = "filters say nothing of what waits for a block"
SILENT = "a peer does not say what it thinks of a transaction"
ITSELF = "nobody stands between this source and the blocks"
PROVEN = "a block whose transactions are not those of its header is no block"
HONEST = "a real node does not lie when asked to"
NOT_ASKED = {
    ("test_a_replaced_transaction_is_gone", "p2p"): UNSEEN,
    ("test_a_package_is_weighed_with_its_ancestors", "p2p"): UNSEEN,
    ("test_a_fee_too_low_is_refused_with_the_reason", "p2p"): SILENT,
    ("test_a_server_that_lies_about_a_transaction_is_not_believed", "regtest"): ITSELF,
    ("test_a_server_that_lies_about_a_transaction_is_not_believed", "p2p"): PROVEN,
    ("test_a_server_that_goes_away_is_named_and_nothing_is_lost", "regtest"): ITSELF,
}
"""Questions that a source cannot be asked, and why."""


def reason_not_to_ask(case: str, source: str) -> str | None:
    """Return why a question is not put to a source, if it is not."""
    if source == "core" and "lies" in case:
        return HONEST
    return NOT_ASKED.get((case, "p2p" if source == "core-p2p" else source))


def nothing() -> None:
    """Do nothing: the source sees the chain itself."""


@dataclass
class World:
    """What a test may do to the chain, and to whoever serves it."""

    source: str
    url: str
    chain: RegtestChain
    folder: Path
    settle: Callable[[], None] = nothing
    """Wait until the server has what the chain has."""
    daemon: daemons.Daemon | None = None
    stop: Callable[[], None] = nothing
    start: Callable[[], None] = nothing
    cut: Callable[[], None] = nothing
    """Break the next conversation off in its middle."""
    opened: list[ChainSource] = field(default_factory=list)

    @property
    def sees_waiting(self) -> bool:
        """Tell whether the source knows what waits for a block."""
        return not self.source.endswith("p2p")

    def open(self) -> ChainSource:
        source = open_chain(self.url, self.folder / "client", "regtest")
        self.opened.append(source)
        return source

    def pay(self, script_pubkey: bytes, value_sats: int = 70_000) -> str:
        (txid,) = self.chain.fund(script_pubkey, value_sats)
        self.settle()
        return txid

    def mine(self, count: int = 1, script_pubkey: bytes | None = None) -> None:
        self.chain.mine(count, script_pubkey)
        self.settle()

    def gift(self, name: str = "stranger") -> tuple[Purse, bytes]:
        """Return somebody else with a confirmed coin, and the transaction it came in."""
        purse = Purse(name)
        (txid,) = self.chain.fund(purse.script_pubkey, 200_000)
        self.mine()
        raw = self.chain.transaction(txid)
        assert raw is not None
        return purse, raw


@contextmanager
def few_ahead() -> Iterator[None]:
    """Look for few addresses beyond the last one used: every sync asks for each, or derives it."""
    patches = [mock.patch.object(module, "LOOKAHEAD", FEW_AHEAD) for module in (scripts, sync)]
    if util.find_spec("bdkpython") is not None:
        from coordinator.chain.bdk import electrum, esplora, filters  # noqa: PLC0415 -- needs BDK

        patches += [mock.patch.object(module, "GAP", FEW_AHEAD) for module in (electrum, esplora)]
        patches.append(mock.patch.object(filters, "AHEAD", FEW_AHEAD))
    with ExitStack() as patched:
        for each in patches:
            patched.enter_context(each)
        yield


def make(source: str, tmp_path: Path) -> AbstractContextManager[World]:
    if source != "regtest" and not consensus.engine_available():
        pytest.skip("libbitcoinkernel is not installed")
    if source in {"electrum", "esplora", "p2p", "core-p2p"}:
        pytest.importorskip("bdkpython")
    if source == "regtest":
        return nullcontext(World(source, "regtest:", _same(tmp_path), tmp_path))
    chain = mature_chain(tmp_path / "world")
    if source == "p2p":
        return _peer_world(chain, tmp_path)
    if source in REAL:
        return _real_world(source, chain, tmp_path)
    return _daemon_world(source, chain, tmp_path)


def _same(tmp_path: Path) -> RegtestChain:
    """Return the very chain that the source reads."""
    return RegtestChain(tmp_path / "client")


@contextmanager
def _daemon_world(source: str, chain: RegtestChain, tmp_path: Path) -> Iterator[World]:
    with daemons.serve(chain, tmp_path / "core") as daemon:
        port = daemon.url.rpartition(":")[2]
        urls = {
            "bitcoind": f"bitcoind+http://127.0.0.1:{port}?cookie={daemon.cookie}&timeout=10",
            "esplora": daemon.esplora_url.replace("http://", "esplora+http://"),
        }

        def start() -> None:
            daemon.stop()
            daemon.cut_after(0, 0)
            daemon.start()

        common = {"daemon": daemon, "stop": daemon.stop, "start": start}
        if source != "electrum":
            cut = partial(daemon.cut_after, 2, 1 if source == "bitcoind" else 9)
            yield World(source, urls[source], chain, tmp_path, cut=cut, **common)
            return
        if not electrumx.INSTALLED:
            pytest.skip("ElectrumX is not installed")
        with electrumx.electrumx(daemon, tmp_path / "electrumx") as server:
            server.wait_until_current()
            yield World(
                source, server.url, chain, tmp_path,
                settle=server.wait_until_current, daemon=daemon,
                stop=server.stop, start=server.start,
            )  # fmt: skip


@contextmanager
def _peer_world(chain: RegtestChain, tmp_path: Path) -> Iterator[World]:
    with peer.serve(chain) as served:

        def settle() -> None:
            deadline = time.monotonic() + SECONDS
            while served.index.tip.block.hash != chain.tip().hash:
                if time.monotonic() > deadline:
                    raise TimeoutError("the peer did not catch up")
                time.sleep(0.01)

        def start() -> None:
            served.stop()
            served.cut_after(None)
            served.start()

        settle()
        url = f"{served.url}?timeout={int(SECONDS)}"
        yield World(
            "p2p", url, chain, tmp_path, settle,
            stop=served.stop, start=start, cut=lambda: served.cut_after(6),
        )  # fmt: skip


@contextmanager
def _real_world(source: str, chain: RegtestChain, tmp_path: Path) -> Iterator[World]:
    with real_node.running(chain, tmp_path / "bitcoind") as node:
        urls = {
            "core": f"bitcoind+http://127.0.0.1:{node.rpc_port}?cookie={node.cookie}",
            "core-p2p": f"p2p://127.0.0.1:{node.peer_port}",
        }
        yield World(
            source, urls[source], chain, tmp_path, node.settle, stop=node.stop, start=node.start
        )


def table(cases: Sequence[str]) -> list[str]:
    """Return the questions and the sources as lines of Markdown; a number is a reason below."""
    reasons = list(dict.fromkeys(NOT_ASKED.values()))
    lines = ["| question | " + " | ".join(SOURCES) + " |", "|---|" + "---|" * len(SOURCES)]
    for case in cases:
        words = case.removeprefix("test_").replace("_", " ")
        told = (NOT_ASKED.get((case, source)) for source in SOURCES)
        cells = (f"({reasons.index(reason) + 1})" if reason else "holds" for reason in told)
        lines.append(f"| {words} | " + " | ".join(cells) + " |")
    return [*lines, "", *(f"({n}) {reason}" for n, reason in enumerate(reasons, 1))]
