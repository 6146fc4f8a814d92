"""A copy knows which block the letter beside it tells."""

from alembic import op

from storage.migrations.tables import INTEGER, optional

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Add the column, empty: letters of before tell no block."""
    op.add_column("descriptor_copy", optional("told_block", INTEGER))
