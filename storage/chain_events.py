"""What the chain told and took back, kept as it was noticed."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypedDict, Unpack

from sqlalchemy import exists, func, or_, select
from sqlalchemy.orm import Session

from storage.model import ChainEvent, ChainTransaction, Vault


class Noticed(TypedDict):
    """A payment that fell out of its block (`unconfirmed`), or is gone (`vanished`)."""

    code: str
    txid: str
    height: int | None
    replaced_by: str | None
    change_sats: int


def add_event(db: Session, vault: Vault, now: datetime, **noticed: Unpack[Noticed]) -> ChainEvent:
    """Remember what was noticed."""
    event = ChainEvent(vault_id=vault.id, noticed_at=now, **noticed)
    db.add(event)
    db.flush()
    return event


def newest_id(db: Session) -> int:
    """Return the number of the newest event, 0 where there is none."""
    return db.scalar(select(func.max(ChainEvent.id))) or 0


def events_after(db: Session, event_id: int) -> Sequence[ChainEvent]:
    """Return what was noticed after an event, oldest first."""
    later = select(ChainEvent).where(ChainEvent.id > event_id)
    return db.scalars(later.order_by(ChainEvent.id)).all()


def unsettled(db: Session, vault: Vault) -> Sequence[ChainEvent]:
    """Return the newest event of each transaction that still holds, oldest first.

    One that fell out of its block holds until it is in a block again; one that vanished, until it
    is back.
    """
    newest = select(func.max(ChainEvent.id)).where(ChainEvent.vault_id == vault.id)
    seen = ChainTransaction.txid == ChainEvent.txid
    back = or_(ChainEvent.code == "vanished", ChainTransaction.height.is_not(None))
    held = select(ChainEvent).where(
        ChainEvent.id.in_(newest.group_by(ChainEvent.txid)),
        ~exists().where(seen, back),
    )
    return db.scalars(held.order_by(ChainEvent.id)).all()
