"""When the page looks again at what lies on its readers."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cards import pcsc
from cards.errors import CardError, CardRemoved, CardReset, OutOfReach, ProtocolError
from cards.session import CardIdentity
from coordinator.home.settings import open_home
from coordinator.readers import emulated, real_readers
from coordinator.readers.slots import Found
from coordinator.web import reader_watch
from coordinator.web.events import Bulletin
from coordinator.web.reader_watch import ReaderWatch
from tests.program import Asked
from tests.web.test_pages import soon

CARD = CardIdentity("02" * 33, "satochip", "0.16-0.0", initialised=True, attempts_left=5)
LOOKS = 3
FIRST, SECOND = "one 00 00", "two 01 00"


@contextmanager
def looking(
    vault: Asked, monkeypatch: pytest.MonkeyPatch, error: CardError
) -> Iterator[tuple[ReaderWatch, list[int]]]:
    """A watch to which card a answers from its third look on; the list has an entry a look."""
    looks: list[int] = []

    def listed(_home: object) -> list[Found]:
        looks.append(len(looks))
        untold = len(looks) < LOOKS
        return [Found("a", None if untold else CARD, error if untold else None)]

    monkeypatch.setattr(emulated, "listed", listed)
    monkeypatch.setattr(reader_watch, "PAUSE_SECONDS", 0.01)
    watch = ReaderWatch(open_home(vault.home), Bulletin(), lambda: False)
    watch.start()
    try:
        yield watch, looks
    finally:
        watch.close()


@pytest.mark.parametrize(
    "error",
    [
        CardRemoved("lost power"),
        CardReset("another program"),
        OutOfReach("another program keeps it", "let it end", may_end_by_itself=True),
    ],
)
def test_a_card_that_may_answer_soon_is_looked_at_until_it_does(
    vault: Asked, monkeypatch: pytest.MonkeyPatch, error: CardError
) -> None:
    with looking(vault, monkeypatch, error) as (watch, looks):
        soon(lambda: any(each.card == CARD for each in watch.seen.lying))
    assert len(looks) == LOOKS


@pytest.mark.parametrize("error", [OutOfReach("no driver", "install it"), ProtocolError("odd")])
def test_a_card_that_will_not_answer_is_left_alone_until_something_changes(
    vault: Asked, monkeypatch: pytest.MonkeyPatch, error: CardError
) -> None:
    with looking(vault, monkeypatch, error) as (watch, looks):
        soon(lambda: bool(watch.seen.lying))
        time.sleep(4 * reader_watch.LOOK_SECONDS)  # four chances to look, none of them taken
        assert looks == [0]
        watch.look_again()
        soon(lambda: looks == [0, 1])


@pytest.fixture
def readers(vault: Asked, monkeypatch: pytest.MonkeyPatch) -> Iterator["Readers"]:
    """Two readers with a card each, and no emulated card."""
    there = Readers()
    monkeypatch.setattr(pcsc, "insertions", there.insertions)
    monkeypatch.setattr(real_readers, "looked_at", there.looked_at)
    for label in "abc":
        vault("emulate", "fault", label, "eject")
    watch = ReaderWatch(open_home(vault.home), Bulletin(), lambda: False)
    there.watch = watch
    watch.start()
    soon(lambda: there.shown() == {FIRST: CARD, SECOND: CARD})
    yield there
    watch.close()


class Readers:
    """What lies on the readers, as PC/SC tells it; `looks` are the readers looked at, each time."""

    watch: ReaderWatch

    def __init__(self) -> None:
        self.inserted: dict[str, int | None] = {FIRST: 1, SECOND: 1}
        self.cards: dict[str, CardIdentity | None] = {FIRST: CARD, SECOND: CARD}
        self.failure: CardError | None = None
        self.looks: list[list[str]] = []

    def insertions(self, before: object = (), seconds: float = 0) -> pcsc.Insertions:
        if before:
            time.sleep(seconds / 10)
        if self.failure is not None:
            raise self.failure
        return tuple(self.inserted.items())

    def looked_at(self, _home: object, names: list[str]) -> list[Found]:
        if names:
            self.looks.append(names)
        return [Found(name, self.cards[name], None) for name in names]

    def shown(self) -> dict[str, CardIdentity]:
        seen = self.watch.seen.lying
        return {each.place: each.card for each in seen if each.card and not each.emulated}


def test_a_card_that_was_told_is_left_alone_where_another_comes(readers: Readers) -> None:
    readers.inserted[SECOND] = 3
    soon(lambda: readers.looks == [[FIRST, SECOND], [SECOND]])
    readers.watch.look_again()  # a task may have changed each
    soon(lambda: readers.looks[-1] == [FIRST, SECOND])


def test_a_card_that_is_there_and_was_not_seen_is_looked_at_until_it_is(
    readers: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_watch, "PAUSE_SECONDS", 0.01)
    readers.cards[SECOND] = None
    readers.inserted[SECOND] = 3
    soon(lambda: readers.looks.count([SECOND]) >= LOOKS)
    readers.cards[SECOND] = CARD
    soon(lambda: readers.shown() == {FIRST: CARD, SECOND: CARD})


def test_a_reader_that_is_unplugged_is_shown_no_more_and_comes_back(readers: Readers) -> None:
    del readers.inserted[FIRST]
    soon(lambda: readers.shown() == {SECOND: CARD})
    readers.failure = CardError("the PC/SC service does not run")
    soon(lambda: readers.watch.seen.no_readers is not None)
    assert readers.shown() == {}
    readers.failure, readers.inserted[FIRST] = None, 1
    soon(lambda: readers.shown() == {FIRST: CARD, SECOND: CARD})
    assert readers.watch.seen.no_readers is None
    assert readers.watch.attempts_of("satochip", CARD.card_id) == 5
