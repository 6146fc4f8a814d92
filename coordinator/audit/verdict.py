"""What an audit comes to: the verdict in one sentence, and what a loss or a theft takes."""

from collections.abc import Iterator
from typing import NamedTuple

from coordinator.audit.auditing import Audited
from coordinator.audit.exposure import Kind
from coordinator.audit.minimal_sets import MinimalSets
from coordinator.audit.timeline import Start
from coordinator.notices import Severity
from coordinator.shown_text import counted

SETS_HEADER = ("of", "you lose the money without", "a thief needs")


FEWER = ": fewer than before"
SETS_IN_TIME = ("of", "you cannot spend without", "a thief needs")
OVER_TIME = ("from", "open", *SETS_IN_TIME[1:])


class Verdict(NamedTuple):
    """How a vault stands, in a sentence for somebody who never saw an audit."""

    severity: Severity
    sentence: str


class LeastThen(NamedTuple):
    """The smallest loss and theft from a time on, of places or else of cards, in words."""

    start: str
    open: str
    loss: str
    theft: str

    @property
    def fewer(self) -> bool:
        """Tell whether a thief needs less than before."""
        return self.theft.endswith(FEWER)


class Least(NamedTuple):
    """The smallest loss and the smallest theft of a kind that cost the money, in words."""

    kind: str
    loss: str
    theft: str


def verdict(found: Audited) -> Verdict:
    """Return how a vault stands now, whatever else the question supposes lost or stolen."""
    if found.minimal_thefts[Kind.CARD].smallest == 0:
        when = "now" if found.at is None else "then"
        told = f"a thief can spend this vault {when}, with what is lost or stolen: move its coins"
        return Verdict(Severity.DANGER, f"{told} first")
    if found.minimal_losses[Kind.CARD].smallest == 0:
        told = f"this vault can NOT be spent with what is left{_until(found)}"
        return Verdict(Severity.DANGER, told)
    grave = sum(each.severity is Severity.DANGER for each in found.findings)
    if grave:
        severity, first = Severity.DANGER, f"{counted(grave, 'danger')} to mend first"
    elif found.findings:
        told = f"no danger, {counted(len(found.findings), 'finding')} to look at"
        severity, first = Severity.WARNING, told
    else:
        severity, first = Severity.INFO, "nothing found"
    costs = ", and ".join(_costs(found))
    return Verdict(severity, f"vault {found.vault}: {first}" + (f"; {costs}" if costs else ""))


def sets_header(found: Audited) -> tuple[str, str, str]:
    """Return what stands above the smallest losses and thefts.

    Where a branch opens later, what cannot be spent now need not be lost.
    """
    return SETS_IN_TIME if found.timeline else SETS_HEADER


def _costs(found: Audited) -> Iterator[str]:
    """Yield what the money costs in places: whose loss loses it, how many a thief needs.

    And from when on fewer places are enough for a thief.
    """
    lose = found.minimal_losses[Kind.LOCATION].smallest
    steal = found.minimal_thefts[Kind.LOCATION].smallest
    if found.timeline and lose:
        lose = found.timeline[-1].minimal_losses[Kind.LOCATION].smallest
    if lose == 1:
        yield "the loss of one place can lose the money"
    elif lose:
        yield f"the money is lost only with {lose} places at once"
    money = "it" if lose else "the money"
    if steal == 1:
        yield f"a thief in one place can take {money}"
    elif steal:
        yield f"a thief must get into {steal} places to take {money}"
    for period in found.timeline[1:]:
        then = period.minimal_thefts[Kind.LOCATION].smallest
        if _fewer(then, steal):
            start = period.start
            when = start.about if start.blocks is not None else f"from {start.about} on"
            yield f"{when} {'one place is' if then == 1 else f'{then} places are'} enough"
            return


def _until(found: Audited) -> str:
    """Say from when on a branch that opens later can spend with what is left."""
    begun = found.at.order if found.at is not None else (False, 0)
    for period in found.timeline[1:]:
        if period.minimal_losses[Kind.CARD].smallest != 0 and period.start.order > begun:
            branches = " and ".join(period.opens)
            return f" before the wait of its later keys ({branches}) is over, {period.start.about}"
    return ""


def as_of(at: Start) -> str:
    """Return what an audit of another day begins with."""
    return f"as of {at.about}, if nothing is moved before"


def least_over_time(found: Audited) -> list[LeastThen]:
    """Return what the smallest loss and theft is from each time on at which that changes."""
    placed = any(each.minimal_losses[Kind.LOCATION].count for each in found.timeline)
    kind = Kind.LOCATION if placed else Kind.CARD
    rows, before = [], None
    for period in found.timeline:
        theft = period.minimal_thefts[kind]
        fewer = period is not found.timeline[0] and _fewer(theft.smallest, before)
        before = theft.smallest
        rows.append(
            LeastThen(
                period.start.about,
                ", ".join(period.open),
                _least(period.minimal_losses[kind]),
                _least(theft) + (FEWER if fewer else ""),
            )
        )
    return rows


def _fewer(then: int | None, before: int | None) -> bool:
    """Tell whether a thief needs less then; None is what no theft reaches."""
    return then is not None and (before is None or then < before)


def least_sets(found: Audited) -> list[Least]:
    """Return what the smallest loss and theft of each kind is, where there is either."""
    listed = [
        Least(kind.value, _least(lose), _least(found.minimal_thefts[kind]))
        for kind, lose in found.minimal_losses.items()
    ]
    return [each for each in listed if (each.loss, each.theft) != ("-", "-")]


def _least(least: MinimalSets) -> str:
    """Return how many it takes, an example, and in how many ways."""
    if not least.count:
        return "-"
    if not least.smallest:
        return "nothing more: it has come to that already"
    chosen = [name for block in least.sets[0] for name in block.names[: block.size]]
    names = " and ".join(name.partition(":")[2] for name in chosen)
    ways = counted(least.count, "way") + ("" if least.complete else " or more")
    return f"{least.smallest}: {names} ({ways})"


def supposed(found: Audited) -> Iterator[str]:
    """Yield what would follow from what the question supposes lost or stolen; nothing without."""
    if not found.lost and not found.stolen:
        return
    if found.lost:
        yield f"without {' and '.join(found.lost)}:"
    if found.stolen:
        yield f"with {' and '.join(found.stolen)} stolen:"
    able = "can still spend" if found.can_spend else "can NOT spend any more"
    yield f"  you {able}" + ("" if found.can_read else "; no copy of the descriptor is left")
    if found.stolen:
        having = "" if found.thief_has_copy else ", if he has the descriptor from elsewhere"
        yield f"  the thief {'CAN spend' + having if found.thief_can_spend else 'cannot spend'}"
