"""kill -9 at every commit of a signing session loses at most the signature in flight."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.program import PIN, Asked, run_program

KILLED = Path(__file__).with_name("killed.py")
STRANGER = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
COMMITS_MAX = 60
INPUTS = 3


def sign_words(ceremony: str, labels: str = "ab") -> list[str]:
    cards = [word for label in labels for word in ("--emulated", label)]
    return ["--json", "spend", "sign", ceremony, *cards, "--yes", "--pin-stdin"]


@pytest.mark.parametrize(("moment", "labels"), [("before", "a"), ("after", "a"), ("before", "ab")])
def test_kill_at_every_commit(vault: Asked, tmp_path: Path, moment: str, labels: str) -> None:
    """Two cards commit in an order of their own each time: with one the Nth commit is the Nth."""
    made = vault("spend", "create", "v", "--drain", STRANGER, "--feerate", "2")
    assert len(made["review"]["inputs"]) == INPUTS
    ceremony, seen = made["ceremony"], []
    for nth in range(1, COMMITS_MAX):
        home = tmp_path / f"{moment}-{nth}"
        shutil.copytree(tmp_path / "home", home)
        words = [*sign_words(ceremony, labels), "--home", str(home)]
        pins = "".join(f"{label}={PIN}\n" for label in labels)
        ended = subprocess.run(
            [sys.executable, str(KILLED), str(nth), moment, *words],
            input=pins, text=True, capture_output=True, check=False,
        )  # fmt: skip
        if ended.returncode == 0:
            break
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        seen.append(kept(home, ceremony))
        shutil.rmtree(home)
    else:
        pytest.fail("the session never ended by itself")
    if len(labels) == 1:
        assert seen == sorted(seen), "a later kill never finds fewer signatures"
        assert set(seen) >= set(range(INPUTS)), "every signature is committed by itself"
    assert min(seen) == 0
    assert max(seen) >= INPUTS * len(labels) - 1


def kept(home: Path, ceremony: str) -> int:
    """Return how many signatures survived; the ceremony goes on from there and ends well."""
    before = run_program(home, "--json", "spend", "show", ceremony).document
    assert before["state"] == "collecting" or before["complete"]
    listed = run_program(home, "--json", "spend", "list").document["ceremonies"][0]["signatures"]
    if not before["complete"]:
        stdin = f"a={PIN}\nb={PIN}\n"
        rest = run_program(home, *sign_words(ceremony), stdin=stdin).document
        assert sum(card["signatures"] for card in rest["cards"]) == 2 * INPUTS - listed
    assert run_program(home, "--json", "spend", "finalize", ceremony).document["txid"]
    return int(listed)
