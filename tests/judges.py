"""Other people's programs that judge ours: where one is missing, its tests say so by name."""

import importlib
import json
import os
import subprocess
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

REQUIRE_ALL = "CARDQUORUM_REQUIRE_ALL"
HANGS_SECONDS = 600
"""A program that answers later than this hangs; on a busy machine one took more than a minute."""


def judge(name: str) -> ModuleType:
    """Import a judge, or skip the module; with CARDQUORUM_REQUIRE_ALL=1 a missing one fails."""
    if os.environ.get(REQUIRE_ALL) == "1":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # theirs, not ours to mend
            return importlib.import_module(name)
    return pytest.importorskip(name, reason=f"{name} is not installed", exc_type=ImportError)


def program_says(*words: str | Path, asked: object) -> dict[str, Any]:
    """Ask a judge that is a program of its own in JSON; return its answer."""
    done = subprocess.run(
        words,
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
        timeout=HANGS_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
