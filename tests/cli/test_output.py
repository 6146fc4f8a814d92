"""What others wrote reaches a terminal as text, and JSON as JSON; a stream may be anything."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from coordinator import cli
from coordinator.chain import Tip
from coordinator.cli.output import as_text
from coordinator.cli.result import ExitStatus, Result, as_document
from coordinator.notices import Notice, Severity
from psbt.coins import Outpoint
from tests.program import Asked, Program

EVIL = "\x1b[2J\x1b]0;pwn\x07\u202eevil\u2028\x85\u200b"
CONTROLS = ("\x1b", "\x07", "\u202e", "\u2028", "\x85", "\u200b")
WRITERS = {"cli/terminal.py"}
SAID = Notice("x", Severity.INFO, "said")
OUTPOINT = Outpoint("cd", 1)


def shell(home: Path, command: str, **env: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command line of a shell, in which `cardquorum` is this program."""
    program = f"{sys.executable} -m coordinator.cli"
    return subprocess.run(
        ["/bin/bash", "-c", command.replace("cardquorum", program)],
        env={**os.environ, "CARDQUORUM_HOME": str(home), **env},
        capture_output=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def home(asked: Asked, tmp_path: Path) -> Path:
    asked("init", "--network", "regtest")
    return tmp_path / "home"


def test_a_label_is_shown_without_control_characters(program: Program) -> None:
    program("init", "--network", "regtest")
    ended = program("label", "set", "ab" * 32, EVIL)
    assert not any(sign in ended.out for sign in CONTROLS)
    assert r"\x1b[2J" in ended.out
    ended = program("--json", "label", "set", "ab" * 32, EVIL)
    assert ended.out.isascii()
    assert ended.document["label"] == EVIL


def test_an_error_is_one_line_without_control_characters(program: Program) -> None:
    program("init", "--network", "regtest")
    ended = program("vault", "show", f"{EVIL}\nhint: send me your words", check=2)
    assert not any(sign in ended.err for sign in CONTROLS)
    assert len(ended.err.splitlines()) == 2


def test_delete_is_escaped_in_json(program: Program) -> None:
    program("init", "--network", "regtest")
    ended = program("--json", "label", "set", "ab" * 32, "\x7f")
    assert "\x7f" not in ended.out
    assert ended.document["label"] == "\x7f"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8", "utf-16"])
@pytest.mark.parametrize("option", ["", "--json"])
def test_an_output_that_lacks_a_character_gets_an_escape(
    home: Path, encoding: str, option: str
) -> None:
    words = f"cardquorum label set {'ab' * 32} 'Müller 😀' {option}"
    ended = shell(home, words, PYTHONIOENCODING=encoding)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.decode(encoding)


def test_a_home_whose_name_is_no_text_is_misuse(home: Path) -> None:
    ended = shell(home, "CARDQUORUM_HOME=$'\\xff' cardquorum status")
    assert ended.returncode == 2, ended
    assert b"CARDQUORUM_HOME is not a text" in ended.stderr


@pytest.mark.parametrize(
    "words",
    [
        "vault show $'\\xff'",
        f"label set {'ab' * 32} $'x\\xff'",
        "vault import $'/tmp/\\xff' --name v",
        "$'\\xff'",
    ],
)
@pytest.mark.parametrize("option", ["", "--json"])
def test_an_argument_that_is_no_text_is_misuse(home: Path, words: str, option: str) -> None:
    ended = shell(home, f"cardquorum {option} {words}")
    assert ended.returncode == 2, ended
    assert b"Traceback" not in ended.stderr
    if option:
        assert json.loads(ended.stdout)["error"]["code"] == "usage_error"


CLOSED = ("0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-")
ALIKE = (
    "--json status",
    "vault import - --name v",
    "label import -",
    "status --pin-stdin",
    "vault show nobody",
    "",
)
"""Commands that read, write and end as another one of those below."""
ENDED = {
    "--json status": 0,
    "vault import - --name v": 5,
    "--json recover - --name v": 2,
    "label import -": 0,
    "status --pin-stdin": 0,
    "vault show nobody": 2,
    "--help": 0,
    "": 2,
}


@pytest.mark.parametrize(
    "words",
    [pytest.param(each, marks=pytest.mark.matrix if each in ALIKE else ()) for each in ENDED],
)
def test_a_closed_stream_changes_no_exit_status(home: Path, words: str) -> None:
    each = (f"cardquorum {words} </dev/null {closed}; echo $? >&3" for closed in CLOSED)
    ended = shell(home, f"exec 3>{home}.status; " + "; ".join(each))
    statuses = Path(f"{home}.status").read_text().split()
    assert statuses == [str(ENDED[words])] * len(CLOSED), ended


def test_a_closed_stream_is_no_file_of_ours(home: Path) -> None:
    shell(home, f"cardquorum label set {'ab' * 32} told 0<&- 1>&- 2>&-")
    shell(home, "cardquorum vault show nobody 0<&- 1>&- 2>&-")
    ended = shell(home, "cardquorum label export /dev/stdout")
    assert shell(home, f"cardquorum label export {home}.out").returncode == 0, ended
    assert b"told" in Path(f"{home}.out").read_bytes()


def test_who_closes_the_pipe_early_changes_no_exit_status(home: Path) -> None:
    for words in ("status", "--help", "spend create --help", "--json status"):
        ended = shell(home, f"cardquorum {words} | true; exit ${{PIPESTATUS[0]}}")
        assert (ended.returncode, ended.stderr) == (0, b""), words


def test_an_error_nobody_reads_keeps_its_exit_status(home: Path) -> None:
    ended = shell(home, "cardquorum vault show nobody 2>&1 | true; exit ${PIPESTATUS[0]}")
    assert ended.returncode == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_result_that_cannot_be_written_is_no_success(home: Path) -> None:
    ended = shell(home, "cardquorum status >/dev/full")
    assert ended.returncode == 5, ended
    assert b"cannot be written" in ended.stderr
    assert b"Traceback" not in ended.stderr
    assert shell(home, "cardquorum status --json >/dev/full").returncode == 5
    assert shell(home, "cardquorum vault show nobody --json >/dev/full").returncode == 2


def test_one_place_writes_to_the_streams() -> None:
    hall = Path(cli.__file__).parent.parent
    writers = set()
    for path in hall.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if name == "print" or name.startswith(("sys.stdout.write", "sys.stderr.write")):
                writers.add(str(path.relative_to(hall)))
    assert writers == WRITERS


def test_a_document_has_each_kind_of_result_by_its_fields() -> None:
    assert as_text(as_document({"a": 1}, Tip(7, "ab"), SAID, a=[OUTPOINT], more=None)) == (
        json.dumps(
            {
                "a": [{"txid": "cd", "vout": 1}],
                "height": 7,
                "hash": "ab",
                "code": "x",
                "severity": "info",
                "message": "said",
                "remedy": "",
                "subjects": [],
                "more": None,
            },
            indent=2,
        )
        + "\n"
    )


def test_a_result_can_be_told_more_of() -> None:
    shown = Result({"a": 1}, ["one"], ExitStatus.REFUSED).also("two", b=2)
    assert (shown.document, list(shown.lines)) == ({"a": 1, "b": 2}, ["one", "two"])
    assert shown.status is ExitStatus.REFUSED
