from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Connection, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.orm import Session, sessionmaker

from storage import postgresql, sealing
from storage.database import open_database
from storage.postgresql import insert_into
from storage.server_dialect import driven
from tests.once import computing_once
from tests.servers.postgresql import Engines
from tests.servers.proxy import Line, line_to
from tests.storage.sealed import CHEAP, PASSPHRASE, fill


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.matrix)])
def url(request: pytest.FixtureRequest) -> URL:
    """Return where an empty database is, on each engine."""
    if request.param == "sqlite":
        return make_url("sqlite://")
    copied: URL = request.getfixturevalue("on_server").copy()
    return copied


@pytest.fixture
def database(url: URL, monkeypatch: pytest.MonkeyPatch) -> Iterator[sessionmaker[Session]]:
    with computing_once():
        opened = open_database(url)
    if url.get_backend_name() != "sqlite":
        event.listen(opened.kw["bind"], "after_cursor_execute", send_at_once)
        monkeypatch.setattr(postgresql, "insert_into", inserted_at_once)
    yield opened
    opened.kw["bind"].dispose()


@pytest.fixture
def place(on_server: Engines) -> URL:
    return on_server.copy()


@pytest.fixture
def line(on_server: Engines) -> Iterator[Line]:
    with line_to(on_server.server.port) as made:
        yield made


@pytest.fixture
def on_line(on_server: Engines, place: URL, line: Line) -> Iterator[sessionmaker[Session]]:
    """The database behind a line that the test may cut."""
    opened = opened_on(line, place, on_server)
    yield opened
    opened.kw["bind"].dispose()


def opened_on(line: Line, place: URL, on_server: Engines) -> sessionmaker[Session]:
    """Open a database behind a line."""
    password = on_server.server.password
    behind = place.set(port=line.port, query={"passfile": "/nowhere"})
    return open_database(behind, password=lambda: password)


def send_at_once(connection: Connection, *_: object) -> None:
    """Send what waits for the next message: a refusal is to belong to what is refused."""
    server = driven(connection)
    if server.waiting:
        try:
            server.execute(server.with_waiting())
        except psycopg.Error as failure:
            raise postgresql.translated(connection.engine.url, failure) from failure


def inserted_at_once(connection: Connection, into: str, rows: Iterable[Sequence[object]]) -> bool:
    """Insert rows, and send them, too."""
    found = insert_into(connection, into, rows)
    send_at_once(connection)
    return found


@pytest.fixture
def db(database: sessionmaker[Session]) -> Iterator[Session]:
    with database.begin() as session:
        yield session


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home.db"


@pytest.fixture
def on_file(path: Path) -> Iterator[sessionmaker[Session]]:
    with computing_once():
        opened = open_database(f"sqlite:///{path}")
    yield opened
    opened.kw["bind"].dispose()


@pytest.fixture
def home(on_file: sessionmaker[Session]) -> sessionmaker[Session]:
    with on_file.begin() as db:
        fill(db)
    return on_file


@pytest.fixture
def sealed(home: sessionmaker[Session]) -> sessionmaker[Session]:
    sealing.seal_all(home, PASSPHRASE, CHEAP)
    return home


@pytest.fixture
def opened(sealed: sessionmaker[Session]) -> sessionmaker[Session]:
    sealing.unlock(sealed, PASSPHRASE)
    return sealed
