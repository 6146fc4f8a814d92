"""Ctrl-C at any time, and a card that never answers: the program ends, what was signed is kept."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cards.deadline import SECONDS
from cards.emulation import open_card
from cards.transport import CardTransport
from tests.program import PIN, Asked, Program
from tests.readers.conftest import PINS, Put, reader

PATIENCE = 0.9 * SECONDS
"""What ends sooner has not waited for a card that says nothing."""
IMPATIENT = Path(__file__).with_name("impatient.py")
STRANGER = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
Begun = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def begun(home: Path) -> Iterator[Begun]:
    """Return what starts `spend sign` in a process of its own; nobody survives the test."""
    running = []

    def start(*words: str, stdin: str, script: tuple[str, ...] = ("-m", "coordinator.cli")):  # noqa: ANN202 -- a closure of the fixture
        process = subprocess.Popen(
            [sys.executable, *script, "--json", "spend", "sign", *words, "--yes", "--pin-stdin"],
            env={**os.environ, "CARDQUORUM_HOME": str(home)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        running.append(process)
        assert process.stdin is not None
        process.stdin.write(stdin)
        process.stdin.close()
        process.stdin = None
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def signatures(home: Path) -> int:
    database = sqlite3.connect(home / "cardquorum.db")
    (count,) = database.execute("SELECT count(*) FROM signature").fetchone()
    database.close()
    return int(count)


def until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def ended(process: "subprocess.Popen[str]", status: int) -> str:
    """Wait for the end; return what was said on both streams, which never holds a PIN."""
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == status, err
    assert PIN not in out + err
    assert "Traceback" not in err
    return out + err


def interrupted(process: "subprocess.Popen[str]") -> str:
    process.send_signal(signal.SIGINT)
    said = ended(process, 130)
    assert '"code": "keyboard_interrupt"' in said
    assert "what was signed is kept" in said
    return said


def test_ctrl_c_while_cards_sign(vault: Asked, home: Path, begun: Begun) -> None:
    ceremony = vault("spend", "create", "v", "--drain", STRANGER, "--feerate", "2")["ceremony"]
    for label in "ab":
        vault("emulate", "fault", label, "delay", "100")
    offered = ("--emulated", "a", "--emulated", "b")
    signing = begun(ceremony, *offered, stdin=f"a={PIN}\nb={PIN}\n")
    until(lambda: signatures(home) > 0)
    said = interrupted(signing)
    kept = signatures(home)
    assert 0 < kept < 6
    assert "stopped; card " in said
    for label in "ab":
        vault("emulate", "fault", label, "clear")
        assert vault("card", "check", label)["attempts_left"] == 5
    words = ("spend", "sign", ceremony, *offered, "--yes", "--pin-stdin")
    rest = vault(*words, stdin=f"a={PIN}\nb={PIN}")
    assert sum(card["signatures"] for card in rest["cards"]) == 6 - kept
    assert rest["complete"]


def test_ctrl_c_while_a_reader_waits_for_the_next_card(
    asked: Asked, home: Path, ceremony: str, begun: Begun
) -> None:
    waiting = begun(ceremony, "--reader", reader(0), "--wait", "600", stdin=PINS)
    said = ""
    while "now the card labelled" not in said:
        said = waiting.stderr.readline()
        assert said or waiting.poll() is None
    interrupted(waiting)
    assert signatures(home) == 4
    done = asked("spend", "sign", ceremony, "--yes", "--pin-stdin", stdin=PINS)
    assert {(c["label"], c["signatures"]) for c in done["cards"]} == {("a", 0), ("b", 4), ("c", 0)}


class Mute:
    """A card that stops answering at its Nth command, until the test ends."""

    def __init__(self, inner: CardTransport, number: int, freed: threading.Event) -> None:
        self.inner, self.left, self.freed = inner, number, freed
        self.power_cycle, self.close = inner.power_cycle, inner.close
        self.reached = threading.Event()

    def transmit(self, apdu: bytes) -> bytes:
        self.left -= 1
        if self.left < 0:
            self.reached.set()
            self.freed.wait(2 * PATIENCE)
        return self.inner.transmit(apdu)


@pytest.fixture
def mute(put: Put, home: Path, ceremony: str) -> Iterator[list[Mute]]:
    """Let card `a` be mute from its 14th command on: within its signatures."""
    put.readers[0].close()
    made: list[Mute] = []
    freed = threading.Event()

    def connect() -> Mute:
        made.append(Mute(open_card(home / "emulated" / "a.card"), 14, freed))
        return made[-1]

    put(0, connect)
    assert ceremony
    yield made
    freed.set()


def test_a_mute_card_is_given_up_and_the_program_ends(
    home: Path, ceremony: str, begun: Begun, mute: list[Mute]
) -> None:
    places = ("--reader", reader(0), "--reader", reader(1), "--wait", "0")
    script = (str(IMPATIENT),)
    said = ended(begun(ceremony, *places, stdin=PINS, script=script), 3)
    assert any(card.reached.is_set() for card in mute)
    assert "gave no answer for 1 seconds" in said
    assert 4 <= signatures(home) < 8


def test_ctrl_c_ends_a_program_whose_card_is_mute(
    program: Program, home: Path, ceremony: str, begun: Begun, mute: list[Mute]
) -> None:
    places = ("--reader", reader(0), "--reader", reader(1), "--wait", "0")
    signing = begun(ceremony, *places, stdin=PINS)
    until(lambda: any(card.reached.is_set() for card in mute) and signatures(home) >= 4)
    interrupted(signing)
    assert signatures(home) >= 4
    assert program("--json", "spend", "show", ceremony).document["state"] == "collecting"
