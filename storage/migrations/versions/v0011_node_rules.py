"""Version 11: what the chain source relays."""

import sqlalchemy as sa
from alembic import op

from storage.migrations.tables import BIG, BOOLEAN, INTEGER, TIME, check, optional, required

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Make the table of what was told; until then reviews take Bitcoin Core 30's values."""
    op.create_table(
        "node_rules",
        required("id", INTEGER),
        required("minimum", INTEGER),
        required("replacement_step", INTEGER),
        required("datacarrier_size", INTEGER),
        required("bare_multisig", BOOLEAN),
        required("package_count", INTEGER),
        required("package_vsize", INTEGER),
        optional("median_time", BIG),
        required("told_at", TIME),
        check("ck_node_rules_one", "id = 1"),
        check("ck_node_rules_minimum_least", "minimum >= 0"),
        check("ck_node_rules_replacement_step_least", "replacement_step >= 0"),
        check("ck_node_rules_datacarrier_size_least", "datacarrier_size >= 0"),
        check("ck_node_rules_package_count_least", "package_count >= 1"),
        check("ck_node_rules_package_vsize_least", "package_vsize >= 1"),
        check("ck_node_rules_median_time_least", "median_time >= 0"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_node_rules")),
    )
