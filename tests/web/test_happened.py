"""Something happened, on the page: each road is shown, recorded, ticked off, and led to its end."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.guide.reports import Report
from tests.program import PIN, Asked, prove_keys
from tests.web.browser import Client
from tests.web.conftest import serving
from tests.web.test_pages import soon
from tests.web.test_pay import answer_once, seen_all


@pytest.fixture(scope="module")
def told_client(vault_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A browser on a home that these roads are only shown in."""
    home = tmp_path_factory.mktemp("page") / "home"
    shutil.copytree(vault_home, home)
    with serving(home) as page:
        client = Client(page)
        client.enter()
        yield client


@pytest.mark.parametrize("report", list(Report))
def test_every_road_says_what_to_do(told_client: Client, report: Report) -> None:
    client = told_client
    assert f'href="/happened/{report.value}"' in client.get("/happened").text
    shown = client.get(f"/happened/{report.value}")
    assert shown.status == 200
    about = shown.text.partition("?about=")[2].partition('"')[0]
    steps = client.get(f"/happened/{report.value}?about={about}") if about else shown
    has_steps = any(each in steps.text for each in ("Tick it off", "It is done", "Write it down"))
    assert has_steps or "Nothing of that kind is written down" in steps.words


def ticks(client: Client, road: str) -> list[str]:
    """Return the marks of the steps that wait for a tick, in order."""
    return re.findall(r'name="step" value="(\w+)"', client.get(road).text)


def test_a_step_is_ticked_off_and_back(told_client: Client) -> None:
    road = "/happened/died"
    first = {"about": "", "step": ticks(told_client, road)[0]}
    told_client.post(road, first, on=road)
    assert "Not done after all" in told_client.get(road).words
    told_client.post(road, first, on=road)
    assert "Not done after all" not in told_client.get(road).words
    told_client.post(road, {"about": "", "step": "nothing"}, on=road)
    assert "Not done after all" not in told_client.get(road).words


def test_ticks_are_there_after_a_restart_and_name_nobody(vault: Asked) -> None:
    vault("holder", "add", "marie")
    vault("location", "edit", "at-b", "--holder", "marie")
    roads = ("/happened/quiet?about=marie", "/happened/forced")
    with serving(vault.home) as page:
        client = Client(page)
        client.enter()
        for road in roads:
            path, _, about = road.partition("?about=")
            client.post(path, {"about": about, "step": ticks(client, road)[0]}, on=road)
    kept = (vault.home / "page" / "ticks.json").read_text()
    assert "marie" not in kept
    with serving(vault.home) as page:
        client = Client(page)
        client.enter()
        for road in roads:
            assert client.get(road).text.count("Not done after all") == 1


@pytest.mark.parametrize("left", ["", "{", "[]", '{"forced/": [1, "x"]}', "[" * 5000])
def test_odd_ticks_count_as_none(told_client: Client, left: str) -> None:
    file = told_client.running.folder / "ticks.json"
    file.write_text(left)
    assert "Not done after all" not in told_client.get("/happened/forced").words
    mark = ticks(told_client, "/happened/forced")[0]
    told_client.post("/happened/forced", {"about": "", "step": mark}, on="/happened/forced")
    assert "Not done after all" in told_client.get("/happened/forced").words
    file.unlink()


def test_what_the_book_tells_ticks_itself_off(client: Client, vault: Asked) -> None:
    vault("card", "lost", "a")
    words = client.get("/happened/lost?about=a").words
    assert "Done Record that card a is lost" in words
    assert "You can still spend it: 2 keys are left, 2 are needed" in words
    assert "look for card a" in words.lower()
    assert "Which card?" in client.get("/happened/stolen?about=a").words  # it is lost, not stolen


def test_what_is_recorded_says_what_is_still_possible(client: Client, vault: Asked) -> None:
    fields = {"item": "card:a", "event": "lost", "note": "on the train"}
    answer = client.post("/happened/record", fields, on="/happened/lost?about=a")
    assert "You can still spend it: 2 keys are left, 2 are needed" in answer.words
    assert vault("card", "show", "a")["gone"] == "lost"
    assert "recorded as lost" in client.get("/cards/a").words


def test_what_happens_to_a_bag_is_said_of_the_cards_in_it(client: Client, vault: Asked) -> None:
    vault("custody", "record", "card:a", "sealed", "--seal", "B1")
    fields = {"item": "bag:B1", "event": "stolen"}
    answer = client.post("/happened/record", fields, on="/happened/lost?about=a")
    assert "You can still spend it: 2 keys are left, 2 are needed" in answer.words
    assert vault("card", "show", "a")["gone"] == "stolen"


def test_two_stolen_cards_are_said_to_be_a_thief_s(client: Client) -> None:
    for label in "ab":
        fields = {"item": f"card:{label}", "event": "stolen"}
        road = f"/happened/stolen?about={label}"
        answer = client.post("/happened/record", fields, on=road)
    assert "A thief can spend it" in answer.words
    assert "Something is dangerous" in client.get("/").words


@pytest.mark.parametrize(
    "fields",
    [
        {"item": "card:a", "event": "placed"},
        {"item": "card:x", "event": "lost"},
        {"item": "", "event": ""},
    ],
)
def test_what_cannot_be_recorded_is_refused(
    client: Client, vault: Asked, fields: dict[str, str]
) -> None:
    before = len(vault("custody", "log")["events"])
    assert client.post("/happened/record", fields, on="/happened/lost?about=a").status == 400
    assert len(vault("custody", "log")["events"]) == before


def test_what_is_unknown_is_said(client: Client) -> None:
    assert client.get("/happened/nonsense").status == 400
    assert client.get("/happened/lost?about=nobody").status == 200  # asks which card


def test_a_lost_card_is_replaced_to_the_end(vault: Asked) -> None:
    prove_keys(vault)
    vault("emulate", "new", "tapsigner", "d")
    vault("card", "enrol", "d", "--emulated", "d", "--pin-stdin", stdin=PIN)
    with serving(vault.home) as page:
        client = Client(page)
        client.enter()
        client.post(
            "/happened/record", {"item": "card:a", "event": "lost"}, on="/happened/lost?about=a"
        )
        road = "/happened/replace/v"
        moved = client.accept(road, {"gone": "a", "new": "d"}, on=road)
        assert moved.status == 303, moved.words
        assert "takes the place of vault v" in client.get(road).words
        assert "must not be paid any more" in client.get("/receive/v").words
        assert "took its place" in client.get("/vaults/v").words
        (payment,) = [each["ceremony"] for each in vault("spend", "list")["ceremonies"]]
        client.post(f"/pay/{payment}/sign", on=f"/pay/{payment}")
        answer_once(client, **seen_all(client), answer="yes")
        tasks = page.context.tasks
        for _ in "bc":
            soon(lambda: tasks.last.is_over or tasks.last.question is not None)
            answer_once(client, pin=PIN)
        soon(lambda: tasks.last.is_over)
        client.post("/task/leave", on="/task")
        client.post(f"/pay/{payment}/send", on=f"/pay/{payment}")
        soon(lambda: tasks.last.is_over)
        assert "It was sent" in client.get("/task").words
