"""Payments walked in a real browser in each kind of home that is not the usual one."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.program import Asked
from tests.web import homes
from tests.web.chromium import Watched, launched, window
from tests.web.conftest import serving
from tests.web.test_pay import FOREIGN
from tests.web.test_whole_life import press, task_done

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.matrix


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    with launched() as found:
        yield found


def wished(opened: Watched, vault: str, *, rate: str | None = None) -> str:
    """Fill in the form of a payment and send it; return the payment that was made."""
    page = opened.page
    opened.go(f"/pay/new/{vault}")
    page.get_by_label("Who is paid?").fill(FOREIGN)
    page.get_by_label("How much?").fill("20 000 sat")
    if rate is not None:
        assert page.get_by_label("I say the postage myself").is_checked()
        page.locator("#rate").fill(rate)
    press(page, "Show me the payment")
    page.get_by_role("heading", name="Sign it").wait_for()
    assert opened.faults() == []
    return page.url.rpartition("/")[2]


def signed(opened: Watched) -> None:
    """Have the cards sign the payment that is shown."""
    press(opened.page, "Have the cards sign it")
    task_done(opened.page)
    opened.page.get_by_role("heading", level=1).wait_for()
    assert opened.faults() == []


def sent(opened: Watched, asked: Asked) -> None:
    payment = opened.page.url.rpartition("/")[2]
    press(opened.page, "Send it now")
    task_done(opened.page)
    opened.page.get_by_text("not in the public book yet").wait_for()
    assert asked("spend", "show", payment)["state"] == "broadcast"


def paid(opened: Watched, asked: Asked, vault: str) -> None:
    """Make a payment, have the cards sign it, and send it."""
    wished(opened, vault)
    signed(opened)
    sent(opened, asked)


def test_a_home_that_asks_no_chain_pays_by_file(browser: "Browser", tmp_path: Path) -> None:
    asked = homes.offline(tmp_path)
    done = {c["state"]: c["ceremony"] for c in asked("spend", "list")["ceremonies"]}
    asked("spend", "abandon", done["complete"])  # its coin is free
    with serving(asked.home) as running, window(browser, running) as opened:
        page = opened.page
        payment = wished(opened, "v", rate="2")
        signed(opened)
        page.get_by_role("link", name="Take it to another one").click()
        press(page, "Hand it over")
        with page.expect_download() as saved:
            page.get_by_role("link", name="Save it as a file").click()
        assert saved.value.suggested_filename == f"{payment}.psbt"
        opened.go(f"/pay/{done['final']}")
        page.get_by_role("link", name="Take it to another one").click()
        page.get_by_text("nobody can change it any more").wait_for()
        assert opened.faults() == []
        with page.expect_download() as saved:
            page.get_by_role("link", name="Save it as a file").click()
        assert saved.value.suggested_filename == f"{done['final']}.txn"
        assert opened.wrong == []


def test_a_home_that_watches_gives_a_payment_to_other_signers(
    browser: "Browser", tmp_path: Path
) -> None:
    asked = homes.watching(tmp_path)
    with serving(asked.home) as running, window(browser, running) as opened:
        page = opened.page
        payment = wished(opened, "w")
        page.get_by_text("another device signs it").wait_for()
        press(page, "Have the cards sign it")
        page.get_by_text("No card of vault w is known here yet").wait_for()
        assert opened.faults() == []
        press(page, "Go on")
        page.get_by_role("link", name="Sign it on another device").click()
        press(page, "Hand it over")
        page.get_by_role("link", name="Save it as a file").wait_for()
        assert asked("spend", "show", payment)["have"] == 0
        assert opened.wrong == []


def test_a_sealed_home_pays_and_names_nobody(browser: "Browser", tmp_path: Path) -> None:
    asked = homes.sealed(tmp_path)
    with serving(asked.home) as running, window(browser, running) as opened:
        paid(opened, asked, "v")
        opened.go("/places")
        assert "at-a" not in opened.page.content()
        assert opened.wrong == []


def test_a_vault_in_a_leaf_pays(browser: "Browser", tmp_path: Path) -> None:
    asked = homes.taproot(tmp_path)
    with serving(asked.home) as running, window(browser, running) as opened:
        paid(opened, asked, "w")
        assert opened.wrong == []


def test_later_keys_take_the_money_and_waits_begin_anew(browser: "Browser", tmp_path: Path) -> None:
    asked = homes.later(tmp_path)
    waiting = asked("spend", "list")["ceremonies"][0]["ceremony"]
    asked("spend", "abandon", waiting)
    with serving(asked.home) as running, window(browser, running) as opened:
        page = opened.page
        opened.go("/vaults/w/sweep")
        page.get_by_label("Where shall it go?").fill("nonsense")
        press(page, "Show me the payment")
        page.locator("[role=alert]").first.wait_for()
        assert opened.faults() == []
        page.get_by_label("Where shall it go?").fill(FOREIGN)
        press(page, "Show me the payment")
        page.get_by_role("heading", name="Sign it").wait_for()
        signed(opened)
        sent(opened, asked)
        opened.go("/vaults/w/renew")
        page.get_by_label("Every coin").check()
        press(page, "Show me the payment")
        page.get_by_role("heading", name="Sign it").wait_for()
        assert opened.faults() == []
        signed(opened)
        sent(opened, asked)
        assert [each for each in opened.wrong if "status of 400" not in each] == []


def test_an_imported_vault_is_compared_and_then_receives(
    browser: "Browser", tmp_path: Path
) -> None:
    asked = homes.imported(tmp_path)
    right = Asked(tmp_path / "home")("vault", "show", "v")["checksum"]
    with serving(asked.home) as running, window(browser, running) as opened:
        page = opened.page
        opened.go("/receive")
        page.get_by_text("Until then no address is given out").wait_for()
        assert opened.faults() == []
        page.get_by_label("The eight characters").fill("aaaaaaaa")
        press(page, "It is the same")
        page.get_by_text("This was not done").wait_for()
        page.go_back()
        page.get_by_label("The eight characters").fill(right)
        press(page, "It is the same")
        page.get_by_text("It was compared with the paper").wait_for()
        press(page, "Have the cards prove their keys")
        task_done(page)
        opened.go("/receive/w")
        press(page, "Show me an address")
        page.get_by_role("heading", name="This is dangerous just now").wait_for()
        for box in page.locator("input[type=checkbox]").all():
            box.check()
        press(page, "Go on all the same")
        page.get_by_text("Compare before you give it out").wait_for()
        assert [each for each in opened.wrong if "status of 4" not in each] == []
