"""A payment's amounts are shown in the unit that they were typed in."""

from alembic import op

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    """Add the unit, empty: of what was opened so far nobody knows it.

    The table is not made anew, as SQLite's batches do: it would lose what refuses changes to it.
    """
    op.execute(
        "ALTER TABLE ceremony ADD COLUMN unit VARCHAR"
        " CONSTRAINT ck_ceremony_unit_known CHECK (unit IN ('sat', 'btc'))"
    )
