"""The whole life of a vault by page in a real browser: set up, paid, robbed of a card, replaced."""

from typing import TYPE_CHECKING

import pytest

from tests.program import PIN, Asked
from tests.web.chromium import Watched, launched, window
from tests.web.conftest import serving

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.matrix
FOREIGN = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
PLACES = {"blue": ("home", "home"), "red": ("aunt", "friend"), "green": ("bank", "bank-vault")}
FAMILIES = {"blue": "tapsigner", "red": "satochip", "green": "keycard"}


def press(page: "Page", name: str) -> None:
    page.get_by_role("button", name=name, exact=True).first.click()


def task_done(page: "Page", *, wrong_first: bool = False) -> None:
    """Answer every question of the task at hand, then leave it."""
    wrong = wrong_first
    while True:
        page.locator("input[name=pin], input[name=digest], button:text-is('Go on')").first.wait_for(
            state="attached"
        )
        if page.get_by_role("button", name="Go on").count():
            break
        question = page.locator("input[name=question]").get_attribute("value")
        if page.locator("input[name=digest]").count():
            for box in page.locator("input[type=checkbox]").all():
                box.check()
            press(page, "Yes, the cards shall sign it")
        else:
            page.locator("input[name=pin]").fill("999999" if wrong else PIN)
            wrong = False
            press(page, "Give it to the card")
        page.wait_for_function(
            "(id) => document.querySelector('[name=question]')?.value !== id", arg=question
        )
    press(page, "Go on")


def set_up_cards(opened: Watched) -> None:
    page = opened.page
    for label, family in FAMILIES.items():
        opened.go("/cards")
        page.get_by_label("Kind").select_option(family)
        page.get_by_label("Name on the reader").fill(label)
        press(page, "Make the practice card")
        page.get_by_label("A name for it").fill(label)
        press(page, "Make it known")
        task_done(page)
        opened.go("/places")
        place, kind = PLACES[label]
        page.locator("#name").fill(place)
        page.locator("#placekind").select_option(kind)
        press(page, "Add the place")
        page.locator("#item").select_option(f"card:{label}")
        page.locator("#at").select_option(place)
        page.get_by_role("button", name="Write it down").first.click()
    opened.go("/places")
    page.locator("#who").fill("anna")
    press(page, "Add them")
    for label in FAMILIES:
        opened.go("/places")
        page.locator("#card").select_option(label)
        page.locator("#known_by").fill("anna")
        page.get_by_role("button", name="Write it down").nth(1).click()


def make_vault(opened: Watched) -> None:
    page = opened.page
    opened.go("/vaults")
    page.get_by_label("A name for the vault").fill("family")
    press(page, "Make the vault")
    press(page, "Have the cards prove their keys")
    task_done(page)
    for place in ("home", "aunt", "bank"):
        opened.go("/papers/family")
        page.locator("#place").select_option(place)
        press(page, "Make the kit")
        page.get_by_text("Ready to print").wait_for()


def pay_and_receive(opened: Watched) -> None:
    page = opened.page
    opened.go("/receive/family")
    press(page, "Show me an address")
    page.get_by_role("link", name="Play money").click()
    press(page, "Send it")
    page.get_by_text("1 000 000 sat").first.wait_for()
    opened.go("/pay/new/family")
    page.get_by_label("Who is paid?").fill(FOREIGN)
    page.get_by_label("How much?").fill("20 000 sat")
    press(page, "Show me the payment")
    press(page, "Have the cards sign it")
    task_done(page, wrong_first=True)  # the other two cards are enough
    press(page, "Send it now")
    task_done(page)
    page.get_by_role("link", name="Play money").click()
    press(page, "Six blocks")
    opened.go("/vaults/family")
    press(page, "Begin a new one")
    task_done(page)


def lose_and_replace(opened: Watched) -> None:
    page = opened.page
    opened.go("/happened")
    page.get_by_role("link", name="A card was stolen").click()
    page.get_by_role("link", name="red", exact=True).click()
    page.get_by_role("button", name="Write it down").click()
    page.get_by_text("A thief cannot spend it").wait_for()
    opened.go("/cards")
    page.get_by_label("Kind").select_option("tapsigner")
    page.get_by_label("Name on the reader").fill("white")
    press(page, "Make the practice card")
    page.get_by_label("A name for it").fill("white")
    press(page, "Make it known")
    task_done(page)
    opened.go("/happened/replace/family")
    press(page, "Make the new vault")
    page.get_by_text("takes the place of vault family").wait_for()


def test_the_whole_life_of_a_vault(asked: Asked) -> None:
    asked("init", "--network", "regtest")
    with launched() as browser, serving(asked.home) as running, window(browser, running) as opened:
        opened.page.get_by_text("There is no vault yet").wait_for()
        set_up_cards(opened)
        make_vault(opened)
        pay_and_receive(opened)
        opened.go("/")
        assert "dangerous" not in opened.page.content()
        lose_and_replace(opened)
        assert opened.wrong == []
    assert asked("vault", "show", "family")["replaced_by"] is not None
    payments = asked("spend", "list")["ceremonies"]
    assert {each["state"] for each in payments} == {"confirmed", "collecting"}
