"""Choosing among 100,000 coins: against sorting them."""

import random
import time
from collections.abc import Callable
from operator import attrgetter

import pytest

from psbt.coins import Coin, Outpoint, Payment, ScriptSize, Wish, select_coins

pytestmark = pytest.mark.bench

COUNT, ROUNDS = 100_000, 3
SCRIPT = b"\x00\x20" + bytes(32)


@pytest.fixture(scope="module", params=["random", "alike", "steps"])
def coins(request: pytest.FixtureRequest) -> list[Coin]:
    rng = random.Random(1)
    worth = {
        "random": lambda: rng.randrange(1_000, 10_000_000),
        "alike": lambda: 50_000,
        "steps": lambda: 100_000 * rng.randint(1, 9),
    }[request.param]
    return [Coin(Outpoint(f"{number:064x}", 0), worth(), 0, number, 1) for number in range(COUNT)]


def best_time(run: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


@pytest.mark.parametrize("feerate", [1_000, 30_000])
@pytest.mark.parametrize("amount", [70_000, 20_000_000])
def test_five_times_sorting(coins: list[Coin], amount: int, feerate: int) -> None:
    wish = Wish((Payment(SCRIPT, amount),), feerate)
    sorting = best_time(lambda: sorted(coins, key=attrgetter("value_sats")))
    choosing = best_time(lambda: select_coins(coins, wish, ScriptSize(2, 3), random.Random(2)))
    assert choosing <= 5 * sorting
