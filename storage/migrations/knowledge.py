"""Version 1's tables of what is known of the cards' secrets."""

import sqlalchemy as sa
from alembic import op

from storage.migrations.tables import INTEGER, TEXT, TIME, check, refers, required


def make_knowledge() -> None:
    """Make the table of secrets, and who knows each and where it is written."""
    op.create_table(
        "card_secret",
        required("id", INTEGER),
        required("label", TEXT),
        required("card_id", INTEGER),
        required("kind", TEXT),
        required("created_at", TIME),
        check("ck_card_secret_kind_known", "kind IN ('pin', 'puk', 'pairing')"),
        refers("fk_card_secret_card_id", "card_id", "card.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_card_secret")),
        sa.UniqueConstraint("card_id", "kind", name=op.f("uq_card_secret_card_id_kind")),
        sa.UniqueConstraint("label", name=op.f("uq_card_secret_label")),
    )
    for name, column, target in (
        ("secret_known_by", "holder_id", "holder.id"),
        ("secret_written_at", "location_id", "location.id"),
    ):
        op.create_table(
            name,
            required("secret_id", INTEGER),
            required(column, INTEGER),
            refers(f"fk_{name}_{column}", column, target),
            refers(f"fk_{name}_secret_id", "secret_id", "card_secret.id"),
            sa.PrimaryKeyConstraint("secret_id", column, name=op.f(f"pk_{name}")),
        )
