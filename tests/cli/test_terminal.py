"""What people see on a terminal: colours beside words, tables that fit, help, completion."""

import contextlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from coordinator.cli import build, command_tree, manual, terminal
from coordinator.cli.output import columns
from coordinator.cli.result import ExitStatus
from tests.cli.guide_player import ESCAPES
from tests.cli.terminal import at_terminal
from tests.program import Asked, Program, run_program
from tests.test_house import ROOT

TXID = "ab" * 32


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    """A terminal of 60 columns that shows colours."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return Screen()


def test_colour_only_stands_beside_a_word(screen: Screen) -> None:
    lines = ("DANGER: a", "  warning: b", "it holds 1 000 000 sat at 5 sat/vB", "error: c", "d")
    with contextlib.redirect_stdout(screen):
        for line in lines:
            terminal.put(line)
    shown = screen.getvalue()
    assert re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines() == list(lines)
    assert [("\x1b" in line) for line in shown.splitlines()] == [True, True, True, True, False]
    assert "\x1b[1m1 000 000 sat\x1b[0m" in shown


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_no_colour_where_nobody_wants_it(
    screen: Screen, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with contextlib.redirect_stdout(screen):
        terminal.put("DANGER: a")
    assert screen.getvalue() == "DANGER: a\n"


def test_no_colour_into_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    with contextlib.redirect_stdout(io.StringIO()) as piped:
        terminal.put("DANGER: a")
    assert piped.getvalue() == "DANGER: a\n"


def test_what_others_wrote_cannot_colour(screen: Screen) -> None:
    with contextlib.redirect_stdout(screen):
        terminal.put("label \x1b[31mred")
    assert "\x1b" not in screen.getvalue()


def test_a_table_that_is_too_wide_shortens_txids_first(screen: Screen) -> None:
    rows = [(f"{TXID}:1", 5)]
    with contextlib.redirect_stdout(screen):
        fitted = columns(rows, "coin", "sat")
    assert fitted == ["coin                 sat", "abababab…abababab:1  5"]


def test_a_table_that_is_still_too_wide_becomes_blocks(screen: Screen) -> None:
    rows = [("x" * 50, "y" * 20), ("a", None)]
    with contextlib.redirect_stdout(screen):
        fitted = columns(rows, "one", "three")
    assert fitted == [
        f"one    {'x' * 50}",
        f"three  {'y' * 20}",
        "",
        "one    a",
        "three  -",
        "",
    ]


def test_a_pipe_gets_txids_whole() -> None:
    assert TXID in columns([(TXID, "y" * 200)], "txid", "note")[1]


@pytest.mark.parametrize("words", [("-h",), ("help",), ("--help",)])
def test_help_has_common_options_and_every_exit_status(
    program: Program, words: tuple[str, ...]
) -> None:
    shown = program(*words).out
    for status in ExitStatus:
        assert re.search(rf"^ +{status.value}  ", shown, re.MULTILINE)
    assert "--home DIR" in shown


HELP_OF = [("spend", "sign", "-h"), ("help", "spend", "sign"), ("spend", "help", "sign")]


@pytest.mark.parametrize("words", HELP_OF)
def test_help_of_a_command_leaves_common_options_out(
    program: Program, words: tuple[str, ...]
) -> None:
    shown = program(*words).out
    assert "Usage: cardquorum spend sign" in shown
    assert "--txid" in shown
    assert "--home" not in shown
    assert "cardquorum --help" in shown


def test_version_names_what_the_program_stands_on(asked: Asked) -> None:
    told = asked("--version")
    assert told["version"]
    assert {"embit", "coincurve", "py-bitcoinkernel"} <= told["libraries"].keys()
    assert told["libraries"]["embit"]


def test_a_shell_completes_nouns_verbs_and_options() -> None:
    def completed(*words: str) -> list[str]:
        ended = subprocess.run(
            [sys.executable, "-m", "coordinator.cli"],
            env={
                **os.environ,
                manual.COMPLETE: "complete_bash",
                "COMP_WORDS": " ".join(("cardquorum", *words)),
                "COMP_CWORD": str(len(words)),
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return ended.stdout.split()

    assert completed("spend", "sig") == ["sign"]
    assert "--accept" in completed("spend", "sign", "--ac")


@pytest.mark.parametrize("shell", manual.SHELLS)
def test_completion_scripts_ask_this_program(asked: Asked, shell: str) -> None:
    assert manual.COMPLETE in asked("completion", shell)["script"]


@pytest.mark.parametrize(
    ("shell", "file"), [("bash", "cardquorum"), ("zsh", "_cardquorum"), ("fish", "cardquorum.fish")]
)
def test_completion_that_is_installed_is_what_the_program_gives(
    asked: Asked, shell: str, file: str
) -> None:
    """`make man` writes it; bash finds it beside the program, zsh and fish where they look."""
    installed = ROOT / "docs" / "completion" / file
    assert installed.read_text() == asked("completion", shell)["script"] + "\n"


def test_completion_for_an_unknown_shell_is_refused(asked: Asked) -> None:
    assert "expected one of bash" in asked("completion", "csh", check=2)["error"]["message"]


def test_man_page_is_the_one_the_commands_make() -> None:
    """`make man` writes it."""
    made = manual.man_page(build(command_tree.WHOLE))
    assert (ROOT / "docs" / "cardquorum.1").read_text() == made


def test_man_page_is_read_without_a_complaint(tmp_path: Path) -> None:
    page = ROOT / "docs" / "cardquorum.1"
    try:
        ended = subprocess.run(
            ["groff", "-man", "-ww", "-Tutf8", str(page)],  # noqa: S607 -- the system's
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            cwd=tmp_path,
        )
    except FileNotFoundError:
        pytest.skip("groff is not installed")
    assert ended.stderr == ""
    assert "cardquorum spend sign" in re.sub(r"\x1b\[[0-9;]*m", "", ended.stdout)


@pytest.mark.parametrize("room", [60, 80, 120])
def test_a_line_is_folded_between_words_and_within_no_amount_or_command(room: int) -> None:
    amount, command = "12 345 678 sat", "cardquorum vault verify family"
    line = (
        f"  -> of the {amount} that were {'much ' * 11}awaited so far: {command}; then look again"
    )
    lines = terminal.folded(line, room)
    assert max(map(len, lines)) <= room
    assert " ".join(" ".join(lines).split()) == " ".join(line.split())
    for whole in (amount, command):
        assert any(whole in each for each in lines)
    assert all(each.startswith("    ") for each in lines[1:])


def test_a_word_or_command_wider_than_the_terminal_is_not_broken_but_between_words() -> None:
    address = "bcrt1" + "q" * 70
    assert terminal.folded(f"  payment  5 sat  {address}", 60) == [
        "  payment  5 sat",
        f"    {address}",
    ]
    command = "cardquorum spend create family " + "--coin x " * 10
    assert all(len(each) <= 60 for each in terminal.folded(command, 60))
    assert terminal.folded("short", 60) == ["short"]
    assert terminal.folded("x " * 99, None) == ["x " * 99]


@pytest.mark.parametrize("room", [60, 80, 120])
def test_what_is_told_at_a_terminal_fits_its_width(tmp_path: Path, room: int) -> None:
    """Words are folded there, and nowhere else: help, an error with its hint, a list, status."""
    home = tmp_path / "home"
    run_program(home, "init", "--network", "regtest")
    for words in (["vault", "show", "nothing-of-this-name"], ["status"], ["spend", "-h"], ["-h"]):
        shown = at_terminal(home, words, [], columns=room).screen
        lines = [ESCAPES.sub("", line) for line in shown.splitlines()]
        assert [line for line in lines if len(line) > room and " " in line.strip()] == []


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("location", "remove", "nowhere", "else"), "see cardquorum location remove --help"),
        (("spend", "sign"), "see cardquorum spend sign --help"),
        (("--home", "x", "card", "no-such"), "see cardquorum card --help"),
        (("no-such",), "see cardquorum --help"),
        (("address", "check", "bc1"), "see cardquorum address check --help"),
        (("label", "set", "label", "set"), "see cardquorum label set --help"),
    ],
)
def test_what_was_mistyped_leads_to_the_help_of_its_own_command(
    vault: Asked, words: tuple[str, ...], hint: str
) -> None:
    assert vault(*words, check=2)["error"]["hint"] == hint


def test_what_is_known_of_one_thing_is_told_in_words(vault: Asked, tmp_path: Path) -> None:
    """No value stands there as a programming language writes it, and no empty table."""
    home = tmp_path / "home"
    assert "items: card:a" in run_program(home, "location", "show", "at-a").out
    card = run_program(home, "card", "show", "a").out
    assert "makes key on card: no" in card
    assert "location: at-a" in card
    for shown in (card, run_program(home, "location", "show", "at-a").out):
        assert not re.search(
            r"\b(?:True|False|None)\b|\[['\]]|_|\d:\d\d\.\d", shown.split("key [")[0]
        )
    assert run_program(home, "holder", "list").out == "none yet\n"
    vault("secret", "add", "a-pin", "--of", "a", "--kind", "pin")
    assert run_program(home, "secret", "list").out.splitlines()[1].split()[-2:] == ["-", "-"]


def test_who_lost_too_many_cards_is_told_to_find_one_before_anything_is_moved(vault: Asked) -> None:
    """A thief of them might pay; the owner cannot: two of three are gone, and there is money."""
    for label in "ab":
        vault("card", "lost", label)
    first = vault("status")["next"][0]
    assert (first["code"], first["command"]) == ("quorum_stolen", "cardquorum card found a")
    vault("card", "found", "a")
    assert "card found" not in str([each["command"] for each in vault("status")["next"][:1]])
