"""A set-up of several cards that was cut off anywhere: the same command again finishes it."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy.orm import Session, sessionmaker

from cards.errors import CardRemoved, NotSupported, WrongCard
from cards.family import family_named
from cards.faults import Torn
from cards.pin import Pin, Secret
from coordinator.enrolment import enrol, seeds, setup
from coordinator.enrolment.enrol import Enrolled
from coordinator.files import refuse_unwritable, write_private
from coordinator.home.settings import Home, create_home, open_home
from coordinator.readers import emulated
from storage import cards as card_book
from storage.database import open_database
from tests.sampled import sampled

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
        return setup.set_up_copies(self.home, self.database, wanted, attendant=person)


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


def again(place: Place, person: Person, source: str, out: Path, **more: object) -> int:
    """Run the same command again, and return how many keys it says there are."""
    try:
        return len({each.key for each in place.set_up(person, source, out, **more)})
    except NotSupported as finished:
        if "run: card enrol" not in str(finished):
            raise
        return 0


FIRST_CUT = pytest.param(LABELS[0], marks=pytest.mark.matrix)
"""The cut of a first card is one of a single card's set-up, which test_setup_faults tears too."""


@pytest.mark.parametrize("cut", [FIRST_CUT, LABELS[1]])
@pytest.mark.parametrize(
    ("family", "source"),
    [
        ("satochip", "generate"),
        pytest.param("keycard", "generate", marks=pytest.mark.matrix),
        ("keycard", "words"),
        ("tangem", "generate"),
    ],
)
@sampled(5)
def test_copies_cut_anywhere_are_finished_by_the_same_command(
    homes: Homes, family: str, source: str, cut: str, every: int
) -> None:
    total = commands(homes.another(), family, source, cut)
    for number in range(1, total + 1, every):
        place = homes.another()
        out, person = place.folder / "words", Person()
        place.fresh(family)
        emulated.fault(place.home, cut, f"tear {number} {'before' if number % 2 else 'after'}")
        with contextlib.suppress(CardRemoved):
            place.set_up(person, source, out)
        emulated.fault(place.home, cut, "insert")
        kept = out.read_bytes() if out.exists() else None
        assert again(place, person, source, out) <= 1, number
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


@pytest.mark.parametrize("family", ["tapsigner", "keycard", "tangem"])
def test_a_card_with_its_own_key_is_finished_after_the_book_could_not_be_written(
    homes: Homes, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    place, printed = homes.another(), family_named(family).prints_pin
    place.fresh(family)
    person = Person(PRINTED if printed else PIN)
    wanted = setup.Setup("sy", emulated.slot(place.home, "sy"), "generate")
    with monkeypatch.context() as disk:
        disk.setattr(enrol, "store", full)
        with pytest.raises(OSError, match="full"):
            setup.set_up(place.home, place.database, wanted, attendant=person)
    done = setup.set_up(place.home, place.database, wanted, attendant=person)
    assert (done.created_on, done.pin_set) == ("card", False)
    with pytest.raises(NotSupported, match="card enrol sy"):
        setup.set_up(place.home, place.database, wanted, attendant=person)


def full(*_: object, **__: object) -> None:
    raise OSError("the disk is full")


@sampled(5)
def test_a_backup_cut_anywhere_is_finished_by_the_same_command(homes: Homes, every: int) -> None:
    person = Person(PRINTED)
    straight = homes.another()
    backup = straight.folder / "backup"
    total = commands(straight, "tapsigner", "generate", "sy", backup_out=backup)
    for number in range(1, total + 1, every):
        place = homes.another()
        place.fresh("tapsigner")
        backup = place.folder / "backup"
        emulated.fault(place.home, "sy", f"tear {number} {'before' if number % 2 else 'after'}")
        with contextlib.suppress(CardRemoved):
            place.set_up(person, "generate", backup, backup_out=backup)
        emulated.fault(place.home, "sy", "insert")
        kept = backup.read_bytes() if backup.exists() else None
        again(place, person, "generate", backup, backup_out=backup)
        assert kept in {None, backup.read_bytes()}, number
        with place.database.begin() as db:
            carried = [carrier.item.kind for carrier in card_book.all_carriers(db)]
        assert sorted(carried) == ["backup-file", "card"], number
    assert total > 10


def test_cards_that_lie_the_other_way_round_keep_their_labels(homes: Homes) -> None:
    place, person = homes.another(), Person()
    place.fresh("satochip")
    out = place.folder / "words"
    emulated.fault(place.home, "sy-2", "tear 20 after")
    with contextlib.suppress(CardRemoved):
        place.set_up(person, "generate", out)
    emulated.fault(place.home, "sy-2", "insert")
    crossed = [
        setup.Setup(label, emulated.slot(place.home, other), "generate", words_out=out)
        for label, other in zip(LABELS, reversed(LABELS), strict=True)
    ]
    done = setup.set_up_copies(place.home, place.database, crossed, attendant=person)
    assert [each.label for each in done] == [*LABELS]
    with place.database.begin() as db:
        lying = {card.label: card.emulator_name for card in card_book.all_cards(db)}
    assert lying == {label: label for label in LABELS}


def test_a_copy_is_not_touched_where_the_words_are_of_another_key(homes: Homes) -> None:
    place, person = homes.another(), Person()
    place.fresh("satochip")
    first = setup.Setup("sy", emulated.slot(place.home, "sy"), "seed")
    person.secret_for = lambda _label, kind, **_: Secret(b"ab" * 32) if kind == "seed" else None  # type: ignore[method-assign]
    setup.set_up(place.home, place.database, first, attendant=person)
    with pytest.raises(WrongCard, match="another key"):
        place.set_up(Person(), "words", place.folder / "unused")
    assert not emulated.listed(place.home)[1].card.has_pin
