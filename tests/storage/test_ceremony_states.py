"""The database itself holds ceremonies to their states, on both engines."""

from collections.abc import Iterator
from typing import Final

import pytest
from sqlalchemy import text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.orm import Session, sessionmaker

from storage import ceremonies
from storage.database import open_database
from storage.errors import StorageError
from storage.model.ceremonies import CEREMONY_STATES
from tests.once import computing_once
from tests.storage.making import LATER, NOW, add_ceremony, add_vault, txid

NO_WAY: Final = "does not go to that state"
SAME_PAYMENT: Final = "stays as it was opened"
FINISHED: Final = "final_tx = 'tx', consensus = 'own-check'"
ONWARD: Final = {
    "collecting": {"complete", "final", "broadcast", "confirmed", "abandoned", "replaced"},
    "complete": {"final", "broadcast", "confirmed", "abandoned", "replaced"},
    "final": {"broadcast", "confirmed", "abandoned", "replaced"},
    "broadcast": {"confirmed", "replaced"},
    "confirmed": {"broadcast", "replaced"},
    "abandoned": {"broadcast", "confirmed"},
    "replaced": {"confirmed"},
}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shared(request: pytest.FixtureRequest) -> Iterator[sessionmaker[Session]]:
    """A database with one ceremony that holds a coin and has a signature, for every test."""
    url: URL = make_url("sqlite://")
    if request.param == "postgresql":
        url = request.getfixturevalue("on_server").copy(lasting=True)
    with computing_once():
        opened = open_database(url)
    with opened.begin() as db:
        vault = add_vault(db)
        made = add_ceremony(db, vault)
        add_ceremony(db, vault, "other234", spends=901)
        ceremonies.reserve(db, made, [(txid(1), 0)], expires=LATER, now=NOW)
        ceremonies.keep_signatures(
            db, made.id, [ceremonies.NewSignature(0, b"\x02" * 33, bytes(64))], now=NOW
        )
    yield opened
    opened.kw["bind"].dispose()


@pytest.fixture
def row(shared: sessionmaker[Session]) -> Iterator[Session]:
    """A transaction that is taken back at its end."""
    with shared() as db:
        yield db
        db.rollback()


def change(db: Session, values: str, table: str = "ceremony") -> None:
    where = "WHERE ceremony_id = 1" if table != "ceremony" else "WHERE id = 1"
    db.execute(text(f"UPDATE {table} SET {values} {where}"))  # noqa: S608 -- the tests' own


def bring(db: Session, state: str) -> None:
    change(db, f"state = '{state}', {FINISHED}")


@pytest.mark.parametrize("before", CEREMONY_STATES)
def test_a_ceremony_goes_only_where_its_state_leads(row: Session, before: str) -> None:
    bring(row, before)
    went = {after for after in CEREMONY_STATES if tried(row, f"state = '{after}'", NO_WAY)}
    assert went == {before, *ONWARD[before]}


def tried(db: Session, values: str, refusal: str) -> bool:
    """Tell whether a change is made, and take it back; a refusal says the sentence."""
    with db.begin_nested() as tried_out:
        try:
            change(db, values)
        except StorageError as refused:
            assert refusal in str(refused)  # noqa: PT017 -- not every change is refused
            return False
        finally:
            tried_out.rollback()
    return True


def test_a_final_payment_has_its_transaction(row: Session) -> None:
    with pytest.raises(StorageError, match="does not go to that state"):
        change(row, "state = 'final'")


STAYS: Final = {
    "psbt = 'other'": {"collecting", "complete"},
    "txid = replace(txid, '0', '1')": set(CEREMONY_STATES) - {"confirmed", "replaced"},
    "final_tx = 'other'": {"collecting", "complete", "final", "abandoned"},
    "expires_at": {"collecting", "complete", "final"},
    "fee_sats = 9": set(),
    "paid_sats = 9": set(),
    "public_id = 'zzzzzzzz'": set(),
    "branch = 'recovery'": set(),
    "lifetime_seconds = 9": set(),
    "opened_on = NULL": set(),
    "vault_id = 9": set(),
    "id = 9": set(),
}
TIMES: Final = {
    "sqlite": "expires_at = '2027-01-01 00:00:00'",
    "postgresql": "expires_at = '2027-01-01 00:00:00Z'",
}


@pytest.mark.parametrize("state", CEREMONY_STATES)
def test_what_a_ceremony_pays_stays(row: Session, state: str) -> None:
    bring(row, state)
    said = {values: values for values in STAYS} | {"expires_at": TIMES[row.get_bind().dialect.name]}
    changed = {name for name, values in said.items() if tried(row, values, SAME_PAYMENT)}
    assert changed == {name for name, states in STAYS.items() if state in states}


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("DELETE FROM ceremony WHERE id = 2", "never removed"),
        ("DELETE FROM reservation", "let go of once"),
        ("UPDATE reservation SET expires_at = released_at", "let go of once"),
        ("UPDATE reservation SET vout = 1, released_at = expires_at", "let go of once"),
        ("UPDATE reservation SET ceremony_id = 2, released_at = expires_at", "let go of once"),
        ("DELETE FROM signature", "stays as it came"),
        ("UPDATE signature SET input_index = 1", "stays as it came"),
    ],
)
def test_what_is_kept_is_kept(row: Session, statement: str, told: str) -> None:
    with pytest.raises(StorageError, match=told):
        row.execute(text(statement))


def test_a_coin_that_was_let_go_of_is_not_taken_back_by_its_row(row: Session) -> None:
    change(row, "released_at = expires_at", "reservation")
    with pytest.raises(StorageError, match="let go of once"):
        change(row, "released_at = NULL", "reservation")


@pytest.mark.parametrize("table", ["ceremony", "reservation", "signature"])
def test_no_table_of_payments_is_emptied(row: Session, table: str) -> None:
    if row.get_bind().dialect.name == "sqlite":
        pytest.skip("SQLite has no such statement")
    with pytest.raises(StorageError, match=r"never removed|let go of once|stays as it came"):
        row.execute(text(f"TRUNCATE {table} CASCADE"))
