"""What the accounts of operators and auditors may do: each table, each column, each way around."""

from collections.abc import Iterator
from typing import Final, NamedTuple

import psycopg
import pytest

from storage.database import open_database
from storage.model import whole_schema
from storage.roles import roles_sql
from tests.servers.postgresql import Engines, Server
from tests.storage.making import add_ceremony, add_vault

DELETED: Final = {
    *("card_secret", "chain_transaction", "coin", "descriptor_copy", "holder", "location", "seal"),
}
NEVER_UPDATED: Final = {
    *("custody_event", "signature", "statement", "verification", "drill_proof"),
    *("vault_branch", "branch_key", "alembic_version"),
}
UPDATED_ONLY: Final = {
    "custody_text": {"text", "salt", "sealed"},
    "reservation": {"released_at"},
}
KEPT: Final = {
    "vault": {"network", "threshold", "descriptor", "checksum", "script", "form", "created_at"},
    "cosigner": {"vault_id", "position", "key_id"},
    "key": {"network", "public_key", "chain_code"},
    "ceremony": {
        *("id", "public_id", "vault_id", "branch", "unit", "fee_sats", "paid_sats"),
        *("created_at", "lifetime_seconds", "opened_on"),
    },
}
TABLES: Final = {each.name: set(each.columns.keys()) for each in whole_schema().sorted_tables} | {
    "alembic_version": {"version_num"}
}


class Shared(NamedTuple):
    """A database with both accounts."""

    server: Server
    database: str
    operator: str
    auditor: str

    def may(self, account: str, *asked: str) -> list[bool]:
        """Ask the server which of some privileges an account has."""
        named = ", ".join(each.format(account=account) for each in asked)
        return list(self.server.run(f"SELECT {named}", self.database)[0])


@pytest.fixture(scope="module")
def shared(on_server: Engines) -> Iterator[Shared]:
    server, database = on_server.server, on_server.server.database(on_server.template, lasting=True)
    opened = open_database(server.url(database))
    with opened.begin() as db:
        add_ceremony(db, add_vault(db), "aaaa2345")
    opened.kw["bind"].dispose()
    made = Shared(server, database, f"{database}_ben", f"{database}_carla")
    for account in (made.operator, made.auditor):
        server.run(f"CREATE ROLE {account} LOGIN PASSWORD '{server.password}'")
    server.run("GRANT CREATE ON SCHEMA public TO PUBLIC", database)  # as before PostgreSQL 15
    server.run(roles_sql([made.operator], [made.auditor]), database)
    return made


def on_table(table: str, privilege: str) -> str:
    return f"has_table_privilege('{{account}}', 'public.\"{table}\"', '{privilege}')"


def on_column(table: str, column: str) -> str:
    return f"has_column_privilege('{{account}}', 'public.\"{table}\"', '{column}', 'UPDATE')"


@pytest.mark.parametrize("privilege", ["TRUNCATE", "REFERENCES", "TRIGGER"])
def test_no_account_empties_a_table_or_hangs_anything_on_it(shared: Shared, privilege: str) -> None:
    for account in (shared.operator, shared.auditor):
        assert not any(shared.may(account, *(on_table(each, privilege) for each in TABLES)))


def test_an_auditor_reads_every_table_and_writes_none(shared: Shared) -> None:
    assert all(shared.may(shared.auditor, *(on_table(each, "SELECT") for each in TABLES)))
    for privilege in ("INSERT", "UPDATE", "DELETE"):
        assert not any(shared.may(shared.auditor, *(on_table(each, privilege) for each in TABLES)))
    columns = (on_column(table, each) for table, names in TABLES.items() for each in names)
    assert not any(shared.may(shared.auditor, *columns))


def test_an_operator_adds_to_every_table_and_removes_from_few(shared: Shared) -> None:
    told = {}
    for privilege in ("SELECT", "INSERT", "DELETE"):
        found = shared.may(shared.operator, *(on_table(each, privilege) for each in TABLES))
        told[privilege] = {table for table, may in zip(TABLES, found, strict=True) if may}
    assert told["SELECT"] == set(TABLES)
    assert told["INSERT"] == set(TABLES) - {"alembic_version"}
    assert told["DELETE"] == DELETED


@pytest.mark.parametrize("table", TABLES)
def test_an_operator_changes_what_the_program_changes(shared: Shared, table: str) -> None:
    names = sorted(TABLES[table])
    found = shared.may(shared.operator, *(on_column(table, each) for each in names))
    changed = {name for name, may in zip(names, found, strict=True) if may}
    wanted = UPDATED_ONLY.get(table, TABLES[table] - KEPT.get(table, set()))
    assert changed == (set() if table in NEVER_UPDATED else wanted)


AROUND: Final = (
    "CREATE TABLE public.mine (id int)",
    "CREATE FUNCTION public.max(bigint) RETURNS bigint LANGUAGE sql AS 'SELECT 0::bigint'",
    "CREATE SCHEMA mine",
    "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS"
    " 'BEGIN RETURN NEW; END'",
    "DROP FUNCTION refuse_gap() CASCADE",
    "DROP TRIGGER statement_in_order ON statement",
    "ALTER TABLE signature DISABLE TRIGGER ALL",
    "ALTER TABLE vault OWNER TO CURRENT_USER",
    "SET session_replication_role = replica",
    "SET ROLE owner",
    "ALTER ROLE cardquorum_auditor SUPERUSER",
    "GRANT UPDATE ON vault TO CURRENT_USER; UPDATE vault SET threshold = 1",
    "CREATE RULE mine AS ON INSERT TO statement DO INSTEAD NOTHING",
    "CREATE POLICY mine ON vault",
    "COPY vault TO PROGRAM 'true'",
    "SELECT setval('vault_id_seq', 1)",
)


@pytest.mark.parametrize("statement", AROUND)
def test_no_account_finds_a_way_around(shared: Shared, statement: str) -> None:
    for account in (shared.operator, shared.auditor):
        with shared.server.administrator(shared.database, user=account) as connection:
            refused = r"permission denied|must be (owner|superuser|able)|role attribute"
            with pytest.raises(psycopg.Error, match=refused):
                connection.execute(statement.encode())


SHADOWS: Final = "CREATE TEMP TABLE {0} AS TABLE public.{0}; SET search_path = pg_temp, public"
GAP: Final = (
    "INSERT INTO public.statement (id, act, vault, subject, digest, operator, public_key, said_at,"
    " previous, hash, signature) VALUES (9, 'opened', 'abcdefgh', 'aaaa2345', {0}, 'eve', {0},"
    " now(), {0}, {0}, {0} || {0})"
)


def test_a_table_of_ones_own_hides_no_book_from_the_triggers(shared: Shared) -> None:
    thirty_two = "decode(repeat('ab', 32), 'hex')"
    with shared.server.administrator(shared.database, user=shared.operator) as connection:
        connection.execute(SHADOWS.format("statement").encode())
        connection.execute(
            GAP.replace("public.", "").replace("(9,", "(8,").format(thirty_two).encode()
        )
        with pytest.raises(psycopg.Error, match="follows the last one"):
            connection.execute(GAP.format(thirty_two).encode())
        connection.execute(SHADOWS.format("ceremony").encode())
        with pytest.raises(psycopg.Error, match="permission denied"):
            connection.execute(b"UPDATE public.ceremony SET fee_sats = 1")
        with pytest.raises(psycopg.Error, match="does not go to that state"):
            connection.execute(b"UPDATE public.ceremony SET state = 'final'")
    opened = shared.server.run(
        "SELECT count(*) FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace",
        shared.database,
    )
    assert opened == [(0,)]
