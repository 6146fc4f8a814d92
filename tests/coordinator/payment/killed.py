"""Runs the program and kills it without warning at the Nth commit, before or after it."""

import os
import signal
import sys

from sqlalchemy import Engine, event

from coordinator.cli import main

nth, moment = int(sys.argv[1]), sys.argv[2]
commits: list[int] = []


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@event.listens_for(Engine, "commit")
def at_commit(_: object) -> None:
    commits.append(nth)
    if len(commits) >= nth and moment == "before":
        die()


@event.listens_for(Engine, "begin")
def at_begin(_: object) -> None:
    # The Nth commit is through once the next transaction begins.
    if len(commits) >= nth and moment == "after":  # another thread may commit meanwhile
        die()


sys.argv = ["cardquorum", *sys.argv[3:]]
main()
