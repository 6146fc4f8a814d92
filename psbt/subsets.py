"""Branch and bound: the subsets of many numbers whose sum lies in a window."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final, NamedTuple

STEPS_MAX: Final = 10_000


class Window(NamedTuple):
    """From `low` to `high`, with at most so many numbers."""

    low: int
    high: int
    most: int


def subsets_within(
    numbers: Sequence[int], window: Window, steps: int = STEPS_MAX
) -> Iterator[tuple[int, ...]]:
    """Yield the places of numbers that add up to something within the window.

    The numbers are positive and ascending. Large ones are tried first; of several equal ones
    only one choice is tried, and nothing is added to what is enough. Gives up after so many steps.
    """
    sums = [0, *accumulate(numbers)]
    chosen: list[int] = []
    total, end = 0, len(numbers)
    for _ in range(steps):
        end = bisect_right(numbers, window.high - total, 0, end)
        if total >= window.low:
            yield tuple(chosen)
        elif total + sums[end] >= window.low and len(chosen) < window.most:
            end -= 1
            chosen.append(end)
            total += numbers[end]
            continue
        if not chosen:
            return
        left_out = chosen.pop()
        total -= numbers[left_out]
        end = bisect_left(numbers, numbers[left_out], 0, left_out)
