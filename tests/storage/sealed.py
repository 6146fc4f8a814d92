"""A home with secrets in it, and what of them can be found."""

import base64
from pathlib import Path

from sqlalchemy.orm import Session, sessionmaker

from storage import custody
from storage.encryption import Cost
from storage.model import CustodyEvent, Holder, Location
from tests.storage.making import NOW, add_card

Database = sessionmaker[Session]

CHEAP = Cost(n=1 << 4)
PASSPHRASE = b"correct horse battery"
SECRETS = (
    "aunt-mathilde",
    "+33-4-7204",
    "bank-lyon",
    "cellar-key-under-pot",
    "rhone",
    "moved-by-me",
    "behind-the-boiler",
)


def fill(db: Session) -> None:
    """Make two places in one region, one elsewhere, one nowhere, a person and three events."""
    aunt = custody.add_holder(db, "aunt-mathilde", 5, contact="+33-4-7204")
    place(db, "bank-lyon", "rhone", aunt, "cellar-key-under-pot")
    place(db, "attic", "rhone")
    place(db, "office", "jura")
    place(db, "shed", None)
    item = add_card(db, "blue").item
    happen(db, item, "bank-lyon", by="moved-by-me", note="behind-the-boiler", seal="B 17")
    happen(db, item, "attic")
    happen(db, item, None, note="a second note")


def place(
    db: Session,
    name: str,
    region: str | None,
    holder: Holder | None = None,
    access: str | None = None,
) -> Location:
    kind = "other"
    return custody.add_location(
        db, name=name, kind=kind, region=region, holder=holder, access=access, lead_hours=1
    )


def happen(db: Session, item: object, where: str | None, **texts: str | None) -> CustodyEvent:
    location = custody.location_named(db, where) if where else None
    moments = {"happened_at": NOW, "recorded_at": NOW}
    return custody.record_event(db, item, "seen", location=location, texts=texts, **moments)


def seen(database: Database) -> list[object]:
    """Return everything private as this session reads it."""
    with database.begin() as db:
        places = [
            (p.id, p.name, p.region, p.access, p.holder and p.holder.name)
            for p in sorted(custody.all_locations(db), key=lambda p: p.id)
        ]
        people = [(h.id, h.name, h.contact, h.limit_sats) for h in custody.all_holders(db)]
        texts = [
            {field: said.text for field, said in event.texts.items()}
            for event in custody.all_events(db)
        ]
        return [places, people, texts]


def raw_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def found_in(folder: Path) -> list[str]:
    raw = raw_bytes(folder)
    forms = {
        each: (each.encode(), each.encode().hex().encode(), base64.b64encode(each.encode())[:-4])
        for each in SECRETS
    }
    return [each for each, written in forms.items() if any(form in raw for form in written)]
