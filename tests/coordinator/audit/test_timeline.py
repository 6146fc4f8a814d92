"""The audit over time, against going through every block and every subset."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

import pytest

from coordinator.audit.exposure import Exposure, Kind, exposure_of
from coordinator.audit.facts import (
    BranchFacts,
    CardFacts,
    CarrierFacts,
    CoinAges,
    CopyFacts,
    CosignerFacts,
    PlaceFacts,
    SecretFacts,
    VaultFacts,
)
from coordinator.audit.timeline import calendar_notes, looked_at, opening, timeline
from coordinator.chain.block_dates import ChainClock
from tests.coordinator.audit.later import NET, TIP, later
from tests.coordinator.audit.test_exposure import (
    by_brute_force,
    check,
    groups_of,
    some_gone,
    spends_without,
    thief_spends,
)

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
VAULTS = 1_000
MORE = 5_000
KINDS = tuple(Kind)
PLACES = {
    name: PlaceFacts(name, region, holder)
    for name, region, holder in (
        ("a", "N", "x"),
        ("b", "N", "y"),
        ("c", "S", "z"),
        ("d", None, "x"),
    )
}


def some_card(rng: random.Random, number: int) -> CarrierFacts:
    known = tuple(rng.sample(("x", "y", "z"), rng.randrange(2)))
    pin = SecretFacts("pin", known, tuple(rng.sample("abcd", rng.randrange(2))))
    card = CardFacts(rng.choice("FGH"), "1", rng.choice("VW"), secrets=(pin,))
    return CarrierFacts(f"card:c{number}", rng.choice([*"abcd", None]), some_gone(rng), NOW, card)


def some_key(rng: random.Random, number: int) -> CosignerFacts:
    cards = tuple(some_card(rng, number * 10 + n) for n in range(rng.choice([0, 1, 1, 1, 2])))
    return CosignerFacts(f"k{number}", cards, True)


def some_branch(rng: random.Random, name: str, keys: list[CosignerFacts]) -> BranchFacts:
    """Return a branch of keys of which some may be the primary's; it waits some few blocks."""
    chosen = tuple(rng.sample(keys, rng.randint(1, min(3, len(keys)))))
    wait = rng.randint(1, 9)
    absolute = rng.random() < 0.3
    return BranchFacts(
        name,
        rng.randint(1, len(chosen)),
        chosen,
        blocks=None if absolute else wait,
        height=TIP + wait - 4 if absolute else None,
    )


def some_facts(seed: int) -> VaultFacts:
    rng = random.Random(seed)
    keys = [some_key(rng, number) for number in range(rng.randint(2, 5))]
    primary = keys[: rng.randint(1, min(3, len(keys)))]
    names = ["recovery", "recovery-2"][: rng.randint(1, 2)]
    copies = tuple(
        CopyFacts(f"copy:{n}", rng.choice("abcd"), some_gone(rng)) for n in range(rng.randrange(3))
    )
    oldest = TIP - rng.randrange(8)
    return VaultFacts(
        "v",
        rng.randint(1, len(primary)),
        tuple(primary),
        places=PLACES,
        copies=copies,
        branches=tuple(some_branch(rng, name, keys) for name in names),
        ages=CoinAges(oldest, TIP, 2),
        chain=ChainClock(TIP, NOW, NOW),
    )


def ways_at(facts: VaultFacts, height: int) -> list[Exposure]:
    """Say it once more: each way to spend that a block allows, as a vault of its own."""
    assert facts.ages is not None
    whole = exposure_of(facts, later=facts.branches)
    ways = [Exposure(whole.threshold, whole.keys, whole.copies)]
    for branch, quorum in zip(facts.branches, whole.later, strict=True):
        aged = branch.blocks is not None and height - facts.ages.oldest >= branch.blocks
        locked = branch.height is not None and height > branch.height
        if aged or locked:
            ways.append(Exposure(quorum.threshold, quorum.keys, whole.copies))
    return ways


def none_spends(ways: list[Exposure], kind: Kind, lost: frozenset[str]) -> bool:
    return not any(spends_without(way, kind, lost) for way in ways)


def one_steals(ways: list[Exposure], kind: Kind, stolen: frozenset[str]) -> bool:
    return any(thief_spends(way, kind, stolen) for way in ways)


def compare(facts: VaultFacts, kinds: Sequence[Kind]) -> None:
    """Compare every block from now until all is open with the period it is in."""
    periods = timeline(facts)
    starts = [period.start.height for period in periods]
    assert starts == sorted(set(starts))
    at = 0
    found: tuple[object, ...] = ()
    for height in range(TIP + 1, TIP + 12):
        if at + 1 < len(periods) and starts[at + 1] == height:
            at += 1
        ways = ways_at(facts, height)
        if len(ways) == len(found):
            continue  # no other way to spend than in the block before
        found = tuple(ways)
        for kind in kinds:
            groups = sorted({group for way in ways for group in groups_of(way, kind)})
            losses = by_brute_force(groups, partial(none_spends, ways, kind))
            check(periods[at].minimal_losses[kind], losses)
            check(
                periods[at].minimal_thefts[kind],
                by_brute_force(groups, partial(one_steals, ways, kind)),
            )
        assert len(periods[at].open) == len(ways)
    assert at == len(periods) - 1


def test_every_block_of_a_thousand_vaults_costs_what_its_period_says() -> None:
    for seed in range(VAULTS):
        compare(some_facts(seed), (KINDS[seed % 6], KINDS[(seed + 3) % 6]))


@pytest.mark.matrix
@pytest.mark.parametrize("start", range(0, MORE, 500))
def test_every_kind_of_thing_costs_what_its_period_says(start: int) -> None:
    for seed in range(start, start + 500):
        compare(some_facts(seed), KINDS)


@pytest.mark.parametrize(("blocks", "said"), [(1, "1 block ("), (2, "2 blocks (")])
def test_without_a_coin_a_wait_begins_with_a_payment(blocks: int, said: str) -> None:
    branch = NET._replace(blocks=blocks)
    told = opening(later(branch, oldest=None), branch).about
    assert told.startswith(said)
    assert told.endswith(") after a payment")


def test_what_makes_dates_unsure_is_told_of_vaults_with_later_keys_only() -> None:
    at = looked_at(later(NET), str(TIP + 9))
    assert list(calendar_notes(later(), None)) == []
    assert list(calendar_notes(later(), at)) == [
        "nothing changes with time: this vault has no later keys"
    ]
    (told,) = calendar_notes(later(NET, chain=None), None)
    assert told.startswith("no block is known here: ")
    assert list(calendar_notes(later(NET), None)) == []
