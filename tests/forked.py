"""The program in a process of its own, forked from one that has loaded and run it."""

import contextlib
import fcntl
import json
import multiprocessing
import os
import pkgutil
import pty
import signal
import socket
import struct
import sys
import tempfile
import termios
import types
from collections.abc import Iterator
from importlib import import_module
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from unittest import mock

import coordinator.cli
from coordinator import custody, recovery
from coordinator.cli import main
from tests.once import computing_once
from tests.program import PIN, asking

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload([__name__])


def warm_up() -> None:
    """Load every command; run some, so that what each process computes anew is known already.

    No block chain is opened: the validation engine has threads, which a fork would lose.
    """
    for package in (coordinator.cli, custody, recovery):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            import_module(module.name)
    computing_once().__enter__()
    with tempfile.TemporaryDirectory() as folder:
        asked = asking(Path(folder, "home"))
        asked("init", "--network", "regtest")
        asked("emulate", "new", "satochip", "a")
        asked("card", "enrol", "a", "--emulated", "a", "--pin-stdin", stdin=PIN)
        asked("location", "add", "here", "--kind", "home")
        asked("custody", "record", "card:a", "placed", "--at", "here")
        asked("status")


if multiprocessing.current_process().name == "MainProcess" and "pytest" not in sys.modules:
    warm_up()


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
    _become(words, environment)


def _become(words: list[str], environment: dict[str, str]) -> None:
    """Be the program, on the three streams that stand open."""
    os.environ.clear()
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # where the tests run under nohup
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 -- the process's own
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 -- as above
    sys.stderr = open(2, "w", errors="backslashreplace", closefd=False)  # noqa: SIM115 -- open to the process's end
    sys.argv = ["cardquorum", *words]
    main()


CALLER = """#!{python} -IS
# Hands its words, environment, folder and streams to a process that has loaded the program.
import _socket, json, os, struct, sys
line = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
line.connect({address!r})
said = json.dumps([sys.argv[1:], dict(os.environ), os.getcwd()]).encode()
streams = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack("3i", 0, 1, 2))]
sent = line.sendmsg([said], streams)
line.sendall(said[sent:]) if sent < len(said) else None
line.shutdown(_socket.SHUT_WR)
os._exit((line.recv(1) or b"\x7f")[0])
"""


@contextlib.contextmanager
def program_loaded() -> Iterator[str]:
    """Yield a folder for PATH whose `cardquorum` is forked from a process that has loaded it.

    Each call is a process with the caller's words, environment, folder and streams; a signal to
    the caller does not reach it.
    """
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as line:
        line.bind(f"{folder}/line")
        line.listen()
        caller = Path(folder, "cardquorum")
        caller.write_text(CALLER.format(python=sys.executable, address=line.getsockname()))
        caller.chmod(0o755)
        server = CONTEXT.Process(target=_serve, args=(line,))
        with mock.patch.dict(sys.modules, {"__main__": types.ModuleType("__main__")}):
            server.start()
        try:
            yield folder
        finally:
            server.terminate()
            server.join()
            server.close()


def _serve(line: socket.socket) -> None:
    """Fork the program for each caller, and another to tell the caller how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        caller, _ = line.accept()
        with caller:
            if os.fork() == 0:
                line.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _answer(caller)


def _answer(caller: socket.socket) -> None:
    said, streams, _, _ = socket.recv_fds(caller, 1 << 16, 3)
    while more := caller.recv(1 << 16):
        said += more
    program = os.fork()
    if program == 0:
        caller.close()
        words, environment, folder = json.loads(said)
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        os.chdir(folder)
        _become(words, environment)
    _, status = os.waitpid(program, 0)
    caller.sendall(bytes([abs(os.waitstatus_to_exitcode(status))]))
    os._exit(0)
