"""Drills: a message for a vault, and the proofs that come in one by one.

The noun is mapped where there is a drill.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import Session

from storage import model
from storage.lookup import absent, is_empty, present

if TYPE_CHECKING:
    from storage.model import Card, Drill, DrillProof, Vault


def add_drill(
    db: Session, vault: "Vault", public_id: str, *, message: str, now: datetime
) -> "Drill":
    """Open a drill; raises AlreadyExists."""
    absent(_drill(db, public_id), "drill", public_id)
    drill = model.Drill(
        public_id=public_id, vault=vault, message=message, started_at=now, proofs=[]
    )
    db.add(drill)
    db.flush()
    return drill


def drill_named(db: Session, public_id: str) -> "Drill":
    """Return the drill of this public id, in any case; raises NotFound."""
    return present(_drill(db, public_id.lower()), "drill", public_id)


def drills_of(db: Session, vault: "Vault") -> Sequence["Drill"]:
    """Return a vault's drills, newest first."""
    if is_empty(db, "drill"):
        return []
    own = select(model.Drill).where(model.Drill.vault_id == vault.id)
    return db.scalars(own.order_by(model.Drill.id.desc())).all()


def cards_proved(db: Session, vault: "Vault") -> frozenset[str]:
    """Return the labels of the cards that signed in any drill of a vault."""
    if is_empty(db, "drill"):
        return frozenset()
    card, proof, drill = model.Card, model.DrillProof, model.Drill
    signed = select(card.label).join(proof, proof.card_id == card.id)
    own = signed.join(drill, drill.id == proof.drill_id).where(drill.vault_id == vault.id)
    return frozenset(db.scalars(own).all())


def primary_proofs(drill: "Drill") -> "list[DrillProof]":
    """Return the first proof of each card that carries a key of the vault's primary branch."""
    if not drill.vault.recoveries:
        return drill.proofs
    items = {carrier.item_id for each in drill.vault.cosigners for carrier in each.key.carriers}
    own = {p.card_id: p for p in reversed(drill.proofs) if p.card.item_id in items}
    return sorted(own.values(), key=lambda proof: proof.id)


def keep_proof(
    db: Session, drill: "Drill", card: "Card", *, pubkey: bytes, signature: bytes, now: datetime
) -> None:
    """Keep a key's verified signature (r‖s); one that is there already stays."""
    if any(kept.pubkey == pubkey for kept in drill.proofs):
        return
    drill.proofs.append(
        model.DrillProof(
            pubkey=pubkey,
            signature=signature,
            card_id=card.id,
            card_version=card.version,
            given_at=now,
        )
    )
    db.flush()


def _drill(db: Session, public_id: str) -> "Drill | None":
    wanted = select(model.Drill).where(model.Drill.public_id == public_id)
    return db.scalars(wanted).one_or_none()
