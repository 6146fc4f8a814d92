"""Private rows: places, people and what is told of an event, each readable or sealed.

In a sealed home each of these rows keeps its private fields encrypted in a column of its own; the
columns themselves hold a stand-in (`location.3`, `region.1f0c22d8`, `holder.2`, or nothing). So
whoever lacks the passphrase goes on working with stand-ins, and may write, while a session with
the opening key finds the names where they always were.
No name holds a dot, so no stand-in is ever somebody's name.
"""

from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, event, func, select
from sqlalchemy.orm import Mapper, Session, object_session
from sqlalchemy.orm.attributes import get_history, set_committed_value

from storage.database import APPROVES
from storage.errors import SealBroken, SealLocked
from storage.model import CustodyText, Holder, Location, Record, Seal
from storage.model.custody import PRIVATE_TEXTS

if TYPE_CHECKING:
    from storage.encryption import OpeningKey

Private = Holder | Location | CustodyText

FIELDS: dict[type[Record], tuple[str, ...]] = {
    Holder: ("name", "contact"),
    Location: ("name", "region", "access"),
    CustodyText: ("salt", "text"),
}
OPENING_KEY = "opening_key"


def opening_key_of(db: Session) -> "OpeningKey":
    """Return the session's opening key; raises SealLocked."""
    opening_key: OpeningKey | None = db.info.get(OPENING_KEY)
    if opening_key is None:
        raise SealLocked
    return opening_key


def sealing_key_in(db: Session | Connection) -> bytes | None:
    """Return the key the home is sealed with; None where it is not sealed."""
    return db.scalar(select(Seal.sealing_key))


def enclosed(row: Private, sealing_key: bytes, opening_key: "OpeningKey | None") -> dict[str, Any]:
    """Return a row's private fields encrypted, and what stands in for them."""
    from storage.encryption import seal  # noqa: PLC0415 -- costs 15 ms

    content = {field: getattr(row, field) for field in FIELDS[type(row)]}
    return {
        **_stand_ins(row, opening_key),
        "sealed": seal(sealing_key, belongs_to(row), content),
    }


def _stand_ins(row: Private, opening_key: "OpeningKey | None") -> dict[str, Any]:
    absent = dict.fromkeys(FIELDS[type(row)])
    if isinstance(row, CustodyText):
        return absent
    if isinstance(row, Holder) or row.region is None:
        return {**absent, "name": stand_in(row)}
    if opening_key is None:
        raise SealLocked
    return {**absent, "name": stand_in(row), "region": f"region.{opening_key.tag(row.region)}"}


def stand_in(row: Holder | Location) -> str:
    """Return what a place or person is called without the passphrase."""
    return f"{row.__tablename__}.{row.id}"


def belongs_to(row: Private) -> str:
    """Return which row a sealed one is."""
    if isinstance(row, CustodyText):
        return f"{row.field} of event {row.event_id}"
    return f"{row.__tablename__} {row.id}"


def _enclose(row: Private, sealing_key: bytes) -> None:
    session = object_session(row)
    opening_key = session.info.get(OPENING_KEY) if session else None
    for field, value in enclosed(row, sealing_key, opening_key).items():
        setattr(row, field, value)


@event.listens_for(Holder, "before_insert")
@event.listens_for(Location, "before_insert")
@event.listens_for(CustodyText, "before_insert")
def _enclose_new(_mapper: Mapper[Any], connection: Connection, row: Private) -> None:
    """Never let a new private row reach a sealed home's file as plain text."""
    if isinstance(row, CustodyText) and row.field not in PRIVATE_TEXTS:
        return
    sealing_key = sealing_key_in(object_session(row) or connection)
    _refuse_unapproved(row, sealing_key)
    if sealing_key is None:
        return
    if not isinstance(row, CustodyText) and row.id is None:
        if connection.dialect.name == "sqlite":
            row.id = (connection.scalar(select(func.max(type(row).id))) or 0) + 1
        else:  # as the server counts them
            counter = func.nextval(func.pg_get_serial_sequence(row.__tablename__, "id"))
            row.id = int(connection.scalar(select(counter)) or 0)
    _enclose(row, sealing_key)


def _refuse_unapproved(row: Private, sealing_key: bytes | None) -> None:
    """Raise where the home does not approve of what a new private row would be sealed to."""
    session = object_session(row)
    approves = session.info.get(APPROVES) if session else None
    if session is not None and approves is not None:
        approves(session, sealing_key, OPENING_KEY in session.info)


@event.listens_for(Holder, "before_update")
@event.listens_for(Location, "before_update")
def _enclose_changed(_mapper: Mapper[Any], connection: Connection, row: Holder | Location) -> None:
    """Seal a row anew where a private field changes; only who can read the old one may."""
    sealing_key = sealing_key_in(object_session(row) or connection)
    changed = any(get_history(row, field).has_changes() for field in FIELDS[type(row)])
    if changed:
        _refuse_unapproved(row, sealing_key)
    if row.sealed is None or sealing_key is None or not changed:
        return
    session = object_session(row)
    if session is None or OPENING_KEY not in session.info:
        raise SealLocked
    _enclose(row, sealing_key)


def _reveal(row: Private, *_: object) -> None:
    session = object_session(row)
    opening_key: OpeningKey | None = session.info.get(OPENING_KEY) if session else None
    if row.sealed is None or opening_key is None:
        return
    content = opening_key.open(row.sealed, belongs_to(row))
    if set(content) != set(FIELDS[type(row)]):
        raise SealBroken(belongs_to(row))
    for field, value in content.items():
        set_committed_value(row, field, value)


def _reveal_stored(_mapper: Mapper[Any], _connection: Connection, row: Private) -> None:
    _reveal(row)


for _kind in FIELDS:
    event.listen(_kind, "load", _reveal)
    event.listen(_kind, "refresh", _reveal)
    event.listen(_kind, "after_insert", _reveal_stored)
    event.listen(_kind, "after_update", _reveal_stored)
