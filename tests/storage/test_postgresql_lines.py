"""How a server is reached: by TLS that proves who it is, by a service file; how long it waits."""

import datetime as dt
import ipaddress
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import URL
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session, sessionmaker

from storage import server_transactions, snapshot, vaults
from storage.database import open_database, reading
from storage.errors import DatabaseUnreachable, StorageError
from storage.postgresql import server_time
from tests.servers import postgresql
from tests.servers.postgresql import Engines, Server, account
from tests.storage.making import add_vault

PEM: Final = serialization.Encoding.PEM
DAY: Final = dt.timedelta(days=1)
ONLY_TLS: Final = "hostssl all all all scram-sha-256\nlocal all all scram-sha-256\n"


class Authority(NamedTuple):
    """Who vouches for servers."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(PEM)


def named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def unsigned(name: str, key: ec.EllipticCurvePrivateKey, issuer: str) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return x509.CertificateBuilder(
        named(issuer), named(name), key.public_key(), x509.random_serial_number(),
        now - DAY, now + DAY,
    )  # fmt: skip


def authority(name: str) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    vouching = x509.BasicConstraints(ca=True, path_length=0)
    made = unsigned(name, key, name).add_extension(vouching, critical=True)
    return Authority(key, made.sign(key, hashes.SHA256()))


def certify(folder: Path, by: Authority, address: str) -> None:
    """Put a key and a certificate of that address where the server finds them."""
    key = ec.generate_private_key(ec.SECP256R1())
    told = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
    made = unsigned("server", key, "ours").add_extension(told, critical=False)
    plain = serialization.NoEncryption()
    written = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, plain)
    (folder / "server.crt").write_bytes(made.sign(by.key, hashes.SHA256()).public_bytes(PEM))
    (folder / "server.key").touch(0o600)
    (folder / "server.key").write_bytes(written)
    if whose := account():
        shutil.chown(folder / "server.key", whose["user"], whose["group"])


class Secured(NamedTuple):
    """A server that is reached by TLS alone, its database, and who vouches for it."""

    server: Server
    database: str
    ours: Authority

    def url(self, root: Path, **query: str) -> URL:
        root.write_bytes(self.ours.pem)
        query = {"sslmode": "verify-full", "sslrootcert": str(root), **query}
        return self.server.url(self.database).update_query_dict(query)


@pytest.fixture(scope="module")
def secured() -> Iterator[Secured]:
    ours = authority("ours")
    with postgresql.serve() as server:
        data = server.folder / "data"
        database = server.database(lasting=True)
        certify(data, ours, "127.0.0.1")
        try:
            server.run("ALTER SYSTEM SET ssl = on")
        except psycopg.Error as failure:
            pytest.skip(f"this PostgreSQL was built without TLS: {failure}")
        server.run("SELECT pg_reload_conf()")
        (data / "pg_hba.conf").write_text(ONLY_TLS)
        server.run("SELECT pg_reload_conf()")
        yield Secured(server, database, ours)


def test_a_server_proves_who_it_is(secured: Secured, tmp_path: Path) -> None:
    opened = open_database(secured.url(tmp_path / "root.crt"))
    with opened.begin() as db:
        add_vault(db)
        driver = db.connection().connection.driver_connection
        assert driver is not None
        assert driver.pgconn.ssl_in_use
    opened.kw["bind"].dispose()


def test_another_server_in_its_place_is_refused(secured: Secured, tmp_path: Path) -> None:
    url = secured.url(tmp_path / "root.crt")
    (tmp_path / "other.crt").write_bytes(authority("ours").pem)
    for query, said in (
        ({"sslrootcert": str(tmp_path / "other.crt")}, "SSL error"),
        ({"sslrootcert": str(tmp_path / "none.crt")}, "does not exist"),
    ):
        with pytest.raises(DatabaseUnreachable, match=said):
            open_database(url.update_query_dict(query))
    with pytest.raises(DatabaseUnreachable, match="does not match host name"):
        open_database(url.set(host="localhost"))


def test_a_service_file_says_where_it_is(
    secured: Secured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secured.url(tmp_path / "root.crt")
    told = {
        "host": "127.0.0.1", "port": secured.server.port, "user": "owner",
        "dbname": secured.database, "sslrootcert": tmp_path / "root.crt",
        "password": secured.server.password,
    }  # fmt: skip
    lines = ["[vault]", *(f"{name}={value}" for name, value in told.items()), ""]
    (tmp_path / "services").write_text("\n".join(lines))
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    url = make_url("postgresql+psycopg:///?service=vault")
    open_database(url).kw["bind"].dispose()


def hurry(monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    """Have transactions wait, or be waited for, a part of a second in place of so many."""
    written = server_transactions.WRITES.replace(f"'{seconds}s'", "'300ms'")
    assert written != server_transactions.WRITES
    monkeypatch.setattr(server_transactions, "WRITES", written)


def test_who_waits_too_long_for_another_writer_says_so(
    place: URL, on_server: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurry(monkeypatch, server_transactions.LOCK_SECONDS)
    opened = open_database(place)
    holds = f"BEGIN; SELECT pg_advisory_xact_lock({server_transactions.WRITERS})"
    with on_server.server.administrator(str(place.database)) as other:
        other.execute(holds.encode())
        with pytest.raises(StorageError, match="another program writes to"), opened.begin() as db:
            add_vault(db)
        other.execute("ROLLBACK")
    assert names(opened) == []
    with opened.begin() as db:
        add_vault(db)
    opened.kw["bind"].dispose()


def test_a_transaction_that_is_left_open_is_ended_by_the_server(
    place: URL, on_server: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurry(monkeypatch, server_transactions.IDLE_SECONDS)
    opened = open_database(place)

    def leave_open() -> None:
        with opened.begin() as db:
            add_vault(db)
            on_server.server.run("SELECT pg_sleep(1)")

    with pytest.raises(DatabaseUnreachable):
        leave_open()
    monkeypatch.undo()
    assert names(opened) == []
    opened.kw["bind"].dispose()


def test_a_line_cut_as_a_transaction_begins_is_told_as_an_error_and_nothing_else(
    place: URL,
    on_server: Engines,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    opened = open_database(place)
    bring = snapshot.bring

    def cut(*given: object, **named: object) -> object:
        on_server.server.end_sessions(str(place.database))
        return bring(*given, **named)

    with monkeypatch.context() as patched:
        patched.setattr(snapshot, "bring", cut)
        with pytest.raises(DatabaseUnreachable):
            names(opened)
    assert names(opened) == []
    assert caplog.records == []
    opened.kw["bind"].dispose()


def names(database: sessionmaker[Session]) -> list[str]:
    with database.begin() as db:
        return [each.name for each in vaults.all_vaults(db)]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "America/Lima"])
def test_the_servers_time_is_told_whatever_zone_it_is_in(
    place: URL, on_server: Engines, zone: str
) -> None:
    server, name = on_server.server, str(place.database)
    server.run(f"ALTER DATABASE {name} SET TimeZone = '{zone}'")
    server.run(f"ALTER DATABASE {name} SET DateStyle = 'SQL, DMY'")
    opened = open_database(place)
    for database in (opened, reading(opened)):
        with database.begin() as db:
            off = server_time(db) - dt.datetime.now(dt.UTC)
            assert abs(off) < dt.timedelta(minutes=20)
    opened.kw["bind"].dispose()
