"""Version 3: copies of descriptors."""

import sqlalchemy as sa
from alembic import op

from storage.migrations.tables import BYTES, INTEGER, TIME, check, refers, required

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the table of copies."""
    op.create_table(
        "descriptor_copy",
        required("id", INTEGER),
        required("item_id", INTEGER),
        required("vault_id", INTEGER),
        required("digest", BYTES),
        required("created_at", TIME),
        check("ck_descriptor_copy_digest_size", "length(digest) = 32"),
        refers("fk_descriptor_copy_item_id", "item_id", "item.id"),
        refers("fk_descriptor_copy_vault_id", "vault_id", "vault.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_descriptor_copy")),
        sa.UniqueConstraint("item_id", name=op.f("uq_descriptor_copy_item_id")),
    )
    op.create_index(op.f("ix_descriptor_copy_vault_id"), "descriptor_copy", ["vault_id"])
