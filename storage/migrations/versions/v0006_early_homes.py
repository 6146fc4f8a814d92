"""Version 6: homes made while version 1 still grew get what it has had since."""

import sqlalchemy as sa
from alembic import op

from storage.migrations.knowledge import make_knowledge

revision = "0006"
down_revision = "0005"

WIDENED = {
    "key": (
        "created_on IN ('card', 'host', 'elsewhere')",
        "created_on IN ('card', 'host', 'unknown', 'elsewhere')",
    ),
    "item": (
        "kind IN ('card', 'plate', 'words', 'file', 'bag', 'copy')",
        "kind IN ('card', 'plate', 'words', 'backup-file', 'backup-key', 'file', 'bag', 'copy')",
    ),
}
SIBLINGS = (
    "ALTER TABLE card ADD COLUMN siblings INTEGER NOT NULL DEFAULT 0 "
    "CONSTRAINT ck_card_siblings_least CHECK (siblings >= 0)"
)


def upgrade() -> None:
    """Add what is missing; a home made later has all of it and is left as it is."""
    found = sa.inspect(op.get_bind())
    if op.get_bind().dialect.name == "sqlite":
        for table, (narrow, wide) in WIDENED.items():
            _widen(table, narrow, wide)
    if "siblings" not in {column["name"] for column in found.get_columns("card")}:
        op.get_bind().exec_driver_sql(SIBLINGS)
    if not found.has_table("card_secret"):
        make_knowledge()


def _widen(table: str, narrow: str, wide: str) -> None:
    """Rebuild a table with a wider condition: SQLite changes none in place."""
    run = op.get_bind().exec_driver_sql
    made = run(f"SELECT sql FROM sqlite_master WHERE type = 'table' AND name = '{table}'").scalar()  # noqa: S608 -- names of this file
    if made is None or narrow not in made:
        return
    indexes = run(
        f"SELECT sql FROM sqlite_master WHERE type = 'index' AND tbl_name = '{table}'"  # noqa: S608 -- as above
        " AND sql IS NOT NULL"
    )
    again = [str(each) for each in indexes.scalars()]
    _, columns = str(made).replace(narrow, wide).split("(", 1)
    run(f"CREATE TABLE {table}_wider ({columns}")
    run(f'INSERT INTO {table}_wider SELECT * FROM "{table}"')  # noqa: S608 -- as above
    run(f'DROP TABLE "{table}"')
    run(f'ALTER TABLE {table}_wider RENAME TO "{table}"')
    for index in again:
        run(index)
