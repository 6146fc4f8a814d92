"""The browser's own buttons, and a wrong PIN at each step: no attempt is spent twice."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from coordinator.home.settings import open_home
from coordinator.readers import emulated
from tests.program import PIN, Asked
from tests.web.chromium import Watched, launched, window
from tests.web.conftest import serving
from tests.web.test_pages import soon
from tests.web.test_pay import FOREIGN
from tests.web.test_whole_life import press

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.matrix
WRONG = "999999"
STEPS = {
    "make a card known": ("/cards", "Make it known"),
    "check a card": ("/cards/a", "Check it"),
    "change a PIN": ("/cards/a", "Change the PIN"),
    "prove the keys": ("/vaults/v", "Have the cards prove their keys"),
    "try the vault out": ("/vaults/v", "Begin a new one"),
    "sign": ("/pay/{}", "Have the cards sign it"),
}


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    with launched() as found:
        yield found


def attempts(asked: Asked) -> dict[str, int | None]:
    """Return the PIN attempts that each card has left, by its name."""
    found = emulated.listed(open_home(asked.home))
    return {each.name: each.card.attempts_left for each in found if each.card}


def payment(asked: Asked) -> str:
    made = asked("spend", "create", "v", "--to", f"{FOREIGN}:100000", "--feerate", "2")
    name: str = made["ceremony"]
    return name


def begun(opened: Watched, asked: Asked, step: str) -> None:
    """Begin a step, until it asks for the PIN of a card."""
    page, (path, button) = opened.page, STEPS[step]
    if step == "make a card known":
        asked("emulate", "new", "satochip", "d")
    opened.go(path.format(payment(asked)) if "{}" in path else path)
    if step == "make a card known":
        page.get_by_label("A name for it").fill("d")
    press(page, button)
    if step == "sign":
        agree(page)
    page.locator("input[name=pin]").wait_for()


def agree(page: "Page") -> None:
    page.locator("input[name=digest]").wait_for(state="attached")
    for box in page.locator("input[type=checkbox]").all():
        box.check()
    press(page, "Yes, the cards shall sign it")


def own_buttons(page: "Page") -> None:
    """Go back, forward and load again, as somebody does who is not sure; no page is an error's."""
    for _ in range(3):
        page.reload()
        readable(page)
        page.go_back()
        readable(page)
        page.go_forward()
        readable(page)


def readable(page: "Page") -> None:
    page.get_by_role("heading", level=1).wait_for()
    assert page.url.startswith("http://127.0.0.1")
    assert not page.get_by_text("ERR_").count()


def stopped(opened: Watched) -> None:
    opened.go("/task")
    if opened.page.get_by_role("button", name="Stop here").count():
        press(opened.page, "Stop here")
    press(opened.page, "Go on")
    readable(opened.page)


@pytest.mark.parametrize("step", STEPS)
def test_a_wrong_pin_costs_one_attempt_whatever_the_browser_does(
    browser: "Browser", vault: Asked, step: str
) -> None:
    with serving(vault.home) as running, window(browser, running) as opened:
        page = opened.page
        begun(opened, vault, step)
        page.get_by_text("5 PIN attempts left").wait_for()
        label = page.locator("label[for=pin]").inner_text().split()[-1]
        page.locator("input[name=pin]").fill(WRONG)
        page.get_by_role("button", name="Give it to the card").dblclick()
        if step == "change a PIN":  # the card is given both at once
            page.locator("#again").fill("112233")
            page.locator("#pin").fill("112233")
            page.get_by_role("button", name="Set it").dblclick()
        page.get_by_text(re.compile("attempts: 4 left|4 attempts|4 PIN attempts")).first.wait_for()
        own_buttons(page)
        stopped(opened)
        left = attempts(vault)
        assert left.pop(label) == 4
        assert set(left.values()) == {5}
        opened.go("/cards")
        page.get_by_text("4 PIN attempts left").wait_for()
        assert opened.wrong == []


def test_each_button_pressed_twice_does_its_thing_once(browser: "Browser", vault: Asked) -> None:
    with serving(vault.home) as running, window(browser, running) as opened:
        page = opened.page
        opened.go("/pay/new/v")
        page.get_by_label("Who is paid?").fill(FOREIGN)
        page.get_by_label("How much?").fill("100 000 sat")
        page.get_by_role("button", name="Show me the payment").dblclick()
        page.get_by_text("0 of 2 have signed").wait_for()
        (made,) = vault("spend", "list")["ceremonies"]
        page.get_by_role("button", name="Have the cards sign it").dblclick()
        page.locator("input[name=digest]").wait_for(state="attached")
        for box in page.locator("input[type=checkbox]").all():
            box.check()
        page.get_by_role("button", name="Yes, the cards shall sign it").dblclick()
        for _ in "ab":
            page.locator("input[name=pin]").wait_for()
            question = page.locator("input[name=question]").get_attribute("value")
            page.locator("input[name=pin]").fill(PIN)
            page.get_by_role("button", name="Give it to the card").dblclick()
            page.wait_for_function(
                "(id) => document.querySelector('[name=question]')?.value !== id", arg=question
            )
        page.get_by_text("2 of 2 have signed").wait_for()
        page.get_by_role("button", name="Go on").dblclick()
        page.get_by_role("button", name="Send it now").dblclick()
        page.get_by_text("It was sent").wait_for()
        assert vault("spend", "show", made["ceremony"])["state"] == "broadcast"
        opened.go("/receive/v")
        before = len(vault("address", "list", "v")["addresses"])
        page.get_by_role("button", name="Show me an address").dblclick()
        page.get_by_text("Compare before you give it out").wait_for()
        assert len(vault("address", "list", "v")["addresses"]) == before + 1
        opened.go("/places")
        page.locator("#name").fill("cellar")
        page.get_by_role("button", name="Add the place").dblclick()
        page.get_by_role("heading", name="cellar").wait_for()
        opened.go("/papers/v")
        page.get_by_role("button", name="Make the kit").dblclick()
        page.get_by_text("Ready to print").wait_for()
        assert len(list(vault.home.with_name("home-kits").iterdir())) == 1
        opened.go("/backup")
        page.get_by_role("button", name="Write a backup now").dblclick()
        page.get_by_text("was written").wait_for()
        assert len(list(vault.home.with_name("home-backups").iterdir())) == 1
        opened.go("/happened/lost?about=c")
        page.get_by_role("button", name="Write it down").dblclick()
        page.get_by_role("heading", name="Written down").wait_for()
        events = [each["event"] for each in vault("custody", "log", "card:c")["events"]]
        assert events.count("lost") == 1
        assert attempts(vault) == dict.fromkeys("abc", 5)
        assert opened.wrong == []


def test_a_second_quick_click_presses_nothing_that_came_meanwhile(
    browser: "Browser", vault: Asked
) -> None:
    with serving(vault.home) as running, window(browser, running) as opened:
        begun(opened, vault, "check a card")
        stop = opened.page.get_by_role("button", name="Stop here")
        stop.dispatch_event("click", {"detail": 2})
        stop.focus()
        stop.dispatch_event("keydown", {"key": "Enter", "repeat": True})
        own_buttons(opened.page)
        opened.page.locator("input[name=pin]").wait_for()
        stop.dispatch_event("click", {"detail": 1})
        opened.page.get_by_role("button", name="Go on").wait_for()


def test_going_back_shows_what_is_now_and_does_nothing_again(
    browser: "Browser", vault: Asked
) -> None:
    """After a mistyped form, after consent, after each PIN, after the end, after sending."""
    with serving(vault.home) as running, window(browser, running) as opened:
        page = opened.page
        opened.go("/pay/new/v")
        page.get_by_label("Who is paid?").fill(FOREIGN)
        page.get_by_label("How much?").fill("1,5")
        press(page, "Show me the payment")
        page.locator("[role=alert]").first.wait_for()
        own_buttons(page)
        page.get_by_label("How much?").fill("100 000 sat")
        press(page, "Show me the payment")
        page.get_by_text("0 of 2 have signed").wait_for()
        (made,) = vault("spend", "list")["ceremonies"]
        own_buttons(page)
        press(page, "Have the cards sign it")
        page.locator("input[name=digest]").wait_for(state="attached")
        own_buttons(page)
        agree(page)
        for have in (1, 2):
            page.locator("input[name=pin]").wait_for()
            own_buttons(page)
            question = page.locator("input[name=question]").get_attribute("value")
            page.locator("input[name=pin]").fill(PIN)
            press(page, "Give it to the card")
            page.wait_for_function(
                "(id) => document.querySelector('[name=question]')?.value !== id", arg=question
            )
            soon(lambda have=have: vault("spend", "show", made["ceremony"])["have"] == have)
        page.get_by_text("2 of 2 have signed").wait_for()
        own_buttons(page)
        press(page, "Go on")
        page.get_by_role("button", name="Send it now").wait_for()
        own_buttons(page)
        press(page, "Send it now")
        page.get_by_text("It was sent").wait_for()
        own_buttons(page)
        press(page, "Go on")
        page.get_by_text("not in the public book yet").wait_for()
        own_buttons(page)
        assert len(vault("spend", "list")["ceremonies"]) == 1
        assert attempts(vault) == dict.fromkeys("abc", 5)
        assert [each for each in opened.wrong if "status of 4" not in each] == []


def test_going_back_from_a_danger_that_was_accepted_accepts_nothing_again(
    browser: "Browser", vault: Asked
) -> None:
    for label in "ab":
        vault("card", "lost", label)
    with serving(vault.home) as running, window(browser, running) as opened:
        page = opened.page
        opened.go("/receive/v")
        press(page, "Show me an address")
        page.get_by_text("This is dangerous just now").wait_for()
        own_buttons(page)
        for box in page.locator("input[type=checkbox]").all():
            box.check()
        page.get_by_role("button", name="Go on all the same").dblclick()
        page.get_by_text("Compare before you give it out").wait_for()
        count = len(vault("address", "list", "v")["addresses"])
        own_buttons(page)
        page.go_back()
        readable(page)
        assert len(vault("address", "list", "v")["addresses"]) == count
