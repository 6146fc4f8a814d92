"""Whom a card on the reader can turn to: it makes us wait, or wants a secret besides its PIN."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cards.detection import detect
from cards.emulation import open_card
from cards.errors import PinIncorrect
from cards.family import Surroundings
from cards.pin import Pin, Secret
from tests.cli.terminal import at_terminal
from tests.program import PIN, Asked, Program

CHECK = ("card", "check", "blue", "--pin-stdin")
CODE = b"246802"
SECOND = b"second code"


def on_reader(tmp_path: Path, act: Callable[[Any], None]) -> None:
    """Let a test have the card blue for itself, as its session."""
    (file,) = tmp_path.rglob("blue.card")
    session = detect(open_card(file), Surroundings())
    act(session)
    session.close()


def wrong_three_times(session: Any) -> None:  # noqa: ANN401 - any family's session
    for _ in range(3):
        with pytest.raises(PinIncorrect):
            session.unlock(Pin(b"000000"))


@pytest.fixture
def delayed(asked: Asked, tmp_path: Path) -> Asked:
    """A TAPSIGNER that wants 15 seconds before it looks at a CVC."""
    asked("init", "--network", "regtest")
    asked("emulate", "new", "tapsigner", "blue")
    asked("card", "enrol", "blue", "--emulated", "blue", "--pin-stdin", stdin=PIN)
    on_reader(tmp_path, wrong_three_times)
    return asked


def test_a_wait_is_told_once_where_there_is_no_terminal(delayed: Asked, program: Program) -> None:
    assert delayed
    ended = program(*CHECK, stdin=PIN)
    told = [line for line in ended.err.splitlines() if "wait" in line]
    assert told == ["card blue: the card makes everybody wait after wrong CVCs, about 15 s"]


def test_a_wait_is_counted_down_on_a_terminal(delayed: Asked, tmp_path: Path) -> None:
    assert delayed
    answers = [("PIN of card blue.*not counted", PIN)]
    seen = at_terminal(tmp_path / "home", ("card", "check", "blue", "--pin"), answers)
    assert seen.status == 0
    counted = [f", {seconds} s more" for seconds in range(15, 0, -1)]
    places = [seen.screen.find(text) for text in counted]
    assert -1 not in places
    assert places == sorted(places)


def test_a_security_delay_is_told(asked: Asked, program: Program) -> None:
    asked("init", "--network", "regtest")
    asked("emulate", "new", "tangem", "blue")
    words = ("card", "enrol", "blue", "--emulated", "blue", "--pin-stdin")
    for _ in range(8):
        asked(*words, stdin="000000", check=4)
    ended = program(*words, stdin=PIN)
    assert "card blue: the card makes us wait, about" in ended.err


@pytest.fixture
def guarded(asked: Asked, tmp_path: Path) -> Asked:
    """A Tangem with an access code, a passcode besides, and no key yet."""
    asked("init", "--network", "regtest")
    asked("emulate", "new", "tangem", "blue", "--no-setup")

    def both_codes(session: Any) -> None:  # noqa: ANN401 - any family's session
        session.initialise({"pin": Pin(CODE), "passcode": Secret(SECOND)})

    on_reader(tmp_path, both_codes)
    return asked


def test_a_passcode_is_taken_from_standard_input(guarded: Asked) -> None:
    words = ("card", "setup", "blue", "--emulated", "blue", "--generate", "--pin-stdin")
    given = f"blue={CODE.decode()}\n"
    assert "passcode" in guarded(*words, stdin=given, check=4)["error"]["message"]
    guarded(*words, stdin=given + "blue.passcode=another\n", check=4)
    done = guarded(*words, stdin=given + f"blue.passcode={SECOND.decode()}\n")
    assert done["created_on"] == "card"
    assert guarded("secret", "list")["secrets"] == []


def test_a_passcode_is_asked_for_at_the_terminal(guarded: Asked, tmp_path: Path) -> None:
    assert guarded
    words = ("card", "setup", "blue", "--emulated", "blue", "--generate")
    answers = [("PIN of card blue", CODE.decode()), ("passcode of card blue", SECOND.decode())]
    seen = at_terminal(tmp_path / "home", words, answers)
    assert (seen.status, SECOND.decode() in seen.screen) == (0, False)
