"""The program as a shell sees it, in a home of its own."""

import contextlib
import io
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from coordinator import cli
from coordinator.cli import attendant
from tests.once import computing_once, copy_of

PIN = "123456"
UNPROVED = ("--accept", "keys_unproved", "--accept", "no_copy")
"""Options for an address of a vault whose cards proved nothing and that lies on no paper."""


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
    """Run a command in this process, as a script would: no terminal, one line of input a secret."""
    out, err = io.StringIO(), io.StringIO()
    source = io.TextIOWrapper(io.BytesIO(stdin.encode()))
    with (
        computing_once(),
        mock.patch.dict(os.environ, {"CARDQUORUM_HOME": str(home)}),
        mock.patch.object(attendant, "TERMINAL", Path("/nonexistent/terminal")),
        mock.patch.object(sys, "stdin", source),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        status = cli.run(words)
    ended = Ended(status, out.getvalue(), err.getvalue())
    assert check is None or ended.status == check, f"{words}: {ended}"
    return ended


@dataclass(frozen=True)
class Asked:
    """Runs a command with --json in a home and returns its one document."""

    home: Path

    def __call__(self, *words: str, stdin: str = "", check: int | None = 0) -> dict[str, Any]:
        return run_program(self.home, "--json", *words, stdin=stdin, check=check).document


asking = Asked


def prove_keys(asked: Asked) -> None:
    """Have the cards of the vault that `made_vault` made prove their keys."""
    emulated = [word for label in "abc" for word in ("--emulated", label)]
    pins = "".join(f"{label}={PIN}\n" for label in "abc")
    asked("vault", "verify", "v", *emulated, "--pin-stdin", stdin=pins)


def made_vault(asked: Asked, families: tuple[str, str, str] = ("satochip",) * 3) -> None:
    """Have a home with cards a, b and c at three places, and a vault v with three coins.

    A copy of its descriptor lies at each place. It is made once per process and copied.
    """
    copy_of(new_vault, asked.home, families)


def new_vault(home: Path, families: tuple[str, str, str]) -> None:
    """Make such a home."""
    asked = Asked(home)
    asked("init", "--network", "regtest")
    kinds = (("a", "bank-vault"), ("b", "friend"), ("c", "home"))
    for (label, kind), family in zip(kinds, families, strict=True):
        asked("emulate", "new", family, label)
        asked("card", "enrol", label, "--emulated", label, "--pin-stdin", stdin=PIN)
        asked("location", "add", f"at-{label}", "--kind", kind)
        asked("custody", "record", f"card:{label}", "placed", "--at", f"at-{label}")
    cards = ("--card", "a", "--card", "b", "--card", "c")
    asked("vault", "create", "v", "--threshold", "2", *cards)
    for label in "abc":
        asked("copy", "add", "v", f"paper-{label}", "--location", f"at-{label}")
    asked(
        "regtest",
        "fund",
        asked("address", "new", "v", *UNPROVED)["address"],
        "1000000",
        "--coins",
        "3",
    )
    asked("regtest", "mine", "1")
