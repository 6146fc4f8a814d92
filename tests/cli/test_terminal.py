"""What a person at a terminal sees and types."""

import re
from pathlib import Path

import pytest

from tests.cli.terminal import at_terminal
from tests.program import Asked


@pytest.fixture
def home(tmp_path: Path, asked: Asked) -> Path:
    asked("init", "--network", "regtest")
    asked("emulate", "new", "satochip", "fresh", "--no-setup")
    asked("emulate", "new", "satochip", "blue")
    return tmp_path / "home"


def test_a_pin_is_asked_for_with_its_attempts_and_never_echoed(home: Path) -> None:
    words = ("card", "enrol", "blue", "--emulated", "blue")
    seen = at_terminal(
        home, words, [(r"PIN of card blue \(satochip, attempts left: 5\)", "123456")]
    )
    assert seen.status == 0, seen.screen
    assert "123456" not in seen.screen


def test_a_wrong_pin_typed(home: Path) -> None:
    words = ("card", "enrol", "blue", "--emulated", "blue")
    seen = at_terminal(home, words, [("PIN of card blue", "654321")])
    assert seen.status == 4
    assert "4 left" in seen.screen
    assert "654321" not in seen.screen


def test_words_made_here_are_shown_once_and_belong_to_the_key(home: Path, asked: Asked) -> None:
    words = ("card", "setup", "fresh", "--emulated", "fresh", "--generate")
    answers = [("new PIN of card fresh", "2468"), ("once more", "2468")]
    seen = at_terminal(home, words, answers)
    assert seen.status == 0, seen.screen
    assert "2468" not in seen.screen
    assert "PUK of card fresh" in seen.screen
    shown = [part.split()[0] for part in re.split(r"\d+\. ", seen.screen)[1:25]]
    assert len(shown) == 24
    key = asked("card", "show", "fresh")["keys"][0]
    assert key["created_on"] == "host"
    asked("emulate", "new", "satochip", "copy", "--no-setup")
    stdin = f"copy=1357\ncopy.words={' '.join(shown)}\ncopy.puk=12345678\n"
    again = asked(
        "card", "setup", "copy", "--emulated", "copy", "--words", "--pin-stdin", stdin=stdin
    )
    assert again["key"]["xpub"] == key["xpub"]


def test_two_new_pins_that_differ_change_nothing(home: Path, asked: Asked) -> None:
    words = ("card", "setup", "fresh", "--emulated", "fresh", "--generate")
    seen = at_terminal(home, words, [("new PIN of card fresh", "2468"), ("once more", "2469")])
    assert seen.status == 2
    assert not any(
        c["initialised"] for c in asked("emulate", "list")["cards"] if c["name"] == "fresh"
    )


def test_without_a_terminal_words_need_a_file(home: Path, asked: Asked, tmp_path: Path) -> None:
    words = ("card", "setup", "fresh", "--emulated", "fresh", "--generate", "--pin-stdin")
    refused = asked(*words, stdin="fresh=2468", check=2)
    assert "--words-out" in refused["error"]["message"]
    done = asked(*words, "--words-out", str(tmp_path / "words"), stdin="fresh=2468")
    assert done["created_on"] == "host"
    assert len((tmp_path / "words").read_text().split()) == 24
    assert (tmp_path / "words").stat().st_mode & 0o777 == 0o600
    assert str(home)


def test_an_irreversible_act_asks_for_the_label(home: Path, asked: Asked) -> None:
    asked("card", "enrol", "blue", "--emulated", "blue", "--pin-stdin", stdin="123456")
    seen = at_terminal(home, ("card", "reset", "blue"), [("type the card's label", "red")])
    assert seen.status == 5
    assert asked("card", "check", "blue", "--pin-stdin", stdin="123456")["key_matches"]
    seen = at_terminal(home, ("card", "reset", "blue"), [("type the card's label", "blue")])
    assert seen.status == 0, seen.screen
    assert asked("card", "check", "blue", "--pin-stdin", stdin="123456", check=3)
