"""Power lost at any command of a set-up: what is said to do next ends with the right key."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy.orm import Session, sessionmaker

from cards.errors import CardRemoved, NotSupported
from cards.family import CardFamily, Surroundings, families
from cards.faults import Torn
from cards.pin import Pin, Secret
from cards.session import KeyGenerator, SeedLoader
from coordinator.enrolment import check, enrol, seeds, setup
from coordinator.enrolment.enrol import CardAtSlot, Enrolled, account_path
from coordinator.home.settings import Home, create_home
from coordinator.readers import emulated
from storage.database import open_database

PIN, PUK = b"493817", b"850273619482"
PRINTED = b"123456"
SEED = "ab" * 32


class Kind(NamedTuple):
    """A family at one version, and where the key of its card comes from."""

    family: CardFamily
    profile: str
    source: str

    def __str__(self) -> str:
        return f"{self.family.name}-{self.profile}-{self.source}"

    @property
    def pin(self) -> bytes:
        """A card that makes no other use of it comes with its PIN printed on it."""
        return PRINTED if self.family.name == "tapsigner" else PIN


def sources(family: CardFamily, profile: str) -> Iterator[str]:
    """Return where a card's key can come from besides words made here."""
    session = family.open(family.emulate(profile).insert(), Surroundings())
    if isinstance(session, KeyGenerator):
        yield "generate"
    if isinstance(session, SeedLoader):
        yield "seed"


KINDS = [
    Kind(family, profile, source)
    for family in families()
    for profile in family.profiles[-1:]
    for source in sources(family, profile)
]


class Person:
    """Somebody who gives the same secrets every time, and counts how often a PIN is asked for."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind

    def secret(self, kind: str) -> Secret | None:
        known = {"puk": PUK, "seed": SEED.encode()}
        return Secret(known[kind]) if kind in known else None

    def __getattr__(self, name: str) -> object:
        answers = {
            "pin_for": lambda *_: Pin(self.kind.pin),
            "new_pin_for": lambda *_: Pin(self.kind.pin),
            "secret_for": lambda _label, kind, **_: self.secret(kind),
        }
        return answers.get(name, lambda *_: None)


class Place(NamedTuple):
    """A home and its book."""

    home: Home
    database: sessionmaker[Session]

    def create(self, kind: Kind, label: str) -> None:
        """Make a factory-fresh card."""
        emulated.create(self.home, kind.family.name, label, profile=kind.profile, set_up=False)

    def set_up(self, kind: Kind, label: str) -> Enrolled:
        slot = emulated.slot(self.home, label)
        wanted = setup.Setup(label, slot, kind.source)
        return setup.set_up(self.home, self.database, wanted, attendant=Person(kind))

    def enrol(self, kind: Kind, label: str) -> Enrolled:
        wanted = CardAtSlot(label, emulated.slot(self.home, label))
        return enrol.enrol(self.home, self.database, wanted, attendant=Person(kind))

    def check(self, kind: Kind, label: str) -> check.Checked:
        wanted = CardAtSlot(label, emulated.slot(self.home, label))
        return check.check(self.home, self.database, wanted, attendant=Person(kind), with_pin=True)

    def commands(self, kind: Kind) -> int:
        """Return how many commands a set-up takes."""
        self.create(kind, "straight")
        emulated.fault(self.home, "straight", "tear 9999 before")
        self.set_up(kind, "straight")
        (left,) = emulated.fault(self.home, "straight", "insert")
        assert isinstance(left, Torn)
        return 9999 - left.number


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    home = create_home(tmp_path / "home", "regtest")
    database = open_database(home.database_url)
    yield Place(home, database)
    database.kw["bind"].dispose()


def begun_again(place: Place, kind: Kind, label: str) -> Enrolled:
    """Do what one is told after a set-up was cut off."""
    try:
        return place.set_up(kind, label)
    except NotSupported as refused:
        if f"run: card enrol {label}" not in str(refused):
            raise
        return place.enrol(kind, label)


def brought_to_its_end(place: Place, kind: Kind, label: str) -> Enrolled:
    try:
        return place.set_up(kind, label)
    except CardRemoved:
        return begun_again(place, kind, label)


MOMENTS = ("before", "after")


OTHER_TURNS = [
    pytest.param(1, first, id=f"all, {MOMENTS[first]} first", marks=pytest.mark.matrix)
    for first in range(2)
]


@pytest.mark.parametrize(("every", "first"), [pytest.param(5, 0, id="1 in 5"), *OTHER_TURNS])
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_set_up_cut_anywhere_comes_to_its_end(
    place: Place, kind: Kind, every: int, first: int
) -> None:
    path = account_path("regtest", None)
    commands = place.commands(kind)
    full = place.check(kind, "straight").attempts_left
    for number in range(1, commands + 1, every):
        label = f"card{number}"
        place.create(kind, label)
        emulated.fault(place.home, label, f"tear {number} {MOMENTS[(first + number) % 2]}")
        found = brought_to_its_end(place, kind, label)
        assert emulated.fault(place.home, label, "insert") == (), number
        if kind.source == "seed":
            with Secret(bytes.fromhex(SEED)) as seed:
                assert found.key == seeds.expected_key(seed, path), number
        seen = place.check(kind, label)
        assert (seen.key_matches, seen.differences) == (True, []), number
        assert seen.attempts_left == full, number
    print(f"sweep: {commands} cuts")  # noqa: T201 -- the count, with -s
    assert commands > 10
