from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.orm import Session, sessionmaker

from storage.database import open_database


@pytest.fixture
def database() -> Iterator[sessionmaker[Session]]:
    opened = open_database("sqlite://")
    yield opened
    opened.kw["bind"].dispose()


@pytest.fixture
def db(database: sessionmaker[Session]) -> Iterator[Session]:
    with database.begin() as session:
        yield session


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home.db"


@pytest.fixture
def on_file(path: Path) -> Iterator[sessionmaker[Session]]:
    opened = open_database(f"sqlite:///{path}")
    yield opened
    opened.kw["bind"].dispose()
