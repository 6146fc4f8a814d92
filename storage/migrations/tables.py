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
