"""Minimal losses and thefts of large vaults: against trying subsets of a few places one by one."""

import random
import sys
from collections.abc import Callable
from itertools import combinations

import pytest

from coordinator.audit.exposure import (
    ExposedKey,
    Exposure,
    Groups,
    KeyCarrier,
    Kind,
    Thing,
    can_spend,
    minimal_losses,
    minimal_thefts,
)
from tests.benchmarks.clock import cpu

pytestmark = pytest.mark.bench

ROUNDS = 3
TRIED = 12  # places, whose subsets are 4,096
SIZES = [(3, 1, 3), (3, 3, 10), (5, 3, 20), (10, 3, 20), (10, 5, 40), (15, 3, 40), (15, 5, 40)]
PIN_PLACES = (0, 3, 6)


def vault(cosigners: int, carriers: int, places: int, pin_places: int) -> Exposure:
    """Lay every carrier at a random place; write each PIN down at one of a few, or at none."""
    rng = random.Random(1)

    def somewhere(kind: str, among: int) -> Thing:
        return Thing(f"{kind}:x", Groups(location=f"p{rng.randrange(among)}"))

    def carrier() -> KeyCarrier:
        pins = ((somewhere("pin", pin_places),),) if pin_places else ()
        return KeyCarrier(somewhere("card", places), pins)

    keys = tuple(
        ExposedKey(f"k{key}", tuple(carrier() for _ in range(carriers))) for key in range(cosigners)
    )
    copies = tuple(somewhere("copy", places) for _ in range(cosigners))
    return Exposure(cosigners // 2 + 1, keys, copies)


def best_time(run: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS):
        start = cpu()
        run()
        times.append(cpu() - start)
    return min(times)


def every_subset(exposure: Exposure) -> int:
    """Ask about each set of a few places."""
    names = [f"location:p{place}" for place in range(TRIED)]
    subsets = (chosen for size in range(TRIED + 1) for chosen in combinations(names, size))
    return sum(can_spend(exposure, chosen) for chosen in subsets)


def test_forty_places_in_the_time_of_a_dozen() -> None:
    trying = best_time(lambda: every_subset(vault(15, 5, 40, 3)))
    sys.stdout.write("\n cosign. carriers  places PINs at    losses    thefts   time\n")
    for size in SIZES:
        for pins in PIN_PLACES:
            exposure = vault(*size, pins)
            found = minimal_losses(exposure, Kind.LOCATION), minimal_thefts(exposure, Kind.LOCATION)
            taken = best_time(
                lambda exposure=exposure: (
                    minimal_losses(exposure, Kind.LOCATION),
                    minimal_thefts(exposure, Kind.LOCATION),
                )
            )
            counts = "".join(f"{sets.count:>10}" for sets in found)
            shape = "".join(f"{number:>8}" for number in (*size, pins))
            sys.stdout.write(f"{shape}{counts}  {taken / trying:.3f}\n")
            assert all(sets.complete for sets in found)
            assert taken <= trying / 2
