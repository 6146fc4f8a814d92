"""Labels of the chain's things, and frozen coins."""

from collections.abc import Collection, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from storage.lookup import batches
from storage.model import Label


def labelled(db: Session, kind: str, ref: str) -> Label:
    """Return the label of a thing, a new empty one where it has none."""
    own = select(Label).where(Label.type == kind, Label.ref == ref)
    found = db.scalars(own).one_or_none()
    if found is None:
        found = add(db, kind, ref)
        db.flush()
    return found


def add(db: Session, kind: str, ref: str) -> Label:
    """Return a new empty label of a thing that has none; it is stored with the next query."""
    made = Label(type=kind, ref=ref, label=None, origin=None, spendable=None)
    db.add(made)
    return made


def all_labels(db: Session) -> Sequence[Label]:
    """Return every label, by type and reference."""
    return db.scalars(select(Label).order_by(Label.type, Label.ref)).all()


def named(db: Session, kind: str) -> dict[str, str]:
    """Return what the things of one type are called, by reference."""
    own = select(Label).where(Label.type == kind, Label.label.is_not(None))
    return {found.ref: found.label or "" for found in db.scalars(own)}


def called(db: Session, kind: str, refs: Collection[str]) -> dict[str, str]:
    """Return what those of these things are called that have a label, by reference."""
    found: dict[str, str] = {}
    for batch in batches(refs):
        own = select(Label).where(Label.type == kind, Label.ref.in_(batch))
        found |= {each.ref: each.label for each in db.scalars(own) if each.label}
    return found


def frozen(db: Session) -> set[str]:
    """Return the outpoints that must not be spent, each as txid:n."""
    own = select(Label.ref).where(Label.type == "output", Label.spendable.is_(False))
    return set(db.scalars(own))
