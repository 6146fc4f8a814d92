"""Version 7: labels and frozen coins."""

import sqlalchemy as sa
from alembic import op

from storage.migrations.tables import BOOLEAN, INTEGER, TEXT, check, optional, required

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Make the table of labels."""
    kinds = ", ".join(f"'{kind}'" for kind in ("tx", "addr", "pubkey", "input", "output", "xpub"))
    op.create_table(
        "label",
        required("id", INTEGER),
        required("type", TEXT),
        required("ref", TEXT),
        optional("label", TEXT),
        optional("origin", TEXT),
        optional("spendable", BOOLEAN),
        check("ck_label_type_known", f"type IN ({kinds})"),
        check("ck_label_outputs_freeze", "spendable IS NULL OR type = 'output'"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_label")),
        sa.UniqueConstraint("type", "ref", name=op.f("uq_label_type_ref")),
    )
    op.create_index(op.f("ix_label_ref"), "label", ["ref"])
