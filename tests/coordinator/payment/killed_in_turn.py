"""Runs the program and kills it without warning at its Nth step with signatures, of a kind or any.

A step is a file of `undelivered/` made, named or removed, that folder made or removed, or a commit:
before it, and on a server also once it was sent (`committed`), with nobody waiting for the answer.
"""

import os
import signal
import sys
from pathlib import Path

from sqlalchemy import Connection, Engine, event

from coordinator.cli import main
from coordinator.home.undelivered import FOLDER
from storage.server_dialect import COMMIT, ServerConnection, driven

nth, kind = int(sys.argv[1]), sys.argv[2]
steps: list[str] = []
MADE = frozenset({"os.mkdir", "os.rename", "os.remove", "os.rmdir"})


def step(what: str) -> bool:
    """Take note of a step; tell whether it is the one."""
    if kind in {what, "any"}:
        steps.append(what)
    return kind in {what, "any"} and len(steps) == nth


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def at_file(what: str, given: tuple[object, ...]) -> None:
    """Die before something is done with a signature's file, where it is the Nth step."""
    written = what == "open" and isinstance(given[2], int) and given[2] & os.O_CREAT
    if (written or what in MADE) and FOLDER in Path(str(given[0])).parts and step(what):
        die()


def at_commit(connection: Connection) -> None:
    sqlite = connection.dialect.name == "sqlite"
    if not sqlite and not driven(connection).wrote:
        return
    if step("commit"):
        die()
    if sqlite or not step("committed"):
        return
    server: ServerConnection = driven(connection)
    server.pgconn.send_query(server.with_waiting(COMMIT))
    while server.pgconn.flush():
        pass
    die()


sys.addaudithook(at_file)
event.listen(Engine, "commit", at_commit)
sys.argv = ["cardquorum", *sys.argv[3:]]
main()
