"""Signatures that the database does not have yet, kept in the home until it takes them.

`undelivered/` has one file (mode 0600) for each: JSON that names its ceremony, card, input, key and
the digest that was signed. Nothing of it is believed: whoever delivers one verifies it again.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

from coordinator import clock
from coordinator.files import make_folder, write_private
from coordinator.foreign_json import Field, read_json
from coordinator.home.settings import Home

FOLDER: Final = "undelivered"
LOCK_FILE: Final = "undelivered.lock"
FORMAT: Final = "cardquorum undelivered signature v1"
SUFFIX: Final = ".json"
UNFINISHED_SECONDS: Final = 60
"""How long nobody takes to write one of these files."""
SIZE_MAX: Final = 4_096
FILES_MAX: Final = 20_000
NAME_MAX: Final = 40
INDEX_MAX: Final = 100_000


class Kept(NamedTuple):
    """A signature (r‖s, 64 bytes), what it is for, and when it was made.

    `pubkey` has 33 bytes, `digest` 32; `card` is the label of the card that gave it.
    """

    ceremony: str
    card: str
    input_index: int
    pubkey: bytes
    digest: bytes
    signature: bytes
    made_at: datetime


class Found(NamedTuple):
    """What is kept, each with its file, and the files that cannot be read as such."""

    kept: list[tuple[Path, Kept]]
    damaged: list[Path]


def keep(home: Home, given: Kept) -> Path:
    """Keep a signature, on the disk once this returns its file.

    Raises UsageError where the folder takes nothing.
    """
    folder = home.folder / FOLDER
    make_folder(folder)
    said = {
        "format": FORMAT,
        "ceremony": given.ceremony,
        "card": given.card,
        "input": given.input_index,
        "pubkey": given.pubkey.hex(),
        "digest": given.digest.hex(),
        "signature": given.signature.hex(),
        "made_at": clock.text(given.made_at),
    }
    about = f"{given.ceremony} {given.input_index} {given.pubkey.hex()}"
    name = hashlib.sha256(about.encode()).hexdigest()[:32]
    path = folder / f"{name}{SUFFIX}"
    write_private(path, (json.dumps(said) + "\n").encode())
    with suppress(OSError):  # not every system lets a folder be opened
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
    return path


def is_any(home: Home) -> bool:
    """Tell whether anything may be kept: the folder goes with what was last in it."""
    return (home.folder / FOLDER).is_dir()


@contextmanager
def alone(home: Home) -> Iterator[bool]:
    """Tell whether nobody else keeps or delivers signatures here, and let nobody until the end.

    Where no file can be locked, nobody is known to.
    """
    from filelock import FileLock, Timeout  # noqa: PLC0415 -- 10 ms, which readers need not

    held = FileLock(home.folder / LOCK_FILE, blocking=False, mode=0o600, thread_local=False)
    found = True
    try:
        held.acquire()
    except OSError as failure:
        found = not isinstance(failure, Timeout)
    try:
        yield found
    finally:
        held.release()


def read(home: Home) -> Found:
    """Return what is kept, in the order of its files' names; costs nothing where nothing is."""
    found = Found([], [])
    with suppress(FileNotFoundError, NotADirectoryError):
        paths = sorted((home.folder / FOLDER).iterdir())
        for path in paths[:FILES_MAX]:
            if path.suffix != SUFFIX:  # one that was never finished
                continue
            try:
                found.kept.append((path, _read(path)))
            except (OSError, ValueError):
                found.damaged.append(path)
    return found


def forget(paths: Iterable[Path]) -> None:
    """Remove what was delivered; one that cannot be removed is delivered again, to no effect."""
    for path in paths:
        with suppress(OSError):
            path.unlink(missing_ok=True)
            path.parent.rmdir()  # unless others lie there


def tidy(home: Home) -> None:
    """Remove what a program that was killed had not finished to write, once it is old enough."""
    folder, before = home.folder / FOLDER, clock.now().timestamp() - UNFINISHED_SECONDS
    with suppress(OSError):
        for path in folder.iterdir():
            if path.suffix != SUFFIX and path.stat().st_mtime < before:
                path.unlink(missing_ok=True)
        folder.rmdir()


def _read(path: Path) -> Kept:
    """Read one file; raises OSError or ValueError."""
    with path.open("rb") as file:
        said = Field(read_json(file.read(SIZE_MAX + 1), size_max=SIZE_MAX), path.name)
    if said["format"].text() != FORMAT:
        said["format"].refuse(FORMAT)
    return Kept(
        said["ceremony"].text(NAME_MAX),
        said["card"].text(NAME_MAX),
        said["input"].integer(0, INDEX_MAX),
        _sized(said["pubkey"], 33),
        _sized(said["digest"], 32),
        _sized(said["signature"], 64),
        clock.parse(said["made_at"].text(NAME_MAX)),
    )


def _sized(field: Field, size: int) -> bytes:
    found = field.bytes(size)
    if len(found) != size:
        field.refuse(f"{size} bytes in hex")
    return found
