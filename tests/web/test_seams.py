"""What happens beside an open page: its home goes or comes back older, its chain is away."""

import shutil
from pathlib import Path

import pytest

from tests.program import PIN, Asked
from tests.servers.postgresql import Engines
from tests.web.browser import Client
from tests.web.conftest import serving
from tests.web.test_consent import form_of
from tests.web.test_pages import PAGES, ended
from tests.web.test_pay import opened, payment_of

ROADS = (*PAGES, *(f"{path}?part=live" for path in ("/", "/cards", "/task")))


def is_said(client: Client, path: str) -> bool:
    """Tell whether a page is shown, or says in words why not: no fault of the program."""
    answer = client.get(path)
    bug = "report this" in answer.words or "unexpected" in answer.words
    return answer.status in {200, 303, 400, 404, 500} and not bug


def only_says_so(client: Client, form: str, *paths: str) -> None:
    """Hold that nothing is shown and nothing taken any more, and that it is said why."""
    for path in (*ROADS, *paths):
        words = client.get(path).words
        assert "not the home that this page was opened with" in words
        assert "sat" not in words.split()
    refused = client.send("/places/new", {"form": form, "name": "x", "kind": "home"})
    assert "not the home that this page was opened with" in refused.words


def test_a_home_that_is_deleted_while_it_is_open_is_not_shown_any_more(
    client: Client, vault: Asked
) -> None:
    form = form_of(client, "/places/new", "/places")["form"]
    shutil.rmtree(vault.home)
    only_says_so(client, form)


def test_another_home_that_comes_in_its_place_is_not_taken_for_it(
    client: Client, vault: Asked, tmp_path: Path
) -> None:
    vault("backup", "--out", str(tmp_path / "b"), "--with-approvals")
    payment = payment_of(opened(client))
    form = form_of(client, "/places/new", "/places")["form"]
    vault.home.rename(tmp_path / "kept")
    vault("restore", str(tmp_path / "b"))
    only_says_so(client, form, f"/pay/{payment}")
    assert "x" not in {each["name"] for each in vault("location", "list")["locations"]}


def test_a_home_that_remembers_elsewhere_since_is_not_written_to(
    client: Client, vault: Asked
) -> None:
    form = form_of(client, "/places/new", "/places")["form"]
    settings = vault.home / "settings.toml"
    settings.write_text(settings.read_text().replace('"regtest:"', '"none:"'))
    only_says_so(client, form)


@pytest.mark.parametrize("state", ["damaged", pytest.param("empty", marks=pytest.mark.matrix)])
def test_a_database_that_breaks_while_it_is_open_is_said(
    client: Client, vault: Asked, state: str
) -> None:
    file = vault.home / "cardquorum.db"
    file.write_bytes(b"" if state == "empty" else b"no database" * 999)
    assert [path for path in ROADS if not is_said(client, path)] == []


@pytest.mark.matrix
def test_a_server_that_goes_away_is_said_and_comes_back(vault: Asked, on_server: Engines) -> None:
    server = on_server.server
    database = server.database(lasting=True)
    url = server.url(database).render_as_string(hide_password=False)
    vault("database", "copy", str(vault.home), url, "--use")
    with serving(vault.home) as page:
        client = Client(page)
        client.enter()
        server.run(f"ALTER DATABASE {database} ALLOW_CONNECTIONS false")
        server.end_sessions(database)
        assert [path for path in PAGES if not is_said(client, path)] == []
        server.run(f"ALTER DATABASE {database} ALLOW_CONNECTIONS true")
        assert "3 000 000 sat" in client.get("/").words


@pytest.mark.matrix
@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_card_torn_out_at_each_step_of_a_check_is_said(
    client: Client, vault: Asked, number: int, when: str
) -> None:
    vault("emulate", "fault", "a", "tear", str(number), when)
    begun = client.post("/cards/a/check", on="/cards")
    if begun.status == 400:  # the page looked at the card itself, and it was torn out then
        assert "lay it on the reader" in begun.words
    else:
        told = ended(client, pin=PIN).words
        assert "report this" not in told
        assert "in order" in told or "Not done" in told
    vault("emulate", "fault", "a", "insert")
    client.post("/cards/a/check", on="/cards/a")
    assert "report this" not in ended(client, pin=PIN).words
