"""The examples run as a stranger would run them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cards.pcscd import missing
from tests.forked import program_loaded
from tests.judges import REQUIRE_ALL
from tests.program import run_program
from tests.servers.postgresql import Engines
from tests.test_house import ROOT

EXAMPLES = ROOT / "examples"
PATIENCE_SECONDS = 600


def test_nothing_in_the_folder_is_left_out() -> None:
    assert {path.name for path in EXAMPLES.iterdir() if path.is_file()} == {
        "check_book.py",
        "custody.sh",
        "later_keys.sh",
        "open_backup.py",
        "operators.sh",
        "readers.sh",
        "two_of_three.py",
        "walk_through.sh",
    }


INSTALLED = str(Path(sys.executable).parent)
"""The folder of the program as it was installed."""


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("two_of_three.py", "vB:"),
        ("readers.sh", "confirmed"),
        pytest.param("walk_through.sh", "nothing found", marks=pytest.mark.matrix),
        pytest.param("custody.sh", "recovered", marks=pytest.mark.matrix),
        pytest.param("later_keys.sh", "confirmed", marks=pytest.mark.matrix),
    ],
)
def test_an_example_runs(name: str, last: str) -> None:
    if name == "readers.sh" and (reason := missing()) and os.environ.get(REQUIRE_ALL) != "1":
        pytest.skip(reason)
    assert last in ran(name, INSTALLED)


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("walk_through.sh", "nothing found"),
        ("custody.sh", "recovered"),
        ("later_keys.sh", "confirmed"),
    ],
)
def test_a_long_example_runs_with_the_program_loaded_once(name: str, last: str) -> None:
    with program_loaded() as folder:
        assert last in ran(name, folder)


def ran(name: str, folder: str, **environment: str) -> str:
    """Run an example to its end, with the program in that folder; return what it printed."""
    program = [sys.executable] if name.endswith(".py") else ["sh"]
    path = os.pathsep.join([folder, INSTALLED, os.environ["PATH"]])
    done = subprocess.run(
        [*program, str(EXAMPLES / name)], env={**os.environ, "PATH": path, **environment},
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.matrix
def test_three_operators_pay_from_one_database(on_server: Engines) -> None:
    url = on_server.server.url(on_server.server.database())
    told = ran("operators.sh", INSTALLED, DATABASE=url.render_as_string(hide_password=False))
    assert re.fullmatch("[0-9a-f]{64}", told.splitlines()[-1])


def test_the_example_is_the_walk_through_by_hand() -> None:
    readme = (ROOT / "docs" / "by-hand.md").read_text()
    script = (EXAMPLES / "walk_through.sh").read_text()
    for line in readme.split("export CARDQUORUM_HOME=./try")[1].split("```")[0].splitlines():
        words = line.split("#")[0].split()[:3]
        if words and words[2:] not in (["satochip"], ["enrol"]):
            assert " ".join(words) in script, line


def test_the_transcript_is_what_the_demo_says(tmp_path: Path) -> None:
    told = (ROOT / "docs" / "by-hand.md").read_text().split("```\n1. three")[1].split("```")[0]
    seen = run_program(tmp_path, "demo")
    said = (seen.err + seen.out).split("1. three")[1]
    assert shape("1. three" + told) == shape("1. three" + said)


def shape(transcript: str) -> list[str]:
    """Return the lines in any order, without what differs from run to run."""
    varying = re.compile(
        r"bcrt1\w+|tpub\w+|#\w{8}|\[[0-9a-f]{8}|[0-9a-f]{64}|ceremony \w{8}|[0-9.]+ (s|vB)"
    )
    return sorted(
        varying.sub("…", line.strip()) for line in transcript.splitlines() if line.strip()
    )
