"""Choosing among 100,000 coins: against sorting as many."""

import random
from collections.abc import Callable
from operator import attrgetter

import pytest

from psbt.coins import Coin, Outpoint, Payment, Wish, select_coins
from psbt.weight import ScriptSize
from tests.benchmarks.clock import cpu

pytestmark = pytest.mark.bench

COUNT, ROUNDS = 100_000, 9
SCRIPT = b"\x00\x20" + bytes(32)


WORTH: dict[str, Callable[[random.Random], int]] = {
    "random": lambda rng: rng.randrange(1_000, 10_000_000),
    "alike": lambda _: 50_000,
    "steps": lambda rng: 100_000 * rng.randint(1, 9),
}


def coins_worth(kind: str) -> list[Coin]:
    rng = random.Random(1)
    return [
        Coin(Outpoint(f"{number:064x}", 0), WORTH[kind](rng), 0, number, 1)
        for number in range(COUNT)
    ]


def best_time(run: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS):
        start = cpu()
        run()
        times.append(cpu() - start)
    return min(times)


@pytest.fixture(scope="module")
def sorting() -> float:
    """Time what sorting takes where the order is not given away: coins of random worth."""
    coins = coins_worth("random")
    return best_time(lambda: sorted(coins, key=attrgetter("value_sats")))


@pytest.mark.parametrize("kind", WORTH)
def test_five_times_sorting(kind: str, sorting: float) -> None:
    coins = coins_worth(kind)
    for amount in (70_000, 20_000_000):
        for feerate in (1_000, 30_000):
            wish = Wish((Payment(SCRIPT, amount),), feerate)
            choosing = best_time(
                lambda wish=wish: select_coins(coins, wish, ScriptSize(2, 3), rng=random.Random(2))
            )
            assert choosing <= 5 * sorting
