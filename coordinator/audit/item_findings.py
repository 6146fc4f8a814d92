"""What bags and copies of the descriptor give an audit to find."""

from collections.abc import Iterator

from coordinator.audit.exposure import exposure_of, reached_by
from coordinator.audit.facts import CopyFacts, VaultFacts
from coordinator.custody.bags import BagFacts
from coordinator.notices import Notice, Severity


def item_findings(facts: VaultFacts) -> Iterator[Notice]:
    """Yield every finding about bags and about copies of the descriptor."""
    for carrier in facts.carriers():
        if carrier.bag is not None and carrier.gone is None:
            yield from _bag(carrier.subject, carrier.bag)
    for copy in facts.copies:
        if copy.bag is not None and copy.gone is None:
            yield from _bag(copy.subject, copy.bag)
    yield from _quorum_in_open_bags(facts)
    yield from _copies(facts)


def _bag(subject: str, bag: BagFacts) -> Iterator[Notice]:
    subjects = (f"bag:{bag.serial}", subject)
    if bag.other is not None:
        yield Notice(
            "bag_mismatch",
            Severity.DANGER,
            f"{subject} was sealed in bag {bag.serial} and seen in bag {bag.other}: "
            "somebody had it in hand",
            "treat what is in it as seen by a thief; once it is checked, seal it in a new bag: "
            f"cardquorum custody record {subject} sealed --seal SERIAL",
            subjects,
        )
    if bag.opened is not None:
        yield Notice(
            "bag_opened",
            Severity.WARNING,
            f"bag {bag.serial} with {subject} was opened on {bag.opened.date()} "
            "and no new one is recorded",
            "if it was you, seal it again: "
            f"cardquorum custody record {subject} sealed --seal SERIAL; if not, replace it",
            subjects,
        )


def _quorum_in_open_bags(facts: VaultFacts) -> Iterator[Notice]:
    broken = tuple(
        carrier.subject
        for carrier in facts.carriers()
        if carrier.bag is not None and (carrier.bag.opened or carrier.bag.other)
    )
    found = reached_by(exposure_of(facts, codes=False), broken)
    if found is not None:
        yield Notice(
            "open_bags_hold_quorum",
            Severity.DANGER,
            f"whoever opened the bags of {' and '.join(broken)} had {found.keys} keys in hand "
            f"and {found.threshold} are needed{found.by}",
            "move the coins to a vault with other keys now; check the cards afterwards",
            broken,
        )


def _copies(facts: VaultFacts) -> Iterator[Notice]:
    here = [copy for copy in facts.copies if copy.gone is None]
    current = [copy for copy in here if not copy.stale]
    for copy in here:
        if copy.stale:
            yield Notice(
                "copy_stale",
                Severity.WARNING,
                f"{copy.subject} is of another descriptor than vault {facts.name} has now",
                "take it back and put a new one there: cardquorum kit "
                f"{facts.name} --out DIR --location {copy.location or 'LOCATION'}",
                (copy.subject,),
            )
        if copy.location is None:
            yield Notice(
                "place_unknown",
                Severity.WARNING,
                f"nobody wrote down where {copy.subject} lies",
                f"record it: cardquorum custody record {copy.subject} placed --at LOCATION",
                (copy.subject,),
            )
    yield from _beside_quorum(facts, current)
    if current:
        yield from _missing(facts, current)


def _beside_quorum(facts: VaultFacts, current: list[CopyFacts]) -> Iterator[Notice]:
    """Tell of copies that lie where a quorum's cards do: whoever opens it needs nothing else."""
    bare = exposure_of(facts, codes=False)
    for location in sorted({copy.location for copy in current if copy.location}):
        if reached_by(bare, (f"location:{location}",)) is not None:
            subjects = tuple(copy.subject for copy in current if copy.location == location)
            yield Notice(
                "copy_with_quorum",
                Severity.WARNING,
                f"location {location} holds {' and '.join(subjects)} beside a quorum's cards: "
                "a thief needs nothing else",
                "move cards or the copy to another place",
                (f"location:{location}", *subjects),
            )


def _missing(facts: VaultFacts, current: list[CopyFacts]) -> Iterator[Notice]:
    """Tell of places that hold a key and no copy: whoever comes there after a loss lacks it."""
    having = {copy.location for copy in current}
    holding = {carrier.location for carrier in facts.carriers() if carrier.gone is None}
    for location in sorted(holding - having - {None}, key=str):
        yield Notice(
            "copy_missing",
            Severity.INFO,
            f"location {location} holds a key and no copy of the descriptor",
            "an encrypted copy may lie anywhere: "
            f"cardquorum kit {facts.name} --out DIR --location {location}",
            (f"location:{location}",),
        )
