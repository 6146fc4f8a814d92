"""A fault of each kind for each family over the real service: it goes on, nothing is spent."""

from pathlib import Path

import pytest

from cards.emulation import open_card
from cards.family import families
from cards.faults import Fault, Faulty, Flipped, Forced, Oversized, Torn, Truncated
from cards.transport import CardTransport
from tests.listed_faults import Listed
from tests.program import PIN, UNPROVED, Asked
from tests.readers.conftest import Put, reader

INPUTS = 3
FAULTS: tuple[Fault, ...] = (
    Torn(6, executed=False),
    Torn(6, executed=True),
    Forced(0x6F00, 5),
    Truncated(3, 6),
    Oversized(40, 6),
    Flipped(77, 7),
)


class Card:
    """The card of a file, with faults on the way to it that happen once, power lost or not."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.faults = Listed()

    def insert(self) -> CardTransport:
        return Faulty(open_card(self.path), self.faults)


FAMILIES = [family.name for family in families()]


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["some", pytest.param("all", marks=pytest.mark.matrix)])
def faults(request: pytest.FixtureRequest, family: str) -> tuple[Fault, ...]:
    """Return every fault in `make test-all`; in `make test` each family meets every other one.

    Each family meets each of them at each command, without a service, in
    tests/coordinator/payment/test_sign_faults.py.
    """
    return FAULTS if request.param == "all" else FAULTS[FAMILIES.index(family) % 2 :: 2]


@pytest.fixture
def card(asked: Asked, home: Path, put: Put, family: str) -> Card:
    """A card of that family in reader 0, and a vault of its key alone with coins."""
    asked("init", "--network", "regtest")
    asked("emulate", "new", family, "x")
    found = Card(home / "emulated" / "x.card")
    put(0, found.insert)
    asked("card", "enrol", "x", "--reader", reader(0), "--pin-stdin", stdin=PIN)
    asked("vault", "create", "v", "--threshold", "1", "--card", "x")
    address = asked("address", "new", "v", *UNPROVED)["address"]
    asked("regtest", "fund", address, "100000", "--coins", str(INPUTS * len(FAULTS)))
    asked("regtest", "mine", "1")
    return found


def seen(asked: Asked) -> dict[str, object]:
    """Return what the card in reader 0 says of itself, attempts left among it."""
    found = {each["name"]: each for each in asked("reader", "list")["readers"]}[reader(0)]
    return {"card": found["card"], "error": found["error"]}


def pay(asked: Asked) -> str:
    """Open a payment of three coins."""
    to = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080:250000"
    return str(asked("spend", "create", "v", "--to", to, "--feerate", "2")["ceremony"])


def test_a_payment_goes_on_after_every_fault(
    asked: Asked, card: Card, faults: tuple[Fault, ...]
) -> None:
    before = seen(asked)
    for fault in faults:
        ceremony = pay(asked)
        card.faults.faults = (fault,)
        words = ("spend", "sign", ceremony, "--reader", reader(0), "--pin-stdin", "--yes")
        first = asked(*words, "--wait", "5", stdin=f"x={PIN}", check=None)
        assert card.faults.faults == (), fault
        kept = first["cards"][0]["signatures"]
        assert (kept == INPUTS) == (first["cards"][0]["error"] is None), fault
        if kept < INPUTS:
            again = asked(*words, "--wait", "60", stdin=f"x={PIN}")["cards"][0]
            assert (again["signatures"], again["error"]) == (INPUTS - kept, None), fault
        assert asked("spend", "finalize", ceremony)["txid"]
        assert seen(asked) == before, fault
    assert asked("custody", "verify")["valid"]
