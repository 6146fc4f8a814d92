from itertools import combinations
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from psbt.coins import subsets_within


class Window(NamedTuple):
    low: int
    high: int
    most: int


numbers = st.lists(st.integers(1, 40), max_size=9).map(sorted)
windows = st.builds(
    lambda low, width, most: Window(low, low + width, most),
    st.integers(1, 150),
    st.integers(0, 8),
    st.integers(1, 9),
)


def sums(values: list[int], places: tuple[int, ...]) -> int:
    return sum(values[place] for place in places)


@given(numbers, windows)
def test_what_is_found_is_within_the_window(values: list[int], window: Window) -> None:
    for places in subsets_within(values, window.low, window.high, most=window.most):
        assert window.low <= sums(values, places) <= window.high
        assert len(places) == len(set(places)) <= window.most


@given(numbers, windows)
def test_every_choice_of_values_is_found_once(values: list[int], window: Window) -> None:
    """Except those that still reach the window without their smallest number."""
    expected = {
        tuple(sorted(values[place] for place in places))
        for size in range(1, window.most + 1)
        for places in combinations(range(len(values)), size)
        if window.low <= sums(values, places) <= window.high
        and sums(values, places) - min(values[place] for place in places) < window.low
    }
    found = [
        tuple(sorted(values[place] for place in places))
        for places in subsets_within(values, window.low, window.high, most=window.most)
    ]
    assert set(found) == expected
    assert len(found) == len(expected)


def test_large_numbers_come_first() -> None:
    assert list(subsets_within([1, 2, 3, 5], 5, 6, most=4)) == [(3,), (2, 1)]


def test_nothing_is_needed_if_the_window_is_reached_already() -> None:
    assert list(subsets_within([1, 2], -1, 3, most=2)) == [()]


def test_a_search_without_solution_ends() -> None:
    even = list(range(2, 2_002, 2))
    assert list(subsets_within(even, 100_001, 100_001, most=1_000)) == []
    assert next(subsets_within(even, 100_000, 100_000, most=1_000))


def test_steps_are_counted() -> None:
    assert list(subsets_within([5], 5, 5, most=1, steps=1)) == []
    assert list(subsets_within([5], 5, 5, most=1, steps=2)) == [(0,)]
