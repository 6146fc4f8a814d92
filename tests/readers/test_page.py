"""Cards on readers and the page: one that is laid on appears by itself; cards sign in turn."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cards import pcsc
from cards.errors import ReaderNotFound

pytest.importorskip("starlette", reason="the page's extra is not installed")

from coordinator.web.serving import Running
from tests.program import PIN, Asked
from tests.readers.conftest import PutCard, reader
from tests.web.browser import Client
from tests.web.conftest import serving
from tests.web.test_pages import soon
from tests.web.test_pay import answer_once, give_pins, seen_all


def entered(page: Running) -> Client:
    client = Client(page)
    client.enter()
    return client


def lying(page: Running, number: int) -> Callable[[], bool]:
    """Tell whether the page has seen a card on that reader."""
    return lambda: any(
        each.place == reader(number) and each.card is not None
        for each in page.context.watch.seen.lying
    )


@pytest.mark.usefixtures("ceremony")
def test_a_card_on_a_reader_is_shown_by_its_name_until_it_is_taken_away(
    home: Path,
    put: Any,  # noqa: ANN401 -- it has attributes
) -> None:
    with serving(home) as page:
        client = entered(page)
        soon(lying(page, 0))
        words = client.get("/cards").words
        assert "5 PIN attempts left" in words
        assert "at-a" in words
        put.readers[0].close()
        soon(lambda: not lying(page, 0)())


def test_cards_sign_one_after_the_other_on_one_reader(
    ceremony: str,
    put_card: PutCard,
    home: Path,
    asked: Asked,
    put: Any,  # noqa: ANN401 -- as above
) -> None:
    for number in (1, 2):
        put.readers[number].close()
    with serving(home) as page:
        client = entered(page)
        client.post(f"/pay/{ceremony}/sign", on=f"/pay/{ceremony}")
        answer_once(client, **seen_all(client), answer="yes")
        answer_once(client, pin=PIN)
        tasks = page.context.tasks
        soon(lambda: any("now" in line for line in tasks.last.lines))
        assert "kept at at-b" in client.get("/task").words  # which card comes next, and where it is
        put_card(0, "b")
        answer_once(client, pin=PIN)
        soon(lambda: tasks.last.is_over)
        assert "2 of 2 have signed" in client.get("/task").words
    assert asked("spend", "show", ceremony)["have"] == 2


@pytest.mark.matrix
def test_a_reader_is_let_go_where_the_person_stops(ceremony: str, home: Path) -> None:
    with serving(home) as page:
        client = entered(page)
        client.post(f"/pay/{ceremony}/sign", on=f"/pay/{ceremony}")
        answer_once(client, **seen_all(client), answer="yes")
        soon(lambda: page.context.tasks.last.question is not None)
        client.post("/task/stop", on="/task")
        soon(lambda: page.context.tasks.running is None)
        assert "stopped" in client.get("/task").words
    assert pcsc.arrival(reader(0), pcsc.ANY_CARD, 0) is not None


def test_a_reader_that_is_unplugged_while_its_card_signs_is_said_and_the_others_finish(
    ceremony: str, home: Path, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugged = pcsc.ReaderTransport.transmit

    def transmit(self: pcsc.ReaderTransport, apdu: bytes) -> bytes:
        if unplugged and self._reader == reader(0):
            raise ReaderNotFound(f"there is no reader {reader(0)}")
        return plugged(self, apdu)

    unplugged: list[bool] = []
    monkeypatch.setattr(pcsc.ReaderTransport, "transmit", transmit)
    with serving(home) as page:
        client = entered(page)
        client.post(f"/pay/{ceremony}/sign", on=f"/pay/{ceremony}")
        answer_once(client, **seen_all(client), answer="yes")
        unplugged.append(True)
        give_pins(client)
        words = client.get("/task").words
        assert "2 of 2 have signed" in words
        assert "report this" not in words
        soon(lambda: "There is no reader virtual 0" in client.get("/cards").words)
        unplugged.clear()
        soon(lying(page, 0))
    assert asked("spend", "show", ceremony)["have"] == 2
