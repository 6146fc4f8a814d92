"""A backup is read as if somebody had made it to harm; what is written is restored."""

import gzip
import io
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path

import pytest

from coordinator.errors import SettingsError, UsageError
from coordinator.home import backups
from coordinator.home.settings import DATABASE_FILE, Home, create_home
from storage.database import open_database
from storage.errors import StorageError

SETTINGS = b'network = "regtest"\nchain = "regtest:"\n'


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = create_home(tmp_path / "home", "regtest")
    open_database(made.database_url).kw["bind"].dispose()
    for name in ("emulated/a.card", "pairings/b.memory", "chain/blk00000.dat"):
        (made.folder / name).parent.mkdir(exist_ok=True)
        (made.folder / name).write_bytes(name.encode() * 1000)
    return made


def member(name: str, content: bytes = b"", **more: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in more.items():
        setattr(info, key, value)
    return info


def packed(*members: tuple[tarfile.TarInfo, bytes], after: bytes = b"") -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return gzip.compress(data.getvalue() + after, 1, mtime=0)


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    return member(name, type=kind, size=size).tobuf(tarfile.GNU_FORMAT)


TOLD = member("settings.toml", SETTINGS), SETTINGS
STORED = member(DATABASE_FILE, b"pages" * 1000), b"pages" * 1000
HOSTILE = {
    "a name that never ends": gzip.compress(
        header("././@LongLink", 6 << 30, tarfile.GNUTYPE_LONGNAME) + bytes(1 << 20), 1
    ),
    "an extended header that never ends": gzip.compress(
        header("PaxHeader/x", 6 << 30, tarfile.XHDTYPE) + bytes(1 << 20), 1
    ),
    "a global header that never ends": gzip.compress(
        header("PaxHeader/x", 6 << 30, tarfile.XGLTYPE) + bytes(1 << 20), 1
    ),
    "a file larger than all": gzip.compress(header("emulated/x.card", 6 << 30) + bytes(1 << 20), 1),
    "a size below zero": gzip.compress(header("emulated/x.card", -512), 1),
    "a long name": packed((member("emulated/" + "x" * 300 + ".card"), b"")),
    "another name in an extended header": packed(
        (member("emulated/a.card", pax_headers={"path": "/etc/x"}), b"")
    ),
    "another size in an extended header": packed(
        (member("emulated/a.card", pax_headers={"size": "1"}), b"")
    ),
    "a file twice": packed(TOLD, TOLD, STORED),
    "a symbolic link": packed(
        (member("emulated/a.card", type=tarfile.SYMTYPE, linkname="/etc/passwd"), b"")
    ),
    "a hard link": packed(
        (member("emulated/a.card", type=tarfile.LNKTYPE, linkname="settings.toml"), b"")
    ),
    "a device": packed((member("emulated/a.card", type=tarfile.CHRTYPE), b"")),
    "a pipe": packed((member("emulated/a.card", type=tarfile.FIFOTYPE), b"")),
    "sparse": packed((member("emulated/a.card", type=tarfile.GNUTYPE_SPARSE), b"")),
    "above": packed((member("emulated/../../x.card"), b"")),
    "absolute": packed((member("/emulated/x.card"), b"")),
    "cut short": packed(TOLD, STORED)[:-2000],
    "more after its end": packed(TOLD, STORED, after=bytes(200_000)),
    "not compressed": gzip.decompress(packed(TOLD, STORED)),
}


@pytest.mark.parametrize("which", HOSTILE)
def test_a_hostile_archive_is_refused_and_swept(tmp_path: Path, which: str) -> None:
    (tmp_path / "file").write_bytes(HOSTILE[which])
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError):
        backups.restore(tmp_path / "file", tmp_path / "deep" / "down" / "back")
    assert sorted(tmp_path.rglob("*")) == before


def test_what_expands_beyond_the_bound_is_never_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backups, "TOTAL_MAX", 4 << 20)
    taken = []
    read = gzip.GzipFile.read

    def counted(self: gzip.GzipFile, size: int | None = -1) -> bytes:
        found = read(self, size)
        taken.append(len(found))
        return found

    monkeypatch.setattr(gzip.GzipFile, "read", counted)
    large = bytes(3 << 20)
    many = [(member(f"emulated/{number}.card", large), large) for number in range(8)]
    (tmp_path / "file").write_bytes(packed(*many))
    with pytest.raises(UsageError, match="more than"):
        backups.restore(tmp_path / "file", tmp_path / "back")
    assert sum(taken) < 4 << 20
    assert not (tmp_path / "back").exists()


def test_very_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backups, "FILES_MAX", 3)
    many = [(member(f"emulated/{number}.card"), b"") for number in range(4)]
    (tmp_path / "file").write_bytes(packed(*many))
    with pytest.raises(UsageError, match="more than 3 files"):
        backups.restore(tmp_path / "file", tmp_path / "back")


def test_a_home_of_links_comes_back_as_files(home: Home, tmp_path: Path) -> None:
    apart = tmp_path / "apart"
    apart.mkdir()
    for name in ("settings.toml", DATABASE_FILE, "emulated/a.card", "chain"):
        moved = apart / name.replace("/", "-")
        (home.folder / name).rename(moved)
        (home.folder / name).symlink_to(moved)
    written = backups.write(home, tmp_path / "backup")
    assert backups.restore(tmp_path / "backup", tmp_path / "back").sha256 == written.sha256
    for name in ("emulated/a.card", "chain/blk00000.dat"):
        back = tmp_path / "back" / name
        assert back.read_bytes() == name.encode() * 1000
        assert not back.is_symlink()
        assert back.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "backup").stat().st_mode & 0o777 == 0o600


def test_a_link_that_leads_nowhere_is_named(home: Home, tmp_path: Path) -> None:
    (home.folder / "emulated" / "gone.card").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match=r"gone\.card is not a file"):
        backups.write(home, tmp_path / "backup")
    assert not list(tmp_path.glob("backup*"))


def test_a_home_too_large_to_restore_is_not_written(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backups, "TOTAL_MAX", 100_000)
    with pytest.raises(UsageError, match="too much to keep"):
        backups.write(home, tmp_path / "backup")
    assert not list(tmp_path.glob("backup*"))


def test_a_backup_of_an_earlier_version_is_restored(home: Home, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "backup", "w:gz") as tar:
        for name in ("settings.toml", DATABASE_FILE, "emulated/a.card"):
            tar.add(home.folder / name, name)
    assert b"mtime=" in gzip.decompress((tmp_path / "backup").read_bytes())
    backups.restore(tmp_path / "backup", tmp_path / "back")
    assert (tmp_path / "back" / "emulated" / "a.card").exists()


@pytest.mark.parametrize(
    "script",
    [
        "CREATE TRIGGER evil AFTER INSERT ON label BEGIN DELETE FROM label; END",
        "CREATE VIEW evil AS SELECT 1",
        "CREATE TABLE evil (x)",
    ],
)
def test_a_database_with_foreign_parts_is_not_restored(
    home: Home, tmp_path: Path, script: str
) -> None:
    with closing(sqlite3.connect(home.folder / DATABASE_FILE)) as connection:
        connection.executescript(script)
    backups.write(home, tmp_path / "backup")
    with pytest.raises(StorageError, match="'evil' that is not of this program"):
        backups.restore(tmp_path / "backup", tmp_path / "back")
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize("content", [None, b"", b"garbage" * 1000, "half"])
def test_a_database_that_was_lost_is_not_backed_up(
    home: Home, tmp_path: Path, content: bytes | str | None
) -> None:
    file = home.folder / DATABASE_FILE
    whole = file.read_bytes()
    file.unlink()
    if content is not None:
        file.write_bytes(whole[: len(whole) // 2] if isinstance(content, str) else content)
    with pytest.raises(StorageError):
        backups.write(home, tmp_path / "backup")
    assert not list(tmp_path.glob("backup*"))


def test_a_creation_that_was_cut_off_is_made_again(tmp_path: Path) -> None:
    def fail(home: Home) -> None:
        (home.folder / DATABASE_FILE).write_bytes(b"half")
        raise StorageError("cut off")

    with pytest.raises(StorageError):
        create_home(tmp_path / "home", "regtest", None, fill=fail)
    made = create_home(tmp_path / "home", "regtest")
    assert not (made.folder / DATABASE_FILE).exists()
    with pytest.raises(SettingsError, match="is a home already"):
        create_home(tmp_path / "home", "regtest")


def test_a_database_without_settings_is_never_replaced(home: Home) -> None:
    (home.folder / "settings.toml").unlink()
    with pytest.raises(SettingsError, match="a database and no settings"):
        create_home(home.folder, "regtest")
    assert (home.folder / DATABASE_FILE).stat().st_size
