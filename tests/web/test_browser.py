"""The page in a real browser: one road through, and every page in every size and light."""

import re
from collections.abc import Iterator
from importlib import resources
from typing import TYPE_CHECKING

import pytest

from tests.program import PIN, Asked
from tests.web.chromium import launched, window
from tests.web.conftest import serving
from tests.web.test_pages import PAGES

if TYPE_CHECKING:
    from playwright.sync_api import APIResponse, Browser, Page, Route

SIZES = (360, 768, 1280)


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    with launched() as found:
        yield found


def answered(page: "Page", **fields: str) -> None:
    """Answer the question that the task's page asks by itself."""
    for name, value in fields.items():
        page.locator(f"input[name={name}]").fill(value)
    page.locator("#main form button.first").first.click()


def test_one_road_through(browser: "Browser", vault: Asked) -> None:
    """From a danger on Today to proved keys, an address, a kit and a lost window."""
    with serving(vault.home) as running, window(browser, running) as opened:
        page = opened.page
        wrong_pin = page.get_by_text("attempts left")
        page.get_by_role("link", name="Do this now").click()
        page.get_by_role("button", name="Have the cards prove their keys").click()
        for _ in "abc":
            page.locator("input[name=pin]:not([disabled])").wait_for()
            page.get_by_text("5 PIN attempts left").first.wait_for()
            before = page.locator("input[name=question]").get_attribute("value")
            answered(page, pin=PIN)
            page.wait_for_function(
                "(id) => document.querySelector('[name=question]')?.value !== id", arg=before
            )
        page.get_by_text("3 of the keys of vault v are proved now").wait_for()
        assert opened.faults() == []
        page.get_by_role("button", name="Go on").click()

        page.get_by_role("link", name="Receive", exact=True).click()
        page.get_by_label(re.compile("How much")).fill("0.1 BTC")
        page.get_by_role("button", name="Show me an address").click()
        page.get_by_text("10 000 000 sat").wait_for()
        assert page.locator(".code img").evaluate("(image) => image.naturalWidth") > 100
        assert opened.faults() == []

        page.get_by_role("link", name="Where things are").first.click()
        page.get_by_role("link", name="Picture of vault v").click()
        page.get_by_label("everything at at-a").first.check()  # answered at once
        page.get_by_text("You keep the money").wait_for()
        page.get_by_label("everything at at-b").first.check()
        page.get_by_text("The money is in danger").wait_for()

        page.get_by_role("link", name="Papers").click()
        page.get_by_role("button", name="Make the kit").click()
        with page.expect_download() as saved:
            page.get_by_role("link", name="Open it, to print it").click()
        assert saved.value.suggested_filename.endswith(".pdf")

        page.get_by_role("link", name="Cards").click()
        page.get_by_role("button", name="Take it off the reader").first.click()
        page.get_by_role("button", name="Lay a on the reader").wait_for()
        vault("emulate", "fault", "a", "insert")  # laid on elsewhere: it appears by itself
        page.get_by_role("heading", name="a", exact=True).wait_for()
        assert wrong_pin.count() == 2 + (page.get_by_text("does not count").count() == 0)

        running.context.windows.close()  # as after a quarter of an hour
        page.get_by_text("This window is closed").wait_for()
        assert "sat" not in page.content()
        assert opened.wrong == []


def test_a_page_goes_blank_when_the_program_is_gone(browser: "Browser", vault: Asked) -> None:
    with serving(vault.home) as running, window(browser, running) as opened:
        opened.page.get_by_text("3 000 000 sat").wait_for()
        opened.page.wait_for_timeout(200)
        running.close()
        opened.page.get_by_text("This window is closed").wait_for()
        opened.page.get_by_text(f"cardquorum open --home {vault.home}").wait_for()
        assert "3 000 000" not in opened.page.content()


def test_what_was_asked_for_last_is_shown_whichever_answer_comes_first(
    browser: "Browser", vault: Asked
) -> None:
    with serving(vault.home) as running, window(browser, running) as opened:
        opened.go("/cards")
        page, late = opened.page, list["tuple[Route, APIResponse]"]()
        there = page.get_by_role("heading", name="a", exact=True)
        there.wait_for()

        def late_once(route: "Route") -> None:
            if late:
                route.continue_()
            else:
                late.append((route, route.fetch()))

        page.route("**/cards?*part=live*", late_once)
        vault("emulate", "fault", "a", "eject")
        while not late:
            page.wait_for_timeout(20)
        vault("emulate", "fault", "a", "insert")
        page.wait_for_timeout(200)
        route, answer = late[0]
        assert "Lay a on the reader" in answer.text()
        there.wait_for()
        with page.expect_response("**/cards?*part=live*"):
            route.fulfill(response=answer)
        page.wait_for_timeout(200)
        assert there.count() == 1
        assert page.get_by_role("button", name="Lay a on the reader").count() == 0
        assert opened.wrong == []


@pytest.mark.matrix
def test_a_page_that_went_blank_asks_nobody_again(browser: "Browser", vault: Asked) -> None:
    with serving(vault.home) as running, window(browser, running) as opened:
        opened.page.get_by_text("3 000 000 sat").wait_for()
        opened.page.wait_for_timeout(200)
        running.close()
        opened.page.get_by_text("This window is closed").wait_for()
        asked: list[str] = []
        opened.page.on("request", lambda request: asked.append(request.url))
        opened.page.wait_for_timeout(2_500)  # longer than a page polls
        assert asked == []
        assert "3 000 000" not in opened.page.content()


@pytest.mark.matrix
def test_a_second_window_is_asked_about_in_the_first(browser: "Browser", vault: Asked) -> None:
    with serving(vault.home) as running, window(browser, running) as first:
        first.page.get_by_text("3 000 000 sat").wait_for()
        context = browser.new_context()
        second = context.new_page()
        second.goto(running.link())
        second.get_by_text("Ask at the first window").wait_for()
        first.page.get_by_role("button", name="Yes, let it in").click()
        second.get_by_text("3 000 000 sat").wait_for()
        context.close()
        assert first.wrong == []


@pytest.mark.matrix
def test_a_second_tab_of_one_window_asks_instead_of_listening(
    browser: "Browser", vault: Asked
) -> None:
    with serving(vault.home) as running, window(browser, running) as first:
        first.go("/cards")
        second = first.page.context.new_page()
        second.goto(first.page.url)
        for page in (first.page, second):
            page.get_by_role("heading", name="a", exact=True).wait_for()
        vault("emulate", "fault", "a", "eject")
        for page in (first.page, second):
            page.get_by_role("button", name="Lay a on the reader").wait_for()
        assert first.wrong == []


@pytest.mark.matrix
def test_everything_works_without_a_script(browser: "Browser", vault: Asked) -> None:
    with (
        serving(vault.home) as running,
        window(browser, running, java_script_enabled=False) as opened,
    ):
        page = opened.page
        opened.go("/cards/b")
        page.get_by_role("button", name="Check it").click()
        page.locator("input[name=pin]").wait_for(timeout=60_000)  # it renews itself
        answered(page, pin=PIN)
        page.get_by_text("Card b is in order").wait_for(timeout=60_000)


@pytest.mark.matrix
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_every_page_is_readable_by_everybody(
    browser: "Browser", vault: Asked, size: int, scheme: str
) -> None:
    settings = {"viewport": {"width": size, "height": 900}, "color_scheme": scheme}
    with serving(vault.home) as running, window(browser, running, **settings) as opened:
        for path in PAGES:
            opened.go(path)
            opened.page.locator("h1").wait_for()
            assert opened.faults() == []
            wide = "() => document.documentElement.scrollWidth > innerWidth"
            assert not opened.page.evaluate(wide), path
        assert opened.wrong == []


def test_one_page_is_readable_by_everybody(browser: "Browser", vault: Asked) -> None:
    settings = {"viewport": {"width": 360, "height": 900}, "color_scheme": "dark"}
    with serving(vault.home) as running, window(browser, running, **settings) as opened:
        opened.go("/cards")
        opened.page.get_by_role("heading", name="a", exact=True).wait_for()
        assert opened.faults() == []
        opened.page.keyboard.press("Tab")
        assert opened.page.evaluate("() => document.activeElement.textContent") == (
            "Go to the content"
        )


def test_style_and_script_are_small_and_own() -> None:
    static = resources.files("coordinator.web") / "static"
    sizes = {each.name: len(each.read_bytes()) for each in static.iterdir()}
    assert sum(sizes.values()) < 40_000
    lines = (static / "page.js").read_text().splitlines()
    assert len(lines) < 300
