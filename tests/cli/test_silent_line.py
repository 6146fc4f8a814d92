"""A line that goes dead without a word: what is sent is taken, and nothing arrives any more."""

import stat
from pathlib import Path
from typing import Final

import pytest

from storage import server_dialect, server_engine
from tests.cli.test_server_faults import WRITTEN, Served, durable, line, served, sign, whole
from tests.program import Asked, run_program
from tests.servers.proxy import Line

__all__ = ["durable", "line", "served"]

CEREMONY: Final = "CEREMONY"
VERBS: Final = (
    "status",
    f"spend show {CEREMONY}",
    "spend create v --to bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080:10000 --feerate 2",
    f"spend abandon {CEREMONY}",
    "custody record card:a seen",
    "custody verify",
    "audit v --fail-on none",
    "address list v",
    "vault list",
    "coins v",
)
WORDS: Final = {"database_unreachable", "commit_unknown"}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait a moment where a person waits for half a minute."""
    monkeypatch.setattr(server_dialect, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(server_dialect, "LOOK_SECONDS", 0.5)
    monkeypatch.setattr(server_engine, "CONNECT_SECONDS", 2)


class Hush:
    """Hushes a line at its n-th message, or at its n-th commit of something."""

    def __init__(self, line: Line, at: int, *, commits: bool = False) -> None:
        self.seen, self._at, self._commits = 0, at, commits
        line.hush = self

    def __call__(self, kind: bytes, body: bytes) -> bool:
        self.seen += not self._commits or bool(kind == b"Q" and WRITTEN.search(body))
        return self.seen == self._at


def back(line: Line) -> None:
    line.hush, line.silent = None, False


def hushed(served: Served, line: Line, folder: Path, words: list[str], *, at: int) -> Asked:
    """Run a verb on a line that goes dead at a message; it ends, and says so."""
    home = served.copy(folder, line)
    Hush(line, at)
    ended = run_program(home.home, "--json", *words, check=None)
    assert ended.status in {0, 5}, ended
    if ended.status:
        assert ended.document["error"]["code"] in WORDS
    back(line)
    return home


def messages(served: Served, line: Line, folder: Path, words: list[str]) -> int:
    counting = Hush(line, -1)
    served.copy(folder, line)(*words)
    back(line)
    return counting.seen


@pytest.mark.matrix
@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_ends_where_nothing_arrives_any_more(
    served: Served, line: Line, tmp_path: Path, verb: str
) -> None:
    words = verb.replace(CEREMONY, served.ceremony).split()
    count = messages(served, line, tmp_path / "home", words)
    for at in sorted({1, count // 2, count}):
        home = hushed(served, line, tmp_path / "home", words, at=at)
        assert home("custody", "verify")["valid"]


@pytest.mark.matrix
def test_signing_ends_wherever_nothing_arrives_any_more(
    served: Served, line: Line, tmp_path: Path
) -> None:
    counting = Hush(line, -1)
    sign(served.copy(tmp_path / "home", line), served, "a", "b")
    for at in range(1, counting.seen + 1):
        back(line)
        home = served.copy(tmp_path / "home", line)
        Hush(line, at)
        ended = sign(home, served, "a", "b", check=None)
        assert ended.status in {0, 5}, ended
        assert "Traceback" not in ended.err
        back(line)
        whole(home, served)


def test_what_was_signed_meanwhile_is_kept_here_and_delivered_later(
    served: Served, line: Line, tmp_path: Path
) -> None:
    home = served.copy(tmp_path / "home", line)
    Hush(line, 1, commits=True)
    ended = sign(home, served, "a", check=5)
    (card,) = ended.document["cards"]
    assert card["error"]["code"] == "signature_undelivered"
    (kept,) = (home.home / "undelivered").glob("*.json")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    back(line)
    (told,) = home("status")["delivered"]
    assert (told["card"], told["signatures"]) == ("a", 1)
    whole(home, served)
