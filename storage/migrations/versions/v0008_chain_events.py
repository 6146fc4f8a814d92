"""Version 8: what the chain took back, and on which computer a ceremony was opened."""

import sqlalchemy as sa
from alembic import op

from storage.migrations.tables import BIG, INTEGER, TEXT, TIME, check, optional, refers, required

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Make the table of chain events; earlier ceremonies were opened who knows where."""
    op.create_table(
        "chain_event",
        required("id", INTEGER),
        required("vault_id", INTEGER),
        required("code", TEXT),
        required("txid", TEXT),
        optional("height", INTEGER),
        optional("replaced_by", TEXT),
        required("change_sats", BIG),
        required("noticed_at", TIME),
        check("ck_chain_event_code_known", "code IN ('unconfirmed', 'vanished')"),
        check("ck_chain_event_txid_size", "length(txid) = 64"),
        check("ck_chain_event_replaced_by_size", "length(replaced_by) = 64"),
        check("ck_chain_event_height_least", "height >= 0"),
        refers("fk_chain_event_vault_id", "vault_id", "vault.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chain_event")),
    )
    op.create_index(op.f("ix_chain_event_vault_id"), "chain_event", ["vault_id"])
    op.add_column("ceremony", optional("opened_on", TEXT))
