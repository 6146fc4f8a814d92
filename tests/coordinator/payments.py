"""A payment of two coins from a vault of two cards, and what can go wrong with the first."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from sqlalchemy.orm import Session, sessionmaker

from cards import emulation
from cards.family import EmulatedCard, Surroundings, TransientMemory, family_named
from cards.faults import (
    Delayed,
    Ejected,
    Fault,
    Faults,
    Flipped,
    Forced,
    Oversized,
    Torn,
    Truncated,
)
from cards.pin import Pin
from coordinator import signing
from coordinator.memory import FolderMemory
from coordinator.settings import Home, open_home
from storage import ceremonies as ceremony_book
from storage.database import open_database
from tests.contracts.subjects import PIN, Subject
from tests.program import asking

INPUTS = 2
STRANGER = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
WELL = "keycard"

# Every kind comes at every command; what it does there goes round with the command's number.
Kind = tuple[Fault, ...]
STATUS_WORDS = (0x9000, 0x6982, 0x6F00, 0x63C0, 0x6100, 0x6985)
KINDS: tuple[Kind, ...] = (
    (Torn(1, executed=False),),
    (Torn(1, executed=True),),
    tuple(Forced(sw) for sw in STATUS_WORDS),
    tuple(Truncated(size) for size in (0, 7, 1, 40)),
    tuple(Oversized(size) for size in (1, 300, 16)),
    tuple(Flipped(bit) for bit in (77, 3, 260, 1)),
    (Ejected(),),
    (Delayed(300),),
)
FOR_LONG = (Ejected(), Delayed(300))


class At:
    """A fault that comes at the Nth command; one that is for long stays."""

    def __init__(self, number: int, fault: Fault | None) -> None:
        self.number, self.fault = number, fault
        self.met = 0

    def meet(self, _apdu: bytes) -> Faults:
        self.met += 1
        stays = self.fault in FOR_LONG and self.met > self.number
        return (self.fault,) if self.fault and (stays or self.met == self.number) else ()

    def ejected(self) -> bool:
        return self.fault == Ejected() and self.met >= self.number


class Person:
    """Somebody who gives the right PIN, and says yes."""

    def __init__(self) -> None:
        self.pins: list[Pin] = []

    def pin_for(self, *_: object) -> Pin:
        self.pins.append(Pin(PIN))
        return self.pins[-1]

    def __getattr__(self, _name: str) -> Callable[..., None]:
        return lambda *_, **__: None


class Kept(NamedTuple):
    """A card as it lies in a drawer, and what the program remembers of it."""

    family: str
    state: bytes
    card_id: str
    memory: bytes | None

    def taken_out(self) -> tuple[EmulatedCard, Surroundings]:
        remembered = TransientMemory()
        if self.memory is not None:
            remembered.write(self.card_id, self.memory)
        return family_named(self.family).revive(self.state), Surroundings(memory=remembered)


@dataclass
class Payment:
    """A payment to be signed, as it was before anybody did."""

    home: Home
    ceremony: str
    faulty: Kept
    well: Kept
    database: sessionmaker[Session]

    def begin(self) -> None:
        """Forget what was signed."""
        with self.database.begin() as db:
            record = ceremony_book.ceremony_named(db, self.ceremony)
            for signature in record.signatures:
                db.delete(signature)
            record.state = "collecting"

    def rows(self) -> dict[str, int]:
        """Count the signatures of each card, all verified; the book itself must be whole."""
        connection = sqlite3.connect(self.home.database_url.database or "")
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        connection.close()
        with self.database.begin() as db:
            record = ceremony_book.ceremony_named(db, self.ceremony)
            signing.progress(record)
            cards = [each.card_id for each in record.signatures]
        return {"a": cards.count(1), "b": cards.count(2)}


@contextlib.contextmanager
def payment_of(subject: Subject, folder: Path) -> Iterator[Payment]:
    """Make a home in a folder, with both cards, their vault, two coins and a payment of them."""
    asked = asking(folder / "home")
    asked("init", "--network", "regtest")
    kinds = {"a": (subject.family.name, "--profile", subject.profile), "b": (WELL,)}
    kept = {}
    for label, kind in kinds.items():
        asked("emulate", "new", kind[0], label, *kind[1:])
        words = ("card", "enrol", label, "--emulated", label, "--pin-stdin")
        card = asked(*words, stdin=PIN.decode())["card"]
        home = open_home(folder / "home")
        _, state = emulation._read(home.emulated_cards / f"{label}.card")
        memory = FolderMemory(home.card_memory).read(card["card_id"])
        kept[label] = Kept(kind[0], state, card["card_id"], memory)
    asked("vault", "create", "v", "--threshold", "2", "--card", "a", "--card", "b")
    address = asked("address", "new", "v")["address"]
    asked("regtest", "fund", address, "100000", "--coins", str(INPUTS))
    asked("regtest", "mine", "1")
    made = asked("spend", "create", "v", "--drain", STRANGER, "--feerate", "2")
    database = open_database(home.database_url)
    try:
        yield Payment(home, made["ceremony"], kept["a"], kept["b"], database)
    finally:
        database.kw["bind"].dispose()
