from collections.abc import Callable
from dataclasses import replace

import pytest

from coordinator.chain.regtest import RegtestChain
from coordinator.chain.regtest.blocks import (
    Block,
    Header,
    Template,
    height_script,
    merkle_root,
    mine_block,
    parse_block,
    subsidy,
)
from coordinator.errors import ChainError
from psbt import consensus
from psbt.coins import Outpoint
from psbt.transaction import Transaction, TransactionInput, TransactionOutput
from tests.coordinator.chain.purse import Coins, Purse

MINER = b"\x00\x14" + bytes(20)


def refusal(chain: RegtestChain, block: Block) -> str:
    before = chain.tip()
    with pytest.raises(ChainError) as caught:
        chain.submit(block.raw)
    assert chain.tip() == before
    return str(caught.value).rpartition("is refused: ")[2]


def mined(block: Block, **changes: object) -> Block:
    """Put the work on a changed block."""
    changed = replace(block, header=block.header._replace(**changes))
    while int(changed.hash, 16) > 0x7FFFFF << 232:
        nonce = changed.header.nonce + 1
        changed = replace(changed, header=changed.header._replace(nonce=nonce))
    return changed


def rebuilt(block: Block, *transactions: Transaction) -> Block:
    """Put other transactions under a block's header, its root made to fit."""
    root = merkle_root([transaction.txid for transaction in transactions])
    return mined(replace(block, transactions=transactions), merkle_root=root)


def test_a_block_made_elsewhere_is_taken(
    chain: RegtestChain, candidate: Callable[..., Block], purse: Purse, funded: Coins
) -> None:
    payment = purse.spend(funded[:1])
    block = candidate(transactions=(payment,), fees_sats=1_000)
    assert chain.submit(block.raw) == block.hash == chain.tip().hash
    assert parse_block(block.raw) == block
    assert chain.transaction(payment.txid) == payment.raw


def test_a_flipped_signature_is_refused(
    chain: RegtestChain, candidate: Callable[..., Block], purse: Purse, funded: Coins
) -> None:
    payment = purse.spend(funded[:1])
    item = payment.inputs[0]
    signature = bytearray(item.witness[1])
    signature[40] ^= 1
    forged = item._replace(witness=(b"", bytes(signature), item.witness[2]))
    block = candidate(transactions=(Transaction((forged,), payment.outputs),), fees_sats=1_000)
    assert "script-verify-flag-failed" in refusal(chain, block)


def test_two_that_spend_one_coin_are_refused(
    chain: RegtestChain, candidate: Callable[..., Block], purse: Purse, funded: Coins
) -> None:
    pair = (purse.spend(funded[:1]), purse.spend(funded[:1], fee_sats=2_000))
    block = candidate(transactions=pair)
    assert refusal(chain, block) == "bad-txns-inputs-missingorspent"


def test_a_coin_of_the_same_block_can_be_spent(
    chain: RegtestChain, candidate: Callable[..., Block], purse: Purse, funded: Coins
) -> None:
    parent = purse.spend(funded[:1])
    child = purse.spend(purse.coins(parent.raw))
    orphan = candidate(transactions=(child, parent))
    assert refusal(chain, orphan) == "bad-txns-inputs-missingorspent"
    block = candidate(transactions=(parent, child), fees_sats=2_000)
    assert chain.submit(block.raw) == chain.tip().hash


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"fees_sats": 1}, "bad-cb-amount"),
        ({"height": 9}, "bad-cb-height"),
        ({"time": 1_296_688_602}, "time-too-old"),
    ],
)
def test_a_wrong_coinbase_or_time_is_refused(
    chain: RegtestChain, candidate: Callable[..., Block], fields: dict[str, int], reason: str
) -> None:
    chain.mine(3)
    assert refusal(chain, candidate(**fields)) == reason


def test_what_pays_more_than_it_has_is_refused(
    chain: RegtestChain, candidate: Callable[..., Block], purse: Purse, funded: Coins
) -> None:
    block = candidate(transactions=(purse.spend(funded[:1], fee_sats=-1),))
    assert refusal(chain, block) == "bad-txns-in-belowout"


def test_a_young_coinbase_is_refused(
    chain: RegtestChain, candidate: Callable[..., Block], purse: Purse
) -> None:
    chain.mine(100, purse.script_pubkey)
    blocks = [block for _, block in chain._ledger.blocks_above(0)]
    coins = [purse.coins(block.transactions[0].raw)[0] for block in blocks]
    young = candidate(transactions=(purse.spend(coins[1:2]),))
    assert refusal(chain, young) == "bad-txns-premature-spend-of-coinbase"
    assert chain.submit(candidate(transactions=(purse.spend(coins[:1]),)).raw)


def test_lock_times_are_kept(
    chain: RegtestChain, candidate: Callable[..., Block], purse: Purse, funded: Coins
) -> None:
    height = chain.tip().height
    early = candidate(transactions=(purse.spend(funded[:1], locktime=height + 1),))
    assert refusal(chain, early) == "bad-txns-nonfinal"
    young = candidate(transactions=(purse.spend(funded[:1], sequence=2),))
    assert refusal(chain, young) == "bad-txns-nonfinal"


def test_a_changed_transaction_breaks_the_root(
    chain: RegtestChain, candidate: Callable[..., Block]
) -> None:
    block = candidate()
    coinbase = replace(block.transactions[0], locktime=1)
    assert refusal(chain, replace(block, transactions=(coinbase,))) == "bad-txnmrklroot"


def test_witnesses_must_be_committed_to(
    chain: RegtestChain, candidate: Callable[..., Block], purse: Purse, funded: Coins
) -> None:
    block = candidate(transactions=(purse.spend(funded[:1]),))
    coinbase, payment = block.transactions
    other = TransactionOutput(0, b"\x6a\x24\xaa\x21\xa9\xed" + bytes(32))
    lying = replace(coinbase, outputs=(coinbase.outputs[0], other))
    assert refusal(chain, rebuilt(block, lying, payment)) == "bad-witness-merkle-match"


def test_one_coinbase_and_it_comes_first(
    chain: RegtestChain, candidate: Callable[..., Block]
) -> None:
    block = candidate()
    (coinbase,) = block.transactions
    second = replace(coinbase, locktime=1)
    assert refusal(chain, rebuilt(block, coinbase, second)) == "bad-cb-multiple"
    assert refusal(chain, rebuilt(block, _plain())) == "bad-cb-missing"


def test_a_coinbase_script_has_its_length(
    chain: RegtestChain, candidate: Callable[..., Block]
) -> None:
    block = candidate()
    (coinbase,) = block.transactions
    for script in (height_script(1), height_script(1) + bytes(100)):
        item = coinbase.inputs[0]._replace(script_sig=script)
        changed = replace(coinbase, inputs=(item,))
        assert refusal(chain, rebuilt(block, changed)) == "bad-cb-length"


def test_difficulty_and_work_are_checked(
    chain: RegtestChain, candidate: Callable[..., Block]
) -> None:
    block = candidate()
    assert refusal(chain, mined(block, bits=0x207FFFFE)) in {"bad-diffbits", "high-hash"}
    lazy = block
    while lazy.proof_of_work:
        nonce = lazy.header.nonce + 1
        lazy = replace(lazy, header=lazy.header._replace(nonce=nonce))
    assert refusal(chain, lazy) == "high-hash"


def test_a_block_must_follow_the_tip(chain: RegtestChain, candidate: Callable[..., Block]) -> None:
    chain.mine(2)
    before = chain._ledger.hashes[1]
    with pytest.raises(ChainError):
        chain.submit(candidate(previous=before, height=2).raw)
    with pytest.raises(ChainError):
        chain.submit(candidate(previous="11" * 32).raw)
    assert chain.tip().height == 2


def test_bytes_that_are_no_block_are_refused(chain: RegtestChain) -> None:
    with pytest.raises(ChainError, match="the block cannot be read"):
        chain.submit(bytes(80))


def test_the_verdict_says_who_judged(chain: RegtestChain) -> None:
    assert chain.verdict == ("accepted" if consensus.engine_available() else "own-check")


def test_the_subsidy_halves_every_150_blocks() -> None:
    assert [subsidy(h) for h in (1, 149, 150, 299, 300)] == [
        5_000_000_000,
        5_000_000_000,
        2_500_000_000,
        2_500_000_000,
        1_250_000_000,
    ]


@pytest.mark.parametrize(
    ("height", "script"),
    [(1, "51"), (16, "60"), (17, "0111"), (127, "017f"), (128, "028000"), (32768, "03008000")],
)
def test_the_height_is_pushed_minimally(height: int, script: str) -> None:
    assert height_script(height).hex() == script


def test_a_header_is_the_hash_of_genesis() -> None:
    root = bytes.fromhex("3ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a")
    genesis = Block(Header("00" * 32, root, 1296688602, 2, version=1), ())
    assert genesis.hash == "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"


def test_mining_finds_work_for_any_block() -> None:
    blocks = [mine_block(Template("22" * 32, height, 1_700_000_000, MINER)) for height in range(20)]
    assert all(block.proof_of_work and block.whole for block in blocks)
    assert any(block.header.nonce for block in blocks)


def _plain() -> Transaction:
    coin = TransactionInput(Outpoint("33" * 32, 0), witness=(b"\x51",))
    return Transaction((coin,), (TransactionOutput(0, MINER),))
