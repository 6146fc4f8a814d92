"""A set-up of several cards that was cut off anywhere: the same command again finishes it."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy.orm import Session, sessionmaker

from cards.errors import CardRemoved, NotSupported
from cards.family import family_named
from cards.faults import Torn
from cards.pin import Pin, Secret
from coordinator import emulated, enrol, seeds, setup
from coordinator.enrol import Enrolled
from coordinator.files import refuse_unwritable, write_private
from coordinator.settings import Home, create_home, open_home
from storage import cards as card_book
from storage.database import open_database

PIN = b"493817"
PRINTED = b"123456"
WORDS = b"abandon " * 11 + b"about"
LABELS = ("sy", "sy-2")


class Person:
    """Somebody without a terminal: gives the same secrets each time, keeps what is shown."""

    def __init__(self, pin: bytes = PIN) -> None:
        self.pin = pin
        self.shown: list[str] = []
        self.said: list[str] = []

    def pin_for(self, *_: object) -> Pin:
        return Pin(self.pin)

    def new_pin_for(self, *_: object) -> Pin:
        return Pin(self.pin)

    def secret_for(self, _label: str, kind: str, **_: object) -> Secret | None:
        return Secret(WORDS) if kind == "words" else None

    def show_once(self, title: str, _secret: Secret) -> None:
        self.shown.append(title)

    def say(self, text: str) -> None:
        self.said.append(text)

    def ready_for_words(self, file: Path) -> None:
        refuse_unwritable(file)

    def hand_over_words(self, _title: str, words: Secret, file: Path) -> None:
        write_private(file, words.reveal() + b"\n", replace=False)

    def __getattr__(self, _name: str) -> object:
        return lambda *_: None


class Place(NamedTuple):
    """A home, its book, and where words and backups go."""

    home: Home
    database: sessionmaker[Session]
    folder: Path

    def fresh(self, family: str) -> None:
        """Have two factory-fresh cards."""
        for label in LABELS:
            emulated.create(self.home, family, label, set_up=False)

    def set_up(self, person: Person, source: str, out: Path, **more: object) -> list[Enrolled]:
        labels = LABELS if "backup_out" not in more else LABELS[:1]
        words_out = None if source == "words" or "backup_out" in more else out
        wanted = [
            setup.Setup(label, emulated.slot(self.home, label), source, words_out=words_out, **more)
            for label in labels
        ]
        return setup.set_up_copies(self.home, self.database, wanted, person)


class Homes:
    """Homes as they are when just made, each a copy of one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.opened: list[sessionmaker[Session]] = []
        home = create_home(folder / "first", "regtest")
        self.closed(open_database(home.database_url))

    def another(self) -> Place:
        folder = self.folder / f"home{len(self.opened)}"
        shutil.copytree(self.folder / "first", folder)
        home = open_home(folder)
        self.opened.append(open_database(home.database_url))
        return Place(home, self.opened[-1], folder)

    @staticmethod
    def closed(database: sessionmaker[Session]) -> None:
        database.kw["bind"].dispose()


@pytest.fixture
def homes(tmp_path: Path) -> Iterator[Homes]:
    made = Homes(tmp_path)
    yield made
    for database in made.opened:
        made.closed(database)


def commands(place: Place, family: str, source: str, cut: str, **more: object) -> int:
    """Return how many commands one of the cards gets in a run that nothing disturbs."""
    place.fresh(family)
    emulated.fault(place.home, cut, "tear 9999 before")
    person = Person(PRINTED if family_named(family).prints_pin else PIN)
    place.set_up(person, source, place.folder / f"straight-{cut}", **more)
    (left,) = emulated.fault(place.home, cut, "insert")
    assert isinstance(left, Torn)
    return 9999 - left.number


@pytest.mark.parametrize("cut", LABELS)
@pytest.mark.parametrize("source", ["generate", "words"])
@pytest.mark.parametrize("family", ["satochip", "keycard", "tangem"])
def test_copies_cut_anywhere_are_finished_by_the_same_command(
    homes: Homes, family: str, source: str, cut: str
) -> None:
    total = commands(homes.another(), family, source, cut)
    for number in range(1, total + 1):
        place = homes.another()
        out, person = place.folder / "words", Person()
        place.fresh(family)
        emulated.fault(place.home, cut, f"tear {number} {'before' if number % 2 else 'after'}")
        with contextlib.suppress(CardRemoved):
            place.set_up(person, source, out)
        emulated.fault(place.home, cut, "insert")
        kept = out.read_bytes() if out.exists() else None
        try:
            done = place.set_up(person, source, out)
        except NotSupported as finished:
            assert "run: card enrol" in str(finished), number
            done = []
        assert len({each.key for each in done}) <= 1, number
        with place.database.begin() as db:
            assert [card.label for card in card_book.all_cards(db)] == [*LABELS], number
            (key,) = card_book.all_keys(db)
            assert key.created_on == "host"
        if source == "generate":
            assert kept in {None, out.read_bytes()}, "words once written stay"
            with Secret(out.read_bytes()) as words, seeds.from_words(words) as seed:
                path = enrol.account_path("regtest", None)
                assert seeds.expected_key(seed, path).key.public_key == key.public_key, number
        doubtful = [title for title in person.shown if "should the card" in title]
        assert len(person.shown) - len(doubtful) <= len(LABELS)
    assert total > 10
