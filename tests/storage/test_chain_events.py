"""What the chain took back: told by what forgets it, kept until it comes again."""

import pytest
from sqlalchemy.orm import Session

from storage import ceremonies, chain, chain_events
from storage.chain import Gone
from storage.errors import StorageError
from storage.model import Vault
from tests.storage.making import (
    LATER,
    NOW,
    add_ceremony,
    add_coin,
    add_transaction,
    add_vault,
    spend,
    txid,
)


@pytest.fixture
def vault(db: Session) -> Vault:
    return add_vault(db)


@pytest.fixture
def other(db: Session) -> Vault:
    return add_vault(db, "other", first_key=4)


def note(db: Session, vault: Vault, code: str, number: int, **different: object) -> int:
    known = {"txid": txid(number), "height": 105, "replaced_by": None, "change_sats": 0}
    return chain_events.add_event(db, vault, NOW, code=code, **{**known, **different}).id


def unsettled(db: Session, vault: Vault) -> list[tuple[str, str]]:
    return [(each.code, each.txid) for each in chain_events.unsettled(db, vault)]


def test_what_leaves_its_block_is_told(db: Session, vault: Vault, other: Vault) -> None:
    add_coin(db, vault, 1, height=100)
    add_coin(db, vault, 2, height=103)
    add_coin(db, other, 3, height=103)
    spend(db, vault, [(txid(1), 0)], txid(9), 102)
    assert chain.forget_above(db, vault, 103) == {}
    assert chain.forget_above(db, vault, 101) == {txid(2): 103, txid(9): 102}
    assert chain.forget_above(db, vault, 101) == {}


def test_what_waits_no_more_is_told_with_what_it_was_worth(db: Session, vault: Vault) -> None:
    add_coin(db, vault, 1, height=100)
    add_coin(db, vault, 2, height=100)
    add_coin(db, vault, 9, height=None, value_sats=500)
    add_coin(db, vault, 8, height=None, value_sats=70)
    add_transaction(db, 9, height=None)
    spend(db, vault, [(txid(1), 0), (txid(2), 0)], txid(9), None)
    assert chain.forget_waiting(db, vault, keep={txid(8), txid(9)}) == {}
    assert chain.forget_waiting(db, vault, keep={txid(8)}) == {
        txid(9): Gone((9).to_bytes(4, "big"), 500 - 1000 - 2000)
    }
    assert chain.forget_waiting(db, vault, keep=()) == {txid(8): Gone(b"", 70)}


def test_an_event_holds_until_its_payment_is_back(db: Session, vault: Vault) -> None:
    note(db, vault, "unconfirmed", 1)
    note(db, vault, "vanished", 2)
    both = [("unconfirmed", txid(1)), ("vanished", txid(2))]
    assert unsettled(db, vault) == both
    add_transaction(db, 1, height=None)
    assert unsettled(db, vault) == both
    add_transaction(db, 2, height=None)
    assert unsettled(db, vault) == both[:1]
    add_transaction(db, 1, height=106)
    assert unsettled(db, vault) == []


def test_the_newest_event_of_a_payment_counts(db: Session, vault: Vault, other: Vault) -> None:
    note(db, vault, "unconfirmed", 1)
    note(db, other, "unconfirmed", 1)
    last = note(db, vault, "vanished", 1)
    assert unsettled(db, vault) == [("vanished", txid(1))]
    assert unsettled(db, other) == [("unconfirmed", txid(1))]
    assert chain_events.newest_id(db) == last
    assert [e.vault.name for e in chain_events.events_after(db, last - 2)] == ["other", "family"]
    assert chain_events.events_after(db, last) == []


def test_without_events_there_is_no_newest(db: Session) -> None:
    assert chain_events.newest_id(db) == 0


@pytest.mark.parametrize(
    "different",
    [{"code": "lost"}, {"txid": "ab"}, {"replaced_by": "ab"}, {"height": -1}],
)
def test_an_event_that_cannot_be_is_refused(
    db: Session, vault: Vault, different: dict[str, object]
) -> None:
    with pytest.raises(StorageError, match=f"ck_chain_event_{next(iter(different))}"):
        note(db, vault, **{"code": "vanished", "number": 1, **different})


def test_which_payment_took_whose_coins(db: Session, vault: Vault) -> None:
    first = add_ceremony(db, vault, "aaaa2345", spends=901)
    second = add_ceremony(db, vault, "bbbb2345", spends=902)
    unrelated = add_ceremony(db, vault, "cccc2345", spends=903)
    ceremonies.reserve(db, first, [(txid(1), 0), (txid(2), 0)], expires=LATER, now=NOW)
    ceremonies.release(db, first, NOW)
    ceremonies.reserve(db, second, [(txid(2), 0)], expires=LATER, now=NOW)
    ceremonies.reserve(db, unrelated, [(txid(2), 1)], expires=LATER, now=NOW)
    unsent = add_ceremony(db, vault, "dddd2345", spends=904)
    ceremonies.reserve(db, unsent, [(txid(1), 0)], expires=LATER, now=NOW)
    for each in (second, unrelated):
        each.broadcast_at = NOW
    assert ceremonies.replacements(db, vault) == {}
    first.broadcast_at = NOW
    assert ceremonies.replacements(db, vault) == {txid(902): txid(901)}


def test_ceremonies_are_found_by_what_they_sent(db: Session, vault: Vault) -> None:
    add_ceremony(db, vault, "aaaa2345", spends=901)
    add_ceremony(db, vault, "bbbb2345", spends=901)
    assert ceremonies.ids_by_txid(db, [txid(901), txid(902)]) == {txid(901): "bbbb2345"}


def test_payments_whose_coins_went_elsewhere(db: Session, vault: Vault) -> None:
    lost = add_ceremony(db, vault, "aaaa2345", spends=901)
    add_coin(db, vault, 1)
    ceremonies.reserve(db, lost, [(txid(1), 0)], expires=LATER, now=NOW)
    spend(db, vault, [(txid(1), 0)], txid(77), 105)
    assert ceremonies.outspent(db, vault, above=104) == {}
    ceremonies.confirm(db, vault, NOW)
    assert ceremonies.outspent(db, vault, above=104) == {"aaaa2345": (lost, txid(77))}
    assert ceremonies.outspent(db, vault, above=105) == {}
