import pytest

from coordinator.chain import Tip, Watch
from coordinator.chain.regtest import RegtestChain
from coordinator.errors import ChainError
from tests.coordinator.chain.purse import Coins, Purse


def heights(chain: RegtestChain, watch: Watch) -> dict[str, int | None]:
    return {seen.txid: seen.height for seen in chain.sync(watch).transactions}


def test_payments_to_and_from_are_seen(chain: RegtestChain, purse: Purse, funded: Coins) -> None:
    stranger = Purse("stranger")
    height = chain.tip().height
    funding = funded[0][0].txid
    away = purse.spend(funded[:1], to=stranger.script_pubkey)
    chain.broadcast(away.raw)
    watch = Watch(frozenset({purse.script_pubkey}))
    assert heights(chain, watch) == {funding: height, away.txid: None}
    chain.mine(1)
    update = chain.sync(watch)
    assert (update.tip, update.reorganised_to) == (chain.tip(), None)
    last = update.transactions[-1]
    assert (last.txid, last.raw, last.height) == (away.txid, away.raw, height + 1)
    assert last.block_hash == chain.tip().hash
    assert last.time is not None
    assert heights(chain, Watch(frozenset({stranger.script_pubkey}))) == {away.txid: height + 1}
    assert heights(chain, Watch(frozenset({b"\x51"}))) == {}


def test_only_news_is_told(chain: RegtestChain, purse: Purse, funded: Coins) -> None:
    watch = Watch(frozenset({purse.script_pubkey}), chain.tip())
    assert heights(chain, watch) == {}
    spent = purse.spend(funded[:1])
    chain.broadcast(spent.raw)
    assert heights(chain, watch) == {spent.txid: None}
    chain.mine(1)
    assert heights(chain, watch) == {spent.txid: watch.since.height + 1}
    assert heights(chain, Watch(watch.scripts, chain.tip())) == {}


def test_a_replaced_transaction_is_no_longer_listed(
    chain: RegtestChain, purse: Purse, funded: Coins
) -> None:
    watch = Watch(frozenset({purse.script_pubkey}), chain.tip())
    first, second = purse.spend(funded[:1]), purse.spend(funded[:1], fee_sats=5_000)
    chain.broadcast(first.raw)
    assert list(heights(chain, watch)) == [first.txid]
    chain.broadcast(second.raw)
    assert list(heights(chain, watch)) == [second.txid]


def test_a_reorganisation_names_the_height_that_holds(
    chain: RegtestChain, purse: Purse, funded: Coins
) -> None:
    watched = frozenset({purse.script_pubkey})
    before = chain.tip()
    kept, lost = purse.spend(funded[:1]), purse.spend(funded[1:2])
    chain.broadcast(kept.raw)
    chain.mine(1)
    chain.broadcast(lost.raw)
    chain.mine(1)
    after = chain.tip()
    rivals = chain.reorganise(before.height + 1)
    assert chain.tip() == Tip(after.height + 1, rivals[-1])
    assert chain.mempool() == [lost.txid]
    update = chain.sync(Watch(watched, after))
    assert update.reorganised_to == before.height + 1
    assert [(seen.txid, seen.height) for seen in update.transactions] == [(lost.txid, None)]
    assert chain.sync(Watch(watched, before)).reorganised_to is None
    chain.mine(1)
    assert heights(chain, Watch(watched, after)) == {lost.txid: chain.tip().height}
    assert RegtestChain(chain._folder).tip() == chain.tip()


def test_the_same_height_can_be_reorganised_again(chain: RegtestChain) -> None:
    chain.mine(3)
    seconds = {chain._ledger.hashes[2]}
    for _ in range(3):
        seconds.add(chain.reorganise(1)[0])
    assert len(seconds) == 4
    assert chain.tip().height == 6


def test_there_must_be_something_to_replace(chain: RegtestChain) -> None:
    chain.mine(1)
    with pytest.raises(ChainError, match="no block above 1"):
        chain.reorganise(1)


def test_a_tip_nobody_knows_holds_nothing(chain: RegtestChain, purse: Purse, funded: Coins) -> None:
    update = chain.sync(Watch(frozenset({purse.script_pubkey}), Tip(7, "77" * 32)))
    assert update.reorganised_to == 0
    assert [seen.txid for seen in update.transactions] == [funded[0][0].txid]


def test_a_second_reader_sees_what_the_first_wrote(
    chain: RegtestChain, purse: Purse, funded: Coins
) -> None:
    other = RegtestChain(chain._folder)
    assert other.tip() == chain.tip()
    payment = purse.spend(funded[:1])
    other.broadcast(payment.raw)
    assert chain.mempool() == [payment.txid]
    chain.mine(2)
    assert other.tip() == chain.tip()
    assert other.mempool() == []


class Killed(BaseException):
    """Stands for the end of the process."""


def killed(*_: object) -> None:
    raise Killed


def test_a_kill_before_the_rival_blocks_are_kept_changes_nothing(
    chain: RegtestChain, purse: Purse, funded: Coins, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = chain.tip()
    monkeypatch.setattr(chain, "_keep", killed)
    with pytest.raises(Killed):
        chain.reorganise(before.height - 1)
    reopened = RegtestChain(chain._folder)
    assert (reopened.tip(), reopened.mempool()) == (before, [])
    payment = purse.spend(funded[:1])
    reopened.broadcast(payment.raw)
    assert reopened.mempool() == [payment.txid]


def test_a_kill_after_a_block_leaves_nothing_waiting_twice(
    chain: RegtestChain, purse: Purse, funded: Coins, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = purse.spend(funded[:1])
    chain.broadcast(payment.raw)
    height = chain.tip().height
    monkeypatch.setattr("coordinator.chain.regtest.node.write_transactions", killed)
    with pytest.raises(Killed):
        chain.mine(1)
    reopened = RegtestChain(chain._folder)
    assert (reopened.tip().height, reopened.mempool()) == (height + 1, [])
    monkeypatch.undo()
    reopened.mine(1)
    assert reopened.tip().height == height + 2
