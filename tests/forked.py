"""The program in a process of its own, forked from one that has loaded it."""

import fcntl
import multiprocessing
import os
import pkgutil
import pty
import signal
import struct
import sys
import termios
import types
from importlib import import_module
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from unittest import mock

import coordinator.cli
from coordinator.cli import main

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload([__name__])

if multiprocessing.current_process().name == "MainProcess" and "pytest" not in sys.modules:
    for module in pkgutil.iter_modules(coordinator.cli.__path__, "coordinator.cli."):
        import_module(module.name)


def begun_at_terminal(
    words: list[str], environment: dict[str, str], *, columns: int = 0
) -> tuple[ForkServerProcess, int]:
    """Begin the program on a terminal of its own; return its process and the terminal's end.

    A terminal without `columns` does not tell how wide it is.
    """
    terminal, its_end = pty.openpty()
    if columns:
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    with Connection(its_end) as given:
        process = CONTEXT.Process(target=_at_terminal, args=(given, words, environment))
        # Nothing of what began the tests belongs into the program's process.
        with mock.patch.dict(sys.modules, {"__main__": types.ModuleType("__main__")}):
            process.start()
    return process, terminal


def _at_terminal(given: Connection, words: list[str], environment: dict[str, str]) -> None:
    os.setsid()
    fcntl.ioctl(given.fileno(), termios.TIOCSCTTY, 0)
    for stream in range(3):
        os.dup2(given.fileno(), stream)
    given.close()
    os.environ.clear()
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 -- the process's own
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 -- as above
    sys.stderr = open(2, "w", errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.argv = ["cardquorum", *words]
    main()
