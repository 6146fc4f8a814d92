"""The words a migration writes tables with; they never mention the model, which moves on."""

from typing import Any

import sqlalchemy as sa
from alembic import op

INTEGER, BIG, BOOLEAN = sa.Integer(), sa.BigInteger(), sa.Boolean()
TEXT, BYTES, TIME = sa.String(), sa.LargeBinary(), sa.DateTime(timezone=True)


def required(name: str, kind: sa.types.TypeEngine[Any]) -> sa.Column[Any]:
    """Return a column that always holds something."""
    return sa.Column(name, kind, nullable=False)


def optional(name: str, kind: sa.types.TypeEngine[Any]) -> sa.Column[Any]:
    """Return a column that may be empty."""
    return sa.Column(name, kind, nullable=True)


def check(name: str, condition: str) -> sa.CheckConstraint:
    """Return a named condition on rows."""
    return sa.CheckConstraint(condition, name=op.f(name))


def refers(name: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    """Return a named reference to another table."""
    return sa.ForeignKeyConstraint([column], [target], name=op.f(name))


def unique_while(empty: str, name: str, table: str, *, columns: list[str]) -> None:
    """Keep columns unique among the rows where another column is empty."""
    condition = sa.text(f"{empty} IS NULL")
    op.create_index(
        name, table, columns, unique=True, sqlite_where=condition, postgresql_where=condition
    )


BOOK_KEPT = "the custody book is only ever appended to"


def refuse(name: str, change: str, message: str = BOOK_KEPT) -> None:
    """Have the database refuse a change of rows, with this message."""
    if op.get_bind().dialect.name == "sqlite":
        body = f"BEGIN SELECT RAISE(ABORT, '{message}'); END"
        op.execute(f"CREATE TRIGGER {name} BEFORE {change} {body}")
        return
    op.execute(
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '%', coalesce(TG_ARGV[0], '{BOOK_KEPT}'); END $$"
    )
    rows, when, condition = change.partition(" WHEN ")
    each = f" FOR EACH ROW{when}({condition})" if when else " FOR EACH ROW"
    told = f"EXECUTE FUNCTION refuse_change('{message}')"
    op.execute(f"CREATE TRIGGER {name} BEFORE {rows}{each} {told}")
    if rows.startswith("DELETE"):
        table = rows.partition(" ON ")[2]
        op.execute(f"CREATE TRIGGER {name}_whole BEFORE TRUNCATE ON {table} {told}")


NOT_NEXT = "an entry of a book follows the last one, by number and hash"


def refuse_gaps(book: str) -> None:
    """Have the database refuse a row of a chained book that is not on top of the last one.

    Who may only add rows could otherwise leave numbers out for good.
    """
    if op.get_bind().dialect.name == "sqlite":
        number, last = (f"SELECT {what} FROM {book}" for what in ("max(id)", "hash"))  # noqa: S608 -- our own names
        gap = f"NEW.id <> coalesce(({number}), 0) + 1"
        fork = f"NEW.previous <> coalesce(({last} ORDER BY id DESC LIMIT 1), zeroblob(32))"
        refuse(f"{book}_in_order", f"INSERT ON {book} WHEN {gap} OR {fork}", NOT_NEXT)
        return
    op.execute(
        "CREATE OR REPLACE FUNCTION refuse_gap() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ DECLARE last record; BEGIN "
        "EXECUTE format('SELECT max(id) AS id, (SELECT hash FROM %1$I.%2$I ORDER BY id DESC"
        " LIMIT 1) AS hash FROM %1$I.%2$I', TG_TABLE_SCHEMA, TG_TABLE_NAME) INTO last; "
        "IF NEW.id <> coalesce(last.id, 0) + 1 "
        "OR NEW.previous <> coalesce(last.hash, decode(repeat('00', 32), 'hex')) THEN "
        "RAISE EXCEPTION '%', TG_ARGV[0]; END IF; RETURN NEW; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {book}_in_order BEFORE INSERT ON {book} FOR EACH ROW "
        f"EXECUTE FUNCTION refuse_gap('{NOT_NEXT}')"
    )
