"""Drills: a message for a vault, and the proofs that come in one by one."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from storage.lookup import absent, present
from storage.model import Card, Drill, DrillProof, Vault


def add_drill(db: Session, vault: Vault, public_id: str, *, message: str, now: datetime) -> Drill:
    """Open a drill; raises AlreadyExists."""
    absent(_drill(db, public_id), "drill", public_id)
    drill = Drill(public_id=public_id, vault=vault, message=message, started_at=now, proofs=[])
    db.add(drill)
    db.flush()
    return drill


def drill_named(db: Session, public_id: str) -> Drill:
    """Return the drill of this public id, in any case; raises NotFound."""
    return present(_drill(db, public_id.lower()), "drill", public_id)


def drills_of(db: Session, vault: Vault) -> Sequence[Drill]:
    """Return a vault's drills, newest first."""
    own = select(Drill).where(Drill.vault_id == vault.id)
    return db.scalars(own.order_by(Drill.id.desc())).all()


def cards_proved(db: Session, vault: Vault) -> frozenset[str]:
    """Return the labels of the cards that signed in any drill of a vault."""
    signed = select(Card.label).join(DrillProof, DrillProof.card_id == Card.id)
    own = signed.join(Drill, Drill.id == DrillProof.drill_id).where(Drill.vault_id == vault.id)
    return frozenset(db.scalars(own).all())


def keep_proof(
    db: Session, drill: Drill, card: Card, *, pubkey: bytes, signature: bytes, now: datetime
) -> None:
    """Keep a key's verified signature (r‖s); one that is there already stays."""
    if any(kept.pubkey == pubkey for kept in drill.proofs):
        return
    drill.proofs.append(
        DrillProof(
            pubkey=pubkey,
            signature=signature,
            card_id=card.id,
            card_version=card.version,
            given_at=now,
        )
    )
    db.flush()


def _drill(db: Session, public_id: str) -> Drill | None:
    return db.scalars(select(Drill).where(Drill.public_id == public_id)).one_or_none()
