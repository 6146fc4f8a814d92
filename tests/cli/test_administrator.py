"""Who runs the database changes rows past its triggers: each is refused, and the row is named."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from sqlalchemy import Connection, select, text
from sqlalchemy.orm import Session, sessionmaker

from coordinator.audit.acceptance import require_payment
from coordinator.custody import log as custody_log
from coordinator.errors import ApprovalMismatch
from coordinator.home import statement_checks
from coordinator.home.settings import Home
from coordinator.payment.progress import signed_psbt
from coordinator.workspace.opened_home import OpenedHome
from psbt import codec
from psbt.errors import PsbtError
from storage import ceremonies as ceremony_book
from storage import custody as custody_book
from storage import vaults as vault_book
from storage.authors import AUTHOR, state
from storage.errors import StatementBroken
from storage.model import Ceremony, Item, Statement
from tests.altered import TRIGGERS
from tests.cli.family import Family, copied, in_files
from tests.program import PIN, Asked
from tests.servers.postgresql import Engines

OTHER_SCRIPT: Final = bytes(range(20))
STRANGERS: Final = bytes.fromhex("751e76e8199196d454941c45d1b3a323f1433bd6")


class World(NamedTuple):
    """A database that the two share, and how each home sees it."""

    family: Family
    anna: Home
    ben: Home
    database: sessionmaker[Session]


@pytest.fixture(
    scope="module", params=["postgresql", pytest.param("sqlite", marks=pytest.mark.matrix)]
)
def world(
    request: pytest.FixtureRequest, prepared: Family, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    homes = [prepared.anna, prepared.ben]
    if request.param == "sqlite":
        homes = list(in_files(prepared, tmp_path_factory.mktemp("files")))
    opened = OpenedHome(homes[0].home)
    yield World(prepared, opened.home, OpenedHome(homes[1].home).home, opened.database)
    opened.close()


@pytest.fixture
def db(world: World) -> Iterator[Session]:
    """A transaction past the triggers, which is taken back at its end."""
    with world.database() as session:
        unguarded(session.connection())
        yield session
        session.rollback()


def unguarded(connection: Connection) -> None:
    """Have no trigger look on."""
    if connection.dialect.name != "sqlite":
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        return
    connection.execute(text("PRAGMA defer_foreign_keys = ON"))
    for (name,) in connection.execute(text(TRIGGERS)).all():
        connection.execute(text(f"DROP TRIGGER {name}"))


def faults(world: World, db: Session) -> str:
    """Return what `custody verify` says of the database, empty where all holds."""
    db.expire_all()
    verdict, signed = custody_log.verify(db, None), statement_checks.verify(world.ben, db)
    return "; ".join(
        [
            *([] if verdict.valid else [f"broken at event {verdict.broken_at}"]),
            *([] if signed.fault is None else [signed.fault]),
        ]
    )


def refusal(home: Home, db: Session, ceremony: str) -> str:
    """Return why a home does nothing more with a payment; empty where it goes on."""
    db.expire_all()
    record = ceremony_book.ceremony_named(db, ceremony)
    try:
        require_payment(home, record, signed_psbt(record))
    except (ApprovalMismatch, PsbtError, StatementBroken) as refused:
        return str(refused)
    return ""


def test_nothing_is_wrong_where_nobody_changed_anything(world: World, db: Session) -> None:
    assert faults(world, db) == ""
    assert refusal(world.anna, db, world.family.hers) == ""


LAST: Final = "(SELECT max(s.id) FROM statement s)"
COLUMNS: Final = "act, vault, digest, operator, public_key, said_at, signature"


class Attack(NamedTuple):
    """Statements, what `custody verify` then names, and whether anna's payment is refused."""

    statements: tuple[str, ...]
    named: str
    refused: str = ""


ATTACKS: Final = {
    "another payment in its place": Attack(
        (
            "UPDATE ceremony SET psbt = (SELECT o.psbt FROM ceremony o WHERE o.public_id ="
            " '{his}'), txid = (SELECT o.txid FROM ceremony o WHERE o.public_id = '{his}')"
            " WHERE public_id = '{hers}'",
            "DELETE FROM signature",
        ),
        "statement {opened} opened another payment than ceremony {hers} has now",
        "statement {opened} opened another payment",
    ),
    "a key": Attack(
        ("UPDATE key SET public_key = (SELECT k.public_key FROM key k WHERE k.label = 'b')"
         " WHERE label = 'a'",),
        "statement {opened} opened another payment than ceremony {hers} has now",
        "the keys stored for vault v are not those of its descriptor",
    ),
    "a threshold": Attack(
        ("UPDATE vault SET threshold = 1",),
        "statement {opened} opened another payment than ceremony {hers} has now",
        "the keys stored for vault v are not those of its descriptor",
    ),
    "an event": Attack(
        ("UPDATE custody_event SET event = 'stolen' WHERE id ="
         " (SELECT max(e.id) FROM custody_event e)",),
        "broken at event",
    ),
    "the clock of an event": Attack(
        ("UPDATE custody_event SET happened_at = recorded_at, recorded_at ="
         " (SELECT min(e.recorded_at) FROM custody_event e) WHERE id ="
         " (SELECT max(e.id) FROM custody_event e)",),
        "broken at event",
    ),
    "the clock of a payment": Attack(
        ("UPDATE ceremony SET created_at = (SELECT min(v.created_at) FROM vault v)"
         " WHERE public_id = '{hers}'",),
        "statement {opened} opened another payment than ceremony {hers} has now",
        "statement {opened} opened another payment",
    ),
    "the clock of a statement": Attack(
        ("UPDATE statement SET said_at = (SELECT min(v.created_at) FROM vault v)"
         " WHERE id = {opened}",),
        "statement {opened} is not what the key in it signed",
        "statement {opened} is not what the key in it signed",
    ),
    "the name of an operator": Attack(
        ("UPDATE statement SET operator = 'ben' WHERE id = {opened}",),
        "statement {opened} is not what the key in it signed",
        "statement {opened} is not what the key in it signed",
    ),
    "the key of an operator": Attack(
        ("UPDATE statement SET public_key = (SELECT s.public_key FROM statement s WHERE"
         " s.operator = 'ben' AND s.act = 'opened') WHERE id = {opened}",),
        "statement {opened} is not what the key in it signed",
        "statement {opened} is not what the key in it signed",
    ),
    "the signature of an operator": Attack(
        ("UPDATE statement SET signature = (SELECT s.signature FROM statement s"
         " WHERE s.id = {signed}) WHERE id = {opened}",),
        "statement {opened} is not what the key in it signed",
        "statement {opened} is not what the key in it signed",
    ),
    "a statement removed": Attack(
        ("DELETE FROM statement WHERE id = 3",), "statement 3 is missing"
    ),
    "statements put in another order": Attack(
        ("UPDATE statement SET id = -id WHERE id IN (2, 3)",
         "UPDATE statement SET id = id + 5 WHERE id < 0"),
        "statement 2 is not on top of the one before it",
    ),
    "the statement of a payment removed at the end": Attack(
        ("DELETE FROM statement WHERE id >= (SELECT s.id FROM statement s WHERE"
         " s.subject = '{given_up}' AND s.act = 'abandoned')",),
        "is signed by no operator",
    ),
    "a payment given up by nobody": Attack(
        ("UPDATE ceremony SET state = 'abandoned' WHERE public_id = '{his}'",),
        "ceremony {his} was given up by no operator",
    ),
    "a payment taken up again": Attack(
        ("UPDATE ceremony SET state = 'collecting' WHERE public_id = '{given_up}'",),
        "gave up ceremony {given_up}, which is collecting",
    ),
    "a payment removed": Attack(
        ("DELETE FROM reservation WHERE ceremony_id = "
         "(SELECT c.id FROM ceremony c WHERE c.public_id = '{his}')",
         "DELETE FROM ceremony WHERE public_id = '{his}'"),
        "tells of ceremony {his}, which is gone",
    ),
    "a signature removed": Attack(
        ("DELETE FROM signature",),
        "statement {signed} tells of another signature of ceremony {hers} than there is",
    ),
    "a signature put elsewhere": Attack(
        ("UPDATE signature SET input_index = 7",),
        "statement {signed} tells of another signature of ceremony {hers} than there is",
        "input 7",
    ),
    "an old signature replayed for another payment": Attack(
        ("INSERT INTO statement (id, subject, previous, hash, {columns})"
         " SELECT {last} + 1, '{his}', (SELECT s.hash FROM statement s WHERE s.id = {last}),"
         " digest, {columns} FROM statement WHERE id = {opened}",),
        "is not what the key in it signed",
    ),
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_was_changed_is_named_and_refused(world: World, db: Session, attack: str) -> None:
    family, done = world.family, ATTACKS[attack]
    names = {"hers": family.hers, "his": family.his, "given_up": family.given_up}
    names |= {"columns": COLUMNS, "last": LAST}
    for act in ("opened", "signed"):
        number = select(Statement.id).where(Statement.act == act, Statement.subject == family.hers)
        names[act] = str(db.scalar(number))
    for statement in done.statements:
        assert db.execute(text(statement.format(**names))).rowcount  # type: ignore[attr-defined]  # a cursor's
    assert done.named.format(**names) in faults(world, db)
    if done.refused:
        assert done.refused.format(**names) in refusal(world.anna, db, family.hers)


def test_a_payee_that_was_changed_is_refused_where_it_was_opened_and_elsewhere(
    world: World, db: Session
) -> None:
    record = ceremony_book.ceremony_named(db, world.family.hers)
    assert STRANGERS in record.psbt
    psbt = record.psbt.replace(STRANGERS, OTHER_SCRIPT)
    txid = codec.txid(codec.parse(psbt))
    db.execute(text("DELETE FROM signature"))
    table = Ceremony.__table__
    db.execute(table.update().where(table.c.id == record.id).values(psbt=psbt, txid=txid))
    told = f"opened another payment than ceremony {world.family.hers} has now"
    assert told in faults(world, db)
    for home in (world.anna, world.ben):
        assert told in refusal(home, db, world.family.hers)
    assert told in str(statement_checks.opened_by(world.ben, db, record).fault)


@pytest.mark.parametrize("kind", ["event", "payment", "signature"])
def test_a_row_that_was_slipped_in_is_named(world: World, db: Session, kind: str) -> None:
    del db.info[AUTHOR]
    record = ceremony_book.ceremony_named(db, world.family.hers)
    now = record.created_at
    if kind == "event":
        item = db.scalars(select(Item).where(Item.kind == "card")).first()
        assert item is not None
        custody_book.record_event(
            db, item, "destroyed", location=None, texts={}, happened_at=now, recorded_at=now
        )
        named = f"event {custody_book.all_events(db)[-1].id} is signed by no operator"
    elif kind == "signature":
        ceremony_book.keep_signatures(
            db, record.id, [ceremony_book.NewSignature(0, b"\x02" * 33, bytes(64))], now=now
        )
        named = f"signature of ceremony {record.public_id} is signed by no operator"
    else:
        ceremony_book.add_ceremony(
            db, record.vault, public_id="slipped2", psbt=record.psbt, txid=record.txid,
            fee_sats=record.fee_sats, paid_sats=record.paid_sats, created_at=now,
            expires_at=record.expires_at,
        )  # fmt: skip
        named = "ceremony slipped2 is signed by no operator"
    assert named in faults(world, db)


def test_what_an_operator_approved_is_the_vault_there_is(world: World, db: Session) -> None:
    vault = vault_book.vault_named(db, "v")
    checksum = vault.checksum
    state(db, "approved", checksum, digest=bytes(32), vault=checksum)
    assert f"approved another vault #{checksum}" in faults(world, db)
    (_, wrong) = statement_checks.of_vault(world.ben, db, vault).approved_by
    assert "tells of another vault v than there is" in str(wrong.fault)


def test_who_made_a_vault_is_held_to_what_was_made(world: World, db: Session) -> None:
    vault = vault_book.vault_named(db, "v")
    state(db, "vault", "v", digest=bytes(32), vault=vault.checksum)
    assert "tells of another vault v than there is" in faults(world, db)
    assert statement_checks.of_vault(world.ben, db, vault).made_by.fault is not None


def test_a_whole_book_forged_by_another_key_is_nobodys_here(world: World, db: Session) -> None:
    """An administrator who signs with a key of their own is unknown, whatever they call it."""
    db.execute(text("DELETE FROM statement"))
    record = ceremony_book.ceremony_named(db, world.family.hers)
    verified = statement_checks.verify(world.ben, db)
    assert verified.statements == 0
    assert statement_checks.opened_by(world.ben, db, record).state == "none"


ROLLED_BACK: Final = {
    "the last statement": "DELETE FROM statement WHERE id = (SELECT max(id) FROM statement)",
    "a statement in the middle": "DELETE FROM statement WHERE id = 3",
    "an event in the middle": "DELETE FROM custody_event WHERE id = 4",
    "the last statement changed": "UPDATE statement SET hash = sha256(hash) WHERE id ="
    " (SELECT max(id) FROM statement)",
}


@pytest.mark.parametrize("statement", ROLLED_BACK.values(), ids=ROLLED_BACK)
def test_a_book_that_lacks_something_opens_for_nobody(
    prepared: Family, on_server: Engines, tmp_path: Path, statement: str
) -> None:
    family = copied(prepared, tmp_path, on_server.server)
    family.ben("status")
    on_server.server.run(f"SET session_replication_role = replica; {statement}", family.database)
    assert family.ben("status", check=5)["error"]["code"] == "book_rolled_back"


def test_commands_refuse_what_was_changed_in_a_sentence(
    prepared: Family, on_server: Engines, tmp_path: Path
) -> None:
    family = copied(prepared, tmp_path, on_server.server)
    anna, ben, hers = family.anna, family.ben, family.hers
    where = f"public_id = '{hers}'"
    run = on_server.server.run
    ((kept,),) = run(f"SELECT encode(psbt, 'hex') FROM ceremony WHERE {where}", family.database)  # noqa: S608 -- the tests' own
    psbt = bytes.fromhex(kept).replace(STRANGERS, OTHER_SCRIPT)
    values = f"psbt = decode('{psbt.hex()}', 'hex'), txid = '{codec.txid(codec.parse(psbt))}'"
    change = f"UPDATE ceremony SET {values} WHERE {where}; DELETE FROM signature"  # noqa: S608 -- as above
    run(f"SET session_replication_role = replica; {change}", family.database)
    txid = ben("spend", "show", hers)["txid"]
    signing = ("--emulated", "b", "--yes", "--txid", txid, "--pin-stdin")
    for each, words in (
        (ben, ("spend", "sign", hers, *signing)),
        (anna, ("spend", "sign", hers, "--emulated", "a", "--yes", "--pin-stdin")),
        (anna, ("spend", "export", hers)),
        (ben, ("spend", "finalize", hers)),
    ):
        error = each(*words, stdin=PIN, check=5)["error"]
        assert error["code"] == "statement_broken"
        assert hers in error["message"]
    listed = {c["id"]: c["operator"]["fault"] for c in ben("spend", "list")["ceremonies"]}
    assert hers in listed[hers]
    assert listed[family.his] is None
    verified = ben("custody", "verify", check=5)
    assert not verified["valid"]
    assert hers in verified["signed"]["fault"]
    assert found(ben, hers) == {"have": 0, "state": "collecting"}


def found(operator: Asked, ceremony: str) -> dict[str, object]:
    shown = operator("spend", "show", ceremony)
    return {"have": shown["have"], "state": shown["state"]}
