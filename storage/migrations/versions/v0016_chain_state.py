"""How the chain source named what it held at a vault's last sync."""

from alembic import op

from storage.migrations.tables import TEXT, optional

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Add the column, empty: the next sync fills it."""
    op.add_column("sync_state", optional("chain_state", TEXT))
