"""Version 5: the seal, and a sealed letter beside what may be sealed."""

import sqlalchemy as sa
from alembic import op

from storage.migrations.tables import (
    BOOLEAN,
    BYTES,
    INTEGER,
    check,
    optional,
    refuse,
    required,
)

revision = "0005"
down_revision = "0004"

SAME = "NEW.event_id = OLD.event_id AND NEW.field = OLD.field AND NEW.digest = OLD.digest"
NO_TEXT = "NEW.text IS NULL AND NEW.salt IS NULL"
ERASED = f"{NO_TEXT} AND NEW.sealed IS NULL"
SEALED = f"{NO_TEXT} AND NEW.sealed IS NOT NULL AND OLD.text IS NOT NULL"
UNSEALED = "NEW.text IS NOT NULL AND NEW.sealed IS NULL AND OLD.sealed IS NOT NULL"


def upgrade() -> None:
    """Make the seal's table and the columns of letters; let texts change their form only."""
    op.create_table(
        "seal",
        required("id", INTEGER),
        required("sealing_key", BYTES),
        required("opening_key", BYTES),
        required("salt", BYTES),
        required("scrypt_n", INTEGER),
        required("scrypt_r", INTEGER),
        required("scrypt_p", INTEGER),
        required("scrubbed", BOOLEAN),
        check("ck_seal_only_one", "id = 1"),
        check("ck_seal_sealing_key_size", "length(sealing_key) = 32"),
        check("ck_seal_salt_size", "length(salt) = 32"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_seal")),
    )
    for table in ("holder", "location", "custody_text"):
        op.add_column(table, optional("sealed", BYTES))
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TRIGGER custody_text_only_erased")
    may = f"{SAME} AND (({ERASED}) OR ({SEALED}) OR ({UNSEALED}))"
    refuse("custody_text_only_erased", f"UPDATE ON custody_text WHEN NOT ({may})")
