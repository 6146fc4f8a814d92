"""Compact filters: where the first search begins, and a peer that lies or is silent."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.chain import first_block
from coordinator.chain.opening import open_chain
from coordinator.chain.regtest import RegtestChain
from coordinator.errors import ChainError, ChainUnreachable, TransactionRejected
from psbt.coins import Outpoint
from tests.contracts.books import Book
from tests.contracts.worlds import few_ahead
from tests.coordinator.chain.purse import Purse
from tests.judges import judge
from tests.servers import messages
from tests.servers import peer as peers
from tests.servers.conftest import chain

bdk = judge("bdkpython")
__all__ = ["chain"]
RAW = Purse("sender").spend([(Outpoint("11" * 32, 0), 10_000)]).raw


@pytest.fixture(autouse=True)
def _few_ahead() -> Iterator[None]:
    """Derive few addresses before a peer is asked: none of these questions is about how many."""
    with few_ahead():
        yield


def test_the_first_search_begins_where_a_vault_can_be_paid() -> None:
    from coordinator.chain.bdk.filters import recovery_point  # noqa: PLC0415 -- needs BDK

    since_segwit, before = bdk.RecoveryPoint.SEGWIT_ACTIVATION, bdk.RecoveryPoint.GENESIS_BLOCK
    for descriptor in ("wsh(sortedmulti(", "sh(wsh(multi("):
        assert isinstance(recovery_point(first_block("mainnet", descriptor)), since_segwit)
    assert isinstance(recovery_point(first_block("mainnet", "sh(sortedmulti(")), before)
    for network in ("signet", "testnet4", "regtest"):
        assert isinstance(recovery_point(first_block(network, "wsh(multi(")), before)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("lie_about_filters", "sent what does not fit"),
        ("silent", "does not answer in time|closed the connection|said nothing"),
        ("gone", "cannot be reached"),
    ],
)
def test_a_peer_that_misbehaves_is_named(
    chain: object, tmp_path: Path, fault: str, said: str
) -> None:
    book = Book(tmp_path / "home")
    book.add()
    with peers.serve(chain) as peer:
        source = open_chain(f"{peer.url}?timeout=1", tmp_path / "client", "regtest")
        if fault == "gone":
            peer.stop()
        elif fault == "silent":
            peer.silent_on = frozenset({"getcfheaders"})
        else:
            peer.lie_about_filters = True
        with pytest.raises(ChainUnreachable, match=said):
            book.sync(source)
    assert book.coins() == {}
    book.close()


UNSUITED = {
    "no filters": ({"services": messages.SERVICES & ~messages.COMPACT_FILTERS}, "no compact block"),
    "pruned": ({"services": messages.SERVICES & ~messages.NETWORK}, "is pruned"),
    "neither": ({"services": 0}, "serves no compact block filters .* and is pruned"),
    "mainnet": ({"magic": bytes.fromhex("f9beb4d9")}, "is on mainnet, this home is for regtest"),
    "signet": ({"magic": bytes.fromhex("0a03cf40")}, "is on signet, this home is for regtest"),
    "no node": ({"magic": b"HTTP"}, "is this a Bitcoin node"),
}


@pytest.mark.parametrize(("traits", "said"), UNSUITED.values(), ids=UNSUITED)
def test_a_peer_that_cannot_serve_is_named_as_its_handshake_tells(
    chain: RegtestChain, tmp_path: Path, traits: dict[str, object], said: str
) -> None:
    book = Book(tmp_path / "home")
    book.add()
    chain.fund(book.script(0), 10_000)
    chain.mine(1)
    with peers.serve(chain) as peer:
        for name, value in traits.items():
            setattr(peer, name, value)
        source = open_chain(f"{peer.url}?timeout=1", tmp_path / "client", "regtest")
        with pytest.raises(ChainError, match=said):
            book.sync(source)
        if "magic" in traits:
            with pytest.raises(ChainError, match=said):
                source.broadcast(RAW)
    book.close()


def test_what_the_peer_has_is_sent_again_at_once(chain: RegtestChain, tmp_path: Path) -> None:
    (txid,) = chain.fund(b"\x00\x14" + bytes(20), 10_000)
    raw = chain.transaction(txid) or b""
    with peers.serve(chain) as peer:
        source = open_chain(f"{peer.url}?timeout=60", tmp_path / "client", "regtest")
        assert source.broadcast(raw) == source.broadcast(raw) == txid
        chain.mine(1)
        assert source.broadcast(raw) == txid
        other = open_chain(f"{peer.url}?timeout=60", tmp_path / "other", "regtest")
        assert other.broadcast(raw) == txid
    assert len((tmp_path / "client" / "p2p.sent").read_text().split()) == 1


def test_the_networks_peers_ask_no_more_for_what_they_had_from_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from coordinator.chain.bdk.filters import FilterPeers  # noqa: PLC0415 -- needs BDK

    answers = iter([True, False])

    def run(*_: object) -> None:
        if not next(answers, False):
            raise ChainUnreachable("nobody wants it")

    monkeypatch.setattr(FilterPeers, "_run", run)
    source = open_chain("p2p:", tmp_path / "client", "regtest")
    other = open_chain("p2p:", tmp_path / "other", "regtest")
    assert source.broadcast(RAW) == source.broadcast(RAW)
    with pytest.raises(ChainUnreachable, match="nobody wants it"):
        other.broadcast(RAW)
    assert not (tmp_path / "other" / "p2p.sent").exists()


def test_a_peer_that_takes_no_transactions_says_so(chain: RegtestChain, tmp_path: Path) -> None:
    with peers.serve(chain) as peer:
        peer.relays = False
        source = open_chain(f"{peer.url}?timeout=60", tmp_path / "client", "regtest")
        with pytest.raises(TransactionRejected, match="takes no transactions"):
            source.broadcast(RAW)
        assert "tx" not in peer.heard


@pytest.mark.parametrize("command", ["version", "verack", "ping", "tx"])
def test_a_peer_that_falls_silent_is_given_up(
    chain: RegtestChain, tmp_path: Path, command: str
) -> None:
    with peers.serve(chain) as peer:
        peer.silent_on = frozenset({command})
        source = open_chain(f"{peer.url}?timeout=1", tmp_path / "client", "regtest")
        if command in {"tx", "verack"}:
            assert source.broadcast(RAW)
            return
        with pytest.raises(ChainError, match="does not answer within 1 seconds"):
            source.broadcast(RAW)
