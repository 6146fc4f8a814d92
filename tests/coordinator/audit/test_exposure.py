"""Minimal losses and thefts, against going through every subset."""

import os
import random
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from itertools import combinations, product
from math import comb
from pathlib import Path

import pytest

from coordinator.audit import decision_diagram
from coordinator.audit.exposure import (
    ExposedKey,
    Exposure,
    Groups,
    KeyCarrier,
    Kind,
    Thing,
    can_read,
    can_spend,
    keys_left,
    minimal_losses,
    minimal_thefts,
    thief_can_spend,
)
from coordinator.audit.minimal_sets import Function, MinimalSets, Part, Threshold, minimal_sets

VAULTS = 1_000
LEAN = (Kind.CARD, Kind.FAMILY, Kind.VENDOR)


def at(place: str | None, subject: str = "copy:book", gone: str | None = None) -> Thing:
    return Thing(subject, Groups(location=place), gone)


def card(name: str, place: str | None, *pins: str, resists: bool = True) -> KeyCarrier:
    thing = Thing(f"card:{name}", Groups(location=place, card=name))
    return KeyCarrier(thing, (tuple(at(pin, f"pin:{name}") for pin in pins),), resists)


def plate(name: str, place: str | None, gone: str | None = None) -> KeyCarrier:
    return KeyCarrier(at(place, f"plate:{name}", gone))


def vault(threshold: int, *keys: tuple[KeyCarrier, ...], copies: str = "") -> Exposure:
    exposed = tuple(ExposedKey(f"k{place}", carriers) for place, carriers in enumerate(keys))
    return Exposure(threshold, exposed, tuple(at(place) for place in copies.split()))


def any_one(need: int, parts: list[Part]) -> Function:
    return Function((Threshold(need, tuple(parts)),))


def listed(found: MinimalSets) -> set[frozenset[str]]:
    """Write out every choice of every listed set."""
    sets = set()
    for blocks in found.sets:
        ways = [
            [{name} for name in block.names] if block.any_one else [set(block.names)]
            for block in blocks
        ]
        sets |= {frozenset().union(*chosen) for chosen in product(*ways)}
    return sets


def some_groups(rng: random.Random, number: int) -> Groups:
    def one(names: str) -> str | None:
        return rng.choice([*names, None]) if rng.random() < 0.9 else None

    return Groups(one("abcd"), one("NS"), one("xyz"), f"c{number}", one("FGH"), one("VW"))


def some_gone(rng: random.Random) -> str | None:
    return rng.choice(["lost", "stolen", "destroyed"]) if rng.random() < 0.08 else None


def some_carrier(rng: random.Random, number: int) -> KeyCarrier:
    thing = Thing(f"card:c{number}", some_groups(rng, number), some_gone(rng))
    if rng.random() < 0.4:
        return KeyCarrier(thing)
    needs = tuple(
        tuple(
            Thing(f"{kind}:{number}", some_groups(rng, number)._replace(card=None), some_gone(rng))
            for _ in range(rng.randrange(3))
        )
        for kind in rng.choice([("pin",), ("pin",), ("pin", "pairing")])
    )
    return KeyCarrier(thing, needs, resists=rng.random() < 0.8)


def some_vault(seed: int) -> Exposure:
    rng = random.Random(seed)
    number = iter(range(100))
    keys = tuple(
        ExposedKey(
            f"k{place}",
            tuple(some_carrier(rng, next(number)) for _ in range(rng.choice([0, 1, 1, 2, 2, 3]))),
            elsewhere=rng.random() < 0.1,
        )
        for place in range(rng.randint(1, 4))
    )
    copies = tuple(
        Thing(f"copy:{n}", some_groups(rng, n)._replace(card=None), some_gone(rng))
        for n in range(rng.choice([0, 1, 2, 2, 3]))
    )
    return Exposure(rng.randint(1, len(keys)), keys, copies if rng.random() < 0.9 else None)


def groups_of(exposure: Exposure, kind: Kind) -> list[str]:
    return sorted({group for thing in exposure.things() if (group := thing.group(kind))})


def is_in(thing: Thing, kind: Kind, chosen: frozenset[str]) -> bool:
    return f"{kind}:{getattr(thing.groups, kind)}" in chosen


def spends_without(exposure: Exposure, kind: Kind, lost: frozenset[str]) -> bool:
    """Say it once more, in other words than the program."""

    def there(thing: Thing) -> bool:
        return thing.gone is None and not is_in(thing, kind, lost)

    def usable(carrier: KeyCarrier) -> bool:
        opened = all(any(there(keeper) for keeper in keepers) for keepers in carrier.needs)
        return there(carrier.thing) and opened

    keys = [k for k in exposure.keys if k.elsewhere or any(usable(c) for c in k.carriers)]
    known = exposure.copies is None or any(there(copy) for copy in exposure.copies)
    return len(keys) >= exposure.threshold and known


def thief_spends(exposure: Exposure, kind: Kind, stolen: frozenset[str]) -> bool:
    def has(thing: Thing) -> bool:
        if thing.gone is not None:
            return thing.gone in {"lost", "stolen"}
        return is_in(thing, kind, stolen)

    def opens(carrier: KeyCarrier) -> bool:
        if not carrier.resists:
            return has(carrier.thing)
        opened = all(any(has(keeper) for keeper in keepers) for keepers in carrier.needs)
        return has(carrier.thing) and opened

    keys = [k for k in exposure.keys if not k.elsewhere and any(opens(c) for c in k.carriers)]
    copies = exposure.copies
    known = kind in LEAN or copies is None or any(has(copy) for copy in copies)
    return len(keys) >= exposure.threshold and known


def by_brute_force(
    groups: list[str], reached: Callable[[frozenset[str]], bool]
) -> set[frozenset[str]]:
    minimal: set[frozenset[str]] = set()
    for size in range(len(groups) + 1):
        for chosen in map(frozenset, combinations(groups, size)):
            if not any(known <= chosen for known in minimal) and reached(chosen):
                minimal.add(chosen)
    return minimal


def check(found: MinimalSets, expected: set[frozenset[str]]) -> None:
    assert found.complete
    assert listed(found) == expected
    assert found.count == len(expected)
    assert found.smallest == min(map(len, expected), default=None)
    sizes = [sum(block.size for block in blocks) for blocks in found.sets]
    assert sizes == sorted(sizes)


@pytest.mark.parametrize("start", range(0, VAULTS, 100))
def test_minimal_sets_are_minimal_and_all_there(start: int) -> None:
    for seed in range(start, start + 100):
        exposure = some_vault(seed)
        for kind in Kind:
            groups = groups_of(exposure, kind)
            lost = partial(spends_without, exposure, kind)
            taken = partial(thief_spends, exposure, kind)
            losses = by_brute_force(groups, lambda chosen, left=lost: not left(chosen))
            check(minimal_losses(exposure, kind), losses)
            check(minimal_thefts(exposure, kind), by_brute_force(groups, taken))


def test_what_if_says_the_same_about_every_subset() -> None:
    for seed in range(150):
        exposure = some_vault(seed)
        for kind in (Kind.LOCATION, Kind.HOLDER, Kind.FAMILY):
            groups = groups_of(exposure, kind)
            for size in range(len(groups) + 1):
                for chosen in map(frozenset, combinations(groups, size)):
                    spends = spends_without(exposure, kind, chosen)
                    assert can_spend(exposure, chosen) == spends
                    enough = keys_left(exposure, chosen) >= exposure.threshold
                    assert spends == (enough and can_read(exposure, chosen))
                    stolen = thief_can_spend(exposure, chosen, knows_descriptor=kind in LEAN)
                    assert stolen == thief_spends(exposure, kind, chosen)
                    told = thief_can_spend(exposure, chosen, knows_descriptor=True)
                    assert told == (exposure.quorums[0].taken(chosen) >= exposure.threshold)


def test_what_if_takes_any_mix() -> None:
    three = vault(2, (card("a", "bank", "home"),), (plate("b", "home"),), (plate("c", "hut"),))
    exposure = Exposure(2, three.keys, (at("bank"), at("hut")))
    assert can_spend(exposure)
    assert can_spend(exposure, ["plate:b"])
    assert not can_read(exposure, ["location:bank", "location:hut"])
    assert not can_spend(exposure, ["card:a", "location:hut"])
    assert not can_spend(exposure, ["pin:a", "plate:b"])
    assert thief_can_spend(exposure, ["card:a", "pin:a", "location:hut"])
    assert not thief_can_spend(exposure, ["card:a", "location:hut"])
    assert not thief_can_spend(exposure, ["plate:b", "plate:c"])
    assert thief_can_spend(exposure, ["plate:b", "plate:c"], knows_descriptor=True)


def test_losses_and_thefts_of_the_worked_example() -> None:
    """Three cards in a bank vault, with a friend and at home, where all PINs are written down."""
    places = ("bank", "friend", "home")
    cards = tuple((card(name, place, "home"),) for name, place in zip("abc", places, strict=True))
    exposure = vault(2, *cards, copies="bank home")
    losses = listed(minimal_losses(exposure, Kind.LOCATION))
    assert losses == {frozenset({"location:home"}), frozenset({"location:bank", "location:friend"})}
    thefts = listed(minimal_thefts(exposure, Kind.LOCATION))
    pairs = (("bank", "home"), ("friend", "home"))
    assert thefts == {frozenset(f"location:{place}" for place in pair) for pair in pairs}


def test_a_pin_nobody_knows_makes_a_card_useless() -> None:
    exposure = vault(1, (card("a", "home"),), copies="home")
    assert not can_spend(exposure)
    assert minimal_losses(exposure, Kind.LOCATION).sets == ((),)
    assert minimal_thefts(exposure, Kind.LOCATION).count == 0
    weak = vault(1, (card("a", "home", resists=False),), copies="home")
    assert minimal_thefts(weak, Kind.LOCATION).count == 1


def test_the_carriers_of_one_key_stand_together() -> None:
    cards = tuple(tuple(card(f"{key}{n}", "p")._replace(needs=()) for n in (1, 2)) for key in "abc")
    exposure = vault(2, *cards, copies="p")
    losses = minimal_losses(exposure, Kind.CARD)
    assert {str(block) for blocks in losses.sets for block in blocks} == {
        f"card:{key}1+card:{key}2" for key in "abc"
    }
    assert (losses.count, losses.smallest, len(losses.sets)) == (3, 4, 3)
    thefts = minimal_thefts(exposure, Kind.CARD)
    assert {str(block) for blocks in thefts.sets for block in blocks} == {
        f"card:{key}1|card:{key}2" for key in "abc"
    }
    assert (thefts.count, thefts.smallest, len(thefts.sets)) == (12, 2, 3)


def test_a_lost_quorum_is_one_empty_loss() -> None:
    exposure = vault(1, (plate("a", "home", "destroyed"),), copies="home")
    found = minimal_losses(exposure, Kind.LOCATION)
    assert (found.count, found.smallest, found.sets) == (1, 0, ((),))
    assert minimal_thefts(exposure, Kind.LOCATION) == MinimalSets(0, None, ())


def test_astronomical_numbers_are_counted_exactly() -> None:
    keys = tuple(tuple(plate(f"{key}.{n}", f"{key}.{n}") for n in range(5)) for key in range(15))
    exposure = vault(8, *keys, copies=" ".join(f"{key}.0" for key in range(15)))
    found = minimal_thefts(exposure, Kind.LOCATION)
    assert found.count == comb(15, 8) * (5**8 - 4**8)
    assert (found.smallest, len(found.sets), found.complete) == (8, 1_000, True)
    losses = minimal_losses(exposure, Kind.LOCATION)
    assert (losses.count, losses.smallest) == (comb(15, 8) + 1, 15)


PRINTED = """
from coordinator.audit.exposure import Kind, minimal_losses, minimal_thefts
from tests.coordinator.audit.test_exposure import some_vault
for seed in range(40):
    for kind in Kind:
        print(minimal_losses(some_vault(seed), kind), minimal_thefts(some_vault(seed), kind))
"""


def test_the_order_is_always_the_same() -> None:
    printed = {
        subprocess.run(
            [sys.executable, "-c", PRINTED],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[3],
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(printed) == 1


@pytest.mark.parametrize(("limit", "found"), [(0, False), (30, False), (60, False), (165, True)])
def test_too_large_a_diagram_still_gives_the_smallest(
    limit: int, monkeypatch: pytest.MonkeyPatch, *, found: bool
) -> None:
    rng = random.Random(3)
    names = [f"p{number}" for number in range(10)]
    parts = [
        Part(1, frozenset(frozenset(rng.sample(names, 2)) for _ in range(3))) for _ in range(6)
    ]
    whole = minimal_sets(any_one(3, parts))
    monkeypatch.setattr(decision_diagram, "NODES_MAX", limit)
    some = minimal_sets(any_one(3, parts))
    assert not some.complete
    assert bool(some.sets) is found
    largest = max((len(chosen) for chosen in listed(some)), default=0)
    assert listed(some) == {chosen for chosen in listed(whole) if len(chosen) <= largest}
    assert some.count == len(listed(some)) < whole.count


def test_one_name_that_is_enough_is_found_where_no_two_can_be_gone_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = random.Random(3)
    names = [f"p{number}" for number in range(10)]
    pairs = [
        Part(1, frozenset(frozenset(rng.sample(names, 2)) for _ in range(3))) for _ in "123456"
    ]
    parts = [Part(3, frozenset({frozenset({"x"})})), *pairs]
    found = []
    for limit in range(40):
        monkeypatch.setattr(decision_diagram, "NODES_MAX", limit)
        found.append(listed(minimal_sets(any_one(3, parts))))
    assert {frozenset({"x"})} in found


@pytest.mark.parametrize("room", range(7))
def test_a_diagram_may_be_of_the_small_sets_only(room: int) -> None:
    rng = random.Random(1)
    terms = [
        frozenset(sum(1 << n for n in rng.sample(range(9), 2)) for _ in "123") for _ in "12345"
    ]
    sizes = [1, 2, 1, 1, 3, 1, 1, 2, 1]
    built = decision_diagram.Diagram(sizes)
    whole = built.minimal([(3, [(1, term) for term in terms])])
    small = built.minimal([(3, [(1, term) for term in terms])], room)
    fitting = {
        chosen
        for chosen in built.smallest_first(whole)
        if sum(sizes[element] for element in chosen) <= room
    }
    assert set(built.smallest_first(small)) == fitting
    assert bool(fitting) == (room >= 3)


def test_only_so_many_are_listed() -> None:
    parts = [Part(1, frozenset({frozenset({f"{n}"}), frozenset({"x", f"y{n}"})})) for n in range(9)]
    whole = minimal_sets(any_one(4, parts))
    some = minimal_sets(any_one(4, parts), listed=5)
    assert (some.count, some.smallest, len(some.sets)) == (whole.count, whole.smallest, 5)
    assert some.sets == whole.sets[:5]
