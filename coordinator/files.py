"""Files people name: read with a clear error, written whole or not at all."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from coordinator import foreign_text
from coordinator.errors import UsageError
from psbt.errors import PsbtError

SIZE_MAX = 64 * 1024 * 1024
STDIN = "-"
STDIN_NAME = "standard input"


def read_bytes(path: Path) -> bytes:
    """Return a file's bytes; raises UsageError naming the file."""
    try:
        with path.open("rb") as file:
            return _within_limit(file.read(SIZE_MAX + 1), str(path))
    except OSError as failure:
        raise UsageError(f"cannot read {path}: {failure.strerror}") from failure
    except ValueError as failure:
        raise UsageError(f"{str(path)!r} cannot be the name of a file") from failure


def read_named(name: str) -> bytes:
    """Return the bytes of the file named, or of standard input where the name is `-`."""
    return read_bytes(Path(name)) if name != STDIN else read_stdin()


def read_stdin() -> bytes:
    """Return all of standard input; raises UsageError where it is too large or cannot be read."""
    try:
        return _within_limit(sys.stdin.buffer.read(SIZE_MAX + 1), STDIN_NAME)
    except OSError as failure:
        raise UsageError(f"cannot read {STDIN_NAME}: {failure.strerror}") from failure


@contextmanager
def about(name: str | None) -> Iterator[None]:
    """Have whatever is refused within say which file it is about; None says nothing."""
    try:
        yield
    except (UsageError, PsbtError) as refusal:
        if name is not None:
            refusal.add_note(name)
        raise


def read_secret_lines(source: IO[bytes] | None = None) -> list[bytes]:
    """Return the lines of standard input, or of what is left of it, as bytes that are secrets."""
    data = read_stdin() if source is None else source.read()
    return foreign_text.as_utf8(data).splitlines()


def read_text(name: str, *, legacy: bool = False) -> str:
    """Return the text of the file named, or of standard input where the name is `-`.

    Any encoding that `foreign_text` knows; `legacy` allows Windows-1252 too.
    """
    return foreign_text.decoded(read_named(name), name, legacy=legacy)


def make_folder(path: Path) -> None:
    """Have a folder (mode 0700) there; raises UsageError naming it."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as failure:
        raise UsageError(f"cannot make the folder {path}: {failure.strerror}") from failure


def refuse_unwritable(path: Path) -> None:
    """Raise UsageError where a new file cannot be written there."""
    if path.exists() or not path.parent.is_dir():
        raise UsageError(f"{path} already exists, or its folder is missing")


def write_private(path: Path, data: bytes, *, replace: bool = True) -> None:
    """Write a file (mode 0600) whole or not at all; raises UsageError naming the file."""
    if not replace and path.exists():
        raise UsageError(f"{path} already exists")
    unfinished = None
    try:
        descriptor, unfinished = tempfile.mkstemp(dir=path.parent, prefix=path.name + ".")
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(unfinished).replace(path)
    except OSError as failure:
        if unfinished is not None:
            Path(unfinished).unlink(missing_ok=True)
        raise UsageError(f"cannot write {path}: {failure.strerror}") from failure


def _within_limit(data: bytes, name: str) -> bytes:
    if len(data) > SIZE_MAX:
        raise UsageError(f"{name} is larger than {SIZE_MAX // 2**20} MiB")
    return data
