"""What several files of commands' tests share."""

from pathlib import Path

import pytest

from tests.cli.family import Family, copied, made
from tests.servers.postgresql import Engines


@pytest.fixture(scope="session")
def prepared(on_server: Engines, tmp_path_factory: pytest.TempPathFactory) -> Family:
    """Two operators who share a database: made once, and changed by no test for good."""
    return made(tmp_path_factory.mktemp("family"), on_server.server)


@pytest.fixture
def family(prepared: Family, on_server: Engines, tmp_path: Path) -> Family:
    """A copy of the two with a database of their own."""
    return copied(prepared, tmp_path, on_server.server)
