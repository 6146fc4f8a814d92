"""The terminal itself: interrupted, beside redirected output, and with nothing typed."""

from pathlib import Path

import pytest

from tests.cli.terminal import at_terminal, in_a_shell
from tests.cli.test_card_setup import set_up
from tests.program import PIN, Asked

ENROL = "cardquorum card enrol blue --emulated blue"
PROMPT = "PIN of card blue"
CONTROL_C = "\x03"


@pytest.fixture
def home(tmp_path: Path, asked: Asked) -> Path:
    asked("init", "--network", "regtest")
    asked("emulate", "new", "satochip", "blue")
    asked("emulate", "new", "satochip", "fresh", "--no-setup")
    return tmp_path / "home"


def attempts(asked: Asked, name: str = "blue") -> int | None:
    listed = asked("emulate", "list")["cards"]
    return next(card["attempts_left"] for card in listed if card["name"] == name)


def test_an_interrupted_prompt_leaves_everything_as_it_was(home: Path, asked: Asked) -> None:
    line = f"trap : INT; {ENROL}; echo ended $?; stty -a"
    seen = in_a_shell(home, line, [(PROMPT, "3141" + CONTROL_C)])
    assert "ended 130" in seen.screen
    assert " echo " in seen.screen
    assert "3141" not in seen.screen
    assert "Traceback" not in seen.screen
    assert attempts(asked) == 5
    assert asked("card", "list")["cards"] == []


def test_an_interrupted_setup_leaves_the_card_fresh(home: Path, asked: Asked) -> None:
    line = "trap : INT; cardquorum card setup fresh --emulated fresh --generate; echo ended $?"
    answers = [("new PIN of card fresh", "2468"), ("once more", CONTROL_C)]
    seen = in_a_shell(home, line, answers)
    assert "ended 130" in seen.screen
    assert "1. " not in seen.screen
    assert attempts(asked, "fresh") is None


def test_prompts_go_to_the_terminal_and_results_to_files(home: Path, tmp_path: Path) -> None:
    out, err = tmp_path / "out", tmp_path / "err"
    line = f"{ENROL} --json >{out} 2>{err} </dev/null"
    seen = in_a_shell(home, line, [(PROMPT, PIN)])
    assert seen.status == 0
    assert "attempts left: 5" in seen.screen
    assert '"fingerprint"' in out.read_text()
    assert '"fingerprint"' not in seen.screen
    assert err.read_text() == ""


def test_words_and_puk_never_go_to_redirected_output(home: Path, tmp_path: Path) -> None:
    out, err = tmp_path / "out", tmp_path / "err"
    line = f"cardquorum card setup fresh --emulated fresh --generate >{out} 2>{err}"
    seen = in_a_shell(home, line, [("new PIN of card fresh", "2468"), ("once more", "2468")])
    assert seen.status == 0
    words = seen.screen.partition("words of card fresh")[2]
    assert "24. " in words
    assert "PUK of card fresh" in seen.screen
    said = out.read_text() + err.read_text()
    assert "PUK" not in said
    assert "24. " not in said
    assert "its seed is made on this machine" in said


def test_quiet_still_asks_and_still_shows_what_is_shown_once(home: Path) -> None:
    words = ("card", "setup", "fresh", "--emulated", "fresh", "--generate", "--quiet")
    seen = at_terminal(home, words, [("new PIN of card fresh", "2468"), ("once more", "2468")])
    assert seen.status == 0
    assert "24. " in seen.screen
    assert "PUK of card fresh" in seen.screen
    assert "its seed is made" not in seen.screen


@pytest.mark.parametrize("typed", ["", "\x04"])
def test_nothing_typed_is_not_presented(home: Path, asked: Asked, typed: str) -> None:
    words = ("card", "enrol", "blue", "--emulated", "blue")
    seen = at_terminal(home, words, [(PROMPT, typed)])
    assert seen.status == 4
    assert "was not given" in seen.screen
    assert attempts(asked) == 5


def test_no_new_pin_typed_sets_none(home: Path, asked: Asked) -> None:
    words = ("card", "setup", "fresh", "--emulated", "fresh", "--generate")
    seen = at_terminal(home, words, [("new PIN of card fresh", ""), ("once more", "")])
    assert seen.status == 4
    assert attempts(asked, "fresh") is None


def test_changing_a_pin_at_the_terminal(home: Path, asked: Asked) -> None:
    asked("card", "enrol", "blue", "--emulated", "blue", "--pin-stdin", stdin=PIN)
    answers = [(PROMPT, PIN), ("new PIN of card blue", "2468"), ("once more", "2468")]
    seen = at_terminal(home, ("card", "pin", "blue"), answers)
    assert seen.status == 0, seen.screen
    assert asked("card", "check", "blue", "--pin-stdin", stdin="2468")["key_matches"]
    seen = at_terminal(home, ("card", "pin", "blue"), [*answers[:2], ("once more", "1")])
    assert seen.status != 0
    asked("card", "check", "blue", "--pin-stdin", stdin="2468")


@pytest.mark.parametrize(("typed", "valid"), [("1357", "1357"), ("", "2468")])
def test_unblocking_at_the_terminal(home: Path, asked: Asked, typed: str, valid: str) -> None:
    set_up(asked, "fresh")
    check = ("card", "check", "fresh", "--pin-stdin", "--last-attempt")
    for _ in range(5):
        asked(*check, stdin="0000", check=4)
    answers = [("PUK of card fresh", "12345678"), ("new PIN of card fresh", typed)]
    seen = at_terminal(home, ("card", "unblock", "fresh"), [*answers, ("once more", typed)])
    assert seen.status == 0, seen.screen
    assert "12345678" not in seen.screen
    assert asked(*check, stdin=valid)["key_matches"]
