"""Every fault at every command of `spend sign`: the other's work stays, and the rest is finished.

Two of two sign a payment of two coins: a card of each family and version where things go wrong,
and one that is well. What came of it is judged by the book, by the card and by a second session.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy.orm import Session, sessionmaker

from cards import emulation
from cards.errors import CardRemoved
from cards.family import EmulatedCard, Surroundings, TransientMemory, family_named
from cards.faults import (
    Delayed,
    Ejected,
    Fault,
    Faults,
    Faulty,
    Flipped,
    Forced,
    Oversized,
    Torn,
    Truncated,
)
from cards.pin import Pin
from cards.transport import CardTransport
from coordinator import ceremony as ceremonies
from coordinator import signing, wallet
from coordinator.ceremony import Outcome
from coordinator.memory import FolderMemory
from coordinator.settings import open_home
from coordinator.slots import Slot
from storage import ceremonies as ceremony_book
from storage.database import open_database
from tests.contracts.subjects import PIN, SUBJECTS, Subject, attempts
from tests.contracts.wires import Wire
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

    book: Path
    ceremony: str
    faulty: Kept
    well: Kept
    database: sessionmaker[Session]

    def begin(self) -> "Signing":
        """Return a session of this payment in which nobody has signed yet."""
        with self.database.begin() as db:
            record = ceremony_book.ceremony_named(db, self.ceremony)
            for signature in record.signatures:
                db.delete(signature)
            record.state = "collecting"
        return Signing(self)

    def rows(self) -> dict[str, int]:
        """Count the signatures of each card, all verified; the book itself must be whole."""
        connection = sqlite3.connect(self.book)
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        connection.close()
        with self.database.begin() as db:
            record = ceremony_book.ceremony_named(db, self.ceremony)
            signing.progress(record)
            cards = [each.card_id for each in record.signatures]
        return {"a": cards.count(1), "b": cards.count(2)}


class Signing:
    """The two cards of a payment on their readers."""

    def __init__(self, payment: Payment) -> None:
        self.payment = payment
        self.card, self.around = payment.faulty.taken_out()
        self.well, self.well_around = payment.well.taken_out()
        self.person = Person()
        self.wire: Wire | None = None

    def sign(self, pending: At) -> list[Outcome]:
        """Let both cards sign, with a fault on the way to the first."""

        def connect() -> CardTransport:
            if pending.ejected():
                raise CardRemoved("the card is ejected")
            self.wire = Wire(self.card)
            return Faulty(self.wire, pending, lambda _: None)

        slots = [
            Slot("a", emulated=True, connect=connect, surroundings=self.around),
            Slot("b", emulated=True, connect=self.well.insert, surroundings=self.well_around),
        ]
        return signing.sign(self.payment.database, self.payment.ceremony, slots, self.person)


@pytest.fixture(params=SUBJECTS, ids=str)
def subject(request: pytest.FixtureRequest) -> Subject:
    return request.param


@pytest.fixture
def payment(subject: Subject, tmp_path: Path) -> Iterator[Payment]:
    asked = asking(tmp_path / "home")
    asked("init", "--network", "regtest")
    kinds = {"a": (subject.family.name, "--profile", subject.profile), "b": (WELL,)}
    kept = {}
    for label, kind in kinds.items():
        asked("emulate", "new", kind[0], label, *kind[1:])
        words = ("card", "enrol", label, "--emulated", label, "--pin-stdin")
        card = asked(*words, stdin=PIN.decode())["card"]
        home = open_home(tmp_path / "home")
        _, state = emulation._read(home.emulated_cards / f"{label}.card")
        memory = FolderMemory(home.card_memory).read(card["card_id"])
        kept[label] = Kept(kind[0], state, card["card_id"], memory)
    asked("vault", "create", "v", "--threshold", "2", "--card", "a", "--card", "b")
    address = asked("address", "new", "v")["address"]
    asked("regtest", "fund", address, "100000", "--coins", str(INPUTS))
    asked("regtest", "mine", "1")
    made = asked("spend", "create", "v", "--drain", STRANGER, "--feerate", "2")
    book = Path(home.database_url.database or "")
    database = open_database(home.database_url)
    yield Payment(book, made["ceremony"], kept["a"], kept["b"], database)
    database.kw["bind"].dispose()


@pytest.fixture
def quick(payment: Payment, monkeypatch: pytest.MonkeyPatch) -> Payment:
    """Rule out mischances, idle time, and the review, which no card has a part in."""
    monkeypatch.setattr(emulation, "chance", lambda _one_in: False)
    monkeypatch.setattr(wallet, "reviewed", lambda *_, **__: None)
    monkeypatch.setattr(ceremonies, "SLICE", 0.02)
    return payment


def test_every_fault_at_every_command_of_a_payment(subject: Subject, quick: Payment) -> None:
    payment, straight = quick, At(0, None)
    found = payment.begin().sign(straight)
    assert [(o.label, o.signatures, o.error) for o in found] == [("a", 2, None), ("b", 2, None)]
    full = attempts(subject, payment.faulty.taken_out()[0])
    points = [
        At(number, kind[number % len(kind)])
        for number in range(1, straight.met + 1)
        for kind in kinds_at(number, subject)
    ]
    for fault in points:
        nothing_is_lost(subject, payment, fault, full)
    print(f"sweep: {len(points)} faults at {straight.met} commands")  # noqa: T201
    assert straight.met >= 8
    assert len(points) >= (64 if newest(subject) else 16)


def newest(subject: Subject) -> bool:
    return subject.profile == subject.family.profiles[-1]


def kinds_at(number: int, subject: Subject) -> Sequence[Kind]:
    """Every kind for the newest version of a family; the others take turns at two a command."""
    if newest(subject):
        return KINDS
    return KINDS[number % len(KINDS)], KINDS[(number + 3) % len(KINDS)]


def nothing_is_lost(subject: Subject, payment: Payment, fault: At, full: int | None) -> None:
    """Let a fault happen, then sign again without."""
    what = f"{fault.fault} at {fault.number}"
    threads = threading.enumerate()
    session = payment.begin()
    faulty, well = session.sign(fault)
    rows = payment.rows()
    assert (well.signatures, well.error, rows["b"]) == (INPUTS, None, INPUTS), what
    assert rows["a"] == faulty.signatures, what
    assert (faulty.error is None) is (faulty.signatures == INPUTS), what
    assert attempts(subject, subject.family.revive(session.card.state())) == full, what
    if faulty.error:
        rest, nothing = session.sign(At(0, None))
        assert (rest.error, rest.signatures) == (None, INPUTS - faulty.signatures), what
        assert (nothing.error, nothing.signatures) == (None, 0), what
        assert payment.rows() == {"a": INPUTS, "b": INPUTS}, what
    assert not any(any(pin.reveal()) for pin in session.person.pins), what
    assert threading.enumerate() == threads, what
