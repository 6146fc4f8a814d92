"""Version 9: an address in capitals, as QR codes have it, is the address: its label counts."""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Write the references of such labels small, unless the small one has a label of its own."""
    op.execute(
        "UPDATE label SET ref = lower(ref) WHERE type = 'addr' AND ref = upper(ref) "
        "AND (ref LIKE 'BC1%' OR ref LIKE 'TB1%' OR ref LIKE 'BCRT1%') "
        "AND lower(ref) NOT IN (SELECT ref FROM label WHERE type = 'addr' AND ref = lower(ref))"
    )
