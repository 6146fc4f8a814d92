"""What keeps a home: a backup with its ticks, sealed names, and what a vault received and paid."""

import json
from pathlib import Path

import pytest

from coordinator.home.settings import TICKS_FILE
from tests.cli.test_money import STRANGER, sent
from tests.program import Asked, asking
from tests.web.browser import Client
from tests.web.conftest import serving
from tests.web.test_pages import soon

WORDS = "home.passphrase=correct horse battery\n"


def test_a_backup_is_written_and_brings_back_what_was_ticked_off(
    client: Client, vault: Asked, tmp_path: Path
) -> None:
    road = "/happened/forced"
    client.post(road, on=road)
    assert "Done" in client.get(road).words
    made = client.post("/backup", on="/backup")
    shown = client.get(made.headers["location"]).words
    name = made.headers["location"].partition("made=")[2]
    assert f"The backup {name} was written" in shown
    file = vault.home.with_name("home-backups") / name
    other = asking(tmp_path / "other")
    other("restore", str(file))
    with serving(other.home) as page:
        again = Client(page)
        again.enter()
        assert "Done" in again.get(road).words
    second = client.post("/backup", on="/backup")
    assert second.headers["location"] != made.headers["location"]


@pytest.mark.parametrize("text", ["{", "[]", '{"a": 1}', '{"forced/": [1, "x"]}', "x" * 300_000])
def test_ticks_that_cannot_be_read_count_as_none(client: Client, vault: Asked, text: str) -> None:
    file = vault.home / TICKS_FILE
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    assert client.get("/happened/forced").status == 200
    client.post("/happened/forced", on="/happened/forced")
    assert "Done" in client.get("/happened/forced").words
    assert json.loads(file.read_text())


def test_names_are_sealed_and_shown_again_while_the_page_waits(
    client: Client, vault: Asked
) -> None:
    tasks = client.running.context.tasks
    client.post("/seal", on="/places")
    soon(lambda: f"cardquorum custody seal --home {vault.home}" in client.get("/task").words)
    assert 'type="password"' not in client.get("/task").text
    vault("custody", "seal", "--pin-stdin", stdin=WORDS)
    soon(lambda: tasks.last.is_over)
    assert "The names are sealed now" in client.get("/task").words
    assert "at-a" not in client.get("/places").words
    assert "are sealed" in client.get("/places").words
    client.post("/task/leave", on="/task")
    client.post("/unseal", on="/places")
    soon(lambda: tasks.last.elsewhere is not None)
    vault("custody", "unseal", "--pin-stdin", stdin=WORDS)
    soon(lambda: tasks.last.is_over)
    assert "at-a" in client.get("/places").words


def test_what_came_in_and_went_out_is_shown(client: Client, vault: Asked) -> None:
    payment = sent(vault, "--to", f"{STRANGER}:400000")["ceremony"]
    vault("label", "set", STRANGER, "the roof")
    shown = client.get("/vaults/v/history")
    told = vault("history", "v")["transactions"]
    assert shown.text.count("After it:") == len(told)
    assert f'href="/pay/{payment}"' in shown.text
    for each in ("paid, not in the public book yet", "came in", "the roof", "3 000 000 sat"):
        assert each in shown.words
    assert 'href="/vaults/v/history"' in client.get("/vaults/v").text
    assert client.get("/vaults/nobody/history").status == 400


def test_a_home_that_can_only_be_read_writes_no_backup(vault: Asked, read_only: Client) -> None:
    assert "can only be read" in read_only.get("/backup").words
    assert read_only.get("/vaults/v/history").status == 200
    assert not vault.home.with_name("home-backups").exists()
