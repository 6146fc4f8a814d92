"""The audit over time: from which block on which branches are open, and what then costs the money.

Nothing but the opening of a branch changes that, so the blocks are those of the openings. Moving
coins to the vault itself restarts the wait of a branch that counts blocks: all is told as if
nobody did.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from coordinator import clock
from coordinator.audit.exposure import Kind, exposure_of, minimal_losses, minimal_thefts
from coordinator.audit.facts import PRIMARY, BranchFacts, VaultFacts, listed_names
from coordinator.audit.minimal_sets import MinimalSets
from coordinator.chain.block_dates import Expected, date_or_height, duration
from coordinator.errors import UsageError
from coordinator.shown_text import counted

HEIGHT_MAX: Final = 499_999_999
OLD: Final = timedelta(days=1)


class Start(NamedTuple):
    """When a period begins: at a block, about then; or so many blocks after a payment to come.

    The first period has begun already: `now`. `dated` tells that a date was asked for, whose block
    is not sure.
    """

    height: int | None = None
    expected: Expected | None = None
    blocks: int | None = None
    about: str = "now"
    dated: bool = False

    @property
    def now(self) -> bool:
        """Tell whether it has begun."""
        return self.about == "now"

    @property
    def order(self) -> tuple[bool, int]:
        """Return what to sort by: after a payment that is still to come is after every block."""
        return self.height is None, self.height or self.blocks or 0

    @property
    def days(self) -> str:
        """Return the days between which it comes, where they are known."""
        if self.expected is None or self.now:
            return ""
        first, last = (day.date().isoformat() for day in self.expected[1:])
        return f"{first} to {last}" if first != last else first

    @property
    def block(self) -> str:
        """Return the block it begins with, where that is known."""
        return "" if self.height is None else f"block {self.height}"

    @property
    def range(self) -> str:
        """Return the days between which it comes, and the block; what is known of it."""
        return ", ".join(filter(None, (self.days, self.block)))


class Way(NamedTuple):
    """A branch that opens with a period, or was open before: its keys in words, and a sentence."""

    branch: str
    keys: str
    told: str


class Period(NamedTuple):
    """From its start up to the next one's: the branches that are open, and those new with it."""

    start: Start
    open: tuple[str, ...]
    ways: tuple[Way, ...]
    minimal_losses: dict[Kind, MinimalSets]
    minimal_thefts: dict[Kind, MinimalSets]

    @property
    def opens(self) -> tuple[str, ...]:
        """Return the later branches that are new with it."""
        return tuple(way.branch for way in self.ways if way.branch != PRIMARY)

    @property
    def told(self) -> tuple[str, ...]:
        """Return a sentence for each branch that is new with it."""
        return tuple(way.told for way in self.ways)


def timeline(facts: VaultFacts) -> list[Period]:
    """Return the periods of a vault, the present one first; none where no branch ever opens."""
    if not facts.branches:
        return []
    open_now = facts.open_branches()
    now = Start()
    if facts.chain is not None:
        now = Start(facts.chain.height, Expected(*(max(facts.chain.now, facts.chain.base),) * 3))
    periods = [_period(facts, now, open_now, new=open_now)]
    together: dict[Start, list[BranchFacts]] = {}
    for branch in facts.branches:
        if branch not in open_now:
            together.setdefault(opening(facts, branch), []).append(branch)
    for start, new in sorted(together.items(), key=lambda each: each[0].order):
        already = {*periods[-1].open, *(branch.name for branch in new)}
        later = [branch for branch in facts.branches if branch.name in already]
        periods.append(_period(facts, start, later, new=new))
    return periods


def opening(facts: VaultFacts, branch: BranchFacts) -> Start:
    """Return when a branch opens: for the oldest coin, or after a payment where there is none."""
    height = facts.opens(branch)
    if height is None:
        blocks = branch.blocks or 0
        told = f"{counted(blocks, 'block')} ({duration(blocks)}) after a payment"
        return Start(blocks=blocks, about=told)
    if facts.chain is None:
        return Start(height, about=f"block {height}")
    return Start(height, facts.chain.expected(height), about=facts.chain.about(height))


def looked_at(facts: VaultFacts, text: str) -> Start:
    """Return the block an audit is to look at, typed as a date or a height.

    Raises UsageError for what is past, and for a date where no block is known to count from.
    """
    typed, chain = date_or_height(text), facts.chain
    if chain is None:
        if isinstance(typed, datetime):
            raise UsageError(f"no block is known here yet to count from to {text}: {facts.look}")
        return Start(typed, about=f"block {typed}")
    if isinstance(typed, datetime):
        today = typed.date() == chain.now.date()
        height = max(chain.height_at(typed), chain.height + 1 if today else 0)
        about = f"{typed.date().isoformat()} (about block {height})"
    else:
        height, about = typed, f"block {typed}, {chain.about(typed)}"
    if height <= chain.tip:
        raise UsageError(
            f"{text} is past: the audit looks ahead, from block {chain.tip + 1} on "
            f"({chain.now.date().isoformat()})"
        )
    if height > HEIGHT_MAX:
        raise UsageError(f"{text} is block {height}; no wait ends after block {HEIGHT_MAX}")
    dated = isinstance(typed, datetime)
    return Start(height, chain.expected(height), about=about, dated=dated)


def calendar_notes(facts: VaultFacts, at: Start | None) -> Iterator[str]:
    """Yield what makes the dates of a vault's branches less sure."""
    chain = facts.chain
    if not facts.branches:
        if at is not None:
            yield "nothing changes with time: this vault has no later keys"
        return
    if chain is None:
        yield f"no block is known here: from when later keys may spend is not known: {facts.look}"
        return
    if chain.behind:
        yield (
            f"this computer's clock says {clock.text(chain.now)}, before the last sync "
            f"({clock.text(chain.told_at)}): set it; dates count from the sync"
        )
    if chain.mined and chain.age >= OLD:
        yield (
            f"the newest block known here, {chain.tip}, is {chain.age.days} days old; blocks since "
            f"are counted by the clock, payments since are not known: {facts.look}"
        )
    for branch in facts.branches:
        start = opening(facts, branch)
        if start.blocks is not None:
            seen = f"no coin is in a block as of block {chain.tip}"
            yield f"the wait of {branch.said} ends {start.about}; {seen}"
        elif at is not None and _may_be(start, at):
            ends = f"the wait of {branch.said} ends {start.about}"
            yield f"{ends} ({start.range}): it may be over or not"


def _may_be(start: Start, at: Start) -> bool:
    """Tell whether a block's date is among those on which a branch may open."""
    if start.expected is None or at.expected is None:
        return False
    return at.dated and start.expected.earliest <= at.expected.date <= start.expected.latest


def _period(
    facts: VaultFacts, start: Start, later: Sequence[BranchFacts], *, new: Sequence[BranchFacts]
) -> Period:
    exposure = exposure_of(facts, later=later)
    ways = [_begins(start, branch) for branch in new]
    if start.now:
        keys = who(facts.threshold, [each.label for each in facts.cosigners])
        ways.insert(0, Way(PRIMARY, keys, f"now it takes {keys}"))
    return Period(
        start,
        (PRIMARY, *(branch.name for branch in later)),
        tuple(ways),
        {kind: minimal_losses(exposure, kind) for kind in Kind},
        {kind: minimal_thefts(exposure, kind) for kind in Kind},
    )


def _begins(start: Start, branch: BranchFacts) -> Way:
    """Say who can spend once a branch has opened, and who else then can."""
    keys = who(branch.threshold, [each.label for each in branch.keys])
    thief = of_them(branch.threshold, len(branch.keys))
    if start.now:
        over = f"the wait of {branch.said} is over"
        told = f"{over}: {keys} can spend; so can a thief of {thief}"
        return Way(branch.name, keys, told)
    when = f"from {start.about}" if start.blocks is None else start.about
    known = f" ({start.range})" if start.range and start.expected else ""
    told = (
        f"{when}{known} {keys} can spend, as later keys ({branch.name}); "
        f"from then a thief of {thief} too"
    )
    return Way(branch.name, keys, told)


def who(threshold: int, labels: Sequence[str]) -> str:
    """Return in words which keys sign together."""
    names = listed_names(labels)
    if len(labels) == 1:
        return f"key {names} alone"
    if threshold == len(labels):
        return f"keys {names} together"
    return f"any {threshold if threshold > 1 else 'one'} of keys {names}"


def of_them(threshold: int, keys: int) -> str:
    """Return in words how many of the keys that were named it takes."""
    if threshold < keys:
        return f"any {threshold if threshold > 1 else 'one'} of them"
    return {1: "it", 2: "both"}.get(keys, f"all {keys}")
