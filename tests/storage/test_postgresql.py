"""A home's memory on a real PostgreSQL server; the rest of the suite runs there in `test-all`."""

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.orm import Session, sessionmaker

from storage import custody, postgresql, server_dialect
from storage.database import VERSIONS, is_read_only, open_database, reading
from storage.errors import (
    CommitUnknown,
    DatabaseUnreachable,
    PasswordNeeded,
    ReadOnly,
    SchemaTooNew,
    StorageError,
)
from storage.model import Reservation, Signature, Vault
from tests.servers.postgresql import Engines
from tests.servers.proxy import Line, Told
from tests.storage.making import LATER, add_ceremony, add_vault, fight_for_a_coin, txid

COINS = [(txid(1), 0), (txid(2), 0)]
LOCAL = "postgresql+psycopg://alice@127.0.0.1:5432/home"


@pytest.fixture
def served(place: URL) -> Iterator[sessionmaker[Session]]:
    opened = open_database(place, existing=True)
    yield opened
    opened.kw["bind"].dispose()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql+psycopg://alice:pin@host/home", "holds a password"),
        ("postgresql+psycopg2://alice@host/home", r"begins postgresql\+psycopg2://"),
        (f"{LOCAL}?options=-c%20x", "unknown option options"),
        (f"{LOCAL}?password=1234", "unknown option password"),
        ("postgresql+psycopg://alice@db.example.org/home?sslmode=require", "sslmode=verify-full"),
        ("postgresql+psycopg://alice@10.0.0.1/home?sslmode=disable", "sslmode=verify-full"),
        ("postgresql+psycopg://alice@127.0.0.1", "names no database"),
        (f"{LOCAL}?host=db.example.org", "names a host twice"),
        ("postgresql+psycopg:///home?host=a&host=b&sslmode=disable", "sslmode=verify-full"),
        ("postgresql+psycopg://127.0.0.1:1,b:2/home?sslmode=disable", "sslmode=verify-full"),
        ("postgresql+psycopg://127.0.0.1,localhost/home?host=c", "names a host twice"),
    ],
)
def test_a_url_is_refused_for_what_it_says(url: str, said: str) -> None:
    with pytest.raises(StorageError, match=said) as refused:
        postgresql.checked_url(postgresql.parsed_url(url))
    assert "1234" not in str(refused.value)
    assert "pin@" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "mode"),
    [
        (LOCAL, None),
        ("postgresql://alice@[::1]/home", None),
        ("postgresql+psycopg:///home?host=/run/postgresql", None),
        ("postgresql+psycopg:///home", "verify-full"),
        (f"{LOCAL}?service=vault", "verify-full"),
        ("postgresql+psycopg:///home?host=127.0.0.1,db.example.org", "verify-full"),
        ("postgresql+psycopg://alice@db.example.org/home", "verify-full"),
        ("postgresql+psycopg:///?service=vault", "verify-full"),
        ("postgresql+psycopg:///home?host=10.1.1.1", "verify-full"),
    ],
)
def test_another_computer_proves_who_it_is(url: str, mode: str | None) -> None:
    assert postgresql.checked_url(make_url(url)).query.get("sslmode") == mode


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://alice@127.0.0.1:5432,localhost:5433/home",
        "postgresql+psycopg://alice@/home?host=127.0.0.1:5432&host=localhost:5433",
    ],
)
def test_several_hosts_are_named_as_libpq_names_them(url: str) -> None:
    checked = postgresql.checked_url(postgresql.parsed_url(url))
    assert checked.query["target_session_attrs"] == "read-write"
    assert "sslmode" not in checked.query
    assert checked.query["host"] == ("127.0.0.1:5432", "localhost:5433")
    assert postgresql.checked_url(make_url(checked.render_as_string())) == checked
    assert postgresql.shown(checked) == (
        "postgresql+psycopg://alice@127.0.0.1:5432,localhost:5433/home"
    )
    other = postgresql.parsed_url(f"{url}{'&' if '?' in url else '?'}target_session_attrs=any")
    assert postgresql.checked_url(other).query["target_session_attrs"] == "any"


@pytest.mark.parametrize("url", ["nothing", "postgresql+psycopg://alice@host:port/home"])
def test_what_is_no_url_is_said(url: str) -> None:
    with pytest.raises(StorageError, match="cannot be read as one"):
        postgresql.parsed_url(url)


def test_a_socket_that_libpq_finds_by_itself_is_taken(
    on_server: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = on_server.server
    monkeypatch.setenv("PGHOST", str(server.folder))
    monkeypatch.setenv("PGPORT", str(server.port))
    url = f"postgresql+psycopg://owner@/{on_server.template}?passfile=/nowhere"
    open_database(url, password=lambda: server.password).kw["bind"].dispose()


def test_a_server_without_tls_is_refused_where_libpq_is_sent_elsewhere(
    on_server: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGHOST", "127.0.0.1")
    monkeypatch.setenv("PGPORT", str(on_server.server.port))
    with pytest.raises(DatabaseUnreachable, match=r"SSL|root certificate"):
        open_database(f"postgresql+psycopg://owner@/{on_server.template}")


def test_two_connections_fight_for_a_coin(served: sessionmaker[Session]) -> None:
    winner, outcomes = fight_for_a_coin(served)
    assert outcomes == {winner, f"lost to {winner}"}


KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from storage.ceremonies import NewSignature, keep_signatures
from storage.database import open_database

def keep(db, index):
    now = datetime.now(UTC)
    keep_signatures(db, 1, [NewSignature(index, b"\\x02" * 33, bytes(64))], now=now)

database = open_database(sys.argv[1])
with database.begin() as db:
    keep(db, 0)
with database.begin() as db:
    keep(db, 1)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_kill_loses_the_signature_in_flight_and_no_other(
    place: URL, served: sessionmaker[Session]
) -> None:
    with served.begin() as db:
        add_ceremony(db, add_vault(db), "aaaa2345")
    killed = subprocess.run([sys.executable, "-c", KILLED, str(place)], check=False)
    assert killed.returncode == -signal.SIGKILL
    with served.begin() as db:
        assert db.scalars(select(Signature.input_index)).all() == [0]


@pytest.mark.matrix
def test_who_opens_an_empty_database_first_makes_it(on_server: Engines) -> None:
    url = on_server.server.url(on_server.server.database())
    program = "import sys; from storage.database import open_database; open_database(sys.argv[1])"
    started = [subprocess.Popen([sys.executable, "-c", program, str(url)]) for _ in range(3)]
    assert [each.wait(60) for each in started] == [0, 0, 0]


def test_an_emptied_database_was_lost(on_server: Engines) -> None:
    url = on_server.server.url(on_server.server.database())
    with pytest.raises(StorageError, match="holds nothing: it was there when"):
        open_database(url, existing=True)


@pytest.mark.parametrize("table", ["custody_event", "custody_text"])
def test_the_book_cannot_be_emptied(served: sessionmaker[Session], table: str) -> None:
    with pytest.raises(StorageError, match="only ever appended to"), served.begin() as db:
        db.execute(text(f"TRUNCATE {table} CASCADE"))


def test_a_reader_waits_for_nobody_and_sees_one_moment(served: sessionmaker[Session]) -> None:
    count = select(func.count()).select_from(Vault)
    with served.begin() as writer:
        add_vault(writer)
        with reading(served).begin() as reader:
            assert reader.scalar(count) == 0
    with reading(served).begin() as reader:
        assert reader.scalar(count) == 1
    with pytest.raises(ReadOnly, match="does not allow"), reading(served).begin() as reader:
        add_vault(reader, "second", first_key=9)


def test_a_newer_schema_is_refused(on_server: Engines, place: URL) -> None:
    on_server.server.run("UPDATE alembic_version SET version_num = '9999'", str(place.database))
    with pytest.raises(SchemaTooNew, match="version 9999"):
        open_database(place)


@contextmanager
def account(on_server: Engines, place: URL, *grants: str) -> Iterator[URL]:
    """Yield the URL of an account with these rights and no others."""
    server, name = on_server.server, f"{place.database}_guest"
    server.run(f"CREATE ROLE {name} LOGIN PASSWORD '{server.password}'")
    for grant in ("SELECT", *grants):
        server.run(f"GRANT {grant} ON ALL TABLES IN SCHEMA public TO {name}", str(place.database))
    yield server.url(str(place.database), name)


def test_an_older_schema_is_brought_to_date_by_its_owner(on_server: Engines, place: URL) -> None:
    server, older = on_server.server, VERSIONS[-2]
    change = f"UPDATE alembic_version SET version_num = '{older}'"  # noqa: S608 -- our number
    server.run(change, str(place.database))
    said = f"has version {older}; its owner brings it"
    with account(on_server, place, "INSERT") as url, pytest.raises(StorageError, match=said):
        open_database(url)


def test_who_may_only_read_opens_for_reading(on_server: Engines, place: URL) -> None:
    with account(on_server, place) as url:
        opened = open_database(url, existing=True)
        assert is_read_only(opened)
        with opened.begin() as db:
            assert custody.all_events(db) == []
        with pytest.raises(ReadOnly), opened.begin() as db:
            add_vault(db)
        opened.kw["bind"].dispose()


def test_a_password_is_asked_for_where_no_file_has_one(on_server: Engines, place: URL) -> None:
    bare = place.set(query={"passfile": "/nowhere"})
    with pytest.raises(PasswordNeeded, match="wants a password"):
        open_database(bare)
    with pytest.raises(PasswordNeeded, match="wants a password"):
        open_database(bare, password=lambda: "another")
    open_database(bare, password=lambda: on_server.server.password).kw["bind"].dispose()


def test_a_server_that_is_gone_is_said_and_comes_back(
    on_server: Engines, served: sessionmaker[Session]
) -> None:
    with served.begin() as db:
        mine = db.scalar(text("SELECT pg_backend_pid()"))
        on_server.server.run(f"SELECT pg_terminate_backend({mine})")
        with pytest.raises(DatabaseUnreachable, match="cannot be reached"):
            db.scalar(text("SELECT 1"))
        db.rollback()
    with served.begin() as db:
        assert db.scalar(text("SELECT 1")) == 1


def test_no_server_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with pytest.raises(DatabaseUnreachable, match=f"127.0.0.1:{port}/home cannot be reached"):
        open_database(f"postgresql+psycopg://alice@127.0.0.1:{port}/home")


@contextmanager
def pooler(port: int) -> Iterator[int]:
    """Yield a port behind which another process number is told, as poolers do."""
    listener = socket.create_server(("127.0.0.1", 0))

    def carry(source: socket.socket, target: socket.socket, *, told: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                at = data.find(b"K\x00\x00\x00\x0c") if told else -1
                target.sendall(data if at < 0 else data[: at + 5] + b"\x7f" + data[at + 6 :])
            target.shutdown(socket.SHUT_WR)

    def serve(client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", port)) as server:
            asks = threading.Thread(target=carry, args=(client, server), kwargs={"told": False})
            asks.start()
            carry(server, client, told=True)
            asks.join()

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=serve, args=(client,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)


def test_a_pooler_is_refused(on_server: Engines, place: URL) -> None:
    with pooler(on_server.server.port) as port:
        passfile = {"passfile": "/nowhere"}
        behind = place.set(port=port, query=passfile)
        with pytest.raises(StorageError, match="a connection pooler stands before"):
            open_database(behind, password=lambda: on_server.server.password)


def test_no_row_is_quoted_in_a_refusal(served: sessionmaker[Session]) -> None:
    with served.begin() as db:
        vault = add_vault(db)
        holders = [add_ceremony(db, vault, name) for name in ("aaaa2345", "bbbb2345")]
    twice = [Reservation(ceremony_id=h.id, txid=txid(1), vout=0, expires_at=LATER) for h in holders]
    with pytest.raises(StorageError, match="uq_live_txid_vout") as refused, served.begin() as db:
        db.add_all(twice)
    assert txid(1) not in str(refused.value)


def is_commit(kind: bytes, body: bytes) -> bool:
    return kind == b"Q" and body.rstrip(b"\0") == b"COMMIT"


def add_over(database: sessionmaker[Session], line: Line, **cut: Told) -> None:
    """Add a vault in a transaction during which the line is told where to be cut."""
    with database.begin() as db:
        add_vault(db)
        for name, told in cut.items():
            setattr(line, name, told)


def vaults(database: sessionmaker[Session]) -> int:
    with database.begin() as db:
        return db.scalar(select(func.count()).select_from(Vault)) or 0


def test_a_commit_whose_answer_was_lost_is_looked_up(
    on_line: sessionmaker[Session], line: Line
) -> None:
    add_over(on_line, line, cut_after=lambda kind, body: not line.cuts and is_commit(kind, body))
    assert line.cuts == 1
    assert vaults(on_line) == 1


def test_a_commit_that_did_not_arrive_is_said_and_nothing_was_kept(
    on_line: sessionmaker[Session], line: Line
) -> None:
    with pytest.raises(DatabaseUnreachable) as cut:
        add_over(
            on_line, line, cut_before=lambda kind, body: not line.cuts and is_commit(kind, body)
        )
    assert not isinstance(cut.value, CommitUnknown)
    assert vaults(on_line) == 0
    add_over(on_line, line)


def test_where_nobody_can_ask_whether_it_was_kept_that_is_said(
    on_line: sessionmaker[Session],
    line: Line,
    served: sessionmaker[Session],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server_dialect, "LOOK_SECONDS", 0.3)
    away = {"cut_after": is_commit, "cut_before": lambda kind, _: not kind and line.cuts > 0}
    with pytest.raises(CommitUnknown, match="kept is unknown"):
        add_over(on_line, line, **away)
    assert vaults(served) == 1


def test_a_connection_that_the_server_ended_while_idle_is_made_anew(
    on_server: Engines,
    served: sessionmaker[Session],
    place: URL,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server_dialect, "IDLE_SECONDS", 0.0)
    with served.begin() as db:
        first = db.scalar(text("SELECT pg_backend_pid()"))
    on_server.server.end_sessions(str(place.database))
    with served.begin() as db:
        assert db.scalar(text("SELECT pg_backend_pid()")) != first
