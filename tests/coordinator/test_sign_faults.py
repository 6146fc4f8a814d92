"""Every fault at every command of `spend sign`: the other's work stays, and the rest is finished.

Two of two sign a payment of two coins: a card of each family and version where things go wrong,
and one that is well. What came of it is judged by the book, by the card and by a second session.
"""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from cards import emulation
from cards.errors import CardRemoved
from cards.faults import Faulty
from cards.transport import CardTransport
from coordinator import ceremony as ceremonies
from coordinator import signing, wallet
from coordinator.ceremony import Outcome
from coordinator.slots import Slot
from tests.contracts.subjects import SUBJECTS, Subject, attempts
from tests.contracts.wires import Wire
from tests.coordinator.payments import INPUTS, KINDS, At, Kind, Payment, Person, payment_of


class Signing:
    """The two cards of a payment on their readers."""

    def __init__(self, payment: Payment) -> None:
        payment.begin()
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
    with payment_of(subject, tmp_path) as made:
        yield made


@pytest.fixture
def quick(payment: Payment, monkeypatch: pytest.MonkeyPatch) -> Payment:
    """Rule out mischances, idle time, and the review, which no card has a part in."""
    monkeypatch.setattr(emulation, "chance", lambda _one_in: False)
    monkeypatch.setattr(wallet, "reviewed", lambda *_, **__: None)
    monkeypatch.setattr(ceremonies, "SLICE", 0.02)
    return payment


def test_every_fault_at_every_command_of_a_payment(subject: Subject, quick: Payment) -> None:
    payment, straight = quick, At(0, None)
    found = Signing(payment).sign(straight)
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
    session = Signing(payment)
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
