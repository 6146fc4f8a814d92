"""A vault's script may be a leaf of taproot, and a card's key be proved to sign for one."""

from alembic import op

from storage.migrations.tables import TIME, optional

revision = "0023"
down_revision = "0022"

NAME = "ck_vault_script_known"


def upgrade() -> None:
    """Take the script, and add the column, empty: nobody was challenged before."""
    op.add_column("carrier", optional("leaf_proved_at", TIME))
    with op.batch_alter_table("vault") as vault:
        vault.drop_constraint(op.f(NAME), type_="check")
        vault.create_check_constraint(op.f(NAME), "script IN ('wsh', 'sh-wsh', 'sh', 'tr')")
