"""Every family and every profile, asked in turn."""

import pytest

from cards import emulation
from cards.family import EmulatedCard
from tests.contracts.subjects import SUBJECTS, Subject


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
