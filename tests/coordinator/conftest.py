"""What the verbs compute in every process, once for all of these tests; homes on each engine."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy.engine import URL

from coordinator.home.settings import Home
from tests.once import computing_once

if TYPE_CHECKING:
    from tests.servers.postgresql import Engines

ON_A_SERVER = frozenset({"home", "payment", "vault"})
"""Folders of tests that `make test-all` runs on a server, too."""
FILES = frozenset({"test_backups.py", "test_home.py", "test_settings.py"})
"""Tests of a home's file itself."""


@pytest.fixture(autouse=True)
def shared() -> Iterator[None]:
    with computing_once():
        yield


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Have what opens a home's database run on a server too, in `make test-all`."""
    path = Path(metafunc.module.__file__ or "")
    if path.parent.name not in ON_A_SERVER or path.name in FILES:
        return
    metafunc.fixturenames.append("engine")
    server = pytest.param("postgresql", marks=pytest.mark.matrix)
    metafunc.parametrize("engine", ["sqlite", server], indirect=True)


@pytest.fixture
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let every home of a test without a server of its own remember in a database there."""
    if request.param == "postgresql":
        engines: Engines = request.getfixturevalue("on_server")
        places: dict[Path, URL] = {}

        def database_url(home: Home) -> URL:
            if home.folder not in places:
                places[home.folder] = engines.copy()
            return places[home.folder]

        monkeypatch.setattr(Home, "database_url", property(database_url))
    return str(request.param)
