"""What operators did is signed by them: a chain of statements, appended to."""

import sqlalchemy as sa
from alembic import op

from storage.migrations.tables import BYTES, INTEGER, TEXT, TIME, check, optional, refuse, required

revision = "0022"
down_revision = "0021"

STAYS = "what operators said is only ever appended to"


def upgrade() -> None:
    """Add the table; of what was done before nobody says who did it."""
    op.create_table(
        "statement",
        required("id", INTEGER),
        required("act", TEXT),
        optional("vault", TEXT),
        required("subject", TEXT),
        required("digest", BYTES),
        required("operator", TEXT),
        required("public_key", BYTES),
        required("said_at", TIME),
        required("previous", BYTES),
        required("hash", BYTES),
        required("signature", BYTES),
        check(
            "ck_statement_act_known",
            "act IN ('opened', 'approved', 'signed', 'abandoned', 'vault', 'event', 'sealed', "
            "'unsealed')",
        ),
        check("ck_statement_operator_size", "length(operator) BETWEEN 1 AND 40"),
        check("ck_statement_subject_size", "length(subject) <= 40"),
        check("ck_statement_vault_size", "vault IS NULL OR length(vault) = 8"),
        check("ck_statement_digest_size", "length(digest) = 32"),
        check("ck_statement_public_key_size", "length(public_key) = 32"),
        check("ck_statement_previous_size", "length(previous) = 32"),
        check("ck_statement_hash_size", "length(hash) = 32"),
        check("ck_statement_signature_size", "length(signature) = 64"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_statement")),
        sa.UniqueConstraint("previous", name=op.f("uq_statement_previous")),
        sa.UniqueConstraint("hash", name=op.f("uq_statement_hash")),
    )
    op.create_index(op.f("ix_statement_act_subject"), "statement", ["act", "subject"])
    refuse("statement_unchanged", "UPDATE ON statement", STAYS)
    refuse("statement_kept", "DELETE ON statement", STAYS)
