"""A place that was renamed or removed stays for the events that tell of it."""

from alembic import op

from storage.migrations.tables import TIME, optional

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Remember when a place was given up."""
    op.add_column("location", optional("retired_at", TIME))
