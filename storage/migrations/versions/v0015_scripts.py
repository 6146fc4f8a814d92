"""A vault's script may be nested or older than segwit."""

from alembic import op

revision = "0015"
down_revision = "0014"

NAME = "ck_vault_script_known"


def upgrade() -> None:
    """Take the two scripts more."""
    with op.batch_alter_table("vault") as vault:
        vault.drop_constraint(op.f(NAME), type_="check")
        vault.create_check_constraint(op.f(NAME), "script IN ('wsh', 'sh-wsh', 'sh')")
