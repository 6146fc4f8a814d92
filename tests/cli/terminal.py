"""A terminal with a program in it and somebody who answers its prompts."""

import codecs
import os
import pty
import re
import select
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.forked import begun_at_terminal

DEADLINE = 120.0
Answer = tuple[str, str | Callable[[], str]]
"""A prompt, and what is typed then, or what does something and returns it."""


class Seen(NamedTuple):
    status: int
    screen: str


def at_terminal(
    home: Path, words: Sequence[str], answers: Sequence[Answer], *, columns: int = 0
) -> Seen:
    """Run the program on a terminal of its own; answer each prompt (a regular expression) once."""
    # Not this process's own: readline, which pytest imports, puts COLUMNS into it.
    known = {name: value for name, value in os.environ.items() if name != "COLUMNS" or not columns}
    known["CARDQUORUM_HOME"] = str(home)
    process, terminal = begun_at_terminal([*words], known, columns=columns)
    screen = answered(terminal, answers)
    process.join()
    status = process.exitcode
    process.close()
    assert status is not None
    return Seen(status, screen)


def in_a_shell(home: Path, line: str, answers: Sequence[Answer]) -> Seen:
    """Run a line of shell there in which `cardquorum` is the program."""
    known = f'cardquorum() {{ {sys.executable} -m coordinator.cli "$@"; }}'
    return running(home, ["/bin/sh", "-c", f"{known}; {line}"], answers)


def running(home: Path, program: Sequence[str], answers: Sequence[Answer]) -> Seen:
    """Run any program on a terminal of its own, and answer its prompts."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["CARDQUORUM_HOME"] = str(home)
        os.execv(program[0], program)
    screen = answered(terminal, answers)
    _, status = os.waitpid(pid, 0)
    return Seen(os.waitstatus_to_exitcode(status), screen)


def answered(terminal: int, answers: Sequence[Answer]) -> str:
    """Answer the prompts on a terminal until its program ends; return all that was written."""
    screen, waiting, read_upto = "", list(answers), 0
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    ends = time.monotonic() + DEADLINE
    while time.monotonic() < ends:
        ready, _, _ = select.select([terminal], [], [], 1.0)
        if not ready:
            continue
        try:
            screen += decoder.decode(os.read(terminal, 65536))
        except OSError:
            break
        if waiting and (found := re.compile(waiting[0][0]).search(screen, read_upto)):
            read_upto = found.end()
            answer = waiting.pop(0)[1]
            os.write(terminal, (answer if isinstance(answer, str) else answer()).encode() + b"\n")
    os.close(terminal)
    return screen
