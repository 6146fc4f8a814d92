import pytest

from coordinator.chain.regtest import RegtestChain, faucet
from coordinator.errors import ChainError
from psbt.transaction import parse_transaction
from tests.coordinator.chain.purse import Purse

COIN = 100_000_000


def paid(chain: RegtestChain, txids: list[str], script_pubkey: bytes) -> list[int]:
    raws = [chain.transaction(txid) for txid in txids]
    outputs = [o for raw in raws if raw for o in parse_transaction(raw).outputs]
    return [o.value_sats for o in outputs if o.script_pubkey == script_pubkey]


def test_the_first_payment_mines_what_it_needs(chain: RegtestChain, purse: Purse) -> None:
    txids = chain.fund(purse.script_pubkey, 3 * COIN)
    assert chain.tip().height == 100
    assert chain.mempool() == txids
    assert paid(chain, txids, purse.script_pubkey) == [3 * COIN]


def test_a_second_payment_mines_nothing(chain: RegtestChain, purse: Purse) -> None:
    chain.fund(purse.script_pubkey, COIN)
    chain.fund(purse.script_pubkey, COIN, 2)
    assert chain.tip().height == 100
    assert len(chain.mempool()) == 2
    chain.mine(1)
    assert chain.mempool() == []


def test_many_coins_come_in_several_transactions(chain: RegtestChain, purse: Purse) -> None:
    txids = chain.fund(purse.script_pubkey, COIN // 100, 1_500)
    assert len(txids) == 2
    assert paid(chain, txids, purse.script_pubkey) == [COIN // 100] * 1_500
    chain.mine(1)
    assert chain.mempool() == []


def test_more_than_one_reward_is_gathered(chain: RegtestChain, purse: Purse) -> None:
    txids = chain.fund(purse.script_pubkey, 120 * COIN)
    assert chain.tip().height == 102
    assert paid(chain, txids, purse.script_pubkey) == [120 * COIN]


def test_exactly_what_is_there_is_paid(chain: RegtestChain, purse: Purse) -> None:
    spare = faucet.INPUT_FEE_SATS + faucet.OUTPUT_FEE_SATS + faucet.BASE_FEE_SATS
    chain.fund(purse.script_pubkey, 50 * COIN - spare)
    assert chain.tip().height == 100
    chain.fund(purse.script_pubkey, 50 * COIN - spare + 1)
    assert chain.tip().height == 102


def test_more_than_all_rewards_is_refused(chain: RegtestChain, purse: Purse) -> None:
    with pytest.raises(ChainError, match=r"can pay \d+ sats by block 1500, not 2000000000000206"):
        chain.fund(purse.script_pubkey, 20_000_000 * COIN)
    assert chain.tip().height == 0


def test_rewards_can_go_elsewhere(chain: RegtestChain, purse: Purse) -> None:
    chain.mine(2, purse.script_pubkey)
    chain.fund(purse.script_pubkey, COIN)
    assert chain.tip().height == 102


def test_the_fee_rate_is_what_is_relayed(chain: RegtestChain) -> None:
    assert chain.feerate(1) == chain.feerate(144) == 1_000
    with pytest.raises(ChainError, match="0 blocks"):
        chain.feerate(0)
