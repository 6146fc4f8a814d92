"""`status --follow` shows at once what others do, on both engines, and ends with Ctrl-C."""

import json
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from tests.cli.test_database import Accounts, Operators, accounts, as_account, empty, operators
from tests.patience import SECONDS
from tests.program import PIN, Asked
from tests.servers.postgresql import Engines

__all__ = ["accounts", "empty", "operators"]

TO = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080:10000"


class Following:
    """A program that follows, and the documents it prints, a line each."""

    def __init__(self, home: Path) -> None:
        words = ["--home", str(home), "--json", "status", "--follow"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "coordinator.cli", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._lines: queue.Queue[bytes] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self._lines.put(line)

    def until(self, shown: Callable[[dict[str, Any]], object]) -> None:
        """Read on until this is shown: how many looks lie between is nobody's promise."""
        while not shown(json.loads(self._lines.get(timeout=SECONDS))):
            pass

    def stop(self) -> tuple[int, bytes]:
        """End it as a person does; returns its status and what it said."""
        self.process.send_signal(signal.SIGINT)
        said = self.process.stderr.read() if self.process.stderr else b""
        return self.process.wait(SECONDS), said


@contextmanager
def following(home: Path) -> Iterator[Following]:
    made = Following(home)
    try:
        yield made
    finally:
        made.process.kill()
        made.process.wait()
        for pipe in (made.process.stdout, made.process.stderr):
            if pipe is not None:
                pipe.close()


def have(count: int) -> Callable[[dict[str, Any]], bool]:
    """Return whether one payment is shown, with so many signatures."""
    return lambda shown: [each["have"] for each in shown.get("ceremonies", ())] == [count]


def unreachable(shown: dict[str, Any]) -> bool:
    """Tell whether it is shown that the server is away; no other error may be."""
    assert "error" not in shown or shown["error"]["code"] == "database_unreachable"
    return "error" in shown


def test_a_home_is_followed_and_left_with_ctrl_c(vault: Asked) -> None:
    made = vault("spend", "create", "v", "--to", TO, "--feerate", "2")["ceremony"]
    with following(vault.home) as seen:
        seen.until(have(0))
        vault("spend", "sign", made, "--emulated", "a", "--yes", "--pin-stdin", stdin=PIN)
        seen.until(have(1))
        assert seen.stop() == (0, b"")


@pytest.mark.parametrize("who", [pytest.param("operator", marks=pytest.mark.matrix), "auditor"])
def test_what_others_sign_is_seen_at_once(
    operators: Operators, accounts: Accounts, on_server: Engines, who: str
) -> None:
    anna, ben, url = operators
    as_account(ben, getattr(accounts, who))
    made = anna("spend", "create", "v", "--to", TO, "--feerate", "2")["ceremony"]
    with following(ben.home) as seen:
        seen.until(have(0))
        anna("spend", "sign", made, "--emulated", "a", "--yes", "--pin-stdin", stdin=PIN)
        seen.until(have(1))
        name = str(make_url(url).database)
        on_server.server.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        on_server.server.end_sessions(name)
        seen.until(unreachable)
        on_server.server.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        seen.until(have(1))
        assert seen.stop() == (0, b"")
