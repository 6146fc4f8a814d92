"""What was mistyped about places, people, things and secrets is set right.

The book of events keeps what it said: a place or thing that events tell of is not renamed in them.
It is retired, one of the right name takes its place, and a *corrected* event says so.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from coordinator import clock
from coordinator.custody import card_secrets
from coordinator.custody import log as custody_log
from coordinator.errors import UsageError
from coordinator.names import checked_name, require_known
from storage import card_secrets as secret_book
from storage import cards as card_book
from storage import custody as custody_book
from storage import descriptors as copy_book
from storage.errors import AlreadyExists, SealLocked
from storage.model import Holder, Item, Location
from storage.sealing import is_locked


@dataclass(frozen=True)
class PlaceChange:
    """What of a place is changed; None leaves it, an empty text takes it away."""

    name: str | None = None
    kind: str | None = None
    region: str | None = None
    holder: str | None = None
    access: str | None = None
    lead_hours: int | None = None


def edit_location(db: Session, name: str, change: PlaceChange) -> custody_log.LocationLine:
    """Change a place; renamed, all that lies there comes along by a *corrected* event.

    Raises UsageError, NotFound, AlreadyExists or SealLocked.
    """
    _require_open(db)
    place = custody_book.location_named(db, name)
    if change.kind is not None:
        require_known("kind", change.kind, custody_log.KINDS)
        place.kind = change.kind
    place.region = _changed(place.region, change.region)
    place.access = _changed(place.access, change.access)
    place.lead_hours = place.lead_hours if change.lead_hours is None else change.lead_hours
    if change.holder is not None:
        bare = change.holder.removeprefix("holder:")
        place.holder = custody_book.holder_named(db, bare) if bare else None
    db.flush()
    if change.name is not None and change.name != place.name:
        place = _renamed_place(db, place, checked_name(change.name))
    return custody_log.location(db, place.name)


def remove_location(db: Session, name: str) -> custody_log.LocationLine:
    """Give up a place at which nothing lies and nothing is written; raises UsageError."""
    _require_open(db)
    line = custody_log.location(db, name)
    place = custody_book.location_named(db, line.name)
    if line.items:
        raise UsageError(
            f"{len(line.items)} things lie at {line.name}: {', '.join(line.items)}; "
            "record first where they are"
        )
    written = [each.label for each in secret_book.all_secrets(db) if place in each.written_at]
    if written:
        raise UsageError(
            f"{', '.join(written)} {'is' if len(written) == 1 else 'are'} written at {line.name}: "
            "take that back first, with secret edit --not-written-at"
        )
    custody_book.remove_location(db, place, clock.now())
    return line


def edit_holder(
    db: Session, name: str, *, new: str | None, limit_sats: int | None, contact: str | None
) -> custody_log.HolderLine:
    """Change a person; None leaves what it is for. Raises NotFound, AlreadyExists or SealLocked."""
    holder = _holder(db, name)
    if new is not None and new != holder.name:
        if any(each.name == new for each in custody_book.all_holders(db)):
            raise AlreadyExists("holder", new)
        holder.name = checked_name(new)
    holder.limit_sats = holder.limit_sats if limit_sats is None else limit_sats
    holder.contact = _changed(holder.contact, contact)
    db.flush()
    return next(each for each in custody_log.holders(db) if each.name == holder.name)


def remove_holder(db: Session, name: str) -> custody_log.HolderLine:
    """Forget a person who opens no place and knows no secret; raises UsageError."""
    holder = _holder(db, name)
    line = next(each for each in custody_log.holders(db) if each.name == holder.name)
    known = [each.label for each in secret_book.all_secrets(db) if holder in each.known_by]
    told = [f"can open {', '.join(line.locations)}"] if line.locations else []
    told += [f"knows {', '.join(known)}"] if known else []
    if told:
        raise UsageError(f"{line.name} {' and '.join(told)}: say first who does instead")
    custody_book.remove_holder(db, holder)
    return line


def edit_thing(db: Session, kinds: Sequence[str], text: str, *, new: str) -> str:
    """Rename a carrier or a copy (kind:name, or its name); return it as kind:name.

    Raises UsageError, NotFound, Ambiguous or AlreadyExists.
    """
    item = _thing(db, kinds, text)
    if new == item.name:
        return custody_log.item_name(item)
    if card_book.find_item(db, item.kind, checked_name(new)) is not None:
        raise AlreadyExists(item.kind, new)
    if not custody_book.has_events(db, item):
        item.name = new
        db.flush()
        return custody_log.item_name(item)
    now = clock.now()
    place, gone = custody_log.where_is(db, item)
    before = custody_log.item_name(item)
    _say(db, item, "corrected", note=f"called {new} from now on")
    item.retired_at = now
    right = card_book.add_item(db, item.kind, new, now=now)
    card_book.hand_over(db, item, right)
    copy_book.hand_over(db, item, right)
    at = custody_book.location_named(db, place) if place else None
    event = gone or ("placed" if at else "corrected")
    _say(db, right, event, note=f"called {before} before", at=at)
    return custody_log.item_name(right)


def remove_thing(db: Session, kinds: Sequence[str], text: str) -> str:
    """Take back that a carrier or a copy exists; return it as kind:name. The book keeps its events.

    Raises UsageError, NotFound or Ambiguous.
    """
    item = _thing(db, kinds, text)
    now = clock.now()
    held = [each.key for each in card_book.all_carriers(db) if each.item_id == item.id]
    card_book.retire_carriers(db, item, held, now=now)
    copy_book.remove_copy(db, item)
    if custody_book.has_events(db, item):
        _say(db, item, "corrected", note="taken back: it was noted by mistake")
    item.retired_at = now
    db.flush()
    return custody_log.item_name(item)


def edit_secret(
    db: Session,
    label: str,
    *,
    new: str | None,
    not_known_by: Iterable[str],
    not_written_at: Iterable[str],
) -> card_secrets.SecretLine:
    """Rename a secret, or take back who knows it and where it is written.

    Raises UsageError, NotFound or AlreadyExists.
    """
    secret = secret_book.secret_named(db, label)
    for who in not_known_by:
        holder = custody_book.holder_named(db, who)
        if holder not in secret.known_by:
            raise UsageError(f"{holder.name} is not said to know {label}")
        secret.known_by.remove(holder)
    for where in not_written_at:
        place = custody_book.location_named(db, where)
        if place not in secret.written_at:
            raise UsageError(f"{label} is not said to be written at {place.name}")
        secret.written_at.remove(place)
    if new is not None and new != label:
        secret_book.rename_secret(db, secret, checked_name(new))
    db.flush()
    return card_secrets.line(secret)


def remove_secret(db: Session, label: str) -> card_secrets.SecretLine:
    """Forget what is known of a secret; raises NotFound."""
    secret = secret_book.secret_named(db, label)
    line = card_secrets.line(secret)
    db.delete(secret)
    db.flush()
    return line


def _require_open(db: Session) -> None:
    if is_locked(db):
        raise SealLocked


def _changed(before: str | None, wanted: str | None) -> str | None:
    return before if wanted is None else wanted or None


def _holder(db: Session, name: str) -> Holder:
    _require_open(db)
    return custody_book.holder_named(db, name)


def _thing(db: Session, kinds: Sequence[str], text: str) -> Item:
    named = text if ":" in text or len(kinds) > 1 else f"{kinds[0]}:{text}"
    item = custody_log.item_named(db, named)
    if item.kind not in kinds:
        raise UsageError(f"{custody_log.item_name(item)} is not one of {', '.join(kinds)}")
    return item


def _renamed_place(db: Session, place: Location, name: str) -> Location:
    if not custody_book.has_events(db, place):
        if any(each.name == name for each in custody_book.all_locations(db)):
            raise AlreadyExists("location", name)
        place.name = name
        db.flush()
        return place
    lying = custody_log.location(db, place.name).items
    right = custody_book.add_location(
        db,
        name=name,
        kind=place.kind,
        region=place.region,
        holder=place.holder,
        access=place.access,
        lead_hours=place.lead_hours,
    )
    for secret in secret_book.all_secrets(db):
        if place in secret.written_at:
            secret.written_at = [right if each is place else each for each in secret.written_at]
    for thing in lying:
        item, note = custody_log.item_named(db, thing), f"{place.name} is {name}"
        _say(db, item, "corrected", note=note, at=right)
    custody_book.remove_location(db, place, clock.now())
    return right


def _say(db: Session, item: Item, event: str, *, note: str, at: Location | None = None) -> None:
    now = clock.now()
    custody_book.record_event(
        db,
        item,
        event,
        location=at,
        texts={"note": note, "seal": None, "by": None},
        happened_at=now,
        recorded_at=now,
    )
