"""What every chain source answers, whatever stands behind it."""

from pathlib import Path

import pytest

from coordinator.chain import ChainSource, Watch
from coordinator.chain.opening import open_chain
from coordinator.chain.regtest import RegtestChain, faucet
from coordinator.errors import ChainError, SettingsError, TransactionRejected

SCRIPT = b"\x00\x14" + b"\x07" * 20


@pytest.fixture(params=["regtest:"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> ChainSource:
    return open_chain(request.param, tmp_path / "chain", "regtest")


@pytest.fixture
def miner(source: ChainSource) -> RegtestChain:
    """Whoever makes blocks and money for the source under test."""
    assert isinstance(source, RegtestChain)
    return source


def test_an_empty_chain_has_a_tip(source: ChainSource) -> None:
    assert source.tip() == (0, "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206")


def test_a_payment_is_seen_waiting_and_confirmed(source: ChainSource, miner: RegtestChain) -> None:
    (txid,) = miner.fund(SCRIPT, 70_000)
    watch = Watch(frozenset({SCRIPT}))
    (waiting,) = source.sync(watch).transactions
    assert (waiting.txid, waiting.height, waiting.block_hash) == (txid, None, None)
    miner.mine(1)
    update = source.sync(watch)
    (confirmed,) = update.transactions
    assert confirmed.raw == waiting.raw
    assert (confirmed.height, confirmed.block_hash) == source.tip() == update.tip
    assert source.sync(Watch(watch.scripts, update.tip)).transactions == ()


def test_sending_what_is_known_returns_its_txid(source: ChainSource, miner: RegtestChain) -> None:
    (txid,) = miner.fund(SCRIPT, 70_000)
    raw = miner.transaction(txid)
    assert raw is not None
    assert source.broadcast(raw) == txid


def test_what_cannot_be_valid_is_rejected(source: ChainSource) -> None:
    with pytest.raises(TransactionRejected) as caught:
        source.broadcast(b"no transaction")
    assert caught.value.reason


def test_a_reorganisation_is_told(source: ChainSource, miner: RegtestChain) -> None:
    miner.mine(2)
    known = source.tip()
    miner.reorganise(1)
    assert source.sync(Watch(frozenset({faucet.SCRIPT_PUBKEY}), known)).reorganised_to == 1


def test_fee_rates_are_at_least_the_relay_rate(source: ChainSource) -> None:
    assert source.feerate(1) >= source.feerate(144) >= 1_000
    with pytest.raises(ChainError):
        source.feerate(0)


def test_an_unknown_url_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="gopher://x is none"):
        open_chain("gopher://x", tmp_path, "regtest")


def test_closing_twice_does_no_harm(source: ChainSource) -> None:
    source.close()
    source.close()
