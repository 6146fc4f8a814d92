"""Version 2: drills and their proofs."""

import sqlalchemy as sa
from alembic import op

from storage.migrations.tables import BYTES, INTEGER, TEXT, TIME, check, refers, required

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the tables of the drills."""
    op.create_table(
        "drill",
        required("id", INTEGER),
        required("public_id", TEXT),
        required("vault_id", INTEGER),
        required("message", TEXT),
        required("started_at", TIME),
        check("ck_drill_public_id_size", "length(public_id) = 8"),
        refers("fk_drill_vault_id", "vault_id", "vault.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drill")),
        sa.UniqueConstraint("public_id", name=op.f("uq_drill_public_id")),
    )
    op.create_index(op.f("ix_drill_vault_id"), "drill", ["vault_id"])
    op.create_table(
        "drill_proof",
        required("id", INTEGER),
        required("drill_id", INTEGER),
        required("pubkey", BYTES),
        required("signature", BYTES),
        required("card_id", INTEGER),
        required("card_version", TEXT),
        required("given_at", TIME),
        check("ck_drill_proof_pubkey_size", "length(pubkey) = 33"),
        check("ck_drill_proof_signature_size", "length(signature) = 64"),
        refers("fk_drill_proof_card_id", "card_id", "card.id"),
        refers("fk_drill_proof_drill_id", "drill_id", "drill.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drill_proof")),
        sa.UniqueConstraint("drill_id", "pubkey", name=op.f("uq_drill_proof_drill_id_pubkey")),
    )
