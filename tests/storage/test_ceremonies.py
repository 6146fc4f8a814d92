import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from storage import ceremonies, chain
from storage.ceremonies import Held
from storage.database import open_database
from storage.errors import AlreadyExists, CoinTaken, NotFound, StorageError
from storage.model import Ceremony, Reservation, Signature, Vault
from tests.storage.making import (
    LATER,
    NOW,
    add_card,
    add_ceremony,
    add_coin,
    add_transaction,
    add_vault,
    fight_for_a_coin,
    spend,
    txid,
)

SECOND = timedelta(seconds=1)
COINS = [(txid(1), 0), (txid(2), 0)]
PUBKEY = b"\x02" * 33
R_S = bytes(range(64))


@pytest.fixture
def vault(db: Session) -> Vault:
    return add_vault(db)


@pytest.fixture
def ceremony(db: Session, vault: Vault) -> Ceremony:
    return add_ceremony(db, vault)


def test_a_ceremony_starts_by_collecting(db: Session, vault: Vault, ceremony: Ceremony) -> None:
    found = ceremonies.ceremony_named(db, "abcd2345")
    assert found is ceremony
    assert (found.state, found.psbt, found.vault, found.signatures) == (
        "collecting",
        b"psbt\xff",
        vault,
        [],
    )
    assert (found.fee_sats, found.paid_sats, found.lifetime) == (200, 1000, timedelta(days=30))
    with pytest.raises(NotFound, match="there is no ceremony zzzz2345"):
        ceremonies.ceremony_named(db, "zzzz2345")
    with pytest.raises(AlreadyExists, match="ceremony abcd2345"):
        add_ceremony(db, vault)


def test_ceremonies_are_listed_newest_first(db: Session, vault: Vault, ceremony: Ceremony) -> None:
    second = add_ceremony(db, vault, "bbbb2345", spends=901)
    foreign = add_ceremony(db, add_vault(db, "other", first_key=4), "cccc2345", spends=902)
    assert ceremonies.all_ceremonies(db) == [foreign, second, ceremony]
    assert ceremonies.ceremonies_of(db, vault) == [second, ceremony]
    second.state = "broadcast"
    foreign.state = "confirmed"
    assert ceremonies.sent(db, vault) == [second]
    ceremony.state = "confirmed"
    assert ceremonies.sent(db, vault) == [second, ceremony]


def test_a_payment_goes_on_until_it_is_deep_or_given_up(
    db: Session, vault: Vault, ceremony: Ceremony
) -> None:
    sent = add_ceremony(db, vault, "bbbb2345", spends=901)
    sent.state, sent.confirmed_height = "confirmed", 96
    assert ceremonies.going_on(db, 6) == [sent, ceremony], "nobody looked for the vault yet"
    chain.set_sync_state(db, vault, 100, block_hash="aa", now=NOW)
    assert ceremonies.going_on(db, 6) == [sent, ceremony]
    assert ceremonies.going_on(db, 5) == [ceremony]
    assert ceremonies.any_collects(db)
    ceremony.state = "abandoned"
    assert not ceremonies.any_collects(db)
    assert ceremonies.going_on(db, 6) == [sent]


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("state", "lost", "state_known"),
        ("final_tx", b"\x01", "final_checked"),
        ("consensus", "accepted", "final_checked"),
        ("expires_at", NOW, "expires_later"),
        ("fee_sats", -1, "fee_sats"),
        ("paid_sats", -1, "paid_sats"),
        ("public_id", "short", "public_id_size"),
    ],
)
def test_what_cannot_be_a_ceremony_is_refused(
    db: Session, ceremony: Ceremony, field: str, value: object, sentence: str
) -> None:
    columns = {each.key: getattr(ceremony, each.key) for each in Ceremony.__table__.columns}
    db.add(Ceremony(**{**columns, "id": 9, "public_id": "bbbb2345", field: value}))
    with pytest.raises(StorageError, match=sentence):
        db.flush()


def test_a_signature_is_kept_once(db: Session, ceremony: Ceremony) -> None:
    blue = add_card(db, "blue")
    ceremonies.keep_signatures(
        db, ceremony.id, [ceremonies.NewSignature(0, PUBKEY, R_S, blue.id)], now=NOW
    )
    ceremonies.keep_signatures(
        db, ceremony.id, [ceremonies.NewSignature(0, PUBKEY, bytes(64))], now=LATER
    )
    ceremonies.keep_signatures(db, ceremony.id, [ceremonies.NewSignature(1, PUBKEY, R_S)], now=NOW)
    ceremonies.keep_signatures(
        db, ceremony.id, [ceremonies.NewSignature(0, b"\x03" * 33, R_S)], now=NOW
    )
    db.expire_all()
    kept = [(s.input_index, s.pubkey[0], s.signature, s.card_id) for s in ceremony.signatures]
    assert kept == [(0, 2, R_S, blue.id), (1, 2, R_S, None), (0, 3, R_S, None)]
    assert ceremony.signatures[0].received_at == NOW


@pytest.mark.parametrize("given", [(0, PUBKEY, R_S[1:]), (0, PUBKEY[1:], R_S), (-1, PUBKEY, R_S)])
def test_what_cannot_be_a_signature_is_refused(
    db: Session, ceremony: Ceremony, given: tuple[int, bytes, bytes]
) -> None:
    index, pubkey, signature = given
    with pytest.raises(StorageError, match=r"(?i)check constraint"):
        ceremonies.keep_signatures(
            db, ceremony.id, [ceremonies.NewSignature(index, pubkey, signature)], now=NOW
        )


def test_a_reserved_coin_is_held_until_it_expires(db: Session, ceremony: Ceremony) -> None:
    ceremonies.reserve(db, ceremony, COINS, expires=LATER, now=NOW)
    assert ceremonies.reserved(db, NOW) == [
        Held(txid(1), 0, "abcd2345", LATER, "desk"),
        Held(txid(2), 0, "abcd2345", LATER, "desk"),
    ]
    assert len(ceremonies.reserved(db, LATER - SECOND)) == 2
    assert ceremonies.reserved(db, LATER) == []


def test_a_coin_has_one_holder(db: Session, vault: Vault, ceremony: Ceremony) -> None:
    ceremonies.reserve(db, ceremony, COINS, expires=LATER, now=NOW)
    rival = add_ceremony(db, vault, "bbbb2345", spends=901)
    with pytest.raises(CoinTaken, match="is reserved by ceremony abcd2345") as taken:
        ceremonies.reserve(db, rival, [(txid(1), 1), (txid(2), 0)], expires=LATER, now=NOW)
    assert (taken.value.txid, taken.value.vout, taken.value.ceremony) == (txid(2), 0, "abcd2345")
    assert (taken.value.until, taken.value.opened_on) == (LATER, "desk")


def test_the_database_itself_allows_one_holder(
    db: Session, vault: Vault, ceremony: Ceremony
) -> None:
    rival = add_ceremony(db, vault, "bbbb2345", spends=901)
    for holder in (ceremony, rival):
        db.add(Reservation(ceremony_id=holder.id, txid=txid(1), vout=0, expires_at=LATER))
    with pytest.raises(StorageError, match=r"(?i)unique constraint"):
        db.flush()


def test_an_expired_coin_goes_to_whoever_asks(
    db: Session, vault: Vault, ceremony: Ceremony
) -> None:
    ceremonies.reserve(db, ceremony, COINS, expires=LATER, now=NOW)
    ceremonies.keep_signatures(db, ceremony.id, [ceremonies.NewSignature(0, PUBKEY, R_S)], now=NOW)
    rival = add_ceremony(db, vault, "bbbb2345", spends=901)
    ceremonies.reserve(db, rival, COINS[:1], expires=LATER + SECOND * 9, now=LATER)
    assert ceremonies.reserved(db, LATER) == [
        Held(txid(1), 0, "bbbb2345", LATER + SECOND * 9, "desk")
    ]
    assert db.scalar(select(func.count()).select_from(Signature)) == 1
    with pytest.raises(CoinTaken):
        ceremonies.reserve(db, ceremony, COINS, expires=LATER + SECOND * 9, now=LATER)


def test_expiring_lets_go_of_what_is_over_only(
    db: Session, vault: Vault, ceremony: Ceremony
) -> None:
    ceremonies.reserve(db, ceremony, COINS[:1], expires=LATER, now=NOW)
    rival = add_ceremony(db, vault, "bbbb2345", spends=901)
    ceremonies.reserve(db, rival, COINS[1:], expires=LATER + SECOND, now=NOW)
    ceremonies.expire(db, LATER)
    live = select(Reservation.txid).where(Reservation.released_at.is_(None))
    assert db.scalars(live).all() == [txid(2)]


def test_a_ceremony_may_hold_its_coins_afresh(db: Session, ceremony: Ceremony) -> None:
    ceremonies.reserve(db, ceremony, COINS, expires=LATER, now=NOW)
    ceremonies.reserve(db, ceremony, COINS, expires=LATER + ceremony.lifetime, now=LATER - SECOND)
    assert len(ceremonies.reserved(db, LATER)) == 2
    assert ceremony.expires_at == LATER + timedelta(days=30)
    assert ceremony.lifetime == timedelta(days=30)


def test_released_coins_are_free(db: Session, vault: Vault, ceremony: Ceremony) -> None:
    ceremonies.reserve(db, ceremony, COINS[:1], expires=LATER, now=NOW)
    rival = add_ceremony(db, vault, "bbbb2345", spends=901)
    ceremonies.reserve(db, rival, COINS[1:], expires=LATER, now=NOW)
    ceremonies.release(db, ceremony, NOW)
    assert ceremonies.reserved(db, NOW) == [Held(txid(2), 0, "bbbb2345", LATER, "desk")]


def test_two_connections_fight_for_a_coin(on_file: sessionmaker[Session]) -> None:
    winner, outcomes = fight_for_a_coin(on_file)
    assert outcomes == {winner, f"lost to {winner}"}


SIGNING = """
import os, signal, sys
from datetime import UTC, datetime
from storage.ceremonies import NewSignature, keep_signatures
from storage.database import open_database

def keep(db, index):
    now = datetime.now(UTC)
    keep_signatures(db, 1, [NewSignature(index, b"\\x02" * 33, bytes(64))], now=now)

database = open_database(sys.argv[1])
for index in range(int(sys.argv[2])):
    with database.begin() as db:
        keep(db, index)
with database.begin() as db:
    keep(db, index + 1)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_kill_loses_the_signature_in_flight_and_no_other(path: Path) -> None:
    url = f"sqlite:///{path}"
    database = open_database(url)
    with database.begin() as db:
        add_ceremony(db, add_vault(db))
    database.kw["bind"].dispose()
    subprocess.run([sys.executable, "-c", SIGNING, url, "3"], check=False)
    database = open_database(url)
    with database.begin() as db:
        kept = ceremonies.ceremony_named(db, "abcd2345").signatures
        assert [signature.input_index for signature in kept] == [0, 1, 2]
    database.kw["bind"].dispose()


@pytest.fixture
def holding(db: Session, vault: Vault, ceremony: Ceremony) -> Ceremony:
    for number in (1, 2):
        add_coin(db, vault, number)
    ceremonies.reserve(db, ceremony, COINS, expires=LATER, now=NOW)
    return ceremony


def bring(ceremony: Ceremony, state: str) -> None:
    """Bring a ceremony into a state, finished where that takes a transaction."""
    if state == "final":
        ceremony.final_tx, ceremony.consensus = b"tx", "own-check"
    ceremony.state = state


def test_a_payment_in_a_block_is_confirmed(db: Session, vault: Vault, holding: Ceremony) -> None:
    holding.state = "broadcast"
    add_transaction(db, 900, height=105)
    spend(db, vault, COINS, txid(900), 105)
    ceremonies.confirm(db, vault, NOW)
    assert (holding.state, holding.confirmed_height) == ("confirmed", 105)
    assert ceremonies.reserved(db, NOW) == []


@pytest.mark.parametrize("state", ["collecting", "complete", "final", "broadcast"])
def test_a_payment_seen_waiting_is_broadcast(
    db: Session, vault: Vault, holding: Ceremony, state: str
) -> None:
    bring(holding, state)
    add_transaction(db, 900, height=None)
    ceremonies.confirm(db, vault, NOW)
    assert (holding.state, holding.confirmed_height, holding.broadcast_at) == (
        "broadcast",
        None,
        NOW,
    )
    assert len(ceremonies.reserved(db, NOW)) == 2


@pytest.mark.parametrize("state", ["collecting", "complete", "final", "broadcast"])
def test_a_payment_the_chain_never_saw_stays(
    db: Session, vault: Vault, holding: Ceremony, state: str
) -> None:
    bring(holding, state)
    ceremonies.confirm(db, vault, NOW)
    assert holding.state == state
    assert (holding.broadcast_at is None) == (state != "broadcast")
    assert len(ceremonies.reserved(db, NOW)) == 2


def test_a_payment_that_fell_out_of_its_block_waits_again(
    db: Session, vault: Vault, holding: Ceremony
) -> None:
    add_transaction(db, 900, height=105)
    ceremonies.confirm(db, vault, NOW)
    chain.forget_above(db, vault, 104)
    ceremonies.confirm(db, vault, LATER)
    assert (holding.state, holding.confirmed_height, holding.broadcast_at) == (
        "broadcast",
        None,
        NOW,
    )
    add_transaction(db, 900, height=106)
    ceremonies.confirm(db, vault, LATER)
    assert (holding.state, holding.confirmed_height) == ("confirmed", 106)


def test_a_payment_that_vanished_waits_again(db: Session, vault: Vault, holding: Ceremony) -> None:
    add_transaction(db, 900, height=105)
    ceremonies.confirm(db, vault, NOW)
    spend(db, vault, COINS, txid(900), 105)
    chain.forget_above(db, vault, 104)
    chain.forget_waiting(db, vault, keep=())
    ceremonies.confirm(db, vault, NOW)
    assert holding.state == "broadcast"


def test_a_payment_whose_coin_went_elsewhere_is_replaced(
    db: Session, vault: Vault, holding: Ceremony
) -> None:
    spend(db, vault, COINS[1:], txid(901), None)
    ceremonies.confirm(db, vault, NOW)
    assert holding.state == "collecting"
    spend(db, vault, COINS[1:], txid(901), 105)
    ceremonies.confirm(db, vault, NOW)
    assert holding.state == "replaced"
    assert ceremonies.reserved(db, NOW) == []


def test_a_payment_does_not_replace_itself(db: Session, vault: Vault, holding: Ceremony) -> None:
    spend(db, vault, COINS, txid(900), 105)
    ceremonies.confirm(db, vault, NOW)
    assert holding.state == "collecting"


def test_an_abandoned_payment_stays_so_until_somebody_sends_it(
    db: Session, vault: Vault, holding: Ceremony
) -> None:
    holding.state = "abandoned"
    spend(db, vault, COINS[1:], txid(901), 105)
    ceremonies.confirm(db, vault, NOW)
    assert holding.state == "abandoned"
    add_transaction(db, 900, height=106)
    ceremonies.confirm(db, vault, NOW)
    assert (holding.state, holding.confirmed_height) == ("confirmed", 106)


def test_other_vaults_are_left_alone(db: Session, holding: Ceremony) -> None:
    add_transaction(db, 900, height=105)
    ceremonies.confirm(db, add_vault(db, "other", first_key=4), NOW)
    assert holding.state == "collecting"
