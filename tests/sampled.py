"""Cases and sweeps of which `make test` takes some, and `make test-all` the whole."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

import pytest

Point = TypeVar("Point")


def sampled(every: int) -> pytest.MarkDecorator:
    """Give a test `every`: so many points of its sweep are one that is tried; 1 is the whole."""
    whole = pytest.param(1, id="all", marks=pytest.mark.matrix)
    return pytest.mark.parametrize("every", [pytest.param(every, id=f"1 in {every}"), whole])


def in_turn(points: Iterable[Point], turn: int, every: int) -> Iterator[Point]:
    """Yield one in `every` points; which of them goes on with the turn: all kinds come up."""
    return (point for place, point in enumerate(points, turn) if place % every == 0)


def shortened(cases: Iterable[Point], *kept: Point) -> list[object]:
    """Return cases to ask of a test: those that are kept in `make test`, all in `make test-all`."""
    return [pytest.param(case, marks=() if case in kept else pytest.mark.matrix) for case in cases]


def further(first: object, *cases: object) -> list[object]:
    """Return cases of a kind: the first is kept in `make test`, those beside it are not."""
    return shortened([first, *cases], first)
