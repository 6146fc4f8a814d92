"""A PC/SC service of the tests' own, with eight virtual readers; never the system's.

`put(number, card)` puts an emulated card into reader `number` and returns the reader's name; all
cards are taken out after each test. One service for the whole run: libpcsclite remembers where
it was.
"""

import contextlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cards import pcsc, pcscd
from cards.emulation import open_card
from cards.family import EmulatedCard
from cards.pcscd import Service
from cards.transport import CardTransport
from cards.vpcd import VirtualReader
from tests.conftest import READERS
from tests.judges import REQUIRE_ALL
from tests.patience import SECONDS
from tests.program import PIN, UNPROVED, Asked

NAMES = [f"virtual {number}" for number in range(pcscd.READERS_MAX)]
TRIES = 4
Put = Callable[..., str]
PutCard = Callable[[int, str], str]
CARDS = {"a": "satochip", "b": "tapsigner", "c": "keycard"}
PINS = "".join(f"{label}={PIN}\n" for label in CARDS)


@pytest.fixture(scope="session")
def service() -> Iterator[Service]:
    reason = pcscd.missing()
    if reason is not None and os.environ.get(REQUIRE_ALL) != "1":
        pytest.skip(reason)
    pytest.importorskip("smartcard.scard", reason="pyscard is not installed")
    with pcscd.private_pcscd(READERS, NAMES) as running:
        assert running.environment.items() <= os.environ.items()
        yield running


class ReaderInHand(VirtualReader):
    """A virtual reader whose card a test takes out and puts back."""

    def __init__(self, port: int, connect: Callable[[], CardTransport]) -> None:
        self._in = threading.Event()
        self._in.set()
        super().__init__(port, connect, self._in.is_set)

    def eject(self) -> None:
        self._in.clear()

    def insert(self) -> None:
        self._in.set()


@pytest.fixture
def put(service: Service) -> Iterator[Put]:
    with contextlib.ExitStack() as inside:

        def insert(number: int, card: EmulatedCard | Callable[[], CardTransport]) -> str:
            connect = card if callable(card) else card.insert
            if number in insert.readers:
                insert.readers[number].close()
            wait_until_empty([NAMES[number]])
            name = f"{NAMES[number]} 00 00"
            for _ in range(TRIES):  # a virtual reader at times misses that its card was put in
                reader = ReaderInHand(service.ports[NAMES[number]], connect)
                inside.callback(reader.close)
                insert.readers[number] = reader
                if pcsc.arrival(name, pcsc.ANY_CARD, SECONDS / TRIES) is not None:
                    return name
                reader.close()
            pytest.fail(f"{name} saw no card")

        insert.readers = {}
        yield insert
    wait_until_empty(NAMES)


def wait_until_empty(names: list[str]) -> None:
    deadline = time.monotonic() + SECONDS
    while any(holds_card(name) for name in names) and time.monotonic() < deadline:
        time.sleep(0.02)


def holds_card(name: str) -> bool:
    return pcsc.arrival(f"{name} 00 00", pcsc.ANY_CARD, 0) is not None


@pytest.fixture
def served(service: Service) -> Path:
    return service.socket


def reader(number: int) -> str:
    return f"{NAMES[number]} 00 00"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def put_card(put: Put, home: Path) -> PutCard:
    """Put the card of that name into a reader."""

    def insert(number: int, label: str) -> str:
        return put(number, lambda: open_card(home / "emulated" / f"{label}.card"))

    return insert


@pytest.fixture(scope="session")
def with_payment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the home lies that the first test with a payment made."""
    return tmp_path_factory.mktemp("readers") / "with-payment"


@pytest.fixture
def ceremony(asked: Asked, home: Path, put_card: PutCard, with_payment: Path) -> str:
    """A 2-of-3 of three makers, enrolled through readers 0 to 2, with a payment to sign.

    It is made once per process and copied.
    """
    if with_payment.exists():
        shutil.copytree(with_payment, home)
        for number, label in enumerate(CARDS):
            put_card(number, label)
    else:
        make_payment(asked, put_card)
        shutil.copytree(home, with_payment)
    (listed,) = asked("spend", "list")["ceremonies"]
    return str(listed["ceremony"])


def make_payment(asked: Asked, put_card: PutCard) -> None:
    asked("init", "--network", "regtest")
    for number, (label, family) in enumerate(CARDS.items()):
        asked("emulate", "new", family, label)
        put_card(number, label)
        words = ("card", "enrol", label, "--reader", reader(number), "--pin-stdin")
        assert not asked(*words, stdin=PIN)["card"]["emulated"]
        asked("location", "add", f"at-{label}", "--kind", "home")
        asked("custody", "record", f"card:{label}", "placed", "--at", f"at-{label}")
    cards = [word for label in CARDS for word in ("--card", label)]
    asked("vault", "create", "v", "--threshold", "2", *cards)
    proved = asked("vault", "verify", "v", "--pin-stdin", stdin=PINS)
    assert (proved["verified"], proved["missing"]) == (list(CARDS), [])
    address = asked("address", "new", "v", *UNPROVED)["address"]
    asked("regtest", "fund", address, "1000000", "--coins", "4")
    asked("regtest", "mine", "1")
    to = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080:3500000"
    asked("spend", "create", "v", "--to", to, "--feerate", "5")
