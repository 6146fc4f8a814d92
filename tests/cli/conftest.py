"""The program as a shell sees it, in a home of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

PIN = "123456"


class Ended(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found


Program = Callable[..., Ended]


def run_program(home: Path, *words: str, stdin: str = "", check: int | None = 0) -> Ended:
    environment = {**os.environ, "CARDQUORUM_HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-m", "coordinator", *words],
        input=stdin,
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
        check=False,
        start_new_session=True,  # no terminal: nothing is asked for
    )
    ended = Ended(done.returncode, done.stdout, done.stderr)
    assert check is None or ended.status == check, f"{words}: {ended}"
    assert "Traceback" not in ended.err
    return ended


@pytest.fixture
def program(tmp_path: Path) -> Program:
    def run(*words: str, stdin: str = "", check: int | None = 0) -> Ended:
        return run_program(tmp_path / "home", *words, stdin=stdin, check=check)

    return run


@pytest.fixture
def asked(program: Program) -> Callable[..., dict[str, Any]]:
    """Run a command with --json and return its one document."""

    def run(*words: str, stdin: str = "", check: int = 0) -> dict[str, Any]:
        return program("--json", *words, stdin=stdin, check=check).document

    return run


@pytest.fixture
def vault(asked: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """A regtest home with three enrolled, placed cards and a funded 2-of-3 vault."""
    asked("init", "--network", "regtest")
    for label, kind in (("a", "bank-vault"), ("b", "friend"), ("c", "home")):
        asked("emulate", "new", "satochip", label)
        asked("card", "enrol", label, "--emulated", label, "--pin-stdin", stdin=PIN)
        asked("location", "add", f"at-{label}", "--kind", kind)
        asked("custody", "record", f"card:{label}", "placed", "--at", f"at-{label}")
    made = asked("vault", "create", "v", "--threshold", "2", "--card", "a", "--card", "b", "--card", "c")
    asked("regtest", "fund", asked("address", "new", "v")["address"], "1000000", "--coins", "3")
    asked("regtest", "mine", "1")
    assert made["name"] == "v"
    return asked
