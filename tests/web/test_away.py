"""A chain that is away: pages show what is known from the last time, and say so."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.home.settings import open_home
from tests.once import copy_of
from tests.program import Asked, asking
from tests.web import homes
from tests.web.browser import Client
from tests.web.conftest import serving
from tests.web.test_pages import PAGES, ended
from tests.web.test_pay import opened

AWAY = "It could not be looked up just now"
ASKING = ("/", "/pay", "/receive/v", "/vaults/v/history")


def made_away(home: Path) -> None:
    homes.away(home.parent)


@pytest.fixture
def away(tmp_path: Path) -> Asked:
    copy_of(made_away, tmp_path / "home")
    return asking(tmp_path / "home")


@pytest.fixture
def client(away: Asked) -> Iterator[Client]:
    with serving(away.home) as running:
        entered = Client(running)
        entered.enter()
        yield entered


def ready(asked: Asked) -> str:
    """Return the payment that is all signed."""
    payments = asked("spend", "list")["ceremonies"]
    name: str = next(each["ceremony"] for each in payments if each["state"] == "complete")
    return name


def test_every_page_is_shown(client: Client) -> None:
    assert [path for path in PAGES if client.get(path).status != 200] == []
    client.post("/look", on="/")
    told = ended(client).words
    assert "Not done" in told
    assert "No money has moved" in told


def test_an_address_is_given_out(client: Client) -> None:
    answer = client.accept("/receive/v", {}, on="/receive/v")
    assert answer.headers["location"].startswith("/receive/v/bcrt1")


def test_the_postage_is_typed_where_nobody_can_be_asked(client: Client) -> None:
    asked = opened(client, when="6", note="the roof")
    assert (asked.status, "say the postage yourself" in asked.words) == (400, True)
    assert "the roof" in asked.text
    assert opened(client, when="typed", rate="2").status == 303


def test_a_card_is_replaced_with_typed_postage(away: Asked, client: Client) -> None:
    away("card", "lost", "a")
    away("card", "enrol", "d", "--emulated", "fresh", "--pin-stdin", stdin="123456")
    road, chosen = "/happened/replace/v", {"gone": "a", "new": "d"}
    asked = client.accept(road, chosen, on=road)
    assert (asked.status, "say the postage yourself" in asked.words) == (400, True)
    assert '<option value="a" selected>' in asked.text
    assert client.accept(road, {**chosen, "rate": "3"}, on=road).status == 303


def test_nobody_says_of_a_payment_that_may_be_out_that_no_money_moved(
    away: Asked, client: Client
) -> None:
    payment = ready(away)
    client.post(f"/pay/{payment}/send", on=f"/pay/{payment}")
    told = ended(client).words
    assert "Not done" in told
    assert "Nobody can tell yet whether the payment went out" in told
    assert "No money has moved" not in told
    client.post("/task/leave", on="/task")
    assert "Send it now" in client.get(f"/pay/{payment}").words


def test_an_embedded_chain_that_cannot_be_read_is_said_and_comes_back(vault: Asked) -> None:
    blocks = open_home(vault.home).chain_folder / "blocks.dat"
    with serving(vault.home) as running:
        client = Client(running)
        client.enter()
        client.get("/")
        kept = blocks.read_bytes()
        blocks.write_bytes(b"no block" + kept)
        for path in ASKING:
            answer = client.get(path)
            assert (path, answer.status, AWAY in answer.words) == (path, 200, True)
        assert "3 000 000 sat" in client.get("/").words
        blocks.write_bytes(kept)
        assert AWAY not in client.get("/").words
