"""Homes of program 0.1.0 are refused in a sentence that says how to leave it."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from storage.database import open_database
from storage.errors import SchemaTooOld, StorageError
from storage.integrity import require_own_schema

EARLIER = [f"{number:04}" for number in range(1, 13)]
SENTENCE = (
    r"home.db was written by cardquorum 0\.1\.0 \(database version {}\), .* export descriptors, "
    r"custody log and labels with 0\.1\.0, then import them into a new home$"
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    file = tmp_path_factory.mktemp("made") / "home.db"
    open_database(f"sqlite:///{file}").kw["bind"].dispose()
    return file.read_bytes()


def written_by(path: Path, made: bytes, version: str) -> bytes:
    """Write a home's database whose version is another, and return its bytes."""
    path.write_bytes(made)
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("UPDATE alembic_version SET version_num = ?", (version,))
        raw.commit()
    return path.read_bytes()


@pytest.mark.parametrize("version", EARLIER)
def test_each_version_of_0_1_0_is_refused_with_the_way_out(
    path: Path, made: bytes, version: str
) -> None:
    before = written_by(path, made, version)
    with pytest.raises(SchemaTooOld, match=SENTENCE.format(version)):
        open_database(f"sqlite:///{path}", existing=True)
    assert path.read_bytes() == before


def test_it_is_refused_where_it_can_only_be_read(
    path: Path, made: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    written_by(path, made, "0012")
    monkeypatch.setattr("storage.database.is_writable", lambda _: False)
    with pytest.raises(SchemaTooOld, match=SENTENCE.format("0012")):
        open_database(f"sqlite:///{path}", existing=True)


def test_it_is_refused_where_it_comes_from_a_backup(path: Path, made: bytes) -> None:
    written_by(path, made, "0007")
    with pytest.raises(SchemaTooOld, match=SENTENCE.format("0007")):
        require_own_schema(path)


@pytest.mark.parametrize("version", ["", "1", "00012", "ae1027a6acf3", "\u0660\u0660\u0660\u0667"])
def test_a_version_that_is_none_of_ours_is_another_programs(
    path: Path, made: bytes, version: str
) -> None:
    written_by(path, made, version)
    with pytest.raises(StorageError, match="belongs to another program"):
        open_database(f"sqlite:///{path}", existing=True)
    with pytest.raises(StorageError, match="belongs to another program"):
        require_own_schema(path)


def test_another_programs_tables_under_a_version_like_ours_are_refused(path: Path) -> None:
    with closing(sqlite3.connect(path)) as raw:
        raw.executescript(
            "CREATE TABLE alembic_version (version_num TEXT);"
            "INSERT INTO alembic_version VALUES ('0007'); CREATE TABLE recipes (name TEXT)"
        )
    with pytest.raises(StorageError, match="belongs to another program"):
        open_database(f"sqlite:///{path}", existing=True)
