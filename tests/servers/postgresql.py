"""A PostgreSQL server of the tests' own: its folder, a private socket, a port of the loopback."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final, NamedTuple

import psycopg
import pytest
from sqlalchemy.engine import URL

from tests.patience import SECONDS
from tests.servers.ports import free_port

VARIABLE: Final = "POSTGRESQL"
FOLDERS: Final = tuple(f"/usr/lib/postgresql/{version}/bin" for version in range(20, 13, -1))
SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "60",
    "log_min_messages": "panic",
    "lc_messages": "C",
}
PLACED: Final = ("-cport=", "-cunix_socket_directories=")
OWNER: Final = "owner"
PASSWORD: Final = "of-tests-only"
MEMORY: Final = Path("/dev/shm")  # noqa: S108 -- not a file's name
"""A folder in memory, where there is one."""

Administrator = psycopg.Connection[tuple[Any, ...]]


def programs() -> Path | None:
    """Return the folder of PostgreSQL's programs: that of POSTGRESQL, else Debian's newest."""
    named = os.environ.get(VARIABLE)
    places = [Path(named)] if named else [Path(each) for each in FOLDERS]
    return next((each for each in places if (each / "initdb").exists()), None)


@dataclass(frozen=True)
class Server:
    """A running server, and how it is reached."""

    folder: Path
    port: int
    made: Iterator[int]
    command: Sequence[str]
    running: "list[subprocess.Popen[bytes]]" = field(default_factory=list)
    passing: list[str] = field(default_factory=list)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen(self.command, cwd="/", **quiet, **account())
        self.running.append(process)
        _wait_until_ready(self, process)

    def stop(self, how: signal.Signals) -> None:
        """Stop it with all its processes, as a signal does: SIGINT in order, SIGKILL at once."""
        process = self.running.pop()
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.send_signal(how)
        for child in map(int, children) if how is signal.SIGKILL else ():
            with suppress(ProcessLookupError):
                os.kill(child, how)
        process.wait(SECONDS)

    def caught_up(self, first: "Server") -> None:
        """Wait until a standby has all that its first server wrote."""
        ((written,),) = first.run("SELECT pg_current_wal_lsn()")
        self.until(f"pg_last_wal_replay_lsn() >= '{written}'")

    def hear_no_more(self) -> None:
        """Have a standby get nothing any more: what its first server commits is lost to it."""
        self.run("ALTER SYSTEM SET primary_conninfo = ''")
        self.run("SELECT pg_reload_conf()")
        self.until("NOT EXISTS (SELECT FROM pg_stat_wal_receiver)")

    def until(self, holds: str) -> None:
        """Wait until something holds, as SQL says it."""
        for _ in range(int(SECONDS) * 50):
            if self.run(f"SELECT {holds}") == [(True,)]:
                return
            time.sleep(0.02)
        raise TimeoutError(f"{holds}: not within {SECONDS} seconds")

    def promote(self) -> None:
        """Have a standby take over; it writes once this returns."""
        self.run("SELECT pg_promote()")

    @property
    def password(self) -> str:
        """Return everybody's password."""
        return PASSWORD

    @property
    def passfile(self) -> Path:
        """Return the file with everybody's password (pgpass)."""
        return self.folder / "pgpass"

    def url(self, database: str, user: str = OWNER) -> URL:
        """Return the URL of a database, the password left to `passfile`."""
        query = {"passfile": str(self.passfile)}
        place = {"host": "127.0.0.1", "port": self.port, "database": database}
        return URL.create("postgresql+psycopg", user, query=query, **place)

    def administrator(self, database: str = "postgres", *, user: str = OWNER) -> Administrator:
        """Connect outside a transaction."""
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            dbname=database,
            user=user,
            password=PASSWORD,
            autocommit=True,
        )

    def run(self, statement: str, database: str = "postgres", *, user: str = OWNER) -> list[Any]:
        """Run a statement outside a transaction; return its rows."""
        with self.administrator(database, user=user) as connection:
            return _rows(connection, statement)

    def end_sessions(self, database: str) -> None:
        """End every connection to a database, as a server that stops does."""
        with self.administrator() as connection:
            _end_sessions(connection, database)

    def database(self, template: str = "template0", *, lasting: bool = False) -> str:
        """Make a database, nobody using its template; return its name.

        It is there until the end of the test, a lasting one until that of the server.
        """
        name = f"home{next(self.made)}"
        with self.administrator() as connection:
            _end_sessions(connection, template)
            _rows(connection, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        if not lasting:
            self.passing.append(name)
        return name

    def drop_passing(self) -> None:
        """Drop the databases that were made for the test that ended."""
        if self.passing and self.running:
            with self.administrator() as connection:
                while self.passing:
                    name = self.passing.pop()
                    _rows(connection, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


class Engines(NamedTuple):
    """A server, and the database on it that each test gets a copy of."""

    server: Server
    template: str

    def copy(self, *, lasting: bool = False) -> URL:
        """Make a database with nothing but our tables; return its URL."""
        return self.server.url(self.server.database(self.template, lasting=lasting))


def _end_sessions(connection: Administrator, database: str) -> None:
    whose = f"FROM pg_stat_activity WHERE datname = '{database}'"
    while _rows(connection, f"SELECT pg_terminate_backend(pid) {whose}"):
        continue


def _rows(connection: Administrator, statement: str) -> list[Any]:
    found = connection.execute(statement.encode())
    return found.fetchall() if found.description else []


@contextmanager
def serve(**settings: str) -> Iterator[Server]:
    """Run a server until the end; the test is left out where none is installed."""
    found = programs()
    if found is None:
        pytest.skip("no PostgreSQL is installed here")
    with (
        tempfile.TemporaryDirectory(prefix="cardquorum-pg-", dir=_place()) as name,
        _running(_made(found, Path(name), settings)) as server,
    ):
        yield server


@contextmanager
def standby_of(first: Server) -> Iterator[Server]:
    """Run a server that follows another one, until the end; it may take over (`promote`)."""
    with tempfile.TemporaryDirectory(prefix="cardquorum-pg-", dir=_place()) as name:
        folder, port, programs = Path(name), free_port(), Path(first.command[0]).parent
        if whose := account():
            shutil.chown(folder, whose["user"], whose["group"])
        folder.chmod(0o755)
        where = ["-h", "127.0.0.1", "-p", str(first.port), "-U", OWNER, "-D", folder / "data"]
        taking = [programs / "pg_basebackup", *where, "-R", "--checkpoint=fast", "--no-sync"]
        password = {"env": {"PGPASSWORD": PASSWORD}}
        subprocess.run(taking, check=True, capture_output=True, cwd="/", **password, **account())
        options = [each for each in first.command[3:] if not each.startswith(PLACED)]
        placed = [f"-cport={port}", f"-cunix_socket_directories={name}"]
        command = (first.command[0], "-D", str(folder / "data"), *options, *placed)
        server = Server(folder, port, count(1), command)
        server.passfile.touch(0o600)
        server.passfile.write_text(f"127.0.0.1:*:*:*:{PASSWORD}\n")
        with _running(server):
            yield server


RUNNING: Final[list[Server]] = []
"""The servers that run just now."""


def drop_passing() -> None:
    """Drop the databases of the test that ended, on every server that runs."""
    for server in RUNNING:
        server.drop_passing()


def _place() -> str:
    """Return where servers lie, whose account is another: in memory where homes do (conftest)."""
    return str(MEMORY) if Path(tempfile.gettempdir()) == MEMORY else "/tmp"  # noqa: S108 -- as above


@contextmanager
def _running(server: Server) -> Iterator[Server]:
    server.start()
    RUNNING.append(server)
    try:
        yield server
    finally:
        RUNNING.remove(server)
        if server.running:
            server.stop(signal.SIGINT)


def _made(found: Path, folder: Path, more: Mapping[str, str]) -> Server:
    whose = account()
    first = folder / "first-password"
    first.write_text(PASSWORD)
    folder.chmod(0o755)
    if whose:
        for each in (folder, first):
            shutil.chown(each, whose["user"], whose["group"])
    auth = ("-A", "scram-sha-256", "-U", OWNER, f"--pwfile={first}")
    kind = ("--no-sync", "--no-instructions", "-E", "UTF8", "--locale=C.UTF-8")
    made = [found / "initdb", *kind, *auth, "-D", folder / "data"]
    subprocess.run(made, check=True, capture_output=True, cwd="/", **whose)
    port = free_port()
    place = {"port": str(port), "unix_socket_directories": str(folder)}
    options = [f"-c{name}={value}" for name, value in {**SETTINGS, **place, **more}.items()]
    command = (str(found / "postgres"), "-D", str(folder / "data"), *options)
    server = Server(folder, port, count(1), command)
    server.passfile.touch(0o600)
    server.passfile.write_text(f"127.0.0.1:*:*:*:{PASSWORD}\n")
    return server


def account() -> dict[str, Any]:
    """Return as whom the server runs: it refuses to run as root."""
    if os.geteuid():
        return {}
    other = pwd.getpwnam("postgres")
    return {"user": other.pw_uid, "group": other.pw_gid, "extra_groups": []}


def _wait_until_ready(server: Server, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(int(SECONDS) * 50):
        try:
            server.run("SELECT 1")
        except psycopg.OperationalError:
            if process.poll() is not None:
                raise
            try:
                process.wait(0.02)
            except subprocess.TimeoutExpired:
                continue
        else:
            return
    process.kill()
    raise TimeoutError(f"PostgreSQL did not start within {SECONDS} seconds")
