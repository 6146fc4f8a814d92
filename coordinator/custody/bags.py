"""Tamper-evident bags: which one a thing lies sealed in, and whether it still holds."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from sqlalchemy.orm import Session

from coordinator.errors import UsageError
from coordinator.names import checked_name
from storage import cards as card_book
from storage import custody as custody_book
from storage.model import CustodyEvent, Item

BAG = "bag"


class BagFacts(NamedTuple):
    """The tamper-evident bag a thing was last sealed in, and whether it still holds.

    `opened` is when it was found open; `other` the serial that was read on it instead.
    """

    serial: str
    opened: datetime | None = None
    other: str | None = None


def bag_of(events: Iterable[CustodyEvent]) -> BagFacts | None:
    """Read a thing's events in order and return the bag it was last sealed in.

    A correction that names a serial takes back what was said of another, or of it being open.
    """
    bag: BagFacts | None = None
    for event in events:
        serial = event.said("seal")
        if event.event in {"sealed", "corrected"} and serial is not None:
            bag = BagFacts(serial)
        elif bag is not None and event.event == "opened":
            bag = bag._replace(opened=event.happened_at)
        elif bag is not None and serial not in {None, bag.serial}:
            bag = bag._replace(other=serial)
    return bag


def contents(db: Session, bag: Item, *, opened: bool = False) -> list[Item]:
    """Return what lies sealed in a bag, by the book, or in one that is `opened` by now."""
    found = []
    for item in custody_book.all_items(db):
        sealed = bag_of(custody_book.events_of(db, item)) if item.kind != BAG else None
        if sealed is not None and sealed.serial == bag.name and (opened or sealed.opened is None):
            found.append(item)
    return found


def sealing(db: Session, serial: str | None, now: datetime) -> None:
    """Know the bag of this serial from now on; raises UsageError for one that was opened."""
    if serial is None:
        raise UsageError("sealed needs --seal SERIAL: the number on the bag")
    known = card_book.find_item(db, BAG, serial)
    if known is None:
        card_book.add_item(db, BAG, checked_name(serial), now=now)
    elif any(event.event == "opened" for event in custody_book.events_of(db, known)):
        raise UsageError(f"bag {serial} was opened before: it cannot be sealed again")
