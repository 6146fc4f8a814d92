"""One process at a time writes to the embedded chain."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from coordinator.errors import ChainUnreachable


class ChainLock:
    """A lock file beside the chain's folder; the system frees it when its holder dies."""

    def __init__(self, folder: Path, wait_seconds: float) -> None:
        """Name the files; nothing is held yet."""
        self._file = folder.with_name(folder.name + ".lock")
        self._wait_seconds = wait_seconds
        self._holder = folder / "holder"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock; raises ChainUnreachable after the wait."""
        from filelock import FileLock, Timeout  # noqa: PLC0415 -- 10 ms, which readers need not

        lock = FileLock(self._file, timeout=self._wait_seconds)
        self._holder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            lock.acquire()
        except Timeout as failure:
            holder = "unknown"
            with suppress(OSError):
                holder = self._holder.read_text(encoding="ascii")
            raise ChainUnreachable(f"process {holder} holds the chain: {self._file}") from failure
        try:
            self._holder.write_text(str(os.getpid()), encoding="ascii")
            yield
        finally:
            lock.release()
