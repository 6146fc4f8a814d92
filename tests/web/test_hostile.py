"""What goes wrong around the page: it is closed, killed, or has far more to show than usual."""

import json
import subprocess
import sys
from dataclasses import dataclass

from coordinator import clock
from coordinator.home.settings import open_home
from coordinator.home.stored import stored_policy
from coordinator.vault import addresses
from psbt.policy import RECEIVE, derive_scripts
from storage import chain as chain_book
from storage import vaults as vault_book
from storage.database import open_database
from tests.program import PIN, Asked
from tests.web.browser import TOKEN, Client
from tests.web.conftest import serving
from tests.web.test_pages import QUESTION, ended, soon

MANY = 10_000


def test_a_task_goes_on_where_the_browser_is_closed(client: Client, vault: Asked) -> None:
    client.post("/vaults/v/drill", on="/vaults/v")
    tasks = client.running.context.tasks
    soon(lambda: tasks.last.question is not None)
    vault("emulate", "fault", "a", "delay", "200")
    asked = client.get("/task").text
    question = QUESTION.search(asked)[1]
    form = TOKEN.findall(asked)[0]
    client.send("/task/answer", {"form": form, "question": question, "pin": PIN})
    client.running.context.windows.close()  # nobody looks any more
    soon(lambda: bool(vault("drill", "list", "v")["drills"][0]["proofs"]))
    again = Client(client.running)
    again.enter()
    assert "keys are proved in this drill" in ended(again, pin=PIN).words


def test_a_page_with_ten_thousand_addresses_is_still_a_page(vault: Asked) -> None:
    home = open_home(vault.home)
    database = open_database(home.database_url)
    with database.begin() as db:
        record = vault_book.vault_named(db, "v")
        first = chain_book.next_index(db, record, RECEIVE)
        for script in derive_scripts(stored_policy(record), RECEIVE, range(first, first + MANY)):
            chain_book.issue_address(db, record, script, now=clock.now())
    database.kw["bind"].dispose()
    with serving(vault.home) as page:
        client = Client(page)
        client.enter()
        answer = client.get("/receive/v")
        assert answer.status == 200
        assert len(answer.body) < 40_000
        assert f"{MANY - 49} older ones" in answer.words
        own = addresses.addresses(home, page.context.reading, "v", newest=50)
        assert [each.index for each in own] == list(range(first + MANY - 50, first + MANY))


def test_what_a_card_proved_is_kept_where_the_program_is_killed(vault: Asked) -> None:
    words = [sys.executable, "-m", "coordinator.cli", "open", "--json", "--no-browser"]
    with subprocess.Popen(
        [*words, "--home", str(vault.home)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as program:
        lines = [program.stdout.readline() for _ in range(3)]
        client = Client(Port(int(json.loads(b"".join(lines))["url"].split(":")[2].split("/")[0])))
        client.enter(json.loads(b"".join(lines))["url"])
        client.post("/vaults/v/drill", on="/vaults/v")
        for _ in "ab":  # two of three are asked for their PIN; the third is never answered
            question = wanted(client)
            form = TOKEN.findall(question)[0]
            asked = QUESTION.search(question)[1]
            client.send("/task/answer", {"form": form, "question": asked, "pin": PIN})
            soon(lambda asked=asked: asked not in client.get("/task").text)
        soon(lambda: len(vault("drill", "list", "v")["drills"][0]["proofs"]) == 2)
        program.kill()
    (drill,) = vault("drill", "list", "v")["drills"]
    assert len(drill["proofs"]) == 2
    assert all(each["valid"] for each in drill["proofs"])


@dataclass(frozen=True)
class Port:
    """A page served by another process."""

    port: int


def wanted(client: Client) -> str:
    """Wait until the task asks something; return its page."""
    soon(lambda: QUESTION.search(client.get("/task").text) is not None)
    return client.get("/task").text
