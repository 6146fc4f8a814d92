"""Each value of each table changed past the program: named by `custody verify`, or said why not.

`UNNAMED` has every column that is not named where operators share a database, `UNNAMED_ALONE`
those besides of a home alone in its file, which signs nothing. What is in neither is named.
"""

import hashlib
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Integer,
    LargeBinary,
    Table,
    UniqueConstraint,
    create_engine,
    delete,
    select,
    text,
    update,
)
from sqlalchemy.orm import Session, sessionmaker

from coordinator.custody import log as custody_log
from coordinator.home import statement_checks
from coordinator.home.settings import Home
from coordinator.incident import altered_rows
from coordinator.workspace.opened_home import OpenedHome
from storage.model import whole_schema
from storage.model.record import UtcTime
from storage.row_statements import SEALED_IN, UNSAID, WATCHED
from tests.altered import unguarded as unguarded_file
from tests.cli.family import text as url_text
from tests.cli.filled import filled
from tests.cli.test_administrator import unguarded
from tests.program import Asked, asking, run_program
from tests.sampled import further, shortened
from tests.servers.postgresql import Engines

KNOWN: Final = re.compile(r"(\w+) IN \(('.*')\)")
TABLES: Final = {table.name: table for table in whole_schema().sorted_tables}


class World(NamedTuple):
    """A home in which every table has rows, and its database."""

    home: Home
    database: sessionmaker[Session]
    sealed: bool = False


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Asked:
    folder = tmp_path_factory.mktemp("filled")
    asked = asking(folder / "home")
    filled(asked, folder)
    return asked


@pytest.fixture(scope="module")
def alone(whole: Asked) -> Iterator[World]:
    opened = OpenedHome(whole.home)
    yield World(opened.home, opened.database)
    opened.close()


@pytest.fixture(scope="module", params=further("postgresql", "sqlite", "sealed"))
def shared(
    request: pytest.FixtureRequest,
    whole: Asked,
    on_server: Engines,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[World]:
    """The same home on a server, there sealed, or in a file that it was copied back to."""
    folder, server = tmp_path_factory.mktemp("shared"), on_server.server
    url = url_text(server.url(server.database(lasting=True)))
    asked = like(whole, folder / "home", "--database", url)
    asked("database", "copy", str(whole.home), url)
    asked("custody", "record", "card:a", "seen")
    asked("vault", "create", "new", "--threshold", "1", "--card", "a", "--card", "e")
    if request.param == "sealed":
        asked("custody", "seal", "--pin-stdin", stdin="home.passphrase=correct horse battery")
    if request.param == "sqlite":
        file = like(whole, folder / "file")
        file("database", "copy", url, str(file.home))
        asked = file
    opened = OpenedHome(asked.home)
    yield World(opened.home, opened.database, sealed=request.param == "sealed")
    opened.close()


def like(whole: Asked, home: Path, *words: str) -> Asked:
    """Make a home with another's approvals and chain."""
    asked = asking(home)
    asked("init", "--network", "regtest", *words)
    asked("operator", "name", "anna")
    shutil.rmtree(home / "chain", ignore_errors=True)
    (home / "chain").symlink_to(whole.home / "chain")
    for file in ("approval.key", "approvals.json"):
        shutil.copy(whole.home / file, home / file)
    return asked


def faults(world: World, db: Session) -> list[str]:
    """Return what `custody verify` says is wrong."""
    db.expire_all()
    chain, signed = custody_log.verify(db, None), statement_checks.verify(world.home, db)
    return [
        *([] if chain.valid else [f"the book is broken at {chain.broken_at}"]),
        *([] if signed.fault is None else [signed.fault]),
        *altered_rows.contradictions(world.home, db),
    ]


Row = Mapping[str, Any]


def rows_of(db: Session, table: Table) -> Sequence[Row]:
    found = db.connection().execute(select(table).order_by(*table.primary_key))
    return [dict(row) for row in found.mappings()]


def changed(column: Column[Any], row: Row, rows: Sequence[Row]) -> object:
    """Return another value that the column takes, where there is one of another row."""
    value, taken = row[column.name], [each[column.name] for each in rows]
    free = [each for each in one_of(column) if each not in {value, *taken}]
    if free or (one_of(column) and not unique(column)):
        return free[0] if free else next(each for each in one_of(column) if each != value)
    if column.foreign_keys or (value is None and any(each is not None for each in taken)):
        others = [each for each in taken if each not in {None, value}]
        if others and not unique(column):
            return others[0]
    return another(column, value)


def one_of(column: Column[Any]) -> list[str]:
    """Return the values that a column is held to, none where it takes any."""
    checks = (c for c in column.table.constraints if isinstance(c, CheckConstraint))
    found = (KNOWN.fullmatch(str(each.sqltext)) for each in checks)
    told = next((each for each in found if each and each[1] == column.name), None)
    return [each.strip(" '") for each in told[2].split(",")] if told else []


def unique(column: Column[Any]) -> bool:
    alone = column.primary_key
    indexed = any(column.name in each.columns for each in column.table.indexes if each.unique)
    bound = (c for c in column.table.constraints if isinstance(c, UniqueConstraint))
    return bool(alone or column.unique or indexed or any(column.name in c.columns for c in bound))


def another(column: Column[Any], value: Any) -> object:  # noqa: ANN401 -- whatever a column holds
    """Return a value of the same kind and length."""
    if isinstance(column.type, UtcTime):
        return (value or datetime.fromisoformat("2026-01-01T00:00Z")) - timedelta(days=400)
    if isinstance(column.type, Boolean):
        return not value
    if isinstance(column.type, Integer):
        far = column.foreign_keys or unique(column)
        return 1 if value is None else int(str(value)) + (1000 if far else 1)
    if isinstance(column.type, LargeBinary):
        told = bytes(value) if value else bytes(32)
        return hashlib.sha256(told).digest()[: len(told)].ljust(len(told), b"\1")
    words = str(value or "other")
    return words[:-1] + ("q" if words[-1] != "q" else "z")


class Change(NamedTuple):
    """A statement that changes something, and what it is called."""

    name: str
    run: Any


def changes(db: Session, table: Table) -> Iterator[Change]:
    """Yield a change of each column, a row that goes, one that is doubled, two that are swapped."""
    rows = rows_of(db, table)
    if not rows:
        return
    key = list(table.primary_key)
    for column in table.columns:
        row = next((each for each in rows[::-1] if each[column.name] is not None), rows[-1])
        here = [each == row[each.name] for each in key]
        value = changed(column, row, rows)
        yield Change(column.name, update(table).where(*here).values({column.name: value}))
    for name, row in (("first row", rows[0]), ("last row", rows[-1])):
        here = [each == row[each.name] for each in key]
        yield Change(f"the {name} removed", delete(table).where(*here))


def unnamed(world: World, table: Table) -> set[str]:
    """Return which changes of a table nobody names."""
    with world.database() as db:
        found = list(changes(db, table))
    quiet = set()
    for change in found:
        with world.database() as db:
            lax(db, table)
            before = rows_of(db, table)
            db.execute(change.run)
            if not faults(world, db):
                assert rows_of(db, table) != before, change.name
                quiet.add(change.name)
            db.rollback()
    return quiet


def lax(db: Session, table: Table) -> None:
    """Have neither triggers, nor references, nor conditions look on."""
    connection = db.connection()
    unguarded(connection)
    if connection.dialect.name == "sqlite":
        connection.execute(text("PRAGMA ignore_check_constraints = ON"))
        return
    for check in (c for c in table.constraints if isinstance(c, CheckConstraint)):
        connection.execute(text(f'ALTER TABLE "{table.name}" DROP CONSTRAINT "{check.name}"'))


NUMBER: Final = "nothing refers to the number"
CHAIN: Final = "the block chain says it: cardquorum sync, with --rescan 0 from the beginning"
NODE: Final = "asked of the chain source anew"
NEWS: Final = "what was told once of the chain; nothing is decided by it"
REMOVED: Final = ("the first row removed", "the last row removed")

UNNAMED: Final[Mapping[str, Mapping[str, str]]] = {
    "address": {
        "id": NUMBER,
        "issued_at": "shown; when it was given out",
        "used": "shown; what came to it is counted from coins",
        REMOVED[1]: "given out again, which costs privacy; coins are found by --rescan",
    },
    "chain_event": dict.fromkeys(
        (
            *("id", "code", "txid", "height", "replaced_by", "change_sats", "noticed_at"),
            *REMOVED,
        ),
        NEWS,
    ),
    "chain_transaction": {
        "id": NUMBER,
        **dict.fromkeys(("height", "block_hash", "block_time", "first_seen"), CHAIN),
    },
    "coin": {"id": NUMBER, **dict.fromkeys(("height", "coinbase", "spent_height"), CHAIN)}
    | dict.fromkeys(REMOVED, CHAIN),
    "custody_text": {"sealed": "with the passphrase it does not open; without it nobody reads it"},
    "node_rules": dict.fromkeys(
        (
            *("id", "minimum", "replacement_step", "datacarrier_size", "bare_multisig"),
            *("package_count", "package_vsize", "median_time", "told_at", *REMOVED),
        ),
        NODE,
    ),
    "reservation": {"id": NUMBER, "released_at": "of a payment that is open it is named"},
    "scan": dict.fromkeys(
        ("keychain", "from_height", "reach", "height", "block_hash", "earlier_unknown", *REMOVED),
        CHAIN,
    ),
    "signature": {"id": NUMBER},
    "sync_state": dict.fromkeys(
        ("height", "block_hash", "synced_at", "chain_state", *REMOVED), CHAIN
    ),
    "verification": {"id": NUMBER},
}
"""Where operators share a database: what is not named, and why."""
STAND_IN: Final = "stands in for what is sealed, which is what the passphrase shows"
UNNAMED_SEALED: Final[Mapping[str, Mapping[str, str]]] = {
    "holder": dict.fromkeys(("name", "contact"), STAND_IN),
    "location": dict.fromkeys(("name", "region", "access"), STAND_IN),
    "seal": {"scrubbed": "whether the file's free pages were rewritten; no row depends on it"},
}
"""What is not named besides where that database is sealed."""


NAMED: Final = {
    "address": {"vault_id", "keychain", "index", "script_pubkey"},
    "chain_event": {"vault_id"},
    "chain_transaction": {"txid", "raw"},
    "coin": {
        *("vault_id", "txid", "vout", "value_sats", "keychain", "index", "script_pubkey"),
        "spent_by",
    },
    "custody_event": {
        *("id", "item_id", "event", "location_id", "happened_at", "recorded_at"),
        *("photo_sha256", "previous", "hash"),
    },
    "custody_text": {"event_id", "field", "salt", "digest", "text"},
    "node_rules": set[str](),
    "scan": {"vault_id"},
    "secret_known_by": {"secret_id", "holder_id"},
    "secret_written_at": {"secret_id", "location_id"},
    "statement": {
        *("id", "act", "vault", "subject", "digest", "operator", "public_key", "said_at"),
        *("previous", "hash", "signature"),
    },
    "sync_state": {"vault_id"},
}
"""What is named of tables whose rows nobody states; of those that are stated each column is."""


def test_each_column_has_a_word() -> None:
    """A column that is added is stated, or told of here."""
    assert TABLES.keys() == {*WATCHED, *NAMED}
    for name in NAMED:
        columns = {column.name for column in TABLES[name].columns}
        words = UNNAMED.get(name, {}).keys() - {*REMOVED}
        assert (columns, words & NAMED[name]) == (words | NAMED[name], set()), name
    for name in WATCHED:
        told = {**UNNAMED.get(name, {}), **UNNAMED_SEALED.get(name, {})}
        assert told.keys() <= {"id", *UNSAID.get(name, ()), *SEALED_IN.get(name, ())}, name


@pytest.mark.parametrize("name", shortened(TABLES, "reservation", "verification", "vault"))
def test_what_is_changed_where_operators_share_a_database_is_named(
    shared: World, name: str
) -> None:
    told = {**UNNAMED.get(name, {}), **(UNNAMED_SEALED.get(name, {}) if shared.sealed else {})}
    assert unnamed(shared, TABLES[name]) == told.keys()


ASKED_AGAIN: Final = (
    "what the card said of itself: it says so again in a reader, its keys are compared"
)
PROVED_AGAIN: Final = "a proof can be given again: vault verify, drill sign"
ITS_OWNER: Final = (
    "its owner's word, which only the row has: who writes the file writes as its owner"
)
SHOWN: Final = "shown, or counted anew; no payment, address or refusal follows from it"
ORDER: Final = "the order alone counts, and is held against the descriptor's"
UNAPPROVED: Final = "under another name it is approved by nobody, and refused until it is"

UNNAMED_ALONE: Final[Mapping[str, Mapping[str, str]]] = {
    "branch_key": {"id": NUMBER, "position": ORDER},
    "card": dict.fromkeys(
        (
            *("family", "card_id", "version", "emulated", "emulator_name", "attestation"),
            *("attestation_reason", "attested_at", "siblings", "enrolled_at", "checked_at"),
        ),
        ASKED_AGAIN,
    ),
    "card_secret": dict.fromkeys(("label", "kind", "created_at"), ITS_OWNER),
    "carrier": {
        "id": NUMBER,
        **dict.fromkeys(("created_at", "retired_at", REMOVED[1]), ITS_OWNER),
        "leaf_proved_at": PROVED_AGAIN,
    },
    "ceremony": {
        **dict.fromkeys(("paid_sats", "created_at", "opened_on", "exported_at", "unit"), SHOWN),
        **dict.fromkeys(("state", "broadcast_at", "confirmed_height"), CHAIN),
        "public_id": "its approval names another: refused until it is approved anew",
        "branch": "compared with the PSBT where it is signed",
        "lifetime_seconds": "for how long its coins are held the next time",
        "consensus": "what an engine said once; the node says it again",
    },
    "cosigner": {"id": NUMBER, "position": ORDER},
    "descriptor_copy": {
        "id": NUMBER,
        **dict.fromkeys(("created_at", "told_block", *REMOVED), ITS_OWNER),
        "digest": "a copy of another descriptor is stale: it is printed anew",
    },
    "drill": {"public_id": SHOWN, "started_at": SHOWN},
    "drill_proof": {
        "id": NUMBER,
        **dict.fromkeys(("card_version", "given_at"), SHOWN),
        **dict.fromkeys(REMOVED, PROVED_AGAIN),
    },
    "holder": dict.fromkeys(("id", "name", "limit_sats", "contact", REMOVED[1]), ITS_OWNER),
    "item": {"created_at": SHOWN},
    "key": dict.fromkeys(("created_on", "created_at", "made_at"), ITS_OWNER)
    | {"network": "compared when the home is opened"},
    "label": dict.fromkeys(
        ("id", "type", "ref", "label", "origin", "spendable", *REMOVED), ITS_OWNER
    ),
    "location": dict.fromkeys(("kind", "region", "access", "lead_hours", "retired_at"), ITS_OWNER),
    "reservation": dict.fromkeys(
        REMOVED, "its coins are free: two payments of one coin, of which one counts"
    ),
    "secret_known_by": dict.fromkeys(REMOVED, ITS_OWNER),
    "secret_written_at": dict.fromkeys(REMOVED, ITS_OWNER),
    "signature": {
        **dict.fromkeys(("card_id", "received_at"), SHOWN),
        **dict.fromkeys(REMOVED, "the card is asked for it again"),
    },
    "succession": {
        "id": NUMBER,
        "started_at": SHOWN,
        **dict.fromkeys(REMOVED, "a sweep pays only to a vault that is approved here"),
    },
    "vault": {
        "name": UNAPPROVED,
        **dict.fromkeys(
            ("birthday", "birthday_height"), "from where on it is looked for: --rescan"
        ),
        **dict.fromkeys(("refresh_months", "created_at", "retired_at"), ITS_OWNER),
    },
    "vault_branch": {"position": "two branches at most, told apart by name"},
    "verification": dict.fromkeys(
        (
            *("vault_id", "key_id", "card_id", "at", "matched", "detail", "policy_digest"),
            *REMOVED,
        ),
        PROVED_AGAIN,
    ),
}
"""What is not named besides in a home alone, which signs nothing, and why."""


@pytest.mark.parametrize("name", shortened(TABLES, "cosigner", "drill_proof"))
def test_what_is_changed_in_a_home_alone_is_named_where_it_follows_from_something(
    alone: World, name: str
) -> None:
    told = {**UNNAMED.get(name, {}), **UNNAMED_ALONE.get(name, {})}
    found = unnamed(alone, TABLES[name])
    found -= {"sealed"}  # in a home that is not sealed nothing is read of it
    assert found <= told.keys()
    assert found >= UNNAMED_ALONE.get(name, {}).keys()


TO: Final = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080:10000"
VERBS: Final = (
    *("status", "vault show v", "address list v", "card list", "audit v --fail-on none"),
    *("address new later --accept keys_unproved --accept no_copy", "custody verify"),
    *("drill show {drill}", "spend show {open}", "kit later --out {out}/k", "replace show old"),
    *("spend export {open} --out {out}/p", f"spend create v --to {TO} --feerate 2", "history v"),
    *("backup --out {out}/b", "label export {out}/l", "copy list v", "secret list"),
)
"""What reads the rows; the same home is asked all of it after each change."""


@pytest.mark.matrix
@pytest.mark.parametrize("name", TABLES)
def test_no_verb_breaks_down_over_what_was_changed(
    whole: Asked, alone: World, tmp_path: Path, name: str
) -> None:
    """Each verb does what it can, or refuses in a sentence."""
    payments = whole("spend", "list")["ceremonies"]
    waits = next(c["id"] for c in payments if c["state"] == "collecting" and c["vault"] == "v")
    drill = whole("drill", "list", "v")["drills"][0]["drill"]
    with alone.database() as db:
        found = list(changes(db, TABLES[name]))
    for number, change in enumerate(found):
        out = tmp_path / str(number)
        shutil.copytree(whole.home, out / "home", symlinks=True)
        unguarded_file(out / "home" / "cardquorum.db").close()
        changing = create_engine(f"sqlite:///{out / 'home' / 'cardquorum.db'}")
        with changing.begin() as connection:
            connection.execute(text("PRAGMA ignore_check_constraints = ON"))
            connection.execute(change.run)
        changing.dispose()
        for verb in VERBS:
            words = verb.format(out=out, open=waits, drill=drill).split()
            ended = run_program(out / "home", "--json", *words, check=None)
            told = f"{change.name}: {verb}: {ended}"
            assert ended.status in {0, 2, 3, 4, 5, 6}, told
            assert "unexpected" not in ended.out, told
        shutil.rmtree(out)
