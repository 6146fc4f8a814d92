from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from coordinator.chain.regtest import RegtestChain
from coordinator.chain.regtest.blocks import Block, Template, mine_block
from psbt import consensus
from psbt.sighash import p2wsh
from tests.coordinator.chain.purse import Coins, Purse

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def purse() -> Purse:
    return Purse("purse")


@pytest.fixture(params=["engine", "own-check"])
def chain(request: pytest.FixtureRequest, tmp_path: Path) -> RegtestChain:
    """Both judges answer for every test that asks for a chain."""
    if request.param == "own-check":
        patch = request.getfixturevalue("monkeypatch")
        patch.setattr(consensus, "engine_available", lambda: False)
    elif not consensus.engine_available():
        pytest.skip("libbitcoinkernel is not installed")
    return RegtestChain(tmp_path / "chain", now=lambda: NOW)


@pytest.fixture
def funded(chain: RegtestChain, purse: Purse) -> Coins:
    """Four confirmed coins of the purse."""
    (txid,) = chain.fund(purse.script_pubkey, 1_000_000, 4)
    chain.mine(1)
    raw = chain.transaction(txid)
    assert raw is not None
    return purse.coins(raw)


@pytest.fixture
def candidate(chain: RegtestChain) -> Callable[..., Block]:
    """Build a valid next block, or one with some fields changed."""

    def build(**changes: object) -> Block:
        tip = chain.tip()
        later = int(NOW.timestamp()) + 1_000 + tip.height
        script = p2wsh(b"\x51")
        fields = Template(tip.hash, tip.height + 1, later, script)._replace(**changes)
        return mine_block(fields)

    return build
