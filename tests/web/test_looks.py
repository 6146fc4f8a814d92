"""Every page of every kind of home, followed link by link: read by axe in each size and light.

With PICTURES=FOLDER in the environment each is saved there, to be looked at.
"""

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.program import PIN, Asked
from tests.web import homes
from tests.web.chromium import Watched, launched, window
from tests.web.conftest import serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from tests.servers.postgresql import Engines

pytestmark = pytest.mark.matrix
SIZES: Final = (360, 768, 1280)
SCHEMES: Final = ("light", "dark")
FILES: Final = re.compile(r"/papers/[^/?]+/[^/?]+|.*/psbt$|.*/transaction$|/static/.*")
OF_A_KIND: Final = 2
"""How many of the pages that differ in a name alone are looked at."""
WIDE: Final = "() => document.documentElement.scrollWidth > innerWidth"
LINKS: Final = "(all) => all.map((each) => each.getAttribute('href'))"


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    with launched() as found:
        yield found


@pytest.fixture(params=homes.HOMES)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    name: str = request.param
    if name == "operators":
        engines: Engines = request.getfixturevalue("on_server")
        monkeypatch.setattr(homes, "SERVERS", [engines.server])
    return name


class Looking:
    """Looks at a page in each size and light, and keeps a picture of each if that is wanted."""

    def __init__(self, opened: Watched, kind: str) -> None:
        self._opened = opened
        self._kind = kind
        self.faults: list[str] = []

    def at(self, name: str) -> None:
        page = self._opened.page
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            for size in SIZES:
                page.set_viewport_size({"width": size, "height": 900})
                self.faults += [f"{scheme} {size} {each}" for each in self._opened.faults()]
                if page.evaluate(WIDE):
                    self.faults.append(f"{scheme} {size} {name} is wider than the window")
                self._keep(page, f"{name}-{size}-{scheme}")

    def _keep(self, page: "Page", name: str) -> None:
        folder = os.environ.get("PICTURES")
        if folder:
            bare = re.sub(r"[^\w.-]+", "_", name.lstrip("/")) or "today"
            file = Path(folder) / self._kind / f"{bare}.png"
            page.screenshot(path=file, full_page=True, animations="disabled")


def kind_of(path: str) -> str:
    """Return what pages have in common that differ in a name alone."""
    bare = path.partition("?")[0].split("/")
    return path if bare[1] == "happened" and "?" not in path else f"{bare[1]}{len(bare)}{bare[3:]}"


def every_page(opened: Watched, looking: Looking) -> set[str]:
    """Follow every link from Today on, and look at the first pages of each kind."""
    waiting, seen, looked = ["/"], set[str](), Counter[str]()
    while waiting:
        path = waiting.pop(0)
        if path in seen or looked[kind_of(path)] == OF_A_KIND:
            continue
        seen.add(path)
        looked[kind_of(path)] += 1
        opened.go(path)
        opened.page.locator("h1").wait_for()
        looking.at(path)
        found = opened.page.eval_on_selector_all("a[href]", LINKS)
        waiting += [each for each in found if each.startswith("/") and not FILES.fullmatch(each)]
    return seen


def a_task(opened: Watched, looking: Looking, path: str) -> None:
    """Look at each question of signing a payment, a wrong PIN, and how it ended."""
    page = opened.page
    opened.go(path)
    sign = page.get_by_role("button", name="Have the cards sign it")
    if not sign.count():
        return
    sign.click()
    page.locator("input[name=digest], button:text-matches('^Go on')").first.wait_for(
        state="attached"
    )
    looking.at(f"{path}-task-review")
    if not page.locator("input[name=digest]").count():
        for box in page.locator("input[type=checkbox]").all():
            box.check()
        again = page.get_by_role("button", name="Go on all the same")
        (again if again.count() else page.get_by_role("button", name="Go on")).first.click()
        return
    for box in page.locator("input[type=checkbox]").all():
        box.check()
    page.get_by_role("button", name="Yes, the cards shall sign it").click()
    page.locator("input[name=pin], button:text-is('Go on')").first.wait_for(state="attached")
    looking.at(f"{path}-task-pin")
    for typed in ("999999", PIN, PIN):
        if not page.locator("input[name=pin]").count():
            break
        question = page.locator("input[name=question]").get_attribute("value")
        page.locator("input[name=pin]").fill(typed)
        page.get_by_role("button", name="Give it to the card").click()
        page.wait_for_function(
            "(id) => document.querySelector('[name=question]')?.value !== id", arg=question
        )
        page.locator("input[name=pin], button:text-is('Go on')").first.wait_for(state="attached")
        looking.at(f"{path}-task-after-{typed}")
    if page.get_by_role("button", name="Stop here").count():
        page.get_by_role("button", name="Stop here").click()
    page.get_by_role("button", name="Go on").wait_for()
    looking.at(f"{path}-task-over")
    page.get_by_role("button", name="Go on").click()
    page.locator("h1").wait_for()


def odd_pages(opened: Watched, looking: Looking, asked: Asked) -> None:
    """Look at what is said of what does not exist, was mistyped, or is dangerous."""
    page = opened.page
    for path in ("/nowhere", "/cards/nobody", "/receive/check?address=nonsense", "/task"):
        opened.go(path)
        page.locator("h1").wait_for()
        looking.at(f"odd-{path}")
    for each in asked("vault", "list")["vaults"]:
        opened.go(f"/pay/new/{each['name']}")
        page.locator("h1").wait_for()
        if page.locator("#to").count():
            page.locator("#to").fill(homes.STRANGER[:-1] + "q")
            page.locator("#amount").fill("1,5")
            page.get_by_role("button", name="Show me the payment").click()
            page.locator("[role=alert]").first.wait_for()
            looking.at(f"odd-pay-{each['name']}")
        opened.go(f"/receive/{each['name']}")
        page.locator("h1").wait_for()
        give = page.get_by_role("button", name="Show me an address")
        if give.count():
            give.click()
            page.get_by_role("heading", level=1).wait_for()
            looking.at(f"address-{each['name']}")
        break


def test_every_page_of_every_home_is_readable_by_everybody(
    browser: "Browser", kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = homes.HOMES[kind](tmp_path)
    if kind == homes.READ_ONLY:
        monkeypatch.setattr("storage.database.is_writable", lambda _file: False)
    with serving(asked.home) as running, window(browser, running) as opened:
        looking = Looking(opened, kind)
        seen = every_page(opened, looking)
        odd_pages(opened, looking, asked)
        for path in sorted(each for each in seen if re.fullmatch(r"/pay/[^/?]+", each))[:3]:
            a_task(opened, looking, path)
        failures = [each for each in opened.wrong if "status of 4" not in each]
        assert looking.faults == []
        assert failures == []
