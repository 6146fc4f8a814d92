"""When a block is expected, and how exactly that is told."""

from datetime import UTC, datetime, timedelta

import pytest

from coordinator.chain.block_dates import BLOCK_TIME, ChainClock, duration

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
FRESH = ChainClock(900_000, NOW, NOW)
AFTER_MAX = 499_999_999


def test_a_block_comes_600_seconds_after_the_one_before_within_five_per_cent() -> None:
    expected = FRESH.expected(900_000 + 14_400)
    assert expected is not None
    assert expected.date == NOW + timedelta(days=100)
    assert expected.earliest == NOW + timedelta(days=95)
    assert expected.latest == NOW + timedelta(days=105)


def test_an_old_tip_is_counted_from_when_it_was_told() -> None:
    old = ChainClock(900_000, NOW - timedelta(days=30), NOW)
    assert old.height == 900_000 + 30 * 144
    assert old.age == timedelta(days=30)
    expected = old.expected(900_000 + 14_400)
    assert expected is not None
    assert expected.date == NOW + timedelta(days=70)
    assert (expected.earliest, expected.latest) == (
        NOW + timedelta(days=65),
        NOW + timedelta(days=75),
    )


def test_on_regtest_no_block_is_mined_by_time() -> None:
    old = ChainClock(101, NOW - timedelta(days=30), NOW, mined=False)
    assert old.height == 101
    expected = old.expected(101 + 144)
    assert expected is not None
    assert expected.date == NOW + timedelta(days=1)


def test_a_clock_that_fell_back_leaves_the_dates_as_they_were() -> None:
    behind = ChainClock(900_000, NOW, NOW - timedelta(days=20_000))
    assert (behind.behind, behind.height, behind.age) == (True, 900_000, timedelta())
    assert behind.expected(900_144) == FRESH.expected(900_144)
    assert behind.about(900_144) == FRESH.about(900_144) == "about 1 December 2026"
    assert not FRESH.behind


@pytest.mark.parametrize("blocks", [1, 144, 52_560])
def test_a_date_and_its_block_are_one_moment(blocks: int) -> None:
    expected = FRESH.expected(900_000 + blocks)
    assert expected is not None
    assert FRESH.height_at(expected.date) == 900_000 + blocks
    assert FRESH.height_at(expected.date - BLOCK_TIME / 2) == 900_000 + blocks - 1


def test_a_block_beyond_the_calendar_has_no_date() -> None:
    assert FRESH.expected(AFTER_MAX) is None
    assert FRESH.about(AFTER_MAX) == "after the year 9999"


@pytest.mark.parametrize(
    ("days", "told"),
    [
        (0, "about 30 November 2026"),
        (59, "about 28 January 2027"),
        (465, "about March 2028"),
        (365 * 5, "about 2031"),
    ],
)
def test_a_date_is_told_no_more_exactly_than_it_is_known(days: int, told: str) -> None:
    assert FRESH.about(900_000 + days * 144) == told


@pytest.mark.parametrize(
    ("blocks", "told"),
    [
        (1, "less than an hour"),
        (6, "about 1 hour"),
        (144, "about 24 hours"),
        (1_008, "about 7 days"),
        (26_280, "about 6 months"),
        (52_560, "about 12 months"),
        (65_535, "about 15 months"),
        (AFTER_MAX, "about 9513 years"),
    ],
)
def test_a_wait_is_told_in_its_largest_unit(blocks: int, told: str) -> None:
    assert duration(blocks) == told
