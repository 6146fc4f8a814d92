"""The custody book: places, people, and what happened to each thing."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from sqlalchemy.orm import Session

from coordinator import clock
from coordinator.custody import bags
from coordinator.errors import Ambiguous, UsageError
from coordinator.files import read_bytes
from coordinator.home import statement_checks
from coordinator.home.operators import NOBODY, Operator
from coordinator.home.settings import Home
from coordinator.names import checked_name, require_known
from coordinator.notices import Notice, Severity
from coordinator.shown_text import json_line
from storage import custody as custody_book
from storage.errors import ChainBroken, NotFound
from storage.hashing import microseconds
from storage.model import Card, CustodyEvent, Item, Location
from storage.model.custody import TEXT_FIELDS

GONE = frozenset({"lost", "stolen", "destroyed"})
BACK = frozenset({"placed", "moved", "seen", "sealed", "opened", "found"})
KINDS = ("bank-vault", "friend", "home", "office", "other")
EVENTS = (*sorted(GONE), *sorted(BACK), "corrected")
HASH = re.compile("[0-9a-f]{64}")


class NewEvent(NamedTuple):
    """A new event as a person tells it; `item` is kind:name, or a name that fits one thing."""

    item: str
    event: str
    at: str | None = None
    seal: str | None = None
    by: str | None = None
    when: str | None = None
    note: str | None = None
    photo: Path | None = None


class Whereabouts(NamedTuple):
    """Where a thing lies as far as the book knows, and whether it is lost, stolen or destroyed."""

    location: str | None
    gone: str | None


def whereabouts(events: Iterable[CustodyEvent]) -> Whereabouts:
    """Read a thing's events in the order they were recorded and return where that leaves it.

    What is lost, stolen or destroyed stays so until it is found, or a correction takes it back; a
    correction that only names a bag's serial does not.
    """
    location: str | None = None
    gone: str | None = None
    for event in events:
        only_serial = event.location is None and "seal" in event.texts
        if event.event in GONE:
            location, gone = None, event.event
        elif gone is None or (event.event in {"found", "corrected"} and not only_serial):
            gone = None
            location = event.location.name if event.location is not None else location
    return Whereabouts(location, gone)


def where_is(db: Session, item: Item) -> Whereabouts:
    """Return where the book leaves a thing."""
    return whereabouts(custody_book.events_of(db, item))


def last_place(db: Session, item: Item) -> Location | None:
    """Return where a thing was last, wherever it is now."""
    places = [event.location for event in custody_book.events_of(db, item) if event.location]
    return places[-1] if places else None


def behind_clock(db: Session, now: datetime) -> Notice | None:
    """Return a notice where this computer's clock is before the last event recorded."""
    last = custody_book.last_recorded(db)
    if last is None or now >= last:
        return None
    return Notice(
        "clock_behind",
        Severity.WARNING,
        f"this computer's clock says {clock.text(now)}, but the last event was recorded at "
        f"{clock.text(last)}",
        "set the clock right",
    )


class LocationLine(NamedTuple):
    """A place as it is shown, and the things that lie there (kind:name)."""

    name: str
    kind: str
    region: str | None
    holder: str | None
    access: str | None
    lead_hours: int | None
    items: list[str]


class HolderLine(NamedTuple):
    """A person as they are shown, and the places they can open."""

    name: str
    limit_sats: int | None
    contact: str | None
    locations: list[str]


class EventLine(NamedTuple):
    """An event of the book as it is shown, and the event that corrected it, if one did."""

    id: int
    item: str
    event: str
    location: str | None
    seal: str | None
    by: str | None
    note: str | None
    happened_at: datetime
    recorded_at: datetime
    photo_sha256: bytes | None
    hash: str
    previous: str
    corrected_by: int | None = None
    operator: Operator = NOBODY


class Verdict(NamedTuple):
    """Whether the book's chain of hashes holds; `sealed_texts` could not be compared."""

    valid: bool
    head: str | None
    broken_at: int | None
    sealed_texts: int = 0


class Recorded(NamedTuple):
    """An event that was recorded, and what a person must know of it."""

    event: EventLine
    notices: list[Notice]


def add_location(
    db: Session,
    name: str,
    kind: str,
    *,
    region: str | None = None,
    holder: str | None = None,
    access: str | None = None,
    lead_hours: int | None = None,
) -> LocationLine:
    """Store a place; raises UsageError, NotFound or AlreadyExists."""
    require_known("kind", kind, KINDS)
    opened_by = custody_book.holder_named(db, holder) if holder else None
    added = custody_book.add_location(
        db,
        name=checked_name(name),
        kind=kind,
        region=region,
        holder=opened_by,
        access=access,
        lead_hours=lead_hours,
    )
    return _location_lines(db, [added])[0]


def locations(db: Session) -> list[LocationLine]:
    """Return every place with what lies there."""
    return _location_lines(db, custody_book.all_locations(db))


def location(db: Session, name: str) -> LocationLine:
    """Return one place with what lies there."""
    return _location_lines(db, [custody_book.location_named(db, name)])[0]


def _location_lines(db: Session, places: Iterable[Location]) -> list[LocationLine]:
    lying: dict[str | None, list[str]] = {}
    events = custody_book.events_by_item(db)
    for item in custody_book.all_items(db):
        where = whereabouts(events.get(item.id, ())).location
        lying.setdefault(where, []).append(item_name(item))
    return [
        LocationLine(
            place.name,
            place.kind,
            place.region,
            place.holder.name if place.holder else None,
            place.access,
            place.lead_hours,
            lying.get(place.name, []),
        )
        for place in places
    ]


def add_holder(
    db: Session, name: str, limit_sats: int | None, *, contact: str | None
) -> HolderLine:
    """Store a person; raises AlreadyExists."""
    holder = custody_book.add_holder(
        db, name=checked_name(name), limit_sats=limit_sats, contact=contact
    )
    return HolderLine(holder.name, limit_sats, contact, [])


def holders(db: Session) -> list[HolderLine]:
    """Return every person with the places they can open."""
    places = custody_book.all_locations(db)
    return [
        HolderLine(
            holder.name,
            holder.limit_sats,
            holder.contact,
            [place.name for place in places if place.holder_id == holder.id],
        )
        for holder in custody_book.all_holders(db)
    ]


def record(db: Session, new_event: NewEvent) -> Recorded:
    """Append an event to the book; what happens to a bag happens to all that lies in it.

    Raises UsageError or NotFound.
    """
    require_known("event", new_event.event, EVENTS)
    if new_event.event in {"placed", "moved"} and new_event.at is None:
        raise UsageError(f"{new_event.event} needs --at LOCATION")
    item = item_named(db, new_event.item)
    if new_event.event == "sealed":
        bags.sealing(db, new_event.seal, clock.now())
    inside = bags.contents(db, item) if item.kind == bags.BAG else []
    late = behind_clock(db, clock.now())
    notices = [late] if late else []
    written = []
    for each in (item, *inside):
        before = [*custody_book.events_of(db, each)]
        (event,) = custody_book.record_events(db, [_happened(db, each, new_event)])
        written.append(event)
        gone = whereabouts([*before, event]).gone
        if gone is not None and event.event not in GONE:
            name = item_name(each)
            notices.append(
                Notice(
                    "still_gone",
                    Severity.WARNING,
                    f"{name} stays recorded as {gone}, {event.event} does not change that",
                    f"if it is back, cardquorum custody record {name} found --at LOCATION",
                    (name,),
                )
            )
    return Recorded(event_line(written[0]), notices)


def record_seen(db: Session, seen: Sequence[NewEvent]) -> None:
    """Append that things were seen, none of which is a bag; raises NotFound."""
    happened = [_happened(db, item_named(db, each.item), each) for each in seen]
    custody_book.record_events(db, happened)


def _happened(db: Session, item: Item, new_event: NewEvent) -> custody_book.Happened:
    now, at, photo = clock.now(), new_event.at, new_event.photo
    told = custody_book.Circumstances(
        location=custody_book.location_named(db, at) if at else None,
        texts={"seal": new_event.seal, "by": new_event.by, "note": new_event.note},
        happened_at=_moment(new_event.when, now) if new_event.when else now,
        recorded_at=now,
        photo_sha256=hashlib.sha256(read_bytes(photo)).digest() if photo else None,
    )
    return custody_book.Happened(item, new_event.event, told)


def item_named(db: Session, text: str) -> Item:
    """Return the thing meant by `kind:name`, or by a bare name that fits one; raises Ambiguous."""
    kind, colon, name = text.partition(":")
    found = [
        item
        for item in custody_book.all_items(db)
        if item.name == (name if colon else text) and (not colon or item.kind == kind)
    ]
    if not found:
        raise NotFound("item", text)
    if len(found) > 1:
        raise Ambiguous(text, [item_name(item) for item in found])
    return found[0]


def item_name(item: Item) -> str:
    """Return kind:name."""
    return f"{item.kind}:{item.name}"


def events(db: Session, item: str | None, *, home: Home) -> list[EventLine]:
    """Return the events of the book, all or one thing's, oldest first, each with its operator."""
    wanted = item_named(db, item) if item else None
    found = custody_book.events_of(db, wanted) if wanted else custody_book.all_events(db)
    correcting, who = _corrections(found), statement_checks.of_events(home, db, found)
    return [
        event_line(each)._replace(
            corrected_by=correcting.get(each.id), operator=who.get(each.id, NOBODY)
        )
        for each in found
    ]


def _corrections(told: Iterable[CustodyEvent]) -> dict[int, int]:
    """Return which event corrected which: a correction is of what its thing was said before."""
    last: dict[int, int] = {}
    found: dict[int, int] = {}
    for event in told:
        if event.event == "corrected" and event.item_id in last:
            found[last[event.item_id]] = event.id
        last[event.item_id] = event.id
    return found


def verify(db: Session, head: str | None) -> Verdict:
    """Return whether the chain of hashes holds, and holds the head given; raises UsageError."""
    printed = "".join(head.split()).lower() if head is not None else None
    if printed is not None and not HASH.fullmatch(printed):
        raise UsageError("a head is a hash of 64 hex digits")
    try:
        found = custody_book.verify(db)
    except ChainBroken as broken:
        return Verdict(valid=False, head=None, broken_at=broken.event_id)
    hashes = {event.hash.hex() for event in custody_book.all_events(db)}
    known = printed is None or printed in {*hashes, bytes(32).hex()}
    return Verdict(known, found.hex(), None, custody_book.count_unread(db))


def event_line(event: CustodyEvent) -> EventLine:
    """Return an event as it is shown."""
    return EventLine(
        event.id,
        event.said("item") or item_name(event.item),
        event.event,
        event.location.name if event.location else None,
        event.said("seal"),
        event.said("by"),
        event.said("note"),
        event.happened_at,
        event.recorded_at,
        event.photo_sha256,
        event.hash.hex(),
        event.previous.hex(),
    )


def called(db: Session, card: Card) -> str:
    """Return how a person is asked for a card: by its label, and where it is kept."""
    place, gone = where_is(db, card.item)
    kept = f", recorded as {gone}" if gone else f", kept at {place}" if place else ""
    return f"the card labelled {card.label}{kept}"


def _moment(text: str, now: datetime) -> datetime:
    try:
        moment = clock.parse(text)
    except (ValueError, OverflowError) as failure:
        raise UsageError(f"{text!r} is no ISO 8601 time") from failure
    if moment > now:
        raise UsageError(f"{clock.text(moment)} lies in the future")
    return moment


def exported(db: Session) -> Iterator[str]:
    """Yield the whole book as JSON lines, oldest event first: what is hashed, and its texts.

    `digests` are what the chain holds; `texts` open them, each with its salt, unless erased.
    examples/check_book.py checks such a file; DECISIONS.md 1 has the bytes.
    """
    for event in custody_book.all_events(db):
        told = {
            "id": event.id,
            "item_id": event.item_id,
            "event": event.event,
            "location_id": event.location_id,
            "happened_at": microseconds(event.happened_at),
            "recorded_at": microseconds(event.recorded_at),
            "photo_sha256": event.photo_sha256.hex() if event.photo_sha256 else None,
            "digests": {
                field: event.texts[field].digest.hex() if field in event.texts else None
                for field in TEXT_FIELDS
            },
            "texts": {
                field: {"salt": said.salt.hex(), "text": said.text}
                for field, said in event.texts.items()
                if said.salt is not None
            },
            "previous": event.previous.hex(),
            "hash": event.hash.hex(),
        }
        yield json_line(told)
