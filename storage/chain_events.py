"""What the chain told and took back, kept as it was noticed.

The noun is mapped where there is an event.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, TypedDict, Unpack

from sqlalchemy import exists, func, or_, select
from sqlalchemy.orm import Session

from storage import model
from storage.lookup import is_empty

if TYPE_CHECKING:
    from storage.model import ChainEvent, Vault


class Noticed(TypedDict):
    """A payment that fell out of its block (`unconfirmed`), or is gone (`vanished`)."""

    code: str
    txid: str
    height: int | None
    replaced_by: str | None
    change_sats: int


def add_event(
    db: Session, vault: "Vault", now: datetime, **noticed: Unpack[Noticed]
) -> "ChainEvent":
    """Remember what was noticed."""
    event = model.ChainEvent(vault_id=vault.id, noticed_at=now, **noticed)
    db.add(event)
    db.flush()
    return event


def newest_id(db: Session) -> int:
    """Return the number of the newest event, 0 where there is none."""
    if is_empty(db, "chain_event"):
        return 0
    return db.scalar(select(func.max(model.ChainEvent.id))) or 0


def events_after(db: Session, event_id: int) -> Sequence["ChainEvent"]:
    """Return what was noticed after an event, oldest first."""
    if is_empty(db, "chain_event"):
        return []
    later = select(model.ChainEvent).where(model.ChainEvent.id > event_id)
    return db.scalars(later.order_by(model.ChainEvent.id)).all()


def unsettled(db: Session, vault: "Vault") -> Sequence["ChainEvent"]:
    """Return the newest event of each transaction that still holds, oldest first.

    One that fell out of its block holds until it is in a block again; one that vanished, until it
    is back.
    """
    if is_empty(db, "chain_event"):
        return []
    event, transaction = model.ChainEvent, model.ChainTransaction
    newest = select(func.max(event.id)).where(event.vault_id == vault.id)
    back = or_(event.code == "vanished", transaction.height.is_not(None))
    held = select(event).where(
        event.id.in_(newest.group_by(event.txid)),
        ~exists().where(transaction.txid == event.txid, back),
    )
    return db.scalars(held.order_by(event.id)).all()
