"""What the page adds to commands and verbs: the same work in one process, taken in turn."""

from collections.abc import Callable

import pytest

pytest.importorskip("starlette", reason="the page's extra is not installed")

from coordinator.audit import auditing
from coordinator.audit.auditing import Question
from tests.benchmarks.clock import cpu
from tests.program import Asked
from tests.web.browser import Client
from tests.web.conftest import serving

pytestmark = pytest.mark.bench
RUNS = 15


def least(*works: Callable[[], object]) -> list[float]:
    """Return the least time of each, taken in turn; the first turn warms up."""
    turns = []
    for _ in range(RUNS + 1):
        times = []
        for work in works:
            begun = cpu()
            work()
            times.append(cpu() - begun)
        turns.append(times)
    return [min(column) for column in zip(*turns[1:], strict=True)]


def test_today_costs_little_more_than_status(vault: Asked) -> None:
    with serving(vault.home) as page:
        client = Client(page)
        client.enter()
        status, today = least(lambda: vault("status"), lambda: client.get("/"))
    print(f"\nToday {today / status:.2f} x status ({today * 1000:.0f} ms)")  # noqa: T201 -- the figure
    assert today / status <= 1.3


def test_a_what_if_costs_at_most_twice_the_verb(vault: Asked) -> None:
    asked = "/places/v?part=what_if&lose:location:at-a=yes&steal:card:b=yes"
    question = Question(("location:at-a",), ("card:b",))
    with serving(vault.home) as page:
        client, context = Client(page), page.context
        client.enter()
        verb, answer = least(
            lambda: auditing.audited(context.home, context.reading, "v", asked=question),
            lambda: client.get(asked),
        )
    print(f"\nwhat if {answer / verb:.2f} x audit ({answer * 1000:.1f} ms)")  # noqa: T201 -- as above
    assert answer / verb <= 2.0
