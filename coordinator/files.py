"""Files people name: read with a clear error, written whole or not at all."""

import os
from pathlib import Path

from coordinator.errors import UsageError

SIZE_MAX = 64 * 1024 * 1024


def read_bytes(path: Path) -> bytes:
    """Return a file's bytes; raises UsageError naming the file."""
    try:
        if path.stat().st_size > SIZE_MAX:
            raise UsageError(f"{path} is larger than {SIZE_MAX // 2**20} MiB")
        return path.read_bytes()
    except OSError as failure:
        raise UsageError(f"cannot read {path}: {failure.strerror}") from failure


def read_text(path: Path) -> str:
    """Return a file's text (UTF-8); raises UsageError naming the file."""
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as failure:
        raise UsageError(f"{path} is not a text file") from failure


def write_private(path: Path, data: bytes, *, replace: bool = True) -> None:
    """Write a file (mode 0600) whole or not at all; raises UsageError naming the file."""
    if not replace and path.exists():
        raise UsageError(f"{path} is there already")
    unfinished = path.with_name(path.name + ".new")
    try:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as failure:
        unfinished.unlink(missing_ok=True)
        raise UsageError(f"cannot write {path}: {failure.strerror}") from failure
