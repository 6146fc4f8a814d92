from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.chain.regtest import RegtestChain
from psbt import consensus
from tests.servers.chains import mature_chain
from tests.servers.daemon import Daemon, serve


@pytest.fixture
def chain(tmp_path: Path) -> RegtestChain:
    if not consensus.engine_available():
        pytest.skip("libbitcoinkernel is not installed")
    return mature_chain(tmp_path / "chain")


@pytest.fixture
def daemon(chain: RegtestChain, tmp_path: Path) -> Iterator[Daemon]:
    with serve(chain, tmp_path / "core") as daemon:
        yield daemon


@pytest.fixture
def watcher() -> object:
    from tests.servers.watcher import Watcher  # noqa: PLC0415 -- where BDK is missing, only its tests are skipped

    return Watcher()
