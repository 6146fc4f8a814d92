"""What the branches that open later give an audit to find: their keys, their waits, the coins."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from coordinator.audit.facts import BranchFacts, CosignerFacts, VaultFacts, listed_names
from coordinator.audit.rule_findings import drill_due
from coordinator.audit.timeline import opening, who
from coordinator.chain.block_dates import BLOCK_TIME, duration
from coordinator.notices import Notice, Severity

HOME: Final = "home"
WAIT_BEYOND_OLDER: Final = "wait_beyond_older"
OLDER_MAX: Final = 65_535
PINS: Final = 10**6
"""The PINs of six digits: so many a thief tries at most where no card locks."""


def branch_findings(facts: VaultFacts, now: datetime) -> Iterator[Notice]:
    """Yield every finding about branches that open later; none of a vault that has none."""
    for key in facts.later_keys():
        yield from _lies_with_quorum(facts, key)
    yield from _unproved(facts)
    for branch in facts.branches:
        yield from _single(branch)
        yield from _before_drill(facts, branch, now)
        yield from _sooner_than_card(facts, branch)
        yield from _beyond_older(facts, branch)
        yield from _ages_apart(facts, branch)


def _lies_with_quorum(facts: VaultFacts, key: CosignerFacts) -> Iterator[Notice]:
    """Tell of a later key at the owner's home, or where a key lies that it is to stand in for."""
    for location, carriers in sorted(key.by_location().items()):
        beside = [each.label for each in facts.cosigners if location in each.by_location()]
        place = facts.places.get(location)
        at_home = place is not None and place.kind == HOME
        if not beside and not at_home:
            continue
        subjects = tuple(each.subject for each in carriers)
        names = f"{' and '.join(subjects)} of later key {key.label}"
        lies = f"at home, at location {location}" if at_home else f"at location {location}"
        also = f", where key {listed_names(beside)} lies too" if beside else ""
        told = (
            f"{names} lies {lies}{also}: one fire or one thief there takes it as well, and a "
            "thief then only has to wait",
            "keep it with the person who is to use it: "
            f"cardquorum custody record {subjects[0]} moved --at LOCATION",
            (f"location:{location}", *subjects),
        )
        if at_home:
            yield Notice("later_key_at_home", Severity.WARNING, *told)
        else:
            yield Notice("later_key_with_quorum", Severity.WARNING, *told)


def _unproved(facts: VaultFacts) -> Iterator[Notice]:
    missing = tuple(f"key:{key.label}" for key in facts.later_keys() if key.verified is None)
    if missing:
        yield Notice(
            "later_key_unproved",
            Severity.WARNING,
            f"{' and '.join(missing)} never signed for vault {facts.name} here: whether a later "
            "branch can be spent at all is not known",
            f"have its holder offer the card once: cardquorum vault verify {facts.name}",
            missing,
        )


def _single(branch: BranchFacts) -> Iterator[Notice]:
    if branch.threshold == 1:
        keys = who(1, [key.label for key in branch.keys])
        yield Notice(
            "single_later_key",
            Severity.WARNING,
            f"once the wait of {branch.said} is over {keys} can spend: one theft, or one "
            "person who does not wait for the others, is enough",
            "prefer two of three later keys: cardquorum vault create --recovery-threshold 2",
            tuple(f"key:{key.label}" for key in branch.keys),
        )


def _before_drill(facts: VaultFacts, branch: BranchFacts, now: datetime) -> Iterator[Notice]:
    """Tell of a branch that opens before anybody has to look at the vault again."""
    due, start = drill_due(facts), opening(facts, branch)
    if due is None or start.expected is None or branch in facts.open_branches():
        return
    planned = max(due, now)
    if start.expected.latest < planned:
        yield Notice(
            "branch_opens_before_drill",
            Severity.WARNING,
            f"the wait of {branch.said} ends {start.about} ({start.range}), "
            f"before the next drill is due, {planned.date().isoformat()}",
            f"hold the drill before that: cardquorum drill plan {facts.name}; moving the coins to "
            "the vault itself counts as one, and restarts a wait in blocks: "
            f"cardquorum spend refresh {facts.name}",
            (f"vault:{facts.name}",),
        )


def _sooner_than_card(facts: VaultFacts, branch: BranchFacts) -> Iterator[Notice]:
    """Tell of a branch that is open by the time a stolen card of it has given way.

    A card that locks after wrong PINs never does.
    """
    wait = branch.blocks
    if wait is None:
        if facts.chain is None or branch.height is None:
            return
        wait = branch.height + 1 - facts.chain.height
    for key in branch.keys:
        for carrier in key.carriers:
            theft = carrier.card.theft if carrier.card is not None else None
            if theft is None or theft.attempts is not None or carrier.gone is not None:
                continue
            resists = timedelta(seconds=PINS * theft.seconds_per_attempt)
            if timedelta() < wait * BLOCK_TIME < resists:
                yield Notice(
                    "wait_shorter_than_card",
                    Severity.WARNING,
                    f"{branch.said} wait {wait} blocks ({duration(wait)}), less than "
                    f"a stolen {carrier.subject} resists who tries every PIN "
                    f"({duration(resists // BLOCK_TIME)}): it is open when the card gives way",
                    "choose a longer wait, or a card that locks after wrong PINs, for that key",
                    (carrier.subject, f"key:{key.label}"),
                )


def _beyond_older(facts: VaultFacts, branch: BranchFacts) -> Iterator[Notice]:
    """Tell of a wait that no number of blocks in a script can count; that of a height can be."""
    if branch.blocks is not None and branch.blocks > OLDER_MAX:
        yield Notice(
            WAIT_BEYOND_OLDER,
            Severity.DANGER,
            f"{branch.said} wait {branch.blocks} blocks and a script counts {OLDER_MAX} "
            "at most: it opens sooner than is written",
            "send nothing to this vault; make one that waits less, or until a height",
            (f"vault:{facts.name}",),
        )
    if branch.height is None or facts.chain is None:
        return
    left = branch.height + 1 - facts.chain.height
    if left > OLDER_MAX:
        yield Notice(
            WAIT_BEYOND_OLDER,
            Severity.INFO,
            f"the wait of {branch.said} ends {facts.chain.about(branch.height + 1)}, in {left} "
            f"blocks: longer than a wait in blocks can be ({OLDER_MAX}, {duration(OLDER_MAX)}), "
            "and no move of the coins to the vault itself changes when",
            "count on nothing but the keys of today until then",
            (f"vault:{facts.name}",),
        )


def _ages_apart(facts: VaultFacts, branch: BranchFacts) -> Iterator[Notice]:
    """Tell where a branch opens for some coins long before it does for others."""
    ages = facts.ages
    if ages is None or branch.blocks is None or facts.chain is None:
        return
    if (ages.newest - ages.oldest) * 2 > branch.blocks:
        first, last = (facts.chain.about(each + branch.blocks) for each in ages[:2])
        yield Notice(
            "coins_of_different_age",
            Severity.INFO,
            f"the wait of {branch.said} ends for the oldest of {ages.coins} coins {first}, for the "
            f"newest {last}",
            "go by the oldest; moved together to the vault itself all have one date, and everybody "
            f"sees that they have one owner: cardquorum spend refresh {facts.name} --all",
            (f"vault:{facts.name}",),
        )
