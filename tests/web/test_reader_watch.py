"""When the page looks again at what lies on its readers."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cards.errors import CardError, CardRemoved, CardReset, OutOfReach, ProtocolError
from cards.session import CardIdentity
from coordinator.home.settings import open_home
from coordinator.readers import emulated
from coordinator.web import reader_watch
from coordinator.web.bulletin import Bulletin
from coordinator.web.reader_watch import ReaderWatch
from tests.program import Asked
from tests.web.test_pages import soon

CARD = CardIdentity("02" * 33, "satochip", "0.16-0.0", initialised=True, attempts_left=5)
LOOKS = 3


@contextmanager
def looking(
    vault: Asked, monkeypatch: pytest.MonkeyPatch, error: CardError
) -> Iterator[tuple[ReaderWatch, list[int]]]:
    """A watch to which card a answers from its third look on; the list has an entry a look."""
    looks: list[int] = []

    def listed(_home: object) -> list[emulated.EmulatedCard]:
        looks.append(len(looks))
        untold = len(looks) < LOOKS
        return [emulated.EmulatedCard("a", None if untold else CARD, error if untold else None)]

    monkeypatch.setattr(emulated, "listed", listed)
    monkeypatch.setattr(reader_watch, "PAUSE_SECONDS", 0.01)
    watch = ReaderWatch(open_home(vault.home), Bulletin(), lambda: False)
    watch.start()
    try:
        yield watch, looks
    finally:
        watch.close()


@pytest.mark.parametrize("error", [CardRemoved("lost power"), CardReset("another program")])
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
