"""A copy of the home in one file: taken while it is in use, restored into a new folder.

The file is a tar archive, compressed with gzip. It is read as if somebody had made it to harm:
headers and contents are bounded before and while they are read, only what a backup holds is taken,
and where anything is wrong nothing of it is left.
"""

import gzip
import hashlib
import shutil
import tarfile
import tempfile
import zlib
from pathlib import Path
from typing import Final, NamedTuple

from sqlalchemy.engine import URL
from sqlalchemy.orm import Session

from coordinator.errors import SettingsError, UsageError
from coordinator.home import approvals, undelivered
from coordinator.home.approvals import Standing
from coordinator.home.settings import (
    DATABASE_FILE,
    SETTINGS_FILE,
    TICKS_FILE,
    Home,
    open_home,
    write_settings,
)
from psbt import codec, outline
from storage import ceremonies as ceremony_book
from storage import vaults as vault_book
from storage.copying import copy_rows
from storage.database import Database, open_database
from storage.integrity import check_database, require_own_schema
from storage.read_only import copy_database

PATTERNS = (
    SETTINGS_FILE,
    "emulated/*.card",
    "chain/*.dat",
    "pairings/*.memory",
    f"{undelivered.FOLDER}/*.json",
    TICKS_FILE,
)
MEMBER_MAX = 1 << 30
TOTAL_MAX = 1 << 30
FILES_MAX = 10_000
BLOCK: Final = 512
CHUNK: Final = 1 << 20
PADDING_MAX: Final = 1 << 16
EXTENDED_MAX: Final = 1 << 16
HARMLESS: Final = {"mtime", "atime", "ctime", "uid", "gid", "uname", "gname"}
"""What an extended header may say: nothing of it is used. Earlier backups hold such headers."""


class Written(NamedTuple):
    """A backup file and the SHA-256 of its bytes."""

    file: Path
    sha256: str


def write(
    home: Home,
    out: Path,
    *,
    with_approvals: bool = False,
    served: Database | None = None,
) -> Written:
    """Write the home into one file (mode 0600); a file that is there already is not replaced.

    With approvals, the key that signs them is in it: who has the file can approve in its name.

    The database is copied by SQLite itself while others use it; no private key is in it, but the
    emulated cards of a test home are. A link is kept as what it leads to. What a server has,
    `served`, is copied into a file: restored, the home has one of its own.
    """
    if out.exists():
        raise UsageError(f"{out} exists already")
    try:
        with tempfile.TemporaryDirectory(prefix=f"{out.name}.", dir=out.absolute().parent) as spare:
            copy, archive = Path(spare) / DATABASE_FILE, Path(spare) / "archive"
            if served is None:
                copy_database(home.folder / DATABASE_FILE, copy)
            else:
                _copy_served(served, copy)
            own = [path for each in PATTERNS for path in sorted(home.folder.glob(each))]
            approved = approvals.files(home) if with_approvals else []
            found = {path: str(path.relative_to(home.folder)) for path in [*own, *approved]}
            if home.server is not None:
                alone = home._replace(folder=Path(spare), server=None)
                write_settings(alone)
                del found[home.folder / SETTINGS_FILE]
                found[alone.folder / SETTINGS_FILE] = SETTINGS_FILE
            with tarfile.open(archive, "w:gz", format=tarfile.USTAR_FORMAT) as tar:
                for path, name in {copy: DATABASE_FILE, **found}.items():
                    _add(tar, path, name)
            archive.chmod(0o600)
            with archive.open("rb") as opened:
                digest = hashlib.file_digest(opened, "sha256").hexdigest()
            out.hardlink_to(archive)
    except FileExistsError as failure:
        raise UsageError(f"{out} exists already") from failure
    except OSError as failure:
        raise UsageError(f"cannot write {out}: {failure.strerror}") from failure
    return Written(out, digest)


def restore(file: Path, folder: Path) -> Written:
    """Make a home at `folder` from a backup file, whole or not at all.

    Raises SettingsError where a home is there already, UsageError where the file is no backup,
    StorageError where its database is damaged or not of this program.
    """
    if (folder / SETTINGS_FILE).exists() or (folder.exists() and any(folder.iterdir())):
        raise SettingsError(
            f"{folder} is not empty",
            "name a folder that is not there yet: cardquorum restore FILE --home NEWDIR",
        )
    target = folder.absolute()
    near = next(parent for parent in target.parents if parent.exists())
    try:
        unfinished = Path(tempfile.mkdtemp(prefix=".restore-", dir=near))
    except OSError as failure:
        raise SettingsError(f"cannot write {near}: {failure.strerror}") from failure
    try:
        digest = _unpacked(file, unfinished)
        open_home(unfinished)
        check_database(unfinished / DATABASE_FILE)
        require_own_schema(unfinished / DATABASE_FILE)
        if folder.exists():
            folder.rmdir()
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished.rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return Written(file, digest)


def to_approve(home: Home, db: Session) -> list[str]:
    """Return the commands that approve what this home, restored from elsewhere, did not."""
    commands = [
        f"cardquorum vault approve {vault.name}"
        for vault in vault_book.all_vaults(db)
        if vault.retired_at is None
        and approvals.policy_standing(home, vault.name, vault.descriptor) is not Standing.APPROVED
    ]
    for record in ceremony_book.all_ceremonies(db):
        if record.state in {"collecting", "complete"}:
            payment = outline.commitment(codec.parse(record.psbt))
            standing = approvals.payment_standing(home, record.public_id, payment)
            if standing is not Standing.APPROVED:
                commands.append(f"cardquorum spend sign {record.public_id} --txid TXID")
    return commands


def _copy_served(served: Database, file: Path) -> None:
    opened = open_database(URL.create("sqlite", database=str(file)))
    try:
        copy_rows(served, opened)
    finally:
        opened.kw["bind"].dispose()


def _add(tar: tarfile.TarFile, path: Path, name: str) -> None:
    """Put a file into the archive, as what it is now; raises UsageError where it is none."""
    if not path.is_file():
        raise UsageError(f"{path} is not a file, or is a broken link: it cannot be backed up")
    with path.open("rb") as content:
        size = content.seek(0, 2)
        content.seek(0)
        if tar.offset + size > TOTAL_MAX:
            raise UsageError(f"the home holds more than {TOTAL_MAX >> 20} MiB: too much to keep")
        member = tarfile.TarInfo(name)
        member.size, member.mode, member.mtime = size, 0o600, int(path.stat().st_mtime)
        tar.addfile(member, content)


def _unpacked(file: Path, folder: Path) -> str:
    """Write the files of an archive into a folder; returns the SHA-256 of the whole."""
    try:
        with file.open("rb") as raw:
            with gzip.GzipFile(fileobj=raw) as packed:
                _unpack(file, packed, folder)
            raw.seek(0)
            digest = hashlib.file_digest(raw, "sha256").hexdigest()
    except (tarfile.TarError, zlib.error, EOFError, gzip.BadGzipFile, UnicodeError) as failure:
        raise UsageError(f"{file} is no backup of a home: {failure}") from failure
    except OSError as failure:
        raise UsageError(f"cannot restore {file}: {failure.strerror or failure}") from failure
    for needed in (SETTINGS_FILE, DATABASE_FILE):
        if not (folder / needed).exists():
            raise UsageError(f"{file} holds no {needed}")
    return digest


def _unpack(file: Path, packed: gzip.GzipFile, folder: Path) -> None:
    total = count = 0
    while any(header := _exactly(packed, BLOCK)):
        member = tarfile.TarInfo.frombuf(header, "utf-8", "strict")
        if member.size < 0:
            raise UsageError(f"{member.name!r} says that it has {member.size} bytes")
        count += 1
        total += member.size
        if count > FILES_MAX or total > TOTAL_MAX:
            raise UsageError(
                f"{file} holds more than {FILES_MAX} files or {TOTAL_MAX >> 20} MiB: no backup does"
            )
        if member.type in {tarfile.XHDTYPE, tarfile.XGLTYPE}:
            _pass_over(packed, member)
            continue
        target = folder / _checked_name(member)
        target.parent.mkdir(mode=0o700, exist_ok=True)
        _copy(packed, member, target)
    if count == 0:
        raise UsageError(f"{file} is no backup of a home: nothing is in it")
    if len(_exactly(packed, PADDING_MAX + 1, short=True)) > PADDING_MAX:
        raise UsageError(f"{file} is no backup of a home: more follows its end")


def _pass_over(packed: gzip.GzipFile, member: tarfile.TarInfo) -> None:
    """Pass over an extended header that says nothing of how a file is called or how large it is."""
    if member.size > EXTENDED_MAX:
        raise UsageError(f"an extended header of {member.size} bytes does not belong in a backup")
    content = _exactly(packed, member.size + -member.size % BLOCK)[: member.size]
    for record in filter(None, content.split(b"\n")):
        name = record.partition(b" ")[2].partition(b"=")[0].decode()
        if name not in HARMLESS:
            raise UsageError(f"an extended header that says {name!r} does not belong in a backup")


def _copy(packed: gzip.GzipFile, member: tarfile.TarInfo, target: Path) -> None:
    left = member.size
    with target.open("xb") as out:
        target.chmod(0o600)
        while left:
            chunk = _exactly(packed, min(left, CHUNK))
            out.write(chunk)
            left -= len(chunk)
    _exactly(packed, -member.size % BLOCK)


def _exactly(packed: gzip.GzipFile, size: int, *, short: bool = False) -> bytes:
    """Read so many bytes; raises EOFError where they end before, unless they may be fewer."""
    found = bytearray()
    while len(found) < size and (chunk := packed.read(size - len(found))):
        found += chunk
    if len(found) < size and not short:
        raise EOFError("it ends too early")
    return bytes(found)


def _checked_name(member: tarfile.TarInfo) -> str:
    """Return the name of a file that `write` puts into a backup; raises UsageError for another."""
    path = Path(member.name)
    ours = (DATABASE_FILE, approvals.KEY_FILE, approvals.LIST_FILE, *PATTERNS)
    # `match` alone looks at the path's end.
    known = any(path.match(each) and len(path.parts) == len(Path(each).parts) for each in ours)
    plain = member.type in {tarfile.REGTYPE, tarfile.AREGTYPE} and not path.is_absolute()
    if not known or not plain or ".." in path.parts or member.size > MEMBER_MAX:
        raise UsageError(f"{member.name!r} does not belong into a backup")
    return member.name
