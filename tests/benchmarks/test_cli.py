"""What the program takes before and around its work, against what its libraries cost anyway.

CPU time of processes, the least of several runs taken in turn: others use this machine, too.
Python's compiled files lie in a folder of their own, whatever the environment says of them.
"""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.program import Asked, asking, made_vault

pytestmark = pytest.mark.bench
RUNS = 9
PROGRAM = "import sys; from coordinator.cli import main; sys.argv[0] = 'cardquorum'; main()"
ACCEPTED = ("--accept", "keys_unproved", "--accept", "no_copy")
LIBRARIES = "import sqlalchemy.orm, typer"
COMMANDS = {
    "status": ("status",),
    "balance": ("balance",),
    "card list": ("card", "list"),
    "address list": ("address", "list", "v", *ACCEPTED),
}


def cpu_seconds(compiled: Path, *words: str) -> float:
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(compiled)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *words], check=True, capture_output=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def least(compiled: Path, lines: dict[str, tuple[str, ...]]) -> dict[str, float]:
    """Return the least each line took; they take turns, and the first turn compiles."""
    turns = [
        {name: cpu_seconds(compiled, *line) for name, line in lines.items()}
        for _ in range(RUNS + 1)
    ]
    return {name: min(turn[name] for turn in turns[1:]) for name in lines}


def test_help_costs_little_more_than_importing_typer(tmp_path: Path) -> None:
    found = least(tmp_path, {"typer": ("-c", "import typer"), "help": ("-c", PROGRAM, "--help")})
    ratio = found["help"] / found["typer"]
    print(f"\n--help {ratio:.2f} x import typer")  # noqa: T201 -- the figure
    assert ratio <= 1.4


def test_a_short_command_costs_half_more_than_importing_its_libraries(tmp_path: Path) -> None:
    home = tmp_path / "home"
    asked: Asked = asking(home)
    made_vault(asked)
    lines = {name: ("-c", PROGRAM, "--home", str(home), *words) for name, words in COMMANDS.items()}
    found = least(tmp_path / "compiled", {"libraries": ("-c", LIBRARIES), **lines})
    ratios = {name: found[name] / found["libraries"] for name in COMMANDS}
    for name, ratio in ratios.items():
        print(f"\n{name:<14}{found[name]:.3f} s  {ratio:.2f} x {LIBRARIES}", end="")  # noqa: T201 -- as above
    assert max(ratios.values()) <= 1.5
