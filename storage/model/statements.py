"""What operators said they did, each signed by the key of the home it was done in."""

from datetime import datetime

from sqlalchemy import Connection, Index, event
from sqlalchemy.orm import Mapped, Mapper, mapped_column

from storage.errors import StorageError
from storage.model.record import ROW, Check, Id, Record, one_of, sized

ACTS = ("opened", "approved", "signed", "abandoned", "vault", "event", "sealed", "unsealed", ROW)
NAME_MAX = 40


class Statement(Record):
    """That an operator did something to what `subject` names; chained, and never updated.

    `digest` is what was done it to, in 32 bytes: a payment, a signature, a policy, an event, a row.
    """

    __tablename__ = "statement"
    __table_args__ = (
        Index("ix_statement_act_subject", "act", "subject"),
        one_of("act", ACTS),
        Check(f"length(operator) BETWEEN 1 AND {NAME_MAX}", name="operator_size"),
        Check(f"length(subject) <= {NAME_MAX}", name="subject_size"),
        Check("vault IS NULL OR length(vault) = 8", name="vault_size"),
        sized("digest", 32),
        sized("public_key", 32),
        sized("previous", 32),
        sized("hash", 32),
        sized("signature", 64),
    )

    id: Mapped[Id]
    act: Mapped[str]
    vault: Mapped[str | None]
    subject: Mapped[str]
    digest: Mapped[bytes]
    operator: Mapped[str]
    public_key: Mapped[bytes]
    said_at: Mapped[datetime]
    previous: Mapped[bytes] = mapped_column(unique=True)
    hash: Mapped[bytes] = mapped_column(unique=True)
    signature: Mapped[bytes]


@event.listens_for(Statement, "before_update")
@event.listens_for(Statement, "before_delete")
def _refuse(_mapper: Mapper[Record], _connection: Connection, _row: Record) -> None:
    raise StorageError("what operators said is only ever appended to")
