"""Hints that others changed something, from a file and from a server; none is more than a hint."""

import threading
import time
from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy.engine import URL, make_url
from sqlalchemy.orm import Session, sessionmaker

from storage.ceremonies import NewSignature, keep_signatures
from storage.changes import Changes
from storage.database import open_database
from tests.patience import SECONDS
from tests.servers.postgresql import Engines
from tests.servers.proxy import line_to
from tests.storage.making import NOW, add_ceremony, add_vault


@pytest.fixture(params=["sqlite", "postgresql"])
def here(request: pytest.FixtureRequest, on_server: Engines) -> Iterator[sessionmaker[Session]]:
    where = make_url(f"sqlite:///{request.getfixturevalue('path')}")
    opened = open_database(on_server.copy() if request.param == "postgresql" else where)
    yield opened
    opened.kw["bind"].dispose()


@pytest.fixture
def there(here: sessionmaker[Session]) -> Iterator[sessionmaker[Session]]:
    """The same database as another program has it open."""
    url: URL = here.kw["bind"].url
    opened = open_database(url.set(drivername=url.drivername.replace("cardquorum", "psycopg")))
    yield opened
    opened.kw["bind"].dispose()


@pytest.fixture
def changes(here: sessionmaker[Session]) -> Iterator[Changes]:
    made = Changes(here)
    while made.wait(1.0):  # that it listens now
        pass
    yield made
    made.close()


def test_what_another_keeps_is_told_at_once(changes: Changes, there: sessionmaker[Session]) -> None:
    assert not changes.wait(0)
    with there.begin() as db:
        ceremony = add_ceremony(db, add_vault(db), "aaaa2345").id
    assert changes.wait(SECONDS)
    begun = time.monotonic()
    with there.begin() as db:
        keep_signatures(db, ceremony, [NewSignature(0, b"\x02" * 33, bytes(64))], now=NOW)
    assert changes.wait(SECONDS)
    assert time.monotonic() - begun < SECONDS / 2
    assert not changes.wait(0.5)


def test_who_waits_is_let_go_when_it_is_closed(changes: Changes) -> None:
    found: list[bool] = []
    waiting = threading.Thread(target=lambda: found.append(changes.wait(SECONDS)))
    begun = time.monotonic()
    waiting.start()
    changes.close()
    waiting.join(SECONDS)
    assert (found, time.monotonic() - begun < SECONDS / 2) == ([False], True)
    assert not changes.wait(SECONDS)
    assert time.monotonic() - begun < SECONDS / 2


def test_a_transaction_that_is_rolled_back_is_not_told(
    changes: Changes, there: sessionmaker[Session]
) -> None:
    with there.begin() as db:
        add_ceremony(db, add_vault(db), "aaaa2345")
        db.rollback()
    assert not changes.wait(0.5)


def test_a_hint_carries_an_id_and_nothing_else(on_server: Engines) -> None:
    place = on_server.copy()
    opened = open_database(place)
    server = on_server.server
    with psycopg.connect(
        host="127.0.0.1", port=server.port, dbname=place.database, user="owner",
        password=server.password, autocommit=True,
    ) as listening:  # fmt: skip
        listening.execute("LISTEN cardquorum")
        with opened.begin() as db:
            ceremony = add_ceremony(db, add_vault(db), "aaaa2345").id
        with opened.begin() as db:
            keep_signatures(db, ceremony, [NewSignature(0, b"\x02" * 33, bytes(64))], now=NOW)
        told = [each.payload for each in listening.notifies(timeout=SECONDS, stop_after=2)]
    opened.kw["bind"].dispose()
    assert told == ["aaaa2345", "aaaa2345"]


def test_who_listens_listens_again_after_a_cut(on_server: Engines) -> None:
    place = on_server.copy()
    with line_to(on_server.server.port) as line:
        password = on_server.server.password
        behind = place.set(port=line.port, query={"passfile": "/nowhere"})
        opened = open_database(behind, password=lambda: password)
        changes = Changes(opened)
        assert changes.wait(SECONDS)  # it listens
        on_server.server.end_sessions(str(place.database))
        assert changes.wait(SECONDS)  # that the line was cut: it may have cost a hint
        while changes.wait(3.0):
            pass
        with opened.begin() as db:
            add_ceremony(db, add_vault(db), "aaaa2345")
        assert changes.wait(SECONDS)
        changes.close()
        opened.kw["bind"].dispose()
