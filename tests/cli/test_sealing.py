"""A home whose places and people are sealed: at a terminal, in a script, from cron."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from storage.encryption import Cost
from tests.cli.terminal import at_terminal, in_a_shell
from tests.program import PIN, Asked, Program, asking, run_program
from tests.test_house import ROOT

PASSPHRASE = "the old oak by the pond"
GIVEN = f"home.passphrase={PASSPHRASE}"
NAMES = ("mathilde", "+33 4 72", "rhone", "attic-of-mathilde", "under the stairs", "third shelf")
STDIN = {"stdin": GIVEN}


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Cost.__new__, "__defaults__", (1 << 4, 8, 1))


@pytest.fixture
def home(vault: Asked) -> Asked:
    """The vault's home with a person, a place full of names, and what lies there."""
    vault("holder", "add", "mathilde", "--contact", "+33 4 72")
    words = ("--region", "rhone", "--holder", "mathilde", "--access", "under the stairs")
    vault("location", "add", "attic-of-mathilde", *words)
    note = ("--by", "mathilde", "--note", "third shelf", "--seal", "B1")
    vault("custody", "record", "card:a", "moved", "--at", "attic-of-mathilde", *note)
    vault("custody", "record", "card:b", "moved", "--at", "attic-of-mathilde")
    vault("secret", "add", "a-pin", "--of", "a", "--kind", "pin", "--known-by", "mathilde")
    return vault


@pytest.fixture
def sealed(home: Asked) -> Asked:
    home("custody", "seal", "--pin-stdin", **STDIN)
    return home


def names_in(folder: Path) -> list[str]:
    raw = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    return [name for name in NAMES if name.encode() in raw]


def stood_in(text: str, region: str) -> str:
    """Return what a document says of the names once they are sealed."""
    pairs = {"attic-of-mathilde": "location.4", "mathilde": "holder.1", "rhone": region}
    for name, stand_in in pairs.items():
        text = text.replace(name, stand_in)
    for number, label in enumerate("abc", 1):
        text = text.replace(f"at-{label}", f"location.{number}")
    return text


@pytest.mark.usefixtures("home")
def test_sealing_leaves_nothing_in_the_home_or_its_backup(tmp_path: Path, program: Program) -> None:
    assert names_in(tmp_path / "home") == list(NAMES)
    done = program("--json", "custody", "seal", "--pin-stdin", "-v", "-v", **STDIN)
    assert done.document == {"sealed": True}
    assert PASSPHRASE not in done.out + done.err
    assert names_in(tmp_path / "home") == []
    backup = tmp_path / "copy"
    program("backup", "--out", str(backup))
    program("restore", str(backup), "--home", str(tmp_path / "restored"))
    assert names_in(tmp_path / "restored") == []
    restored = asking(tmp_path / "restored")
    assert restored("holder", "list", "--pin-stdin", **STDIN)["holders"][0]["name"] == "mathilde"


def test_cron_audits_with_stand_ins(home: Asked, program: Program) -> None:
    before = program("--json", "audit", "v", "--fail-on", "warning", check=None)
    home("custody", "seal", "--pin-stdin", **STDIN)
    region = home("location", "show", "location.4")["region"]
    after = program("--json", "audit", "v", "--fail-on", "warning", check=None)
    assert after.status == before.status == 5
    assert "attic-of-mathilde" in before.out
    assert ordered(json.loads(stood_in(before.out, region))) == ordered(after.document)
    told = program("--json", "audit", "v", "--fail-on", "warning", "--pin-stdin", check=5, **STDIN)
    assert ordered(told.document) == ordered(before.document)


def ordered(document: dict[str, Any]) -> list[str]:
    """Return an audit's findings in an order that names play no part in."""
    return sorted(json.dumps(finding, sort_keys=True) for finding in document["findings"])


def test_lists_show_stand_ins_or_names(sealed: Asked) -> None:
    place = sealed("location", "show", "location.4")
    assert (place["name"], place["holder"], place["access"]) == ("location.4", "holder.1", None)
    assert place["items"] == ["card:a", "card:b"]
    assert sealed("secret", "list")["secrets"][0]["known_by"] == ["holder.1"]
    assert sealed("holder", "list")["holders"][0]["contact"] is None
    place = sealed("location", "show", "attic-of-mathilde", "--pin-stdin", **STDIN)
    assert (place["region"], place["access"]) == ("rhone", "under the stairs")
    assert place["items"] == ["card:a", "card:b"]
    found = sealed("secret", "list", "--pin-stdin", **STDIN)["secrets"][0]
    assert found["known_by"] == ["mathilde"]


def test_the_book_holds_and_says_what_was_not_compared(sealed: Asked, program: Program) -> None:
    locked = sealed("custody", "verify")
    told = sealed("custody", "log", "--pin-stdin", **STDIN)["events"]
    private = [e[field] for e in told for field in ("location", "by", "note") if e[field]]
    assert (locked["valid"], locked["sealed_texts"]) == (True, len(private))
    assert {"at-a", "mathilde", "third shelf"} <= set(private)
    opened = sealed("custody", "verify", "--head", locked["head"], "--pin-stdin", **STDIN)
    assert opened == {"valid": True, "head": locked["head"], "broken_at": None}
    assert f"{len(private)} texts sealed" in program("custody", "verify").out


@pytest.mark.parametrize(("given", "opened"), [("", False), (GIVEN, True)])
def test_an_exported_book_is_checked_without_this_program(
    sealed: Asked, tmp_path: Path, given: str, *, opened: bool
) -> None:
    file = tmp_path / "book.jsonl"
    book = sealed("custody", "log", "--export", str(file), "--pin-stdin", stdin=given)
    assert ("third shelf" in file.read_text()) is opened
    assert ("third shelf" in json.dumps(book)) is opened
    script = str(ROOT / "examples" / "check_book.py")
    ran = [sys.executable, script, str(file), book["head"]]
    checked = subprocess.run(ran, capture_output=True, text=True, check=True)
    assert book["head"] in checked.stdout


@pytest.mark.parametrize(
    ("words", "stdin", "status", "code"),
    [
        ("location list --pin-stdin", "home.passphrase=wrong one", 4, "passphrase_incorrect"),
        ("location add cave", "", 4, "seal_locked"),
        ("holder add uncle", "", 4, "seal_locked"),
        ("custody record card:a moved --at at-a", "", 4, "seal_locked"),
        ("location show nowhere --pin-stdin", GIVEN, 2, "not_found"),
        ("location add at-a --pin-stdin", GIVEN, 2, "already_exists"),
        ("location add location.9 --pin-stdin", GIVEN, 2, "usage_error"),
        ("custody seal --pin-stdin", GIVEN, 2, "usage_error"),
        ("custody unseal", "", 4, "seal_locked"),
        ("custody passphrase --pin-stdin", "home.new-passphrase=long enough", 4, "seal_locked"),
        ("custody passphrase --pin-stdin", GIVEN, 4, "passphrase_missing"),
        ("custody passphrase --pin-stdin", f"{GIVEN}\nhome.new-passphrase=short", 2, "usage_error"),
        ("location list --pin-stdin", f"{GIVEN}\n{GIVEN}", 2, "usage_error"),
        ("location list --pin-stdin", f"{GIVEN}\na=123456", 2, "usage_error"),
        ("location list --pin-stdin", "some text", 2, "usage_error"),
    ],
)
def test_a_wrong_or_missing_passphrase_is_refused_and_never_printed(
    sealed: Asked, words: str, stdin: str, status: int, code: str
) -> None:
    refused = sealed(*words.split(), stdin=stdin, check=status)["error"]
    assert refused["code"] == code
    assert PASSPHRASE not in json.dumps(refused)


def test_sealing_without_a_good_passphrase_does_nothing(home: Asked) -> None:
    for stdin, status in (("", 4), ("home.passphrase=seven77", 2)):
        home("custody", "seal", "--pin-stdin", stdin=stdin, check=status)
    assert home("holder", "list")["holders"][0]["name"] == "mathilde"
    for verb in ("unseal", "passphrase"):
        assert home("custody", verb, check=2)["error"]["code"] == "usage_error"
    home("custody", "seal", check=4)


def test_what_is_recorded_while_locked_is_sealed(sealed: Asked, tmp_path: Path) -> None:
    words = ("card:a", "moved", "--at", "location.2", "--note", "third shelf")
    event = sealed("custody", "record", *words)["event"]
    assert (event["location"], event["note"]) == ("location.2", None)
    assert names_in(tmp_path / "home") == []
    last = sealed("custody", "log", "--pin-stdin", **STDIN)["events"][-1]
    assert (last["location"], last["note"]) == ("at-b", "third shelf")
    assert sealed("custody", "verify", "--pin-stdin", **STDIN)["valid"]


def test_a_card_is_looked_after_while_locked(sealed: Asked) -> None:
    sealed("card", "check", "a", "--emulated", "a", "--pin-stdin", stdin=PIN)
    both = f"{PIN}\n{GIVEN}"
    sealed("card", "check", "a", "--emulated", "a", "--pin-stdin", stdin=both)
    assert sealed("custody", "verify", "--pin-stdin", **STDIN)["valid"]


def test_a_new_passphrase_replaces_the_old(sealed: Asked) -> None:
    new = "home.new-passphrase=quite another one"
    sealed("custody", "passphrase", "--pin-stdin", stdin=f"{GIVEN}\n{new}")
    sealed("holder", "list", "--pin-stdin", check=4, **STDIN)
    other = new.replace("new-", "")
    assert sealed("holder", "list", "--pin-stdin", stdin=other)["holders"][0]["name"] == "mathilde"


def test_unsealing_brings_every_name_back(sealed: Asked, tmp_path: Path) -> None:
    assert sealed("custody", "unseal", "--pin-stdin", **STDIN) == {"sealed": False}
    assert names_in(tmp_path / "home") == list(NAMES)
    assert sealed("location", "show", "attic-of-mathilde")["region"] == "rhone"
    assert sealed("custody", "verify")["valid"]
    sealed("location", "list", "--pin-stdin", **STDIN)


def test_at_a_terminal_the_passphrase_is_asked_for(home: Asked, tmp_path: Path) -> None:
    there = tmp_path / "home"
    assert "passphrase" not in at_terminal(there, ["location", "list"], []).screen
    new = [("new passphrase", PASSPHRASE), ("once more", PASSPHRASE)]
    done = at_terminal(there, ["custody", "seal"], new)
    assert (done.status, PASSPHRASE in done.screen) == (0, False)
    seen = at_terminal(there, ["location", "list"], [("passphrase of", PASSPHRASE)])
    assert (seen.status, "attic-of-mathilde" in seen.screen) == (0, True)
    seen = at_terminal(there, ["location", "list"], [("passphrase of", "")])
    assert (seen.status, "location.4" in seen.screen) == (0, True)
    typed = [("passphrase of", PASSPHRASE), ("new passphrase", "one thing"), ("once", "another")]
    assert at_terminal(there, ["custody", "passphrase"], typed).status == 2
    assert home("holder", "list", "--pin-stdin", **STDIN)["holders"][0]["name"] == "mathilde"


@pytest.mark.usefixtures("sealed")
def test_only_commands_about_places_ask(tmp_path: Path) -> None:
    there, given = tmp_path / "home", [("passphrase of", PASSPHRASE)]
    for words in ("audit v --fail-on none", "secret list", "custody log", "drill plan v"):
        seen = at_terminal(there, words.split(), given)
        assert (seen.status, "mathilde" in seen.screen) == (0, True), words
    for words in ("balance v", "status", "card list"):
        assert "passphrase" not in at_terminal(there, words.split(), []).screen


def test_nobody_is_asked_where_standard_input_answers(home: Asked, tmp_path: Path) -> None:
    refused = in_a_shell(tmp_path / "home", "cardquorum custody seal --pin-stdin </dev/null", [])
    assert (refused.status, "new passphrase" in refused.screen) == (4, False)
    home("custody", "seal", "--pin-stdin", **STDIN)
    seen = in_a_shell(tmp_path / "home", "cardquorum location list --pin-stdin </dev/null", [])
    assert (seen.status, "passphrase" in seen.screen, "location.4" in seen.screen) == (
        0,
        False,
        True,
    )


CUT_OFF = """
import os, signal
from storage import sealing
sealing.scrub = lambda _: os.kill(os.getpid(), signal.SIGKILL)
from coordinator.cli import main
main()
"""


def cut_off(home: Path, program: list[str]) -> int:
    words = ["custody", "seal", "--pin-stdin"]
    environment = {**os.environ, "CARDQUORUM_HOME": str(home)}
    return subprocess.run(
        [sys.executable, *program, *words], input=GIVEN, text=True, env=environment, check=False
    ).returncode


def test_a_kill_between_sealing_and_scrubbing(home: Asked, tmp_path: Path) -> None:
    assert cut_off(tmp_path / "home", ["-c", CUT_OFF]) == -signal.SIGKILL
    assert names_in(tmp_path / "home") != [], "the log still holds what was there"
    assert home("holder", "list")["holders"][0]["name"] == "holder.1"
    assert "custody seal" in home("status")["due"][0]
    home("backup", "--out", str(tmp_path / "copy"))
    home("restore", str(tmp_path / "copy"), "--home", str(tmp_path / "restored"))
    assert names_in(tmp_path / "restored") == [], "a backup holds no freed page"
    assert "cut off" in run_program(tmp_path / "home", "custody", "seal").out
    assert names_in(tmp_path / "home") == []
    home("custody", "seal", check=2)
    assert home("status")["due"] == []
    assert home("holder", "list", "--pin-stdin", **STDIN)["holders"][0]["name"] == "mathilde"


def test_a_kill_at_every_commit_leaves_all_or_nothing(home: Asked, tmp_path: Path) -> None:
    killed = str(ROOT / "tests" / "coordinator" / "payment" / "killed.py")
    for nth in range(1, 20):
        ended = cut_off(tmp_path / "home", [killed, str(nth), "before"])
        if ended == 0:
            break
        assert ended == -signal.SIGKILL
        names = home("holder", "list")["holders"][0]["name"]
        assert names in {"mathilde", "holder.1"}
        assert home("custody", "verify")["valid"]
        if names == "holder.1":
            home("custody", "seal", "--pin-stdin", **STDIN)
            break
    assert nth > 2
    assert names_in(tmp_path / "home") == []
    assert home("holder", "list", "--pin-stdin", **STDIN)["holders"][0]["name"] == "mathilde"


def test_a_kit_names_places_or_is_not_printed(sealed: Asked, tmp_path: Path) -> None:
    for number, words in enumerate((("--location", "location.1"), ("--with-places",))):
        out = tmp_path / f"{number}"
        assert sealed("kit", "v", "--out", str(out), *words, check=4)["error"]["code"] == (
            "seal_locked"
        )
        assert not out.exists()
        given = ("--pin-stdin", *words) if number else ("--pin-stdin", "--location", "at-a")
        assert sealed("kit", "v", "--out", str(out), *given, **STDIN)["files"]
    assert sealed("kit", "v", "--out", str(tmp_path / "plain"))["files"]
