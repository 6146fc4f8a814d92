"""The examples run as a stranger would run them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_house import ROOT

EXAMPLES = ROOT / "examples"


def test_nothing_in_the_folder_is_left_out() -> None:
    assert {path.name for path in EXAMPLES.iterdir() if path.is_file()} == {
        "two_of_three.py",
        "walk_through.sh",
    }


@pytest.mark.parametrize(
    ("name", "last"), [("two_of_three.py", "vB:"), ("walk_through.sh", "nothing found")]
)
def test_an_example_runs(name: str, last: str) -> None:
    program = [sys.executable] if name.endswith(".py") else ["sh"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [*program, str(EXAMPLES / name)], env={**os.environ, "PATH": path}, cwd=ROOT,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert last in done.stdout.splitlines()[-1]


def test_the_example_is_the_walk_through_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    script = (EXAMPLES / "walk_through.sh").read_text()
    for line in readme.split("export CARDQUORUM_HOME=./try")[1].split("```")[0].splitlines():
        words = line.split("#")[0].split()[:3]
        if words and words[2:] not in (["satochip"], ["enrol"]):
            assert " ".join(words) in script, line
