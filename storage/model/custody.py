"""Places, people, and the book of what happened to each item."""

from datetime import datetime

from sqlalchemy import Connection, ForeignKey, event
from sqlalchemy.orm import Mapped, Mapper, attribute_keyed_dict, mapped_column, relationship

from storage.errors import StorageError
from storage.model.cards import Item
from storage.model.record import Check, Id, Record, Sats, at_least, one_of, sized

LOCATION_KINDS = ("bank-vault", "friend", "home", "office", "other")
CUSTODY_EVENTS = (
    "placed",
    "moved",
    "seen",
    "sealed",
    "opened",
    "lost",
    "stolen",
    "found",
    "destroyed",
    "corrected",
)
TEXT_FIELDS = ("item", "location", "by", "seal", "note")
PRIVATE_TEXTS = ("location", "by", "note")


class Holder(Record):
    """Somebody who can open places, and how much they should be able to lose."""

    __tablename__ = "holder"
    __table_args__ = (at_least("limit_sats", 0),)

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(unique=True)
    limit_sats: Mapped[Sats | None]
    contact: Mapped[str | None]
    sealed: Mapped[bytes | None]


class Location(Record):
    """A place, the region whose fate it shares, and the holder who can open it.

    One that was given up is retired: events still tell of it.
    """

    __tablename__ = "location"
    __table_args__ = (one_of("kind", LOCATION_KINDS), at_least("lead_hours", 0))

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    region: Mapped[str | None]
    holder_id: Mapped[int | None] = mapped_column(ForeignKey("holder.id"))
    access: Mapped[str | None]
    lead_hours: Mapped[int | None]
    sealed: Mapped[bytes | None]
    retired_at: Mapped[datetime | None]
    holder: Mapped[Holder | None] = relationship(lazy="joined")


class CustodyEvent(Record):
    """What happened to an item; never updated, and hashed onto the event before it.

    It is read by outer joins: an event whose item somebody removed must not vanish with it.
    """

    __tablename__ = "custody_event"
    __table_args__ = (
        one_of("event", CUSTODY_EVENTS),
        sized("photo_sha256", 32),
        sized("previous", 32),
        sized("hash", 32),
    )

    id: Mapped[Id]
    item_id: Mapped[int] = mapped_column(ForeignKey("item.id"), index=True)
    event: Mapped[str]
    location_id: Mapped[int | None] = mapped_column(ForeignKey("location.id"))
    happened_at: Mapped[datetime]
    recorded_at: Mapped[datetime]
    photo_sha256: Mapped[bytes | None]
    previous: Mapped[bytes] = mapped_column(unique=True)
    hash: Mapped[bytes] = mapped_column(unique=True)
    item: Mapped[Item] = relationship(lazy="joined")
    location: Mapped[Location | None] = relationship(lazy="joined")
    texts: Mapped[dict[str, "CustodyText"]] = relationship(
        lazy="selectin", collection_class=attribute_keyed_dict("field")
    )

    def said(self, field: str) -> str | None:
        """Return the text of a field; None where there is none, or where it was erased."""
        return self.texts[field].text if field in self.texts else None


class CustodyText(Record):
    """A name or a free text of an event: the chain holds its digest, so text and salt may go."""

    __tablename__ = "custody_text"
    __table_args__ = (
        one_of("field", TEXT_FIELDS),
        sized("salt", 32),
        sized("digest", 32),
        Check("(text IS NULL) = (salt IS NULL)", name="erased_whole"),
    )

    event_id: Mapped[int] = mapped_column(ForeignKey("custody_event.id"), primary_key=True)
    field: Mapped[str] = mapped_column(primary_key=True)
    salt: Mapped[bytes | None]
    digest: Mapped[bytes]
    text: Mapped[str | None]
    sealed: Mapped[bytes | None]


@event.listens_for(CustodyEvent, "before_update")
@event.listens_for(CustodyEvent, "before_delete")
@event.listens_for(CustodyText, "before_delete")
def _refuse(_mapper: Mapper[Record], _connection: Connection, _row: Record) -> None:
    raise StorageError("the custody book is only ever appended to")


@event.listens_for(CustodyText, "before_update")
def _refuse_all_but_erasing(
    mapper: Mapper[Record], connection: Connection, row: CustodyText
) -> None:
    if row.text is not None or row.sealed is not None:
        _refuse(mapper, connection, row)
