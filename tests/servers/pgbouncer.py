"""Debian's PgBouncer before a server of the tests."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import pytest

from tests.judges import REQUIRE_ALL
from tests.servers.ports import free_port
from tests.servers.postgresql import Server, account

PROGRAM: Final = "pgbouncer"
SECONDS: Final = 10
SETTINGS: Final = """
[databases]
* = host=127.0.0.1 port={0}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {1}
unix_socket_dir =
auth_type = plain
auth_file = {2}/users
pool_mode = {3}
"""


@contextmanager
def pooling(server: Server, mode: str) -> Iterator[int]:
    """Run a pooler; yield its port. The test is left out where none is installed."""
    program = shutil.which(PROGRAM) or shutil.which(PROGRAM, path="/usr/sbin")
    if program is None:
        (pytest.fail if os.environ.get(REQUIRE_ALL) == "1" else pytest.skip)(
            "PgBouncer is not installed"
        )
    port = free_port()
    folder = server.folder / f"pooler-{port}"
    folder.mkdir(mode=0o755)
    (folder / "users").write_text(f'"owner" "{server.password}"\n')
    settings = folder / "settings.ini"
    settings.write_text(SETTINGS.format(server.port, port, folder, mode))
    running = subprocess.Popen(
        [program, settings],
        cwd="/",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **account(),
    )
    try:
        _wait_until_open(port, running)
        yield port
    finally:
        running.kill()
        running.wait()


def _wait_until_open(port: int, running: "subprocess.Popen[bytes]") -> None:
    for _ in range(SECONDS * 50):
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        with suppress(subprocess.TimeoutExpired):
            raise ChildProcessError(f"PgBouncer ended with {running.wait(0.02)}")
    raise TimeoutError(f"PgBouncer did not start within {SECONDS} seconds")
