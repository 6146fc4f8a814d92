"""A running page of a copied home, and a browser that was let in."""

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the page's extra is not installed")

from coordinator.cli.failures import explain
from coordinator.web.serving import Running
from coordinator.workspace.opened_home import OpenedHome
from tests.once import computing_once
from tests.program import Asked
from tests.web.browser import Client


@pytest.fixture(scope="module", autouse=True)
def shared() -> Iterator[None]:
    """Have each page take what the tests' other homes computed."""
    with computing_once():
        yield


@pytest.fixture
def running(vault: Asked) -> Iterator[Running]:
    """The page of a home with three cards and a vault of three coins."""
    with serving(vault.home) as page:
        yield page


class serving:  # noqa: N801 -- used as a function
    """The page of a home, served until the block ends."""

    def __init__(self, home: Path) -> None:
        self.opened = OpenedHome(home)
        self.page = Running(self.opened, explain)

    def __enter__(self) -> Running:
        self.page.start()
        return self.page

    def __exit__(self, *_: object) -> None:
        self.page.close()
        self.opened.close()


@pytest.fixture
def client(running: Running) -> Client:
    """A browser that was let in."""
    entered = Client(running)
    assert entered.enter().status == 200
    return entered


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Client:
    """A browser that was let in to a home that can only be read."""
    monkeypatch.setattr("storage.database.is_writable", lambda _file: False)
    entered: Client = request.getfixturevalue("client")
    return entered
