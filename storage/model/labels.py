"""What the owner calls things of the chain, and which coins stay where they are (BIP 329)."""

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from storage.model.record import Check, Id, Record, one_of

LABELLED = ("tx", "addr", "pubkey", "input", "output", "xpub")


class Label(Record):
    """A label of one thing; of an output also whether it may be spent (None: nobody said)."""

    __tablename__ = "label"
    __table_args__ = (
        UniqueConstraint("type", "ref"),
        one_of("type", LABELLED),
        Check("spendable IS NULL OR type = 'output'", name="outputs_freeze"),
    )

    id: Mapped[Id]
    type: Mapped[str]
    ref: Mapped[str] = mapped_column(index=True)
    label: Mapped[str | None]
    origin: Mapped[str | None]
    spendable: Mapped[bool | None]
