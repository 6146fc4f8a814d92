"""What the chain source said it relays, kept for reviews that nobody is asked for.

The noun is mapped where it is asked for.
"""

from datetime import datetime
from typing import TYPE_CHECKING, TypedDict

from sqlalchemy.orm import Session

from storage import model

if TYPE_CHECKING:
    from storage.model import NodeRules

ROW = 1


class Told(TypedDict):
    """Fee rates in sat/kvB, sizes in bytes; the median time is in seconds, where it was told."""

    minimum: int
    replacement_step: int
    datacarrier_size: int
    bare_multisig: bool
    package_count: int
    package_vsize: int
    median_time: int | None


def keep(db: Session, told: Told, now: datetime) -> None:
    """Remember what was told, and since when; the last word counts."""
    if not says(kept(db), told):
        db.merge(model.NodeRules(id=ROW, told_at=now, **told))
        db.flush()


def says(found: "NodeRules | None", told: Told) -> bool:
    """Tell whether what is kept is what was told."""
    return found is not None and all(getattr(found, name) == each for name, each in told.items())


def kept(db: Session) -> "NodeRules | None":
    """Return what was told last, or None where nothing was."""
    return db.get(model.NodeRules, ROW)
