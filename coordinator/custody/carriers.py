"""Things besides cards that bring a key back: plates, words on paper, encrypted backups."""

from typing import NamedTuple

from sqlalchemy.orm import Session

from coordinator import clock
from coordinator.custody import log as custody_log
from coordinator.errors import Ambiguous
from coordinator.names import checked_name, require_known
from storage import cards as card_book
from storage.errors import NotFound
from storage.model import Carrier, Key

KINDS = ("plate", "words", "backup-file", "backup-key")


class CarrierLine(NamedTuple):
    """A thing besides a card that brings a key back, as it is shown."""

    carrier: str
    kind: str
    label: str
    key: str
    location: str | None
    gone: str | None


def add(db: Session, network: str, of: str, *, kind: str, label: str) -> CarrierLine:
    """Remember a thing that brings a key back, or a card's: a file and its key do together.

    Raises UsageError, NotFound, Ambiguous or AlreadyExists.
    """
    require_known("kind", kind, KINDS)
    key = _key_meant(db, network, of)
    item = card_book.add_item(db, kind, checked_name(label), now=clock.now())
    return _line(db, card_book.add_carrier(db, key, item, now=clock.now()))


def listed(db: Session) -> list[CarrierLine]:
    """Return every such thing, with its key and its place."""
    carriers = card_book.all_carriers(db)
    return [_line(db, carrier) for carrier in carriers if carrier.item.kind in KINDS]


def note_backup(db: Session, card: str, network: str) -> CarrierLine:
    """Remember that a card's encrypted backup was written to a file."""
    label = card_book.free_item_name(db, "backup-file", card)
    return add(db, network, f"card:{card}", kind="backup-file", label=label)


def _key_meant(db: Session, network: str, text: str) -> Key:
    """Return the key of `card:x` or `key:x`, or of a bare name that fits one key."""
    kind, colon, name = text.rpartition(":")
    found: dict[str, Key] = {}
    if kind in {"card", ""} and card_book.find_card(db, name):
        found[f"card:{name}"] = card_book.key_of_card(db, name, network)
    if kind in {"key", ""}:
        found |= {f"key:{key.label}": key for key in card_book.all_keys(db) if key.label == name}
    if not found:
        raise NotFound(kind or "card or key" if colon else "card or key", name)
    if len({key.id for key in found.values()}) > 1:
        raise Ambiguous(text, list(found))
    return next(iter(found.values()))


def _line(db: Session, carrier: Carrier) -> CarrierLine:
    item = carrier.item
    place, gone = custody_log.where_is(db, item)
    name = custody_log.item_name(item)
    return CarrierLine(name, item.kind, item.name, carrier.key.label, place, gone)
