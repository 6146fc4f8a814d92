"""kill -9 at every commit of a signing session loses at most the signature in flight.

What a kill leaves is what the files hold at that moment: a copy of the home at each commit of one
session. A process is killed at one commit; `make test-all` kills one at every commit.
"""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from tests.program import PIN, Asked, run_program

KILLED = Path(__file__).with_name("killed.py")
STRANGER = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
COMMITS_MAX = 60
INPUTS = 3
MIDDLE = 5


def sign_words(ceremony: str, labels: str = "ab") -> list[str]:
    cards = [word for label in labels for word in ("--emulated", label)]
    return ["--json", "spend", "sign", ceremony, *cards, "--yes", "--pin-stdin"]


def begun(vault: Asked) -> str:
    made = vault("spend", "create", "v", "--drain", STRANGER, "--feerate", "2")
    assert len(made["review"]["inputs"]) == INPUTS
    ceremony: str = made["ceremony"]
    return ceremony


def test_a_home_copied_at_every_commit_can_go_on(vault: Asked, tmp_path: Path) -> None:
    ceremony, copies = begun(vault), list[Path]()

    def copied(_: object) -> None:
        copies.append(tmp_path / f"at-{len(copies)}")
        shutil.copytree(tmp_path / "home", copies[-1])

    event.listen(Engine, "commit", copied)
    try:
        run_program(tmp_path / "home", *sign_words(ceremony, "a"), stdin=f"a={PIN}\n")
    finally:
        event.remove(Engine, "commit", copied)
    seen = [kept(home, ceremony) for home in copies]
    assert seen == sorted(seen), "a later moment never finds fewer signatures"
    assert set(seen) >= set(range(INPUTS)), "every signature is committed by itself"


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_process_killed_at_a_commit_leaves_what_was_committed(
    vault: Asked, tmp_path: Path, moment: str
) -> None:
    ceremony = begun(vault)
    ended = killed(tmp_path / "home", MIDDLE, moment, sign_words(ceremony, "ab"))
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    kept(tmp_path / "home", ceremony)


def killed(
    home: Path, nth: int, moment: str, words: list[str]
) -> "subprocess.CompletedProcess[str]":
    pins = "".join(f"{label}={PIN}\n" for label in "ab" if label in words)
    return subprocess.run(
        [sys.executable, str(KILLED), str(nth), moment, *words, "--home", str(home)],
        input=pins, text=True, capture_output=True, check=False,
    )  # fmt: skip


@pytest.mark.matrix
@pytest.mark.parametrize(("moment", "labels"), [("before", "a"), ("after", "a"), ("before", "ab")])
def test_a_process_killed_at_every_commit_loses_at_most_one_signature(
    vault: Asked, tmp_path: Path, moment: str, labels: str
) -> None:
    """Two cards commit in an order of their own each time: with one the Nth commit is the Nth."""
    ceremony, seen = begun(vault), []
    for nth in range(1, COMMITS_MAX):
        home = tmp_path / f"{moment}-{nth}"
        shutil.copytree(tmp_path / "home", home)
        ended = killed(home, nth, moment, sign_words(ceremony, labels))
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
