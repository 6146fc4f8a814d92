"""kill -9 at every step of a card's turn, and of a delivery: each signature is kept, once.

On a server the signatures of a turn lie in files until they are stored together. A home with a
file of its own stores each at once (`test_kill`): there such files are what was refused.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from sqlalchemy import select

from coordinator.home import undelivered
from coordinator.home.settings import open_home
from coordinator.payment import delivery
from storage.database import open_database, reading
from storage.errors import StorageError
from storage.model import Signature
from tests.program import PIN, Asked, run_program
from tests.servers.postgresql import Engines

KILLED: Final = Path(__file__).with_name("killed_in_turn.py")
STRANGER: Final = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
INPUTS: Final = 3
STEPS_MAX: Final = 80

Kept = Counter[tuple[int, bytes, bytes]]
"""Signatures by input, key and what they are."""


class Trial(NamedTuple):
    """A home with a payment that waits for cards, to be copied for each kill."""

    home: Path
    ceremony: str
    engines: Engines | None

    def copy(self, folder: Path) -> Path:
        """Return a copy with a database of its own."""
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.home, folder)
        if self.engines is not None:
            settings = folder / "settings.toml"
            text = settings.read_text()
            template = text.rpartition("/home")[2].partition("?")[0]
            made = self.engines.server.database(f"home{template}")
            settings.write_text(text.replace(f"/home{template}?", f"/{made}?"))
        return folder


@pytest.fixture
def trial(vault: Asked, request: pytest.FixtureRequest) -> Trial:
    engines: Engines | None = None
    if request.param == "postgresql":
        engines = request.getfixturevalue("on_server")
        server = engines.server
        server.passfile.write_text(f"127.0.0.1:*:*:*:{server.password}\n")
        url = server.url(server.database()).render_as_string(hide_password=False)
        vault("database", "copy", str(vault.home), url, "--use")
    made = vault("spend", "create", "v", "--drain", STRANGER, "--feerate", "2")
    assert len(made["review"]["inputs"]) == INPUTS
    return Trial(vault.home, made["ceremony"], engines)


def signing(ceremony: str, labels: str) -> tuple[str, ...]:
    cards = [word for label in labels for word in ("--emulated", label)]
    return ("--json", "spend", "sign", ceremony, *cards, "--yes", "--pin-stdin")


def pins(labels: str) -> str:
    return "".join(f"{label}={PIN}\n" for label in labels)


def killed(
    home: Path, nth: int, words: tuple[str, ...], stdin: str = "", kind: str = "any"
) -> bool:
    """Run a command and kill it at a step; tell whether it came that far."""
    ended = subprocess.run(
        [sys.executable, str(KILLED), str(nth), kind, *words, "--home", str(home)],
        input=stdin, text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert ended.returncode in {0, -signal.SIGKILL}, ended.stderr
    return ended.returncode != 0


def stored(home: Path) -> Kept:
    """Return what the database has, asked by nobody who would deliver."""
    database = open_database(open_home(home).database_url, existing=True)
    try:
        with reading(database).begin() as db:
            rows = db.execute(select(Signature.input_index, Signature.pubkey, Signature.signature))
            return Counter((index, pubkey, signature) for index, pubkey, signature in rows)
    finally:
        database.kw["bind"].dispose()


def lying(home: Path) -> Kept:
    """Return what the home keeps, all of which can be read."""
    found = undelivered.read(open_home(home))
    assert found.damaged == []
    return Counter((each.input_index, each.pubkey, each.signature) for _, each in found.kept)


def grow_old(home: Path) -> None:
    """Have what was not written to its end be older than anybody takes to write it."""
    for path in (home / undelivered.FOLDER).glob("*.json.*"):
        os.utime(path, (0, 0))


def goes_on(home: Path, ceremony: str) -> int:
    """Go on after a kill: the next command delivers; returns how many signatures there were."""
    kept = stored(home) | lying(home)
    grow_old(home)
    run_program(home, "status")
    assert stored(home) == kept, "each is delivered, once"
    assert not (home / undelivered.FOLDER).exists()
    rest = run_program(home, *signing(ceremony, "ab"), stdin=pins("ab")).document
    assert sum(card["signatures"] for card in rest["cards"]) == 2 * INPUTS - kept.total()
    assert set(stored(home).values()) == {1}
    assert stored(home) >= kept
    verdict = run_program(home, "--json", "custody", "verify").document
    assert verdict["valid"]
    assert run_program(home, "--json", "spend", "finalize", ceremony).document["txid"]
    return kept.total()


def sweep(
    trial: Trial, folder: Path, words: tuple[str, ...], stdin: str = "", *, every: int = 1
) -> Iterator[Path]:
    """Yield the home after a kill at each step of a command, or every few, and after its end."""
    for nth in range(1, STEPS_MAX, every):
        home = trial.copy(folder)
        came_that_far = killed(home, nth, words, stdin)
        yield home
        if not came_that_far:
            return
    pytest.fail("the command never ended by itself")


@pytest.mark.matrix
@pytest.mark.parametrize("trial", ["postgresql"], indirect=True)
@pytest.mark.parametrize(("labels", "every"), [("a", 1), ("ab", 3)])
def test_a_turn_killed_at_every_step_keeps_what_was_given(
    trial: Trial, tmp_path: Path, labels: str, every: int
) -> None:
    words, stdin = signing(trial.ceremony, labels), pins(labels)
    homes = sweep(trial, tmp_path / "killed", words, stdin, every=every)
    seen = [goes_on(home, trial.ceremony) for home in homes]
    assert {0, seen[-1]} <= set(seen)
    assert seen[-1] == INPUTS * len(labels)
    if len(labels) == 1:  # two cards take turns as they like
        assert seen == sorted(seen), "a later kill never finds fewer signatures"
        assert set(seen) == set(range(INPUTS + 1)), "each is kept before the next is asked for"


def refused(trial: Trial, home: Path, monkeypatch: pytest.MonkeyPatch) -> Trial:
    """Have a card sign while the database takes nothing: the home keeps it all."""

    def refuse(*_: object, **__: object) -> None:
        raise StorageError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(delivery.ceremony_book, "keep_signatures", refuse)
        run_program(home, *signing(trial.ceremony, "a"), stdin=pins("a"), check=5)
    assert lying(home).total() == INPUTS
    return trial._replace(home=home)


def seen_of(home: Path) -> int:
    events = run_program(home, "--json", "custody", "log", "card:a").document["events"]
    return sum(each["event"] == "seen" for each in events)


def delivered_in_the_end(home: Path, ceremony: str, before: int) -> None:
    """Deliver after a kill; the card that gave them was seen once."""
    run_program(home, "status")
    assert seen_of(home) == before + 1
    assert goes_on(home, ceremony) == INPUTS


@pytest.mark.matrix
@pytest.mark.parametrize("trial", ["postgresql", "sqlite"], indirect=True)
def test_a_delivery_killed_at_every_step_is_done_once(
    trial: Trial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = seen_of(trial.home)
    kept = refused(trial, trial.copy(tmp_path / "refused"), monkeypatch)
    for home in sweep(kept, tmp_path / "killed", ("status",)):
        delivered_in_the_end(home, trial.ceremony, before)


@pytest.mark.parametrize("trial", ["postgresql"], indirect=True)
def test_a_turn_and_its_delivery_may_be_killed(
    trial: Trial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within a turn; then where a delivery is committed, and before it removes a file."""
    home, before = trial.copy(tmp_path / "killed"), seen_of(trial.home)
    assert killed(home, 2, signing(trial.ceremony, "a"), pins("a"), "os.rename")
    assert (stored(home), lying(home).total()) == (Counter(), 1)
    goes_on(home, trial.ceremony)
    home = refused(trial, trial.copy(tmp_path / "refused"), monkeypatch).home
    for kind, nth in (("committed", 1), ("os.remove", 2)):
        assert killed(home, nth, ("status",), kind=kind)
    delivered_in_the_end(home, trial.ceremony, before)
