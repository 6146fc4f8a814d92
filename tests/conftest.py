"""Homes and vaults for tests that run the program."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.program import PIN, Ended, Program, run_program


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
    made = asked(
        "vault", "create", "v", "--threshold", "2", "--card", "a", "--card", "b", "--card", "c"
    )
    asked("regtest", "fund", asked("address", "new", "v")["address"], "1000000", "--coins", "3")
    asked("regtest", "mine", "1")
    assert made["name"] == "v"
    return asked
