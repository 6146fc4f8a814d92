"""What goes wrong around the page: it is closed, killed, or has far more to show than usual."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from coordinator import clock
from coordinator.home.settings import open_home
from coordinator.home.stored_policies import stored_policy
from coordinator.vault import addresses
from psbt.policy import RECEIVE, derive_scripts
from storage import chain as chain_book
from storage import vaults as vault_book
from storage.database import open_database
from tests.program import PIN, Asked
from tests.web.browser import HIDDEN, Client
from tests.web.conftest import serving
from tests.web.test_pages import QUESTION, ended, soon
from tests.web.test_pay import opened, payment_of

MANY = 10_000
MATRIX = pytest.mark.matrix


DELAY_MS = "300"
"""How long a card takes over each command that shall be interrupted."""


def begin_to_sign(client: Client, vault: Asked) -> str:
    """Have a payment agreed to, so that the first card's PIN is asked for; return its id."""
    payment = payment_of(opened(client))
    client.post(f"/pay/{payment}/sign", on=f"/pay/{payment}")
    soon(lambda: 'name="digest"' in client.get("/task").text)
    vault("emulate", "fault", "a", "delay", DELAY_MS)
    answer(client, answer="yes")
    return payment


def answer(client: Client, **given: str) -> None:
    """Answer the question that is open, with what its form carries."""
    asked = wanted(client)
    boxes = dict.fromkeys(re.findall(r'name="(seen:\d+)"', asked), "yes")
    hidden = dict(HIDDEN.findall(asked.partition('action="/task/answer"')[2]))
    client.send("/task/answer", {**hidden, **boxes, **given})


def finish_on_the_page(client: Client, vault: Asked, payment: str) -> None:
    """Have the rest sign, and send it."""
    page = f"/pay/{payment}"
    state = vault("spend", "show", payment)["state"]
    if state == "collecting":
        if client.running.context.tasks.running is None:
            client.post(f"{page}/sign", on=page)
            answer(client, answer="yes")
        assert "2 of 2 have signed" in ended(client, pin=PIN).words
    client.post(f"{page}/send", on=page)
    assert "It was sent" in ended(client).words
    assert vault("spend", "show", payment)["state"] == "broadcast"


def test_a_payment_goes_on_where_the_browser_is_closed_while_a_card_signs(
    client: Client, vault: Asked
) -> None:
    payment = begin_to_sign(client, vault)
    answer(client, pin=PIN)
    client.running.context.windows.close()  # nobody looks any more
    soon(lambda: vault("spend", "show", payment)["have"] == 1)
    again = Client(client.running)
    again.enter()
    assert f"Sign payment {payment}" in again.get("/").words  # it is still being done
    finish_on_the_page(again, vault, payment)


def have_many_addresses(vault: Asked) -> int:
    """Have ten thousand more addresses given out; return the first one's index."""
    home = open_home(vault.home)
    database = open_database(home.database_url)
    with database.begin() as db:
        record = vault_book.vault_named(db, "v")
        first = chain_book.next_index(db, record, RECEIVE)
        for script in derive_scripts(stored_policy(record), RECEIVE, range(first, first + MANY)):
            chain_book.issue_address(db, record, script, now=clock.now())
    database.kw["bind"].dispose()
    return first


@MATRIX
def test_a_page_with_ten_thousand_addresses_is_still_a_page(vault: Asked) -> None:
    first, home = have_many_addresses(vault), open_home(vault.home)
    with serving(vault.home) as page:
        client = Client(page)
        client.enter()
        answer = client.get("/receive/v")
        assert answer.status == 200
        assert len(answer.body) < 40_000
        assert f"{MANY - 49} older ones" in answer.words
        own = addresses.addresses(home, page.context.reading, "v", newest=50)
        assert [each.index for each in own] == list(range(first + MANY - 50, first + MANY))


MOMENTS = {
    "the review is shown": 0,
    "a PIN is asked for": 0,
    "a card signs": 0,
    "the next PIN is asked for": 1,
    "the next card signs": 1,
    "all have signed": 2,
}
"""When the program is killed, and how many have signed at least by then."""


@pytest.mark.parametrize(
    "moment",
    [
        each if each == "the next PIN is asked for" else pytest.param(each, marks=MATRIX)
        for each in MOMENTS
    ],
)
def test_what_was_signed_is_kept_where_the_program_is_killed(vault: Asked, moment: str) -> None:
    steps = list(MOMENTS).index(moment)
    with another_program(vault) as (program, client):
        payment = payment_of(opened(client))
        client.post(f"/pay/{payment}/sign", on=f"/pay/{payment}")
        wanted(client)
        for label in "ab":
            vault("emulate", "fault", label, "delay", DELAY_MS if "signs" in moment else "0")
        for step, given in enumerate(({"answer": "yes"}, {"pin": PIN}, {"pin": PIN}), start=1):
            if steps < {1: 1, 2: 2, 3: 4}[step]:
                break
            before = QUESTION.search(wanted(client))[1]
            answer(client, **given)
            soon(lambda before=before: before not in client.get("/task").text)
            if "signs" not in moment or step < {2: 2, 4: 3}[steps]:
                soon(lambda step=step: step < 2 or signed(vault, payment) >= step - 1)
        program.kill()
        program.wait()
    assert MOMENTS[moment] <= signed(vault, payment) <= MOMENTS[moment] + 1
    with serving(vault.home) as page:
        client = Client(page)
        client.enter()
        assert f"/pay/{payment}" in client.get("/").text
        finish_on_the_page(client, vault, payment)


def signed(vault: Asked, payment: str) -> int:
    found: int = vault("spend", "show", payment)["have"]
    return found


@contextmanager
def another_program(vault: Asked) -> Iterator[tuple["subprocess.Popen[bytes]", Client]]:
    """Serve the page by a program of its own, and let a browser in."""
    words = [sys.executable, "-m", "coordinator.cli", "open", "--json", "--no-browser"]
    with subprocess.Popen(
        [*words, "--home", str(vault.home)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as program:
        url = json.loads(b"".join(program.stdout.readline() for _ in range(3)))["url"]
        client = Client(Port(int(url.split(":")[2].split("/")[0])))
        client.enter(url)
        try:
            yield program, client
        finally:
            program.kill()


@dataclass(frozen=True)
class Port:
    """A page served by another process."""

    port: int


def wanted(client: Client) -> str:
    """Wait until the task asks something; return its page."""
    soon(lambda: QUESTION.search(client.get("/task").text) is not None)
    return client.get("/task").text
