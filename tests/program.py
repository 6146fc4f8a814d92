"""The program as a shell sees it, in a home of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

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
        [sys.executable, "-m", "coordinator.cli", *words],
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
