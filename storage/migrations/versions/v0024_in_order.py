"""Custody events and operators' statements are numbered without gaps, each on top of the last."""

from storage.migrations.tables import refuse_gaps

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    """Have the database refuse an entry that is not the next one."""
    for book in ("custody_event", "statement"):
        refuse_gaps(book)
