"""What the chain source relays."""

from datetime import datetime

from sqlalchemy.orm import Mapped

from storage.model.record import Check, Id, Record, Sats, at_least


class NodeRules(Record):
    """What the chain source said it relays, and the median time of its newest block: one row.

    Fee rates are in sat/kvB, sizes in bytes.
    """

    __tablename__ = "node_rules"
    __table_args__ = (
        Check("id = 1", name="one"),
        at_least("minimum", 0),
        at_least("replacement_step", 0),
        at_least("datacarrier_size", 0),
        at_least("package_count", 1),
        at_least("package_vsize", 1),
        at_least("median_time", 0),
    )

    id: Mapped[Id]
    minimum: Mapped[int]
    replacement_step: Mapped[int]
    datacarrier_size: Mapped[int]
    bare_multisig: Mapped[bool]
    package_count: Mapped[int]
    package_vsize: Mapped[int]
    median_time: Mapped[Sats | None]
    told_at: Mapped[datetime]
