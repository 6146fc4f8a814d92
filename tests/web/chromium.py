"""A real browser that tells of everything it should not have had to do."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from coordinator.web.serving import Running
from tests.judges import REQUIRE_ALL, judge
from tests.patience import SECONDS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PLACES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WATCHING = """
document.addEventListener('securitypolicyviolation', (event) =>
  window.told(`${event.violatedDirective} ${event.blockedURI}`));
"""


@contextmanager
def launched(*options: str) -> Iterator["Browser"]:
    """Launch the system's browser; without one the test says that it was left out."""
    playwright = judge("playwright.sync_api")
    found = next(filter(None, map(shutil.which, PLACES)), None)
    if found is None:
        leave = pytest.fail if os.environ.get(REQUIRE_ALL) == "1" else pytest.skip
        leave("left out: the page in a real browser (it needs chromium)")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=list(options))
        yield browser
        browser.close()


@dataclass
class Watched:
    """A window of the browser on a running page, and what went wrong in it."""

    page: "Page"
    running: Running
    wrong: list[str] = field(default_factory=list)

    def go(self, path: str) -> None:
        self.page.goto(f"http://127.0.0.1:{self.running.port}{path}")

    def faults(self) -> list[str]:
        """Return what axe finds on the page as it is now."""
        found = judge("axe_playwright_python.sync_playwright").Axe().run(self.page)
        return [
            f"{self.page.url} {each['id']}: {node['html'][:120]}"
            for each in found.response["violations"]
            for node in each["nodes"]
        ]


@contextmanager
def window(browser: "Browser", running: Running, **settings: object) -> Iterator[Watched]:
    """Open a window with a link; what goes wrong in it is kept."""
    with watched(browser, running, **settings) as opened:
        opened.page.goto(running.link())
        opened.page.wait_for_url(f"http://127.0.0.1:{running.port}/")
        yield opened


@contextmanager
def watched(browser: "Browser", running: Running, **settings: object) -> Iterator[Watched]:
    """Open a browser with a cookie jar of its own, which was not let in yet."""
    context = browser.new_context(reduced_motion="reduce", **settings)
    context.set_default_timeout(SECONDS * 1000)
    opened = Watched(context.new_page(), running)
    own = f"http://127.0.0.1:{running.port}/"
    context.expose_binding("told", lambda _source, what: opened.wrong.append(f"policy: {what}"))
    context.add_init_script(WATCHING)
    context.on(
        "console",
        lambda said: said.type in {"error", "warning"} and opened.wrong.append(said.text),
    )
    context.on(
        "request",
        lambda asked: (
            asked.url.startswith((own, "data:", "blob:"))
            or opened.wrong.append(f"left: {asked.url}")
        ),
    )
    context.on("weberror", lambda error: opened.wrong.append(f"script: {error.error}"))
    yield opened
    context.close()
