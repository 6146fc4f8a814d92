"""Compact filters: where the first search begins, and a peer that lies or is silent."""

from pathlib import Path

import pytest

from coordinator.chain.opening import open_chain
from coordinator.errors import ChainUnreachable
from tests.contracts.books import Book
from tests.judges import judge
from tests.servers import peer as peers
from tests.servers.conftest import chain

bdk = judge("bdkpython")
__all__ = ["chain"]


def test_the_first_search_begins_where_a_vault_can_be_paid() -> None:
    from coordinator.chain.bdk.filters import recovery_point  # noqa: PLC0415 -- needs BDK

    assert isinstance(recovery_point("mainnet"), bdk.RecoveryPoint.SEGWIT_ACTIVATION)
    for network in ("signet", "testnet4", "regtest"):
        assert isinstance(recovery_point(network), bdk.RecoveryPoint.GENESIS_BLOCK)


@pytest.mark.parametrize(
    ("mischief", "said"),
    [
        ("lie_about_filters", "sent what does not fit"),
        ("silent", "does not answer in time|hung up|said nothing"),
        ("gone", "cannot be reached"),
    ],
)
def test_a_peer_that_misbehaves_is_named(
    chain: object, tmp_path: Path, mischief: str, said: str
) -> None:
    book = Book(tmp_path / "home")
    book.add()
    with peers.serve(chain) as peer:
        source = open_chain(f"{peer.url}?timeout=1", tmp_path / "client", "regtest")
        if mischief == "gone":
            peer.stop()
        elif mischief == "silent":
            peer.silent_on = frozenset({"getcfheaders"})
        else:
            peer.lie_about_filters = True
        with pytest.raises(ChainUnreachable, match=said):
            book.sync(source)
    assert book.coins() == {}
    book.close()
