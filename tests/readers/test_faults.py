"""Each kind of fault, for each family, through a real PC/SC service: the same questions again."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cards import emulation
from cards.faults import Delayed, Ejected, Faulty
from cards.pcscd import Service
from cards.vpcd import VirtualReader
from coordinator import readers, signing, wallet
from coordinator.ceremony import Manner, Outcome
from tests.contracts.subjects import SUBJECTS, Subject, attempts
from tests.contracts.wires import Wire
from tests.coordinator.payments import INPUTS, KINDS, At, Payment, Person, payment_of
from tests.readers.conftest import NAMES, Put, holds_card, wait_until_empty

NEWEST = [subject for subject in SUBJECTS if subject.profile == subject.family.profiles[-1]]
BACK_WITHIN = 5.0
GONE_FOR = 1.0


class Bench:
    """Two virtual readers: the first card meets faults, the second is well."""

    def __init__(self, payment: Payment, service: Service, put: Put) -> None:
        self.payment, self.person = payment, Person()
        self.pending = At(0, None)
        self.card, _ = payment.faulty.taken_out()
        well, _ = payment.well.taken_out()
        wait_until_empty(NAMES)
        self.reader = VirtualReader(
            service.ports[NAMES[0]],
            lambda: Faulty(Wire(self.card), self.pending),
            lambda: not self.pending.ejected(),
        )
        put(1, well)
        self.is_back()

    def is_back(self) -> None:
        """Wait until the first card is on its reader."""
        waited = threading.Event()
        for _ in range(int(BACK_WITHIN / 0.05)):
            if holds_card(NAMES[0]):
                return
            waited.wait(0.05)
        pytest.fail("the card never came back")

    def sign(self, pending: At, wait_seconds: float) -> list[Outcome]:
        self.pending = pending
        home = self.payment.home
        slots = [readers.slot(home, NAMES[number]) for number in (0, 1)]
        manner = Manner(wait_seconds=wait_seconds)
        return signing.sign(
            self.payment.database, self.payment.ceremony, slots, self.person, manner
        )


@pytest.fixture(params=NEWEST, ids=str)
def subject(request: pytest.FixtureRequest) -> Subject:
    return request.param


@pytest.fixture
def bench(
    subject: Subject, tmp_path: Path, service: Service, put: Put, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bench]:
    with payment_of(subject, tmp_path) as payment:
        monkeypatch.setattr(emulation, "chance", lambda _one_in: False)
        monkeypatch.setattr(wallet, "reviewed", lambda *_, **__: None)
        made = Bench(payment, service, put)
        yield made
        made.reader.close()


def test_each_kind_of_fault_at_a_signature(subject: Subject, bench: Bench) -> None:
    payment, straight = bench.payment, At(0, None)
    full = attempts(subject, subject.family.revive(bench.card.state()))
    bench.sign(straight, 0.0)
    assert payment.rows() == {"a": INPUTS, "b": INPUTS}
    for kind in KINDS:
        fault = Delayed(30) if isinstance(kind[0], Delayed) else kind[0]
        bench.is_back()
        payment.begin()
        waits = GONE_FOR if fault == Ejected() else BACK_WITHIN
        faulty, well = bench.sign(At(straight.met - 1, fault), waits)
        rows = payment.rows()
        assert (well.signatures, well.error) == (INPUTS, None), fault
        assert rows == {"a": faulty.signatures, "b": INPUTS}, fault
        assert bench.pending.met >= bench.pending.number, fault
        assert attempts(subject, subject.family.revive(bench.card.state())) == full, fault
        bench.pending = At(0, None)
        bench.is_back()
        if faulty.error is not None:
            rest, _ = bench.sign(At(0, None), 0.0)
            assert (rest.error, rest.signatures) == (None, INPUTS - faulty.signatures), fault
        assert payment.rows() == {"a": INPUTS, "b": INPUTS}, fault
        assert not any(any(pin.reveal()) for pin in bench.person.pins), fault
    for thread in threading.enumerate():
        if thread.name.startswith("card "):
            thread.join(BACK_WITHIN)
            assert not thread.is_alive()
