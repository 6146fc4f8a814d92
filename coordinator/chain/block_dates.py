"""When a block is expected: 600 seconds a block from the newest one known, give or take 5 %."""

import re
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from coordinator import clock
from coordinator.errors import UsageError
from coordinator.shown_text import counted

BLOCK_TIME: Final = timedelta(minutes=10)
SPREAD: Final = 20
"""The part of the way to a block by which it may come sooner or later."""
DAY_KNOWN: Final = timedelta(days=60)
MONTH_KNOWN: Final = timedelta(days=4 * 365)
MONTH: Final = timedelta(days=365) / 12


HEIGHT: Final = re.compile("[0-9]{1,9}")


class Expected(NamedTuple):
    """About when a block comes, not before and not after when."""

    date: datetime
    earliest: datetime
    latest: datetime


class ChainClock(NamedTuple):
    """The newest block known, since when, and the moment now.

    `mined` tells that blocks come by time; on regtest they come when somebody asks for them.
    """

    tip: int
    told_at: datetime
    now: datetime
    mined: bool = True

    @property
    def base(self) -> datetime:
        """Return the moment at which the tip was the newest block."""
        return self.told_at if self.mined else self.now

    @property
    def behind(self) -> bool:
        """Tell whether the clock says now that it is earlier than it said when the tip was told."""
        return self.now < self.told_at

    @property
    def height(self) -> int:
        """Return about which block is the newest now."""
        return self.tip + max(self.now - self.base, timedelta()) // BLOCK_TIME

    @property
    def age(self) -> timedelta:
        """Return how old it is that the tip was the newest block."""
        return max(self.now - self.told_at, timedelta())

    def expected(self, height: int) -> Expected | None:
        """Return about when a block comes; None for one beyond the year 9999."""
        way = (height - self.tip) * BLOCK_TIME
        try:
            dates = sorted(self.base + way + part for part in (-way / SPREAD, way / SPREAD))
            return Expected(self.base + way, *dates)
        except OverflowError:
            return None

    def height_at(self, moment: datetime) -> int:
        """Return about which block is the newest at a moment."""
        return self.tip + (moment - self.base) // BLOCK_TIME

    def about(self, height: int) -> str:
        """Return about when a block comes, no more exactly than can be known: `about March 2028`.

        Where a month is not sure the year is told, where a day is sure the day.
        """
        expected = self.expected(height)
        if expected is None:
            return "after the year 9999"
        way = abs(expected.date - max(self.now, self.base))
        if way <= DAY_KNOWN:
            return f"about {expected.date.day} {expected.date:%B %Y}"
        return f"about {expected.date:%B %Y}" if way <= MONTH_KNOWN else f"about {expected.date:%Y}"


def date_or_height(text: str) -> datetime | int:
    """Read what a person types for a block: its height, or a date; raises UsageError."""
    if HEIGHT.fullmatch(text):
        return int(text)
    try:
        return clock.parse(text)
    except (ValueError, OverflowError) as failure:
        raise UsageError(f"{text!r} is neither a date nor a block height") from failure


def duration(blocks: int) -> str:
    """Return about how long so many blocks take: `about 12 months`."""
    lasting = blocks * BLOCK_TIME
    for size, unit, least in (
        (timedelta(days=365), "year", 3),
        (MONTH, "month", 3),
        (timedelta(days=1), "day", 2),
        (timedelta(hours=1), "hour", 1),
    ):
        number = round(lasting / size)
        if number >= least:
            return f"about {counted(number, unit)}"
    return "less than an hour"
