"""What an audit comes to: the verdict in one sentence, and what a loss or a theft takes."""

from collections.abc import Iterator
from typing import NamedTuple

from coordinator.audit.auditing import Audited
from coordinator.audit.exposure import Kind
from coordinator.audit.monotone import MinimalSets
from coordinator.notices import Severity

SETS_HEADER = ("of", "you lose the money without", "a thief needs")


class Verdict(NamedTuple):
    """How a vault stands, in a sentence for somebody who never saw an audit."""

    severity: Severity
    sentence: str


class Least(NamedTuple):
    """The smallest loss and the smallest theft of a kind that cost the money, in words."""

    kind: str
    loss: str
    theft: str


def verdict(found: Audited) -> Verdict:
    """Return how a vault stands now, whatever else the question supposes lost or stolen."""
    if found.minimal_thefts[Kind.CARD].smallest == 0:
        told = "a thief can spend this vault now, with what is lost or stolen: move its coins first"
        return Verdict(Severity.DANGER, told)
    if found.minimal_losses[Kind.CARD].smallest == 0:
        return Verdict(Severity.DANGER, "this vault can NOT be spent with what is left")
    grave = sum(each.severity is Severity.DANGER for each in found.findings)
    if grave:
        severity, first = Severity.DANGER, f"{_counted(grave, 'danger')} to mend first"
    elif found.findings:
        told = f"no danger, {_counted(len(found.findings), 'finding')} to look at"
        severity, first = Severity.WARNING, told
    else:
        severity, first = Severity.INFO, "nothing found"
    costs = ", and ".join(_costs(found))
    return Verdict(severity, f"vault {found.vault}: {first}" + (f"; {costs}" if costs else ""))


def _costs(found: Audited) -> Iterator[str]:
    """Yield what the money costs in places: whose loss loses it, how many a thief needs."""
    lose = found.minimal_losses[Kind.LOCATION].smallest
    steal = found.minimal_thefts[Kind.LOCATION].smallest
    if lose == 1:
        yield "the loss of one place can lose the money"
    elif lose:
        yield f"the money is lost only with {lose} places at once"
    money = "it" if lose else "the money"
    if steal == 1:
        yield f"a thief in one place can take {money}"
    elif steal:
        yield f"a thief must get into {steal} places to take {money}"


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
    ways = _counted(least.count, "way") + ("" if least.complete else " or more")
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


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number != 1 else ''}"
