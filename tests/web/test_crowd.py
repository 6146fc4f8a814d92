"""Ten browsers at once: each let in by the first, each about something else, a large vault."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from coordinator.web.access import WINDOWS_MAX
from coordinator.web.serving import Running
from tests.program import PIN, Asked, prove_keys
from tests.web.chromium import Watched, launched, watched
from tests.web.conftest import serving
from tests.web.test_hostile import MANY, have_many_addresses
from tests.web.test_pay import FOREIGN

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.matrix
TEN = 10


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    with launched() as found:
        yield found


def let_in(first: Watched, other: Watched) -> None:
    """Follow a link in another browser, and answer for it in the first."""
    other.page.goto(other.running.link())
    other.page.get_by_text("Ask at the first window").wait_for()
    number = other.page.locator("strong").inner_text()
    first.page.get_by_text(number).wait_for()
    first.page.get_by_role("button", name="Yes, let it in").click()
    other.page.get_by_role("heading", name="Today").wait_for()


def ten(stack: ExitStack, browser: "Browser", running: Running) -> list[Watched]:
    """Return ten browsers that were let in, each with a cookie of its own."""
    found = [stack.enter_context(watched(browser, running)) for _ in range(TEN)]
    found[0].page.goto(running.link())
    found[0].page.get_by_role("heading", name="Today").wait_for()
    for other in found[1:]:
        let_in(found[0], other)
    return found


def signs(page: "Page", payment: str) -> None:
    page.get_by_role("button", name="Have the cards sign it").click()
    page.locator("input[name=digest]").wait_for(state="attached")
    for box in page.locator("input[type=checkbox]").all():
        box.check()
    page.get_by_role("button", name="Yes, the cards shall sign it").click()
    page.get_by_text(re.compile("PIN of card")).first.wait_for()
    assert payment in page.content()


def test_ten_browsers_do_ten_things_at_once(browser: "Browser", vault: Asked) -> None:
    assert WINDOWS_MAX >= TEN
    prove_keys(vault)
    have_many_addresses(vault)
    payment = vault("spend", "create", "v", "--to", f"{FOREIGN}:100000", "--feerate", "2")
    name = payment["ceremony"]
    paths = (
        "/", f"/pay/{name}", "/receive/v", "/places/v", "/places", "/pay/new/v",
        "/papers/v", "/happened/lost?about=c", f"/exchange/{name}", "/cards",
    )  # fmt: skip
    with serving(vault.home) as running, ExitStack() as stack:
        browsers = ten(stack, browser, running)
        for each, path in zip(browsers, paths, strict=True):
            each.page.goto(f"http://127.0.0.1:{running.port}{path}", wait_until="commit")
        pages = [each.page for each in browsers]
        for page in pages:
            page.get_by_role("heading", level=1).wait_for()
        assert f"{MANY - 49} older ones" in pages[2].content()
        signs(pages[1], name)
        acts = (
            (pages[2], "Show me an address"),
            (pages[4], "Add the place"),
            (pages[5], "Show me the payment"),
            (pages[6], "Make the kit"),
            (pages[7], "Write it down: card c is lost"),
            (pages[8], "Hand it over"),
        )
        pages[4].locator("#name").fill("cellar")
        pages[5].locator("#to").fill(FOREIGN)
        pages[5].locator("#amount").fill("50 000 sat")
        pages[3].get_by_label("everything at at-a").first.check()
        for page, button in acts:  # each is sent before the first is answered
            page.get_by_role("button", name=button).first.click(no_wait_after=True)
        for _ in "ab":
            question = pages[1].locator("input[name=question]").get_attribute("value")
            pages[1].locator("input[name=pin]").fill(PIN)
            pages[1].get_by_role("button", name="Give it to the card").click()
            pages[1].wait_for_function(
                "(id) => document.querySelector('[name=question]')?.value !== id", arg=question
            )
        pages[1].get_by_text("2 of 2 have signed").wait_for()
        pages[2].get_by_text("Compare before you give it out").wait_for()
        pages[3].locator("#what-if [role=status]").wait_for()
        pages[4].get_by_role("heading", name="cellar").wait_for()
        pages[5].get_by_text("0 of 2 have signed").wait_for()
        pages[6].get_by_text("Ready to print").wait_for()
        pages[7].get_by_text("Written down: card c is lost").wait_for()
        pages[8].get_by_role("link", name="Save it as a file").wait_for()
        pages[0].get_by_text("Payment " + name).first.wait_for()
        assert [each.wrong for each in browsers] == [[]] * TEN
    assert vault("spend", "show", name)["have"] == 2
    assert vault("card", "show", "c")["gone"] == "lost"
    assert "cellar" in {each["name"] for each in vault("location", "list")["locations"]}
    assert len(vault("spend", "list")["ceremonies"]) == 2


def test_one_more_than_may_come_in_is_told_so(browser: "Browser", vault: Asked) -> None:
    with serving(vault.home) as running, ExitStack() as stack:
        browsers = ten(stack, browser, running)
        for _ in range(WINDOWS_MAX - TEN):
            browsers.append(stack.enter_context(watched(browser, running)))
            let_in(browsers[0], browsers[-1])
        late = stack.enter_context(watched(browser, running))
        late.page.goto(running.link())
        late.page.get_by_text(f"{WINDOWS_MAX} windows are open").wait_for()
