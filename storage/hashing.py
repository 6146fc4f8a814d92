"""The custody book's chain: which bytes of an event are hashed, and how."""

import hashlib
from datetime import UTC, datetime, timedelta

import cbor2

from storage.model import CustodyEvent
from storage.model.custody import TEXT_FIELDS

GENESIS = bytes(32)
TAG = b"cardquorum custody v1"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def text_digest(salt: bytes, text: str) -> bytes:
    """Return the digest under which a name or free text enters the chain."""
    return hashlib.sha256(salt + text.encode()).digest()


def canonical(event: CustodyEvent) -> bytes:
    """Return the bytes of an event that are hashed: a CBOR array, RFC 8949's core encoding."""
    return cbor2.dumps(
        [
            event.id,
            event.item_id,
            event.event,
            event.location_id,
            microseconds(event.happened_at),
            microseconds(event.recorded_at),
            event.photo_sha256,
            [event.texts[field].digest if field in event.texts else None for field in TEXT_FIELDS],
        ],
        canonical=True,
    )


def chained(previous: bytes, event: bytes) -> bytes:
    """Return the hash of an event's canonical bytes on top of the hash before it."""
    return hashlib.sha256(TAG + previous + event).digest()


def microseconds(moment: datetime) -> int:
    """Return a moment as whole microseconds since 1970."""
    return (moment - EPOCH) // timedelta(microseconds=1)
