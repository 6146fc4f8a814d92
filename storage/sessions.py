"""Sessions that hold what they loaded."""

from typing import Final

from sqlalchemy import event
from sqlalchemy.orm import Session

LOADED: Final = "loaded"


class Held(Session):
    """A session that keeps what it loaded while it lasts: what it refers to is not loaded again."""


@event.listens_for(Held, "loaded_as_persistent")
def _hold(session: Session, record: object) -> None:
    session.info.setdefault(LOADED, []).append(record)
