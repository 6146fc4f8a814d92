"""The custody book as a file that anyone can check without this program."""

from collections.abc import Iterator, Mapping

from sqlalchemy.orm import Session

from coordinator.shown_text import json_line
from storage import custody as custody_book
from storage.hashing import microseconds
from storage.model import CustodyEvent
from storage.model.custody import TEXT_FIELDS


def exported(db: Session) -> Iterator[str]:
    """Yield the whole book as JSON lines, oldest event first: what is hashed, and its texts.

    `digests` are what the chain holds; `texts` open them, each with its salt, unless erased.
    examples/check_book.py checks such a file; DECISIONS.md 1 has the bytes.
    """
    for event in custody_book.all_events(db):
        yield json_line(_said(event))


def _said(event: CustodyEvent) -> Mapping[str, object]:
    return {
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
