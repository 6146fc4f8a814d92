"""Every family and every profile, asked in turn."""

from collections.abc import Iterator

import pytest

from cards import emulation
from cards.family import EmulatedCard
from tests.contracts.subjects import SUBJECTS, Subject
from tests.once import deriving_once


@pytest.fixture(scope="module", autouse=True)
def shared() -> Iterator[None]:
    """Have emulated cards derive each key once."""
    with deriving_once():
        yield


@pytest.fixture(params=SUBJECTS, ids=str)
def subject(request: pytest.FixtureRequest) -> Subject:
    return request.param


@pytest.fixture
def card(subject: Subject) -> EmulatedCard:
    """A card with PIN and key."""
    return subject.ready()


@pytest.fixture
def luck(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule out the mischances that make a card ask for a command twice."""
    monkeypatch.setattr(emulation, "chance", lambda _one_in: False)
