"""A card is recognised at next to no cost beyond its own commands, and signs with few of them."""

import hashlib
import multiprocessing
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cards import pcsc
from cards.detection import detect
from cards.family import EmulatedCard, Surroundings
from cards.pcscd import Service
from cards.pin import Pin
from cards.session import BatchSigner
from cards.transport import CardTransport
from cards.vpcd import VirtualReader
from coordinator.home.settings import Home, create_home
from coordinator.readers import real_readers
from tests.contracts.subjects import ACCOUNT, PIN, SUBJECTS, Subject
from tests.contracts.wires import Wire
from tests.readers.conftest import NAMES, Put, wait_until_empty

RUNS = 50
SLACK = 3.0
INPUTS = 40
PER_COMMAND = 10
NEWEST = [subject for subject in SUBJECTS if subject.profile == subject.family.profiles[-1]]
# Commands per signature: of one key, and of a key each. A TAPSIGNER asks for one in eight again.
ONE_KEY = {"keycard": 1.0, "satochip": 1.0, "tapsigner": 1.5, "tangem": 1.0 / PER_COMMAND}
A_KEY_EACH = {"keycard": 1.0, "satochip": 2.0, "tapsigner": 1.5, "tangem": 2.0}

pytestmark = pytest.mark.bench


def fastest(*acts: Callable[[], object]) -> list[float]:
    """Return the seconds of the quickest run of each act; they take turns."""

    def seconds(act: Callable[[], object]) -> float:
        started = time.perf_counter()
        act()
        return time.perf_counter() - started

    rounds = [[seconds(act) for act in acts] for _ in range(RUNS)]
    return [min(times) for times in zip(*rounds, strict=True)]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return create_home(tmp_path / "home", "regtest")


@pytest.fixture(params=NEWEST, ids=str)
def subject(request: pytest.FixtureRequest) -> Subject:
    return request.param


def on_the_table(subject: Subject) -> EmulatedCard:
    """A card that says who it is before its PIN: a Tangem without a code, any other with one."""
    return subject.ready() if subject.family.identified_before_pin else subject.fresh()


def serve(port: int, subject: Subject) -> None:
    """Be a card in a virtual reader, in a process of its own, until it is ended."""
    VirtualReader(port, on_the_table(subject).insert, lambda: True)._thread.join()


@pytest.fixture
def reader(service: Service, subject: Subject) -> Iterator[str]:
    """A reader with a card of the family."""
    wait_until_empty(NAMES)
    words = (service.ports[NAMES[0]], subject)
    card = multiprocessing.get_context("fork").Process(target=serve, args=words)
    card.start()
    name = f"{NAMES[0]} 00 00"
    while pcsc.arrival(name, pcsc.ANY_CARD, 1.0) is None:
        assert card.is_alive()
    yield name
    card.terminate()
    card.join()
    wait_until_empty(NAMES)


def test_from_the_event_to_a_recognised_card(home: Home, subject: Subject, reader: str) -> None:
    """By the card's own commands: how many it takes is the protocol's, not the program's."""
    aid = subject.family.aid
    select = b"\x00\xa4\x04\x00" + bytes([len(aid)]) + aid + b"\x00"

    def recognised() -> None:
        assert pcsc.arrival(reader, pcsc.ANY_CARD, 0) is not None
        (found,) = real_readers.looked_at(home, [reader])
        assert found.card is not None

    def touched(commands: list[bytes]) -> None:
        card = pcsc.ReaderTransport(reader)
        for command in commands:
            card.transmit(command)
        card.close()

    wire = Wire(on_the_table(subject))
    detect(wire, Surroundings(look_only=True)).identity()
    own, bare, same = fastest(recognised, lambda: touched([select]), lambda: touched(wire.sent))
    print(  # noqa: T201 -- the figures
        f"{subject}: recognised with {len(wire.sent)} commands, in {own / bare:.2f} times a "
        f"connect and SELECT, in {own / same:.2f} times a connect and the same commands"
    )
    assert own / same <= SLACK


class Counted:
    """A card on a reader that counts its commands."""

    def __init__(self, inner: CardTransport) -> None:
        self.inner, self.close, self.sent = inner, inner.close, 0

    def transmit(self, apdu: bytes) -> bytes:
        self.sent += 1
        return self.inner.transmit(apdu)


def test_commands_per_signature_at_the_reader(put: Put, subject: Subject) -> None:
    counted = Counted(pcsc.ReaderTransport(put(0, subject.ready())))
    session = detect(counted, Surroundings())
    with Pin(PIN) as pin:
        session.unlock(pin)
    digests = [hashlib.sha256(bytes([number])).digest() for number in range(INPUTS)]
    session.sign((*ACCOUNT, 0, 0), digests[0])

    def cost(act: Callable[[], object]) -> float:
        before = counted.sent
        act()
        return (counted.sent - before) / INPUTS

    def one_key() -> None:
        if isinstance(session, BatchSigner):
            session.sign_batch((*ACCOUNT, 0, 0), digests)
        else:
            for digest in digests:
                session.sign((*ACCOUNT, 0, 0), digest)

    def a_key_each() -> None:
        for number, digest in enumerate(digests, 1):
            session.sign((*ACCOUNT, 0, number), digest)

    one, each = cost(one_key), cost(a_key_each)
    session.close()
    counted.close()
    print(  # noqa: T201 -- the figures
        f"{subject}: {one:.3f} commands per signature of one key, {each:.3f} of a key each"
    )
    assert one <= ONE_KEY[subject.family.name]
    assert each <= A_KEY_EACH[subject.family.name]
