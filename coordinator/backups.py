"""A copy of the home in one file: taken while it is in use, restored into a new folder."""

import hashlib
import io
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from coordinator.errors import SettingsError, UsageError
from coordinator.files import read_bytes, write_private
from coordinator.settings import SETTINGS_FILE, Home, open_home
from storage.copies import check_database, copy_database

DATABASE_FILE = "cardquorum.db"
PATTERNS = (SETTINGS_FILE, "emulated/*.card", "chain/*.dat", "pairings/*.memory")
MEMBER_MAX = 1 << 30


class Written(NamedTuple):
    """A backup file and the SHA-256 of its bytes."""

    file: Path
    sha256: str


def write(home: Home, out: Path) -> Written:
    """Write the home into one file (mode 0600); a file that is there already is not replaced.

    The database is copied by SQLite itself while others use it; no private key is in it, but the
    emulated cards of a test home are.
    """
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar, tempfile.TemporaryDirectory() as spare:
        copy = Path(spare) / DATABASE_FILE
        copy_database(home.folder / DATABASE_FILE, copy)
        tar.add(copy, DATABASE_FILE)
        for path in _files(home.folder):
            tar.add(path, str(path.relative_to(home.folder)))
    data = archive.getvalue()
    write_private(out, data, replace=False)
    return Written(out, hashlib.sha256(data).hexdigest())


def restore(file: Path, folder: Path) -> Written:
    """Make a home at `folder` from a backup file, whole or not at all.

    Raises SettingsError where a home is there already, UsageError where the file is no backup.
    """
    if (folder / SETTINGS_FILE).exists() or (folder.exists() and any(folder.iterdir())):
        raise SettingsError(f"{folder} is not empty; restore into a new folder")
    data = read_bytes(file)
    folder.absolute().parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=".restore-", dir=folder.absolute().parent))
    try:
        _unpack(file, data, unfinished)
        open_home(unfinished)
        check_database(unfinished / DATABASE_FILE)
        if folder.exists():
            folder.rmdir()
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return Written(file, hashlib.sha256(data).hexdigest())


def _files(folder: Path) -> Iterator[Path]:
    for pattern in PATTERNS:
        yield from sorted(folder.glob(pattern))


def _unpack(file: Path, data: bytes, folder: Path) -> None:
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
            for member in tar.getmembers():
                _check_member(member)
                tar.extract(member, folder, filter="data")
    except (tarfile.TarError, zlib.error, EOFError, OSError) as failure:
        raise UsageError(f"{file} is no backup of a home: {failure}") from failure
    if not (folder / DATABASE_FILE).exists():
        raise UsageError(f"{file} holds no {DATABASE_FILE}")
    (folder / DATABASE_FILE).chmod(0o600)


def _check_member(member: tarfile.TarInfo) -> None:
    """Refuse whatever `write` does not put into a backup."""
    path = Path(member.name)
    known = any(_fits(path, pattern) for pattern in (DATABASE_FILE, *PATTERNS))
    plain = member.isfile() and not path.is_absolute() and ".." not in path.parts
    if not known or not plain or member.size > MEMBER_MAX:
        raise UsageError(f"{member.name!r} does not belong into a backup")


def _fits(path: Path, pattern: str) -> bool:
    """Return whether the whole path fits, where `match` alone looks at its end."""
    return path.match(pattern) and len(path.parts) == len(Path(pattern).parts)
