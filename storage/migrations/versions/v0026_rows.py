"""Operators state what rows hold that they change, too."""

from alembic import op

from storage.migrations.tables import refuse, refuse_gaps

revision = "0026"
down_revision = "0025"

NAME = "ck_statement_act_known"
STAYS = "what operators said is only ever appended to"
ACTS = (
    "act IN ('opened', 'approved', 'signed', 'abandoned', 'vault', 'event', 'sealed', 'unsealed', "
    "'row')"
)


def upgrade() -> None:
    """Take the act; SQLite makes the table anew, and with it what refuses changes to it."""
    with op.batch_alter_table("statement") as statement:
        statement.drop_constraint(op.f(NAME), type_="check")
        statement.create_check_constraint(op.f(NAME), ACTS)
    if op.get_bind().dialect.name == "sqlite":
        refuse("statement_unchanged", "UPDATE ON statement", STAYS)
        refuse("statement_kept", "DELETE ON statement", STAYS)
        refuse_gaps("statement")
