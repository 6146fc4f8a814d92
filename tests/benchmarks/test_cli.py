"""How quickly the program answers, against what its libraries cost anyway."""

import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.bench
RUNS = 9


def seconds(*words: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, capture_output=True)
    return time.perf_counter() - started


def test_help_costs_little_more_than_importing_typer() -> None:
    run_help = (
        "import sys; sys.argv = ['cardquorum', '--help']; from coordinator.cli import main; main()"
    )
    pairs = [(seconds("-c", run_help), seconds("-c", "import typer")) for _ in range(RUNS)]
    ours, typer = (min(times) for times in zip(*pairs, strict=True))
    assert ours <= 1.4 * typer
