"""A vault may have branches that open later; a ceremony spends by one of them."""

import sqlalchemy as sa
from alembic import op

from storage.migrations.tables import INTEGER, TEXT, check, optional, refers, required

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Add the tables; what was opened so far spends by the only branch there was."""
    names = "branch IN ('primary', 'recovery', 'recovery-2')"
    with op.batch_alter_table("ceremony") as ceremony:
        ceremony.add_column(sa.Column("branch", TEXT, nullable=False, server_default="primary"))
    with op.batch_alter_table("ceremony") as ceremony:
        ceremony.alter_column("branch", server_default=None)
        ceremony.create_check_constraint(op.f("ck_ceremony_branch_known"), names)
    with op.batch_alter_table("vault") as vault:
        vault.add_column(optional("refresh_months", INTEGER))
        vault.create_check_constraint(
            op.f("ck_vault_refresh_months_range"), "refresh_months BETWEEN 1 AND 120"
        )
    _vault_branch()
    _branch_key()


def _vault_branch() -> None:
    name = "vault_branch"
    op.create_table(
        name,
        required("id", INTEGER),
        required("vault_id", INTEGER),
        required("position", INTEGER),
        required("name", TEXT),
        required("threshold", INTEGER),
        optional("blocks", INTEGER),
        optional("height", INTEGER),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vault_branch")),
        refers("fk_vault_branch_vault_id", "vault_id", "vault.id"),
        sa.UniqueConstraint("vault_id", "position", name=op.f("uq_vault_branch_vault_id_position")),
        sa.UniqueConstraint("vault_id", "name", name=op.f("uq_vault_branch_vault_id_name")),
        check("ck_vault_branch_name_known", "name IN ('recovery', 'recovery-2')"),
        check("ck_vault_branch_position_range", "position BETWEEN 1 AND 2"),
        check("ck_vault_branch_threshold_range", "threshold BETWEEN 1 AND 15"),
        check("ck_vault_branch_blocks_range", "blocks BETWEEN 1 AND 65535"),
        check("ck_vault_branch_height_range", "height BETWEEN 1 AND 499999999"),
        check("ck_vault_branch_one_wait", "(blocks IS NULL) <> (height IS NULL)"),
    )


def _branch_key() -> None:
    name = "branch_key"
    op.create_table(
        name,
        required("id", INTEGER),
        required("branch_id", INTEGER),
        required("position", INTEGER),
        required("key_id", INTEGER),
        required("label", TEXT),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_branch_key")),
        refers("fk_branch_key_branch_id", "branch_id", "vault_branch.id"),
        refers("fk_branch_key_key_id", "key_id", "key.id"),
        sa.UniqueConstraint("branch_id", "position", name=op.f("uq_branch_key_branch_id_position")),
        sa.UniqueConstraint("branch_id", "key_id", name=op.f("uq_branch_key_branch_id_key_id")),
        check("ck_branch_key_position_range", "position BETWEEN 0 AND 14"),
    )
    op.create_index(op.f("ix_branch_key_key_id"), name, ["key_id"])
