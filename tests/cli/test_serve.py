"""`emulate serve`: another program sees the cards; faults reach them while they are served."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cards import pcscd
from tests.judges import REQUIRE_ALL
from tests.patience import SECONDS
from tests.program import PIN, Asked

Other = Callable[..., dict[str, Any]]


@pytest.fixture
def served(asked: Asked, tmp_path: Path) -> Iterator[tuple[dict[str, Any], Other]]:
    """Cards blue and red in virtual readers, and what runs a command in another process."""
    reason = pcscd.missing()
    if reason is not None and os.environ.get(REQUIRE_ALL) != "1":
        pytest.skip(reason)
    asked("init", "--network", "regtest")
    asked("emulate", "new", "satochip", "blue")
    asked("emulate", "new", "tapsigner", "red")
    command = [sys.executable, "-m", "coordinator.cli", "--json"]
    around = {**os.environ, "CARDQUORUM_HOME": str(tmp_path / "home")}
    with subprocess.Popen(
        [*command, "emulate", "serve", "blue", "red"], env=around, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        said = ""
        while not said.endswith("\n}\n"):
            said += server.stdout.readline()
        document = json.loads(said)

        def other(*words: str, stdin: str = "") -> dict[str, Any]:
            done = subprocess.run(
                [*command, *words], env={**around, **document["environment"]}, input=stdin,
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            found: dict[str, Any] = json.loads(done.stdout)
            return found

        yield document, other
        server.send_signal(signal.SIGINT)
        assert server.wait(SECONDS) == 0
        assert server.stdout.read() == ""
    assert not Path(document["environment"]["PCSCLITE_CSOCK_NAME"]).exists()


def cards_seen(other: Other) -> list[str]:
    readers = other("reader", "list")["readers"]
    return [reader["card"]["family"] for reader in readers if reader["card"]]


def wait_for(other: Other, wanted: list[str]) -> None:
    deadline = time.monotonic() + SECONDS
    while cards_seen(other) != wanted:
        assert time.monotonic() < deadline, cards_seen(other)


def test_another_program_uses_the_cards_and_meets_their_faults(
    asked: Asked, served: tuple[dict[str, Any], Other]
) -> None:
    document, other = served
    assert [(r["card"], r["name"]) for r in document["readers"]] == [
        ("blue", "blue 00 00"),
        ("red", "red 00 00"),
    ]
    wait_for(other, ["satochip", "tapsigner"])
    enrolled = other("card", "enrol", "blue", "--reader", "blue", "--pin-stdin", stdin=PIN)
    assert enrolled["card"]["family"] == "satochip"
    assert asked("emulate", "list")["cards"][0]["error"] is not None
    asked("emulate", "fault", "blue", "eject")
    wait_for(other, ["tapsigner"])
    asked("emulate", "fault", "blue", "insert")
    wait_for(other, ["satochip", "tapsigner"])
    asked("emulate", "fault", "red", "tear", "1", "after")
    cards_seen(other)
    wait_for(other, ["satochip", "tapsigner"])


def test_a_card_that_is_not_there_is_not_served(asked: Asked) -> None:
    asked("init", "--network", "regtest")
    assert asked("emulate", "serve", "nobody", check=3)["error"]["code"] == "reader_not_found"
