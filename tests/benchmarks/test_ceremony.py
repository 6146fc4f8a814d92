"""Cards sign at their own pace: the program adds next to nothing to it."""

import time
from pathlib import Path

import pytest

from cards.errors import CardRemoved
from cards.transport import CardTransport
from coordinator.home.settings import open_home
from coordinator.payment.ceremonies import sign
from coordinator.readers import emulated
from coordinator.readers.slots import Slot
from coordinator.signing.collector import Outcome, WaitPolicy
from storage.database import open_database
from tests.coordinator.signing.test_card_signer import Person
from tests.program import UNPROVED, Asked

INPUTS = 40
SECONDS = 0.3
SIGN = 0xC0
"""A Keycard says which instruction it is, even inside its channel."""
SLACK_PARALLEL, SLACK_ONE_READER, SLACK_THREE = 1.03, 1.03, 1.05

pytestmark = pytest.mark.bench


class Slow:
    """A card that takes its time for a signature, and for nothing else."""

    def __init__(self, inner: CardTransport, instruction: int) -> None:
        self.inner, self.instruction = inner, instruction
        self.close = inner.close

    def transmit(self, apdu: bytes) -> bytes:
        started = time.monotonic()
        answer = self.inner.transmit(apdu)
        if apdu[1] == self.instruction:
            time.sleep(max(0.0, SECONDS - (time.monotonic() - started)))
        return answer


class Agreeing(Person):
    def pin_for(self, label: str, card: object) -> object:
        super().pin_for(label, card)
        from cards.pin import Pin  # noqa: PLC0415 -- as the program does

        return Pin(b"123456")

    def confirm(self, _review: object) -> None:
        return


@pytest.fixture
def run(asked: Asked, tmp_path: Path):  # noqa: ANN201 -- a closure of the fixture
    """Return what signs a fresh payment of 40 coins with the slots made of a home."""
    asked("init", "--network", "regtest")
    for label in "abc":
        asked("emulate", "new", "keycard", label, "--profile", "3.2")
        asked("card", "enrol", label, "--emulated", label, "--pin-stdin", stdin="123456")
    cards = ("--card", "a", "--card", "b", "--card", "c")
    for vault, threshold in (("v", "2"), ("w", "3")):
        asked("vault", "create", vault, "--threshold", threshold, *cards)
        address = asked("address", "new", vault, *UNPROVED)["address"]
        asked("regtest", "fund", address, "100000", "--coins", str(INPUTS))
    asked("regtest", "mine", "1")

    def signing(*labels: str, one_reader: bool = False) -> tuple[float, list[Outcome]]:
        to = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
        vault = "w" if len(labels) > 2 else "v"  # no more cards sign than the quorum needs
        ceremony = asked("spend", "create", vault, "--drain", to, "--feerate", "1")["ceremony"]
        home = open_home(tmp_path / "home")
        slots = [slow(emulated.slot(home, label)) for label in labels]
        offered = [swapped(slots)] if one_reader else slots
        database = open_database(home.database_url)
        started = time.monotonic()
        outcomes, _ = sign(
            home,
            database,
            ceremony,
            offered=offered,
            attendant=Agreeing(),
            wait_policy=WaitPolicy(wait_seconds=10),
        )
        wall = time.monotonic() - started
        database.kw["bind"].dispose()
        asked("spend", "abandon", ceremony)
        assert [outcome.signatures for outcome in outcomes] == [INPUTS] * len(labels)
        return wall, outcomes

    return signing


def slow(slot: Slot) -> Slot:
    return slot._replace(connect=lambda: Slow(slot.connect(), SIGN))


def swapped(slots: list[Slot]) -> Slot:
    """One reader in which the next card lies as soon as it is asked for."""
    inside = [0]

    def connect() -> CardTransport:
        if inside[0] >= len(slots):
            raise CardRemoved("empty")
        return slots[inside[0]].connect()

    def arrival(seen: int, _seconds: float) -> int | None:
        inside[0] = seen + 1
        return inside[0] if inside[0] < len(slots) else None

    return slots[0]._replace(name="reader", connect=connect, arrival=arrival)


def test_cards_are_never_kept_waiting(run) -> None:  # noqa: ANN001 -- a closure of the fixture
    wall, outcomes = run("a", "b")
    parallel = wall / max(outcome.seconds for outcome in outcomes)
    wall, outcomes = run("a", "b", one_reader=True)
    in_turn = wall / sum(outcome.seconds for outcome in outcomes)
    one, _ = run("a")
    three, _ = run("a", "b", "c")
    print(  # noqa: T201 -- the figures
        f"two readers {parallel:.3f}, one reader {in_turn:.3f}, three to one {three / one:.3f}"
    )
    assert parallel <= SLACK_PARALLEL
    assert in_turn <= SLACK_ONE_READER
    assert three / one <= SLACK_THREE
