"""The picture of the audit over time: which branches are open from when on, and what that costs."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from textwrap import wrap
from typing import Final, NamedTuple

from coordinator.audit.auditing import Audited
from coordinator.audit.facts import PRIMARY
from coordinator.audit.picture import FULL_WIDTH, Told, shortened
from coordinator.audit.timeline import Period
from coordinator.audit.verdict import OVER_TIME, LeastThen, least_over_time
from coordinator.chain.block_dates import duration

LEFT: Final = 10
RIGHT: Final = FULL_WIDTH - 10
AXIS: Final = 56
TOP: Final = 74
LETTER: Final = 7.5
"""About how wide a letter of a note is."""
LINE_HEIGHT: Final = 17
MARGIN: Final = 10
GAP: Final = 10
NARROWEST: Final = 205
PERIODS: Final = 4
"""More periods than that are only told in words: no column is too narrow to be read."""
BEYOND: Final = 1 / 6
"""How much longer than to the last opening the picture goes on."""


class Line(NamedTuple):
    """A line of a period's box; `style` is name, note, about or fewer."""

    text: str
    style: str
    y: int


class Column(NamedTuple):
    """A period: when it begins, on which days at the earliest and the latest, its box and lines.

    `mark` is what stands above the axis where it begins.
    """

    x: int
    width: int
    mark: tuple[str, str]
    first: int
    last: int
    lines: Sequence[Line]

    @property
    def height(self) -> int:
        """Return how high its box is."""
        return MARGIN + LINE_HEIGHT * len(self.lines) + MARGIN


class TimePicture(NamedTuple):
    """Periods side by side below an axis, and the same in words."""

    columns: Sequence[Column]
    height: int
    said: Sequence[Told]
    axis: int = AXIS
    top: int = TOP
    left: int = LEFT
    right: int = RIGHT
    width: int = FULL_WIDTH


def time_picture(found: Audited) -> TimePicture | None:
    """Lay out the periods of a vault from left to right; None where no branch opens later.

    Dates are to scale, but that no column is narrower than its words.
    """
    if not found.timeline:
        return None
    told = list(zip(found.timeline, least_over_time(found), strict=True))
    shown = told[:PERIODS]
    moments = _moments([period for period, _ in shown])
    edges = _edges(moments)
    columns = []
    for number, (period, least) in enumerate(shown):
        x, width = edges[number], edges[number + 1] - edges[number] - GAP
        expected = None if period.start.now else period.start.expected
        days = [_place(day.timestamp(), moments, edges) for day in (expected or ())[1:]] or [x]
        lines = tuple(_lines(period, least, int((width - 2 * MARGIN) / LETTER)))
        mark = period.start.about, period.start.days
        if (blocks := period.start.blocks) is not None:
            mark = f"{blocks} blocks after", f"a payment, {duration(blocks)}"
        columns.append(Column(x, width, mark, days[0], days[-1], lines))
    height = TOP + max(each.height for each in columns) + 2
    return TimePicture(columns, height, [_said(period, least) for period, least in told])


def _moments(periods: Sequence[Period]) -> list[float]:
    """Return when each period begins, and when the picture ends.

    They are as far apart as they are long; alike where some begin after a payment to come.
    """
    dates = [each.start.expected for each in periods]
    moments = [each.date.timestamp() for each in dates if each is not None]
    if len(moments) < len(periods):
        moments = [float(number) for number in range(len(periods))]
    lasting = moments[-1] - moments[0]
    return [*accumulate(moments, max), moments[-1] + (lasting * BEYOND or 1.0)]


def _edges(moments: Sequence[float]) -> list[int]:
    """Return where each period begins, and where the last one ends."""
    room = RIGHT + GAP - LEFT - NARROWEST * (len(moments) - 1)
    lasting = moments[-1] - moments[0]
    return [
        LEFT + NARROWEST * number + round(room * (moment - moments[0]) / lasting)
        for number, moment in enumerate(moments)
    ]


def _place(moment: float, moments: Sequence[float], edges: Sequence[int]) -> int:
    """Return where a moment lies between the edges."""
    number = min(max(bisect_right(moments, moment), 1), len(moments) - 1)
    first, last = moments[number - 1], moments[number]
    share = min(max((moment - first) / (last - first), 0.0), 1.0) if last > first else 0.0
    return round(edges[number - 1] + (edges[number] - edges[number - 1]) * share)


def _lines(period: Period, least: LeastThen, room: int) -> Iterator[Line]:
    """Yield the lines of a period's box: who can spend, what cannot be lost, what a thief needs."""
    texts: list[tuple[str, str]] = []
    for each in period.ways:
        opens = "is open" if period.start.now else "opens"
        name = each.branch if each.branch == PRIMARY else f"{each.branch} {opens}"
        texts += [("name", name), ("note", each.keys)]
    if period.start.block:
        texts.append(("note", period.start.block))
    texts += [("about", OVER_TIME[2]), ("note", least.loss)]
    texts += [("about", OVER_TIME[3]), ("fewer" if least.fewer else "note", least.theft)]
    y = TOP + MARGIN - 4
    for style, text in texts:
        for part in wrap(text, room):
            y += LINE_HEIGHT
            yield Line(shortened(part, room), style, y)


def _said(period: Period, least: LeastThen) -> Told:
    costs = (f"{head} {text}" for head, text in zip(OVER_TIME[2:], least[2:], strict=True))
    return Told(period.start.about, [*period.told, *costs])
