"""README's lines for real cards, in their order, with cards of software in place of readers."""

import re
import shlex
from pathlib import Path

import pytest

from tests.program import PIN, Asked, asking
from tests.test_house import ROOT

OUTSIDE = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
FAMILIES = {"blue": "satochip", "green": "keycard", "red": "tapsigner"}
PUKS = {"blue": "12345678", "green": "1" * 12}
ANSWERED = re.compile(r"ADDRESS|\bID\b")


def commands() -> list[list[str]]:
    section = (ROOT / "README.md").read_text(encoding="utf-8").split("## With real cards")[1]
    block = section.split("```")[1]
    return [shlex.split(line, comments=True)[1:] for line in block.strip().splitlines()]


def emulated(words: list[str]) -> tuple[list[str], str]:
    """Return a command with cards of software in place of those on readers, and what is typed."""
    if words[0] == "init":
        return ["init", "--network", "regtest"], ""
    if words[:2] in (["card", "setup"], ["card", "enrol"]):
        label = words[2]
        kept = words[: words.index("--reader")] if "--reader" in words else words
        more = ["--words-out", f"{label}.words"] if label == "blue" else []
        typed = f"{label}={PIN}\n" + (f"{label}.puk={PUKS[label]}\n" if label in PUKS else "")
        return [*kept, *more, "--emulated", label, "--pin-stdin"], typed
    if words[:2] in (["vault", "verify"], ["spend", "sign"]):
        yes = ["--yes"] if words[0] == "spend" else []
        return [*words, "--pin-stdin", *yes], "".join(f"{label}={PIN}\n" for label in FAMILIES)
    return words, ""


def test_the_lines_for_real_cards_work_as_they_are_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked: Asked = asking(tmp_path / "home")
    known = {"ADDRESS": OUTSIDE, "ID": ""}
    typed = commands()
    assert [words[:2] for words in typed if words[0] == "spend"][-1] == ["spend", "broadcast"]
    for line in typed:
        if line[:2] == ["reader", "list"]:
            continue  # which there are is this computer's
        filled = [ANSWERED.sub(lambda found: known[found[0]], word) for word in line]
        words, stdin = emulated(filled)
        told = asked(*words, stdin=stdin)
        if line[0] == "init":
            for label, family in FAMILIES.items():
                setup = () if label == "red" else ("--no-setup",)
                asked("emulate", "new", family, label, *setup)
        if line[:2] == ["address", "new"]:
            asked("regtest", "fund", told["address"], "0.5btc")
            asked("regtest", "mine")
        known["ID"] = told.get("ceremony", known["ID"])
    assert told["txid"]
