"""Every command that shows something, at a real terminal: what fits, what is set off, what is told.

It is held against the same command's output in a pipe, which nothing folds, shortens or colours.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.guide_player import ESCAPES
from tests.cli.terminal import at_terminal
from tests.program import PIN, UNPROVED, Asked, asking, made_vault, run_program

STRANGER = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
SHOWN = (
    "status", "vault list", "vault show v", "vault export v", "balance", "coins v", "history v",
    "spend list", "spend show {payment}", "card list", "card show a", "location list",
    "location show at-a", "holder list", "holder show marie", "carrier list", "secret list",
    "copy list v", "custody log", "custody verify", "audit v", "drill plan v", "drill list v",
    "address list v", "key list", "emulate list", "replace plan v --card a", "label export -",
    "--version", "help", "spend sign -h", "card -h",
)  # fmt: skip
REFUSED = (
    "vault show nothing", "spend sign nothing", "card unblock nothing", "spend show",
    f"spend create v --to {STRANGER}:0,1 --feerate 2", "audit v --lose nowhere",
    f"spend create v --to {STRANGER}:9btc --feerate 2", "restore nowhere", "card check c",
)  # fmt: skip
LAST = re.compile(r"\Anext: ")
SHORT = re.compile(r"[0-9a-f]{4,}…[0-9a-f]{4,}")
DRAWN = re.compile("[█▀▄]")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(scope="module")
def shown_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with something in every list, and a card of it out of reach."""
    home = tmp_path_factory.mktemp("walk") / "home"
    asked = asking(home)
    made_vault(asked)
    asked("holder", "add", "marie", "--contact", "Marie Martin at the end of the long street 7")
    asked("location", "edit", "at-b", "--holder", "marie", "--access", "by the back door")
    asked("carrier", "add", "a", "words", "a-words")
    asked("secret", "add", "a-pin", "--of", "a", "--kind", "pin", "--written-at", "at-b")
    asked("custody", "record", "card:a", "placed", "--at", "at-c", "--note", "for a week only")
    asked("custody", "record", "card:a", "corrected", "--at", "at-a")
    asked("drill", "start", "v")
    asked("card", "lost", "b")
    (home / "emulated" / "c.card").rename(home / "emulated" / "away")
    return home


@pytest.fixture
def home(shown_home: Path, tmp_path: Path) -> Path:
    shutil.copytree(shown_home, tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def payment(home: Path) -> str:
    asked = asking(home)
    words = ("--to", f"{STRANGER}:0.001btc", "--note", "the baker", "--feerate", "2")
    return str(asked("spend", "create", "v", *words)["ceremony"])


def told(screen: str) -> list[str]:
    """Return the lines of a terminal, without what is next, codes and drawings."""
    lines = [ESCAPES.sub("", line).rstrip("\r") for line in screen.splitlines()]
    ends = next((at for at, line in enumerate(lines) if LAST.search(line)), len(lines))
    return [line for line in lines[:ends] if not DRAWN.search(line)]


def words_in(lines: list[str]) -> Iterator[str]:
    return (word for line in lines for word in line.split())


@pytest.mark.parametrize(
    "room", [pytest.param(60), pytest.param(80, marks=pytest.mark.matrix),
             pytest.param(120, marks=pytest.mark.matrix)]
)  # fmt: skip
def test_all_that_is_shown_fits_and_no_word_of_it_is_broken(
    home: Path, payment: str, room: int
) -> None:
    for line in (*SHOWN, *REFUSED):
        words = line.format(payment=payment).split()
        piped = run_program(home, *words, check=None)
        whole = set(words_in([*piped.out.splitlines(), *piped.err.splitlines()]))
        seen = at_terminal(home, words, [], columns=room)
        shown = told(seen.screen)
        shown = [each for each in shown if not each.startswith("  Example: ")]  # to be copied
        wide = [each for each in shown if len(each) > room and " " in each.strip()]
        assert wide == [], (line, room)
        broken = [word for word in words_in(shown) if word not in whole and not SHORT.search(word)]
        if line not in {"help", "spend sign -h", "card -h", "spend show"}:  # typer folds its own
            assert broken == [], (line, room)
        assert seen.status == piped.status, line


def test_colour_says_nothing_that_words_do_not(
    home: Path, payment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for line in ("status", "audit v", f"spend show {payment}", "vault show nothing"):
        words = line.split()
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.delenv("NO_COLOR", raising=False)
        coloured = at_terminal(home, words, [], columns=80).screen
        monkeypatch.setenv("NO_COLOR", "1")
        plain = at_terminal(home, words, [], columns=80).screen
        assert COLOUR.search(coloured), line
        assert not COLOUR.search(plain), line
        assert COLOUR.sub("", coloured) == plain, line


def test_what_was_typed_stands_out_of_a_payment(home: Path, payment: str) -> None:
    shown = at_terminal(home, ["spend", "show", payment], [], columns=80).screen
    assert "\x1b[1m0.001 BTC\x1b[0m (\x1b[1m100 000 sat\x1b[0m)" in shown


def test_codes_are_drawn_in_black_on_white_whatever_the_colours(home: Path) -> None:
    shown = at_terminal(home, ["address", "new", "v", *UNPROVED], [], columns=120).screen
    drawn = [line for line in shown.splitlines() if DRAWN.search(line)]
    assert len(drawn) > 10
    assert all("\x1b[" in line and line.rstrip("\r").endswith("\x1b[0m") for line in drawn)


HINTS = {
    "card unblock nothing": "cardquorum card list",
    "vault show nothing": "cardquorum vault list",
    "restore nowhere": "cardquorum",
    f"spend create v --to {STRANGER}:0,1 --feerate 2": "cardquorum spend create --help",
}


@pytest.mark.parametrize("line", HINTS)
def test_a_refusal_ends_with_what_mends_it(home: Path, line: str) -> None:
    seen = at_terminal(home, line.split(), [], columns=80)
    shown = " ".join(told(seen.screen))
    assert shown.index("error: ") < shown.index("hint: ")
    assert HINTS[line] in shown[shown.index("hint: ") :]


def test_no_to_a_payment_and_ctrl_c_say_what_is_kept_and_how_to_go_on(
    home: Path, payment: str
) -> None:
    sign = ["spend", "sign", payment, "--emulated", "a"]
    question = r"Sign this transaction\? \[y/N\]"
    no = at_terminal(home, sign, [(question, "n")], columns=80)
    assert no.status == 5
    assert "hint: run it again when you are sure" in " ".join(told(no.screen))
    stopped = at_terminal(home, sign, [(question, "\x03")], columns=80)
    assert stopped.status == 130
    assert "what was signed is kept; run it again" in " ".join(told(stopped.screen))


def test_a_blocked_card_and_a_database_that_is_none_lead_to_what_mends_them(home: Path) -> None:
    asked = asking(home)
    for _ in range(5):
        wrong = ("card", "check", "a", "--pin-stdin", "--last-attempt")
        asked(*wrong, stdin="0000", check=4)
    blocked = at_terminal(home, ["card", "check", "a", "--pin"], [], columns=80)
    assert "cardquorum card unblock" in " ".join(told(blocked.screen))
    (home / "cardquorum.db").write_bytes(b"no database" * 1000)
    damaged = at_terminal(home, ["status"], [], columns=80)
    assert damaged.status == 5
    assert "cardquorum restore FILE" in " ".join(told(damaged.screen))


def test_a_question_begins_a_line_of_its_own_whatever_was_counted_before(
    home: Path, payment: str
) -> None:
    """Progress is written over itself; a prompt never stands behind it."""
    answers = [(r"Sign this transaction\? \[y/N\]", "y"), ("PIN of card a", PIN)]
    seen = at_terminal(home, ["spend", "sign", payment, "--emulated", "a"], answers, columns=80)
    assert seen.status == 0
    for line in re.split(r"\n", seen.screen):
        last = line.rstrip("\r").rpartition("\r")[2].replace("\x1b[K", "")
        assert not ("PIN of card" in last and "signatures" in last), line
        assert last.count("[y/N]") < 2


ASKS = {
    "bash": (
        'eval "$(cardquorum completion bash)"; name=$(complete -p cardquorum); '
        "name=${name##*-F }; name=${name%% *}; COMP_WORDS=(cardquorum spend sig); COMP_CWORD=2; "
        '$name cardquorum; echo "${COMPREPLY[@]}"'
    ),
    "fish": 'cardquorum completion fish | source; complete -C "cardquorum spend sig"',
    "zsh": (  # as a file of fpath is read where something is to be completed the first time
        "cardquorum completion zsh > $1/_cardquorum; fpath=($1 $fpath); autoload -U _cardquorum; "
        'compdef() { echo "only registered"; }; _arguments() { echo "$*"; }; '
        "words=(cardquorum spend sig); CURRENT=3; _cardquorum"
    ),
}


@pytest.mark.parametrize("shell", ASKS)
def test_a_shell_completes_after_what_the_program_gives_it(tmp_path: Path, shell: str) -> None:
    """Its script is taken by the shell, and what it names answers."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    program = tmp_path / "cardquorum"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m coordinator.cli "$@"\n')
    program.chmod(0o755)
    ended = subprocess.run(
        [shell, "-c", ASKS[shell], shell, tmp_path],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    words = ended.stdout.replace('"', " ").split()
    assert "sign" in words, ended.stderr
    assert "registered" not in words


def test_of_more_cards_than_are_needed_no_pin_is_asked(home: Path, payment: str) -> None:
    (home / "emulated" / "away").rename(home / "emulated" / "c.card")
    asking(home)("card", "found", "b")
    offered = [word for label in "abc" for word in ("--emulated", label)]
    answers = [
        (r"Sign this transaction\? \[y/N\]", "y"),
        ("PIN of card", PIN),
        ("PIN of card", PIN),
    ]
    seen = at_terminal(home, ["spend", "sign", payment, *offered], answers, columns=80)
    assert seen.status == 0, seen.screen
    assert len(re.findall(r"PIN of card \w+ \(", seen.screen)) == 2
    assert seen.screen.count("not needed, the other cards made the quorum") == 1


def test_what_was_corrected_is_marked_where_it_is_listed(home: Path) -> None:
    shown = " ".join(told(at_terminal(home, ["custody", "log"], [], columns=120).screen))
    assert "corrected" in shown
    asked: Asked = asking(home)
    marked = [each for each in asked("custody", "log")["events"] if each["corrected_by"]]
    assert len(marked) == 1
