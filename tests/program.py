"""The program as a shell sees it, in a home of its own."""

import contextlib
import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from sqlalchemy import Engine, create_engine
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.util import LRUCache

from coordinator import cli
from coordinator.cli import attendant
from psbt import policy
from psbt.keys import ChildKeys, children
from storage import database

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


@lru_cache(maxsize=64)
def remembered_children(public_key: bytes, chain_code: bytes) -> ChildKeys:
    """Return a key's derivation, each child of which is computed once."""
    return lru_cache(maxsize=4096)(children(public_key, chain_code))


COMPILED = LRUCache(4096)


def compiling_once(*given: object, **options: object) -> Engine:
    """Make an engine that takes the statements other engines of the tests have compiled."""
    engine = create_engine(*given, **options)
    if isinstance(engine.dialect, SQLiteDialect_pysqlite):
        engine._compiled_cache = COMPILED
    return engine


@contextlib.contextmanager
def computing_once() -> Iterator[None]:
    """Let commands in this process share what each process computes anew: SQL and child keys."""
    with (
        mock.patch.object(policy, "children", remembered_children),
        mock.patch.object(database, "create_engine", compiling_once),
        mock.patch.object(SQLiteDialect_pysqlite, "__eq__", lambda a, b: type(a) is type(b)),
        mock.patch.object(SQLiteDialect_pysqlite, "__hash__", lambda a: hash(type(a))),
    ):
        yield


Program = Callable[..., Ended]
Asked = Callable[..., dict[str, Any]]


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


def asking(home: Path) -> Asked:
    """Return what runs a command with --json in this home and returns its one document."""

    def run(*words: str, stdin: str = "", check: int | None = 0) -> dict[str, Any]:
        return run_program(home, "--json", *words, stdin=stdin, check=check).document

    return run


def prove_keys(asked: Asked) -> None:
    """Have the cards of the vault that `made_vault` made prove their keys."""
    emulated = [word for label in "abc" for word in ("--emulated", label)]
    pins = "".join(f"{label}={PIN}\n" for label in "abc")
    asked("vault", "verify", "v", *emulated, "--pin-stdin", stdin=pins)


def made_vault(asked: Asked, families: Sequence[str] = ("satochip",) * 3) -> None:
    """Make a home with cards a, b and c at three places, and a vault v with three coins.

    A copy of its descriptor lies at each place.
    """
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
