"""The walk-through by hand, word for word.

`make test-all` follows it on the other chain sources too; tests/contracts asks each of them.
"""

import shlex
from pathlib import Path

import pytest

from coordinator.amounts import parse_amount, script_of
from tests.contracts.worlds import REAL, SOURCES, World, make
from tests.program import PIN, Ended, run_program
from tests.test_house import ROOT

FIRST = "regtest"
OTHERS = [source for source in (*SOURCES, *REAL) if source != FIRST]
SOURCES_OF_THE_WALK = [FIRST, *(pytest.param(each, marks=pytest.mark.matrix) for each in OTHERS)]
PINS = "".join(f"{label}={PIN}\n" for label in ("blue", "green", "red"))


class Reader:
    """Somebody who types what docs/by-hand.md says, and fills in what it leaves open."""

    def __init__(self, world: World, home: Path) -> None:
        self.world = world
        self.home = home
        self.address = ""
        self.ceremony = ""

    def follow(self, line: str) -> Ended | None:
        words = [
            {"ADDRESS": self.address, "ID": self.ceremony}.get(w, w) for w in shlex.split(line)
        ]
        if words[1] == "regtest":
            self.happen(words[2:])
            return None
        extra, stdin = self.typed(words[1:])
        done = run_program(self.home, "--json", *words[1:], *extra, stdin=stdin)
        self.address = done.document.get("address", self.address)
        self.ceremony = done.document.get("ceremony", self.ceremony)
        return done

    def happen(self, words: list[str]) -> None:
        """Have the chain do what the embedded one is told to, then look."""
        if words[0] == "mine":
            self.world.mine()
        else:
            _, address, amount, _, coins = words
            self.world.chain.fund(script_of(address, "regtest"), parse_amount(amount), int(coins))
            self.world.settle()
        run_program(self.home, "sync")

    def typed(self, words: list[str]) -> tuple[list[str], str]:
        if words[0] == "init":
            return ["--chain", self.world.url], ""
        if words[:2] == ["card", "enrol"]:
            return ["--pin-stdin"], PIN
        if words[:2] == ["spend", "sign"]:
            return ["--pin-stdin", "--yes"], PINS
        if words[:2] == ["vault", "verify"]:
            cards = [f"--emulated={label}" for label in ("blue", "green", "red")]
            return [*cards, "--pin-stdin"], PINS
        return [], ""


@pytest.mark.parametrize("source", SOURCES_OF_THE_WALK)
def test_the_walk_through(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    block = (ROOT / "docs" / "by-hand.md").read_text().split("export CARDQUORUM_HOME=./try")[1]
    lines = [line.split("#")[0].strip() for line in block.split("```")[0].splitlines()]
    home = tmp_path / "home"
    with make(source, tmp_path) as world:
        if source == "regtest":
            world.chain = world.chain.__class__(home / "chain")
        reader = Reader(world, home)
        done = {line: reader.follow(line) for line in lines if line}
    shown = done["cardquorum spend show ID"]
    assert shown is not None
    assert shown.document["state"] == "confirmed"
    owned = done["cardquorum balance"]
    assert owned is not None
    assert owned.document["confirmed_sats"] == 150_000_000
    assert run_program(home, "--json", "status").document["tip"] is not None
