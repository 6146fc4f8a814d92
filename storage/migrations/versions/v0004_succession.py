"""Version 4: vaults that took others' places."""

import sqlalchemy as sa
from alembic import op

from storage.migrations.tables import INTEGER, TIME, check, optional, refers, required

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the table of successions."""
    op.create_table(
        "succession",
        required("id", INTEGER),
        required("vault_id", INTEGER),
        required("successor_id", INTEGER),
        required("card_id", INTEGER),
        required("new_card_id", INTEGER),
        optional("ceremony_id", INTEGER),
        required("started_at", TIME),
        check("ck_succession_two_vaults", "vault_id <> successor_id"),
        refers("fk_succession_vault_id", "vault_id", "vault.id"),
        refers("fk_succession_successor_id", "successor_id", "vault.id"),
        refers("fk_succession_card_id", "card_id", "card.id"),
        refers("fk_succession_new_card_id", "new_card_id", "card.id"),
        refers("fk_succession_ceremony_id", "ceremony_id", "ceremony.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_succession")),
        sa.UniqueConstraint("vault_id", name=op.f("uq_succession_vault_id")),
        sa.UniqueConstraint("successor_id", name=op.f("uq_succession_successor_id")),
    )
