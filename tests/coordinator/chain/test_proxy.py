"""Through a SOCKS5 proxy nobody is spoken to but the proxy."""

from pathlib import Path

import pytest

from coordinator.chain.opening import open_chain
from coordinator.errors import ChainUnreachable
from tests.contracts.books import Book
from tests.contracts.worlds import make
from tests.servers import socks


@pytest.mark.parametrize("source", ["electrum", "esplora", "p2p"])
def test_a_source_is_asked_through_a_proxy(source: str, tmp_path: Path) -> None:
    with make(source, tmp_path) as world, socks.serve() as proxy:
        book = Book(tmp_path / "home")
        book.add()
        txid = world.pay(book.script(0))
        world.mine()
        joint = "&" if "?" in world.url else "?"
        url = f"{world.url}{joint}proxy=127.0.0.1:{proxy.port}"
        asked = open_chain(url, tmp_path / "client", "regtest")
        book.sync(asked)
        asked.close()
        assert set(book.coins()) == {txid}
        book.close()
        assert {host for host, _ in proxy.asked} == {"127.0.0.1"}


@pytest.mark.parametrize("source", ["electrum", "esplora", "p2p"])
def test_no_proxy_no_answer(source: str, tmp_path: Path) -> None:
    """A source never goes round the proxy that is named."""
    with make(source, tmp_path) as world:
        joint = "&" if "?" in world.url else "?"
        url = f"{world.url}{joint}proxy=127.0.0.1:1"
        asked = open_chain(url, tmp_path / "client", "regtest")
        book = Book(tmp_path / "home")
        book.add()
        with pytest.raises(ChainUnreachable):
            book.sync(asked)
        asked.close()
        book.close()
