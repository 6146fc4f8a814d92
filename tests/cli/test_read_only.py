"""A home that can only be read is shown as it was left; what would write says one sentence."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy.orm import Session, sessionmaker

from storage import read_only
from storage.database import VERSIONS, is_read_only, open_database
from storage.errors import ReadOnly
from tests.program import Asked
from tests.storage.test_migrations import to_version_9998

MOUNTED = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
READING = (
    "status",
    "vault list",
    "vault show v",
    "address list v",
    "balance",
    "coins v",
    "history v",
    "spend list",
    "spend show {ceremony}",
    "card list",
    "card show a",
    "location list",
    "custody log",
    "custody verify",
    "copy list v",
    "drill list v",
    "drill plan v",
    "secret list",
    "vault export v",
    "audit v --fail-on none",
    "label export {out}",
    "coin export v {out}.coins",
    "backup --out {out}.backup",
)
WRITING = (
    "address new v",
    "location add here --kind home",
    "label set {txid} x",
    "card lost a",
    "spend abandon {ceremony}",
    "spend export {ceremony}",
    "vault retire v",
    "regtest mine",
    "custody record card:a seen",
    "spend sign {ceremony} --emulated a --yes",
    "card check a --emulated a",
    "card setup new --emulated a --generate",
    "vault verify v --emulated a",
    "kit v --out {out}.kit",
)


RUNNING = """
import contextlib, io, json, sys
from coordinator import cli
ended = []
for line in sys.argv[1:]:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        status = cli.run(["--json", *line.split()])
    ended.append((line, status, json.loads(out.getvalue())))
print(json.dumps(ended))
"""


def can_mount() -> bool:
    unshare = shutil.which("unshare")
    return unshare is not None and (
        subprocess.run([unshare, "-m", "true"], capture_output=True, check=False).returncode == 0
    )


def test_what_reads_works_and_what_writes_says_so(vault: Asked, tmp_path: Path) -> None:
    stranger = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
    made = vault("spend", "create", "v", "--to", f"{stranger}:10000", "--feerate", "2")
    known = {"ceremony": made["ceremony"], "out": str(tmp_path / "out"), "txid": "ab" * 32}
    home = tmp_path / "home"
    as_root = os.geteuid() == 0
    if as_root and not can_mount():
        pytest.skip("the superuser writes everywhere and nothing can be mounted here")
    before = ["unshare", "-m", "sh", "-c", MOUNTED, str(home)] if as_root else []
    for path in [] if as_root else [*home.rglob("*"), home]:
        path.chmod(0o500 if path.is_dir() else 0o400)
    lines = [line.format_map(known) for line in (*READING, *WRITING)]
    ended = subprocess.run(
        [*before, sys.executable, "-c", RUNNING, *lines],
        env={**os.environ, "CARDQUORUM_HOME": str(home)},
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert ended.returncode == 0, ended
    found = json.loads(ended.stdout)
    for line, status, told in found[: len(READING)]:
        assert status == 0, (line, told)
        if line == "balance":
            assert told["confirmed_sats"] == 3_000_000
    for line, status, told in found[len(READING) :]:
        assert status in {2, 5, 7}, (line, told)
        sentence = told["error"]["message"]
        assert "read" in sentence or "writ" in sentence, (line, told)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "home.db"


def names(database: sessionmaker[Session]) -> set[str]:
    with database.begin() as db:
        connection = db.connection()
        return {row[0] for row in connection.exec_driver_sql("SELECT ref FROM label")}


def add(file: Path, ref: str) -> sqlite3.Connection:
    writer = sqlite3.connect(file, isolation_level=None)
    writer.execute("PRAGMA wal_autocheckpoint=0")
    writer.execute("INSERT INTO label (type, ref, label) VALUES ('tx', ?, 'x')", (ref,))
    return writer


@pytest.mark.parametrize("left", ["closed", "in use", "log", "log without index"])
def test_a_database_is_read_whatever_state_it_was_left_in(
    file: Path, left: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_database(f"sqlite:///{file}").kw["bind"].dispose()
    writer = add(file, "ab" * 32)
    if left in {"log", "log without index"}:
        apart = tmp_path / "apart"
        apart.mkdir()
        for each in tmp_path.glob("home.db*"):
            shutil.copy(each, apart / each.name)
        writer.close()
        file = apart / "home.db"
        if left == "log without index":
            (apart / "home.db-shm").unlink()
    elif left != "in use":
        writer.close()
    monkeypatch.setattr("storage.database.is_writable", lambda _: False)
    if left == "log without index":
        monkeypatch.setattr(read_only, "_opens", lambda _: False)
    database = open_database(f"sqlite:///{file}", existing=True)
    assert is_read_only(database)
    assert names(database) == {"ab" * 32}
    with pytest.raises(ReadOnly), database.begin() as db:
        db.connection().exec_driver_sql("DELETE FROM label")
    database.kw["bind"].dispose()
    writer.close()


def test_an_older_database_is_brought_to_date_in_a_copy(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_database(f"sqlite:///{file}").kw["bind"].dispose()
    add(file, "ab" * 32).close()
    before = file.read_bytes()
    monkeypatch.setattr("storage.database.is_writable", lambda _: False)
    monkeypatch.setattr("storage.database.VERSIONS", (*VERSIONS, "9998"))
    monkeypatch.setattr("storage.migrations.upgrade", to_version_9998)
    database = open_database(f"sqlite:///{file}", existing=True)
    assert names(database) == {"ab" * 32}
    database.kw["bind"].dispose()
    assert file.read_bytes() == before
