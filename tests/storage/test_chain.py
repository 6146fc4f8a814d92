from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from storage import chain, totals
from storage.errors import AlreadyExists, StorageError
from storage.model import ChainTransaction, Coin, Vault
from tests.storage.making import (
    NOW,
    Script,
    SeenTransaction,
    add_coin,
    add_transaction,
    add_vault,
    coin,
    script,
    spend,
    txid,
)

LATER = NOW + timedelta(days=1)
RECEIVE, CHANGE = 0, 1


@pytest.fixture
def vault(db: Session) -> Vault:
    return add_vault(db)


@pytest.fixture
def other(db: Session) -> Vault:
    return add_vault(db, "other", first_key=4)


def unspent(db: Session, vault: Vault) -> list[str]:
    return [found.txid for found in chain.unspent_coins(db, vault)]


def test_of_a_coin_told_twice_the_last_counts(db: Session, vault: Vault) -> None:
    chain.add_coins(db, vault, [{**coin(1), "height": None}, {**coin(1), "height": 7}])
    assert [found.height for found in chain.unspent_coins(db, vault)] == [7]


def test_indexes_are_issued_one_after_the_other(db: Session, vault: Vault, other: Vault) -> None:
    assert chain.next_index(db, vault, RECEIVE) == 0
    chain.issue_address(db, vault, Script(RECEIVE, 0, script(0)), now=NOW)
    chain.issue_address(db, vault, Script(CHANGE, 5, script(5)), now=NOW)
    assert chain.next_index(db, vault, RECEIVE) == 1
    assert chain.next_index(db, vault, CHANGE) == 6
    assert chain.next_index(db, other, RECEIVE) == 0


def test_an_address_is_issued_once(db: Session, vault: Vault, other: Vault) -> None:
    chain.issue_address(db, vault, Script(RECEIVE, 3, script(3)), now=NOW)
    (issued,) = chain.addresses_of(db, vault)
    assert (issued.issued_at, issued.used) == (NOW, False)
    with pytest.raises(AlreadyExists, match="address family/0/3 exists already"):
        chain.issue_address(db, vault, Script(RECEIVE, 3, script(3)), now=NOW)
    chain.issue_address(db, other, Script(RECEIVE, 3, script(3)), now=NOW)
    chain.issue_address(db, vault, Script(CHANGE, 3, script(4)), now=NOW)


def test_a_paid_address_is_used_issued_or_not(db: Session, vault: Vault, other: Vault) -> None:
    chain.issue_address(db, vault, Script(RECEIVE, 3, script(3)), now=NOW)
    chain.issue_address(db, other, Script(RECEIVE, 3, script(3)), now=NOW)
    chain.issue_address(db, vault, Script(RECEIVE, 4, script(4)), now=NOW)
    assert chain.used_scripts(db, vault) == set()
    add_coin(db, vault, 3)
    add_coin(db, vault, 7)
    assert chain.used_scripts(db, vault) == {script(3), script(7)}
    assert chain.used_scripts(db, other) == set()
    assert chain.next_index(db, vault, RECEIVE) == 8
    assert [(a.index, a.used, a.issued_at) for a in chain.addresses_of(db, vault)] == [
        (3, True, NOW),
        (4, False, NOW),
        (7, True, None),
    ]


def test_a_transaction_moves_into_a_block_and_out(db: Session) -> None:
    add_transaction(db, 1, height=None)
    add_transaction(db, 2, height=100)
    (waiting,) = chain.transactions(db, [txid(1), txid(3)])
    assert (waiting.height, waiting.block_time, waiting.first_seen) == (None, None, NOW)
    add_transaction(db, 1, height=101)
    db.expire_all()
    assert (waiting.height, waiting.block_hash) == (101, f"{101:064x}")
    assert waiting.block_time == datetime.fromtimestamp(1_700_000_101, UTC)
    assert chain.raw_transactions(db, {txid(1), txid(2)}) == {
        txid(1): bytes([0, 0, 0, 1]),
        txid(2): bytes([0, 0, 0, 2]),
    }


def test_many_transactions_are_found_at_once(db: Session) -> None:
    for number in range(1, 1202):
        add_transaction(db, number)
    assert len(chain.raw_transactions(db, (txid(number) for number in range(5000)))) == 1201


def test_a_block_is_known_whole_or_not_at_all(db: Session) -> None:
    seen = SeenTransaction(txid(1), b"", height=5, block_hash=None, time=None)
    with pytest.raises(StorageError, match="block_whole"):
        chain.add_transactions(db, [seen], NOW)


def test_a_coin_is_kept_whole(db: Session, vault: Vault) -> None:
    add_coin(db, vault, 5, vout=2, height=None, coinbase=True, keychain=CHANGE)
    (found,) = chain.unspent_coins(db, vault)
    assert found == chain.UnspentCoin(txid(5), 2, 5000, CHANGE, 5, script(5), None, coinbase=True)
    kept = chain.coin_at(db, txid(5), 2)
    assert kept is not None
    assert (kept.vault_id, kept.value_sats, kept.spent_by) == (vault.id, 5000, None)
    assert chain.coin_at(db, txid(5), 1) is None


def test_a_coin_told_again_only_moves(db: Session, vault: Vault) -> None:
    add_coin(db, vault, 1, height=None)
    add_coin(db, vault, 2, height=None)
    add_coin(db, vault, 1, height=120)
    assert [(c.txid, c.height) for c in chain.unspent_coins(db, vault)] == [
        (txid(1), 120),
        (txid(2), None),
    ]


def test_many_coins_at_once(db: Session, vault: Vault, other: Vault) -> None:
    many = [coin(number) for number in range(1, 1300)]
    chain.add_coins(db, vault, many[:700])
    chain.add_coins(db, vault, [{**each, "height": 200 + each["index"] % 3} for each in many])
    chain.add_coins(db, other, many[:1])
    found = chain.unspent_coins(db, vault)
    assert len(found) == 1299
    assert all(each.height == 200 + each.index % 3 for each in found)
    assert len(chain.used_scripts(db, vault)) == 1299
    assert [each.height for each in chain.unspent_coins(db, other)] == [100]


def test_spent_coins_are_no_longer_there(db: Session, vault: Vault, other: Vault) -> None:
    for number in (1, 2, 3):
        add_coin(db, vault, number)
    add_coin(db, other, 4)
    spend(db, vault, [(txid(1), 0), (txid(2), 1), (txid(4), 0)], txid(9), None)
    assert unspent(db, vault) == [txid(2), txid(3)]
    assert unspent(db, other) == [txid(4)]
    spent = chain.coin_at(db, txid(1), 0)
    assert spent is not None
    assert (spent.spent_by, spent.spent_height) == (txid(9), None)


def test_a_thousand_coins_are_spent_at_once(db: Session, vault: Vault) -> None:
    chain.add_coins(db, vault, [coin(number) for number in range(1, 1101)])
    chain.spend_coins(db, vault, (chain.Spend(txid(n), 0, txid(9999), 5) for n in range(1, 1101)))
    assert unspent(db, vault) == []


def test_a_waiting_transaction_takes_nothing_from_one_in_a_block(db: Session, vault: Vault) -> None:
    add_coin(db, vault, 1)
    spend(db, vault, [(txid(1), 0)], txid(8), None)
    spend(db, vault, [(txid(1), 0)], txid(9), 101)
    spend(db, vault, [(txid(1), 0)], txid(8), None)
    spent = chain.coin_at(db, txid(1), 0)
    assert spent is not None
    assert (spent.spent_by, spent.spent_height) == (txid(9), 101)


def test_a_transaction_changes_what_is_owned(db: Session, vault: Vault, other: Vault) -> None:
    add_coin(db, vault, 1)
    add_coin(db, vault, 2)
    add_coin(db, vault, 9, vout=0, value_sats=500)
    add_coin(db, vault, 9, vout=1, value_sats=40)
    add_coin(db, other, 9, vout=2, value_sats=70)
    spend(db, vault, [(txid(1), 0)], txid(9), None)
    made, spent = totals.shares(db, vault)
    assert made == {txid(1): (1, 1000), txid(2): (1, 2000), txid(9): (2, 540)}
    assert spent == {txid(9): (1, 1000)}
    assert totals.shares(db, other) == ({txid(9): (1, 70)}, {})
    assert totals.spending_pairs(db, vault) == [(txid(1), txid(9))]


def test_how_far_a_vault_is_known(db: Session, vault: Vault, other: Vault) -> None:
    assert chain.sync_state(db, vault) is None
    chain.set_sync_state(db, vault, 100, block_hash="aa", now=NOW)
    chain.set_sync_state(db, vault, 101, block_hash="bb", now=LATER)
    assert chain.sync_state(db, vault) == (101, "bb")
    assert chain.sync_state(db, other) is None


@pytest.fixture
def forked(db: Session, vault: Vault, other: Vault) -> Vault:
    """Coins 1 and 2 in blocks 100 and 101, 1 spent by 9 in block 102; a stranger beside."""
    for number, height in ((1, 100), (2, 101), (9, 102)):
        add_transaction(db, number, height=height)
        add_coin(db, vault, number, height=height)
    spend(db, vault, [(txid(1), 0)], txid(9), 102)
    add_coin(db, other, 5, height=102)
    add_transaction(db, 5, height=102)
    return vault


def heights(db: Session, vault: Vault) -> dict[str, tuple[int | None, str | None, int | None]]:
    found = db.scalars(select(Coin).where(Coin.vault_id == vault.id))
    return {each.txid: (each.height, each.spent_by, each.spent_height) for each in found}


def test_after_a_reorganisation_what_was_above_waits(db: Session, forked: Vault) -> None:
    chain.forget_above(db, forked, 101)
    assert heights(db, forked) == {
        txid(1): (100, txid(9), None),
        txid(2): (101, None, None),
        txid(9): (None, None, None),
    }
    (moved,) = chain.transactions(db, [txid(9)])
    assert (moved.height, moved.block_hash, moved.block_time) == (None, None, None)


def test_a_reorganisation_above_all_that_is_known_changes_nothing(
    db: Session, forked: Vault
) -> None:
    before = heights(db, forked)
    chain.forget_above(db, forked, 102)
    assert heights(db, forked) == before
    assert [each.height for each in chain.transactions(db, [txid(9)])] == [102]


def test_what_waits_and_is_not_told_again_is_forgotten(
    db: Session, forked: Vault, other: Vault
) -> None:
    chain.forget_above(db, forked, 100)
    chain.forget_waiting(db, forked, keep={txid(2)})
    assert heights(db, forked) == {txid(1): (100, None, None), txid(2): (None, None, None)}
    assert set(chain.raw_transactions(db, [txid(n) for n in (1, 2, 5, 9)])) == {
        txid(1),
        txid(2),
        txid(5),
    }
    assert heights(db, other) == {txid(5): (102, None, None)}
    assert chain.used_scripts(db, forked) >= {script(9)}


def test_what_waits_and_is_told_again_stays(db: Session, forked: Vault) -> None:
    chain.forget_above(db, forked, 100)
    before = heights(db, forked)
    chain.forget_waiting(db, forked, keep=[txid(2), txid(9)])
    assert heights(db, forked) == before


def test_what_is_in_blocks_is_never_forgotten(db: Session, forked: Vault) -> None:
    before = heights(db, forked)
    chain.forget_waiting(db, forked, keep=())
    assert heights(db, forked) == before
    assert db.scalar(select(func.count()).select_from(ChainTransaction)) == 4


def test_a_transaction_another_vault_needs_stays(db: Session, forked: Vault, other: Vault) -> None:
    add_coin(db, other, 9, vout=1, height=102)
    chain.forget_above(db, forked, 101)
    chain.forget_waiting(db, forked, keep=())
    assert set(chain.raw_transactions(db, [txid(9)])) == {txid(9)}


@pytest.mark.parametrize(
    ("keychain", "index", "sentence"),
    [(2, 0, "keychain_known"), (0, 2**31, "index_range|out of range"), (0, -1, "index_range")],
)
def test_what_cannot_be_an_address_is_refused(
    db: Session, vault: Vault, keychain: int, index: int, sentence: str
) -> None:
    with pytest.raises(StorageError, match=sentence):
        chain.issue_address(db, vault, Script(keychain, index, b""), now=NOW)
