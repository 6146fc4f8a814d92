"""What the page adds to commands and verbs: the same work in one process, taken in turn."""

import http.client
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the page's extra is not installed")

from coordinator.audit import auditing
from coordinator.audit.auditing import Question
from tests.benchmarks.clock import cpu
from tests.patience import SECONDS
from tests.program import Asked
from tests.readers.conftest import PutCard
from tests.web.browser import Client
from tests.web.conftest import serving

pytestmark = pytest.mark.bench
RUNS = 15
ARRIVALS = 8
THERE = 'data-state="virtual 0 00 00 '
"""What the live part of Cards begins with while a card is on the first reader."""


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


@contextmanager
def listening(client: Client) -> Iterator[Callable[[Callable[[str], bool]], float]]:
    """Yield what asks for the live part of Cards whenever it changed, until that shows something.

    It returns when it did: as a browser, which hears of a change by the stream of events.
    """
    host = ("127.0.0.1", client.running.port)
    with closing(http.client.HTTPConnection(*host, timeout=SECONDS)) as connection:
        connection.request("GET", "/events", headers={"cookie": str(client.cookie)})
        stream = connection.getresponse()

        def until(shown: Callable[[str], bool]) -> float:
            while not shown(client.get("/cards?part=live").text):
                while not stream.readline().startswith(b"data: cards"):
                    continue
            return time.monotonic()

        yield until


@pytest.mark.usefixtures("ceremony")
def test_an_arrival_is_shown_within_twice_the_readers_own_time(
    put_card: PutCard,
    home: Path,
    put: Any,  # noqa: ANN401 -- it has attributes
) -> None:
    """From a card put in to its place on the page, by when the reader itself tells of it."""
    own = shown = 0.0
    with serving(home) as page:
        client = Client(page)
        client.enter()
        with listening(client) as until:
            for _ in range(ARRIVALS):
                put.readers[0].close()
                until(lambda text: THERE not in text)
                begun = time.monotonic()
                put_card(0, "a")  # returns once the reader has told of it
                own += time.monotonic() - begun
                shown += until(lambda text: THERE in text) - begun
    print(f"\narrival {shown / own:.2f} x the reader's own ({shown / ARRIVALS * 1000:.0f} ms)")  # noqa: T201 -- as above
    assert shown / own <= 2.0
