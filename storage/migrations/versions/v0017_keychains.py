"""Receive and change are keychains; a branch is one way to spend."""

from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Rename the column and what is called after it."""
    for name in ("address", "coin", "scan"):
        with op.batch_alter_table(name) as table:
            if name != "coin":
                table.drop_constraint(op.f(f"ck_{name}_branch_known"), type_="check")
            if name == "address":
                table.drop_constraint(op.f("uq_address_vault_id_branch_index"), type_="unique")
            table.alter_column("branch", new_column_name="keychain")
    for name in ("address", "scan"):
        with op.batch_alter_table(name) as table:
            table.create_check_constraint(op.f(f"ck_{name}_keychain_known"), "keychain IN (0, 1)")
            if name == "address":
                table.create_unique_constraint(
                    op.f("uq_address_vault_id_keychain_index"), ["vault_id", "keychain", "index"]
                )
