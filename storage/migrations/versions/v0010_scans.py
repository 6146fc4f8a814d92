"""Version 10: from where to where each vault was looked for, and how old it may be."""

import sqlalchemy as sa
from alembic import op

from storage.migrations.tables import (
    BOOLEAN,
    INTEGER,
    TEXT,
    TIME,
    check,
    optional,
    refers,
    required,
)

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Make the table of scans: what was looked for before is looked for once more.

    A vault whose keys were all made elsewhere got the day of its import as its birthday, whatever
    its age; nobody knew better, so it has none.
    """
    op.create_table(
        "scan",
        required("vault_id", INTEGER),
        required("branch", INTEGER),
        required("from_height", INTEGER),
        required("reach", INTEGER),
        required("height", INTEGER),
        required("block_hash", TEXT),
        required("earlier_unknown", BOOLEAN),
        check("ck_scan_branch_known", "branch IN (0, 1)"),
        check("ck_scan_from_height_least", "from_height >= 0"),
        check("ck_scan_reach_least", "reach >= 0"),
        check("ck_scan_height_least", "height >= 0"),
        check("ck_scan_block_hash_size", "length(block_hash) = 64"),
        refers("fk_scan_vault_id", "vault_id", "vault.id"),
        sa.PrimaryKeyConstraint("vault_id", "branch", name=op.f("pk_scan")),
    )
    op.add_column("key", optional("made_at", TIME))
    same_day = "substr(CAST(birthday AS TEXT), 1, 10) = substr(CAST(created_at AS TEXT), 1, 10)"
    op.execute(
        f"UPDATE vault SET birthday = NULL WHERE {same_day} AND NOT EXISTS ("  # noqa: S608 -- our own words
        "SELECT 1 FROM cosigner JOIN key ON key.id = cosigner.key_id "
        "WHERE cosigner.vault_id = vault.id AND key.created_on IN ('card', 'host'))"
    )
