"""Five tasks counted by page, as docs/page.md has them: screens that are seen, questions answered.

A screen is a page, or a question that a task asks by itself. A question is a field that somebody
has to fill in or choose; what is suggested and stays so is none, consent to a payment is one.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.test_kit import typed
from tests.program import PIN, Asked, asking, prove_keys
from tests.web.browser import Answer, Client
from tests.web.conftest import serving
from tests.web.test_pages import soon
from tests.web.test_pay import FOREIGN, answer_once, seen_all

pytestmark = pytest.mark.matrix
DOCUMENT = Path(__file__).parents[2] / "docs" / "page.md"
ROW = re.compile(r"\| (.+?) \| (\d+) \| (\d+) \|")
CARDS = {"blue": "home", "red": "aunt", "green": "bank"}


@dataclass
class Counted:
    """Somebody at the page, whose screens and questions are counted."""

    client: Client
    screens: int = 0
    questions: int = 0

    def send(self, path: str, *hidden: tuple[str, str], on: str, **asked: str) -> Answer:
        """See a page, answer its questions, and send it."""
        self.screens += 1
        self.questions += len(asked)
        return self.client.accept(path, {**dict(hidden), **asked}, on=on)

    def task(self) -> None:
        """Answer what the task at hand asks, until it is over; then go on."""
        tasks = self.client.running.context.tasks
        while True:
            soon(lambda: tasks.last is not None and (tasks.last.is_over or tasks.last.question))
            self.screens += 1
            if tasks.last.is_over:
                assert tasks.last.error is None
                self.client.post("/task/leave", on="/task")
                return
            self.questions += 1
            open_one = tasks.last.question.id
            if "digest" in tasks.last.question.said:
                answer_once(self.client, **seen_all(self.client), answer="yes")
            else:
                answer_once(self.client, pin=PIN, again=PIN)
            soon(lambda was=open_one: tasks.last.question is None or tasks.last.question.id != was)


def new_vault(who: Counted, asked: Asked) -> None:
    for label in CARDS:
        asked("emulate", "new", "tapsigner", label)
    soon(lambda: who.client.get("/cards").text.count("card that is not known") == 3)
    for label, place in CARDS.items():
        who.send("/cards/known", ("place", label), on="/cards", label=label)
        who.task()
        who.send("/places/new", on="/places", name=place, kind="home")
        who.send("/places/move", ("event", "placed"), on="/places", item=f"card:{label}", at=place)
    who.send("/places/person", on="/places", name="anna")
    for label in CARDS:
        told = {"card": label, "known_by": "anna"}
        who.send("/places/secret", ("kind", "pin"), on="/places", **told)
    cards = [(f"card:{label}", "yes") for label in CARDS]
    who.send("/vaults", ("threshold", "2"), *cards, on="/vaults", name="family")
    who.send("/vaults/family/prove", on="/vaults/family")
    who.task()
    for place in CARDS.values():
        who.send("/papers/family", ("for", ""), ("paper", "a4"), on="/papers/family", place=place)
    who.send("/vaults/family/drill", on="/vaults/family")
    who.task()
    assert asked("drill", "list", "family")["drills"][0]["state"] == "complete"


def pay(who: Counted, asked: Asked) -> None:
    wish = {"to": FOREIGN, "amount": "100 000 sat"}
    made = who.send("/pay/new/v", ("when", "6"), on="/pay/new/v", **wish)
    payment = made.headers["location"].rpartition("/")[2]
    who.send(f"/pay/{payment}/sign", on=f"/pay/{payment}")
    who.task()
    who.send(f"/pay/{payment}/send", on=f"/pay/{payment}")
    who.task()
    assert asked("spend", "show", payment)["state"] == "broadcast"


def lost_card(who: Counted, asked: Asked) -> None:
    asked("emulate", "new", "tapsigner", "d")
    who.screens += 2  # what happened, and to which card
    who.questions += 2
    item = (("item", "card:a"), ("event", "lost"))
    who.send("/happened/record", *item, on="/happened/lost?about=a")
    soon(lambda: "A card that is not known" in who.client.get("/cards").words)
    who.send("/cards/known", ("place", "d"), on="/cards", label="d")
    who.task()
    road = "/happened/replace/v"
    who.send(road, on=road, gone="a", new="d")
    succeeded = asked("replace", "show", "v")
    who.send(f"/vaults/{succeeded['successor']}/prove", on=f"/vaults/{succeeded['successor']}")
    who.task()
    payment = succeeded["ceremony"]
    who.send(f"/pay/{payment}/sign", on=f"/pay/{payment}")
    who.task()
    who.send(f"/pay/{payment}/send", on=f"/pay/{payment}")
    who.task()
    assert asked("spend", "show", payment)["state"] == "broadcast"


def from_paper(who: Counted, asked: Asked) -> None:
    source = Asked(asked.home.parent / "home")
    source("kit", "v", "--out", str(asked.home.parent / "kit"), "--for", "locked")
    lines = "\n".join(typed(asked.home.parent / "kit"))
    checksum = source("vault", "show", "v")["checksum"]
    who.screens += 2  # why somebody is here, and what to know first
    who.questions += 1
    told = {"text": lines, "name": "v", "checksum": checksum}
    who.send("/recover", on="/recover", **told)
    who.send("/look", on="/recover/v")
    who.task()
    assert asked("vault", "show", "v")["approved"]


def yearly(who: Counted, asked: Asked) -> None:
    for label in "abc":
        who.send(f"/cards/{label}/check", on=f"/cards/{label}")
        who.task()
    who.send("/vaults/v/drill", on="/vaults/v")
    who.task()
    assert asked("drill", "list", "v")["drills"][0]["state"] == "complete"


TASKS: dict[str, Callable[[Counted, Asked], None]] = {
    "a new vault of three cards, on paper and tried out": new_vault,
    "pay somebody": pay,
    "a card is lost, until all is at a new vault": lost_card,
    "a vault comes back from paper": from_paper,
    "the yearly check of three cards, and a try-out": yearly,
}


@pytest.mark.parametrize("task", TASKS)
def test_a_task_takes_as_many_screens_and_questions_as_told(
    task: str, vault: Asked, tmp_path: Path
) -> None:
    asked = vault
    if TASKS[task] in {new_vault, from_paper}:
        asked = asking(tmp_path / "empty")
        asked("init", "--network", "regtest")
    else:
        prove_keys(vault)
    rows = {each[1]: (int(each[2]), int(each[3])) for each in ROW.finditer(DOCUMENT.read_text())}
    with serving(asked.home) as page:
        client = Client(page)
        client.enter()
        who = Counted(client)
        TASKS[task](who, asked)
    assert (who.screens, who.questions) == rows[task]
