"""Every family and every profile, asked in turn."""

import pytest

from cards.family import EmulatedCard
from tests.contracts.subjects import SUBJECTS, Subject


@pytest.fixture(params=SUBJECTS, ids=str)
def subject(request: pytest.FixtureRequest) -> Subject:
    return request.param


@pytest.fixture
def card(subject: Subject) -> EmulatedCard:
    """A card with PIN and key."""
    return subject.ready()
