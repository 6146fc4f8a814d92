"""Version 12: a proof of a key belongs to the policy it was given for."""

from hashlib import sha256

import sqlalchemy as sa
from alembic import op

from storage.migrations.tables import BYTES, optional

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Bind earlier proofs to the descriptors their vaults have now."""
    op.add_column("verification", optional("policy_digest", BYTES))
    connection = op.get_bind()
    for vault_id, descriptor in connection.execute(sa.text("SELECT id, descriptor FROM vault")):
        connection.execute(
            sa.text("UPDATE verification SET policy_digest = :digest WHERE vault_id = :vault"),
            {"digest": sha256(descriptor.encode()).digest(), "vault": vault_id},
        )
