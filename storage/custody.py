"""Places, people, and the book of what happened to each item: appended to, never changed."""

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Final, NamedTuple, NotRequired, TypedDict, TypeVar, Unpack

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from storage.authors import state
from storage.errors import ChainBroken, RowDamaged, SealLocked
from storage.hashing import GENESIS, canonical, chained, text_digest
from storage.lookup import absent, present
from storage.model import CustodyEvent, CustodyText, Holder, Item, Location
from storage.private_rows import stand_in
from storage.sealing import is_locked

SALT_SIZE = 32
ADDED: Final = "added_event"
"""In a session's info: the number and hash of the last event it added."""
Named = TypeVar("Named", Holder, Location)


class NewLocation(TypedDict):
    """A place and how it is reached."""

    name: str
    kind: str
    region: str | None
    holder: Holder | None
    access: str | None
    lead_hours: int | None


class Circumstances(TypedDict):
    """When and where an event happened, and what was said of it: `by`, `seal`, `note`."""

    location: Location | None
    texts: Mapping[str, str | None]
    happened_at: datetime
    recorded_at: datetime
    photo_sha256: NotRequired[bytes | None]


def add_holder(db: Session, name: str, limit_sats: int | None, *, contact: str | None) -> Holder:
    """Remember a person; raises AlreadyExists."""
    absent(_holder(db, name), "holder", name)
    holder = Holder(name=name, limit_sats=limit_sats, contact=contact)
    db.add(holder)
    db.flush()
    return holder


def holder_named(db: Session, name: str) -> Holder:
    """Return the person of this name, or of holder:name; raises NotFound."""
    name = name.removeprefix("holder:")
    return present(_holder(db, name), "holder", name)


def all_holders(db: Session) -> Sequence[Holder]:
    """Return everybody by name."""
    return sorted(db.scalars(select(Holder)), key=attrgetter("name"))


def add_location(db: Session, **place: Unpack[NewLocation]) -> Location:
    """Remember a place; one that was given up is taken up again. Raises AlreadyExists."""
    location = _location(db, place["name"])
    absent(location if location and not location.retired_at else None, "location", place["name"])
    if location is None:
        location = Location(**place)
        db.add(location)
    for field, value in place.items():
        setattr(location, field, value)
    location.retired_at = None
    db.flush()
    return location


def remove_location(db: Session, location: Location, now: datetime) -> None:
    """Give a place up: forgotten where no event tells of it, else retired."""
    if has_events(db, location):
        location.retired_at = now
    else:
        db.delete(location)
    db.flush()


def remove_holder(db: Session, holder: Holder) -> None:
    """Forget a person whom nothing refers to."""
    db.delete(holder)
    db.flush()


def has_events(db: Session, thing: Item | Location) -> bool:
    """Tell whether the book tells of a thing or a place."""
    column = CustodyEvent.item_id if isinstance(thing, Item) else CustodyEvent.location_id
    return db.scalar(select(CustodyEvent.id).where(column == thing.id).limit(1)) is not None


def location_named(db: Session, name: str) -> Location:
    """Return the place of this name, or of location:name, that is not given up; raises NotFound."""
    name = name.removeprefix("location:")
    found = _location(db, name)
    return present(found if found and not found.retired_at else None, "location", name)


def all_locations(db: Session) -> Sequence[Location]:
    """Return every place that was not given up, by name."""
    live = select(Location).where(Location.retired_at.is_(None))
    return sorted(db.scalars(live), key=attrgetter("name"))


def all_items(db: Session) -> Sequence[Item]:
    """Return every thing that is not retired, by kind and name."""
    live = select(Item).where(Item.retired_at.is_(None))
    return db.scalars(live.order_by(Item.kind, Item.name)).all()


class Happened(NamedTuple):
    """What happened to an item."""

    item: Item
    event: str
    told: Circumstances


def record_event(
    db: Session, item: Item, event: str, **told: Unpack[Circumstances]
) -> CustodyEvent:
    """Append an event to the book."""
    (written,) = record_events(db, [Happened(item, event, told)])
    return written


def record_events(db: Session, happened: Sequence[Happened]) -> list[CustodyEvent]:
    """Append events to the book; how it ended is asked once, however many they are."""
    last = db.scalars(select(CustodyEvent).order_by(CustodyEvent.id.desc()).limit(1)).one_or_none()
    found = []
    for each in happened:
        last = _after(db, last, each)
        db.add(last)
        db.flush()
        db.info[ADDED] = (last.id, last.hash)
        state(db, "event", str(last.id), digest=last.hash, now=last.recorded_at)
        found.append(last)
    return found


def _after(db: Session, last: CustodyEvent | None, happened: Happened) -> CustodyEvent:
    """Return the event that follows the last one of the book."""
    item, event, told = happened
    location = told["location"]
    written = CustodyEvent(
        id=last.id + 1 if last else 1,
        item=item,
        item_id=item.id,
        event=event,
        location=location,
        location_id=location.id if location else None,
        happened_at=told["happened_at"],
        recorded_at=told["recorded_at"],
        photo_sha256=told.get("photo_sha256"),
        previous=last.hash if last else GENESIS,
        texts=_salted({**told["texts"], **_names(item, None if is_locked(db) else location)}),
    )
    written.hash = chained(written.previous, canonical(written))
    return written


def events_of(db: Session, item: Item) -> Sequence[CustodyEvent]:
    """Return what happened to an item, in the order it was recorded: clocks and people err."""
    own = select(CustodyEvent).where(CustodyEvent.item_id == item.id)
    return db.scalars(own.order_by(CustodyEvent.id)).all()


def events_by_item(db: Session) -> dict[int, list[CustodyEvent]]:
    """Return what happened to every item, by its id, each in the order it was recorded."""
    found: dict[int, list[CustodyEvent]] = {}
    for event in db.scalars(select(CustodyEvent).order_by(CustodyEvent.id)):
        found.setdefault(event.item_id, []).append(event)
    return found


def last_recorded(db: Session) -> datetime | None:
    """Return the latest moment at which an event was recorded, by the clock of then."""
    return db.scalar(select(func.max(CustodyEvent.recorded_at)))


def all_events(db: Session) -> Sequence[CustodyEvent]:
    """Return the whole book, in the order it was written; raises RowDamaged."""
    try:
        return db.scalars(select(CustodyEvent).order_by(CustodyEvent.id)).all()
    except ValueError as unreadable:
        raise RowDamaged(f"an event of the book cannot be read: {unreadable}") from unreadable


def count_unread(db: Session) -> int:
    """Return how many texts of the book are sealed for this session, so nobody checks them."""
    texts = db.scalars(select(CustodyText).where(CustodyText.sealed.is_not(None)))
    return sum(said.text is None for said in texts)


def verify(db: Session) -> bytes:
    """Return the head of the chain of hashes; raises ChainBroken where it does not hold.

    Events cut off at the end leave a shorter chain that holds: compare the head with one
    printed or signed elsewhere.
    """
    head, items = GENESIS, set(db.scalars(select(Item.id)))
    for event in all_events(db):
        if event.previous != head or event.item_id not in items or not _whole(event):
            raise ChainBroken(event.id)
        head = chained(head, canonical(event))
        if event.hash != head:
            raise ChainBroken(event.id)
    return head


def _whole(event: CustodyEvent) -> bool:
    """Return whether what can be read of an event is what its digests say."""
    names = _names(event.item, event.location)
    return (event.location is None) == (event.location_id is None) and all(
        said.text is None
        or said.salt is None
        or (
            text_digest(said.salt, said.text) == said.digest
            and said.text == names.get(field, said.text)
        )
        for field, said in event.texts.items()
    )


def _names(item: Item, location: Location | None) -> dict[str, str]:
    """Return the names under which an event knows its thing and place."""
    named = {"item": f"{item.kind}:{item.name}"}
    return {**named, "location": location.name} if location else named


def _salted(texts: Mapping[str, str | None]) -> dict[str, CustodyText]:
    found = {}
    for field, text in texts.items():
        if text is not None:
            salt = os.urandom(SALT_SIZE)
            digest = text_digest(salt, text)
            found[field] = CustodyText(field=field, text=text, salt=salt, digest=digest)
    return found


def _holder(db: Session, name: str) -> Holder | None:
    return _called(db, db.scalars(select(Holder)).all(), name)


def _location(db: Session, name: str) -> Location | None:
    return _called(db, db.scalars(select(Location)).all(), name)


def _called(db: Session, rows: Sequence[Named], name: str) -> Named | None:
    """Return the row of a name or stand-in; raises SealLocked where its name may be sealed."""
    found = next((row for row in rows if name in {row.name, stand_in(row)}), None)
    if found is None and is_locked(db):
        raise SealLocked
    return found
