"""The papers say what is true: their commands exist, their families are there."""

import re

import pytest

from cards.family import families
from coordinator.cli import build, command_tree
from coordinator.cli.failures import ADVICE
from tests.test_house import FILES, ROOT

PAPERS = (
    "README.md",
    "RECOVERY.md",
    "SECURITY.md",
    "CONTRIBUTING.md",
    "DECISIONS.md",
    "CHANGELOG.md",
    *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))),
)
COMMAND = re.compile(r"cardquorum (?:--\w+ )*([a-z]+)(?: ([a-z]+))?")


def commands() -> set[tuple[str, str]]:
    """Return every command as (noun, verb); those without a noun as (verb, "")."""
    app = build(command_tree.WHOLE)
    found = {(command.name or "", "") for command in app.registered_commands}
    for group in app.registered_groups:
        for command in group.typer_instance.registered_commands:  # type: ignore[union-attr]
            found.add((group.name or "", command.name or ""))
    return found


def mentioned(text: str) -> set[tuple[str, str]]:
    words = {(noun, verb or "") for noun, verb in COMMAND.findall(text) if verb != "v"}
    return {(noun, verb if noun in command_tree.GROUPS else "") for noun, verb in words}


@pytest.mark.parametrize("paper", PAPERS)
def test_every_command_a_paper_names_exists(paper: str) -> None:
    text = (ROOT / paper).read_text()
    code = "\n".join(re.findall(r"```.*?```|`[^`]+`", text, flags=re.DOTALL))
    named = {pair for pair in mentioned(code) if pair[1] or pair[0] not in command_tree.GROUPS}
    assert named - commands() == set()


def test_every_command_a_hint_names_exists() -> None:
    hints = "\n".join(hint for _, hint in ADVICE.values())
    assert mentioned(hints) - commands() == set()


def test_every_remedy_names_commands_that_exist() -> None:
    text = "\n".join(path.read_text() for path in FILES if path.parent.name == "coordinator")
    named = {pair for pair in mentioned(text) if pair[1]}
    assert named - commands() == set()


def test_recovery_speaks_of_every_family() -> None:
    text = (ROOT / "RECOVERY.md").read_text().lower()
    assert [family.name for family in families() if f"| {family.name} |" not in text] == []


def test_every_family_has_a_readme() -> None:
    missing = [f.name for f in families() if not (ROOT / "cards" / f.name / "README.md").exists()]
    assert missing == []


def test_the_contributing_guide_is_short() -> None:
    assert len((ROOT / "CONTRIBUTING.md").read_text().splitlines()) <= 100


def test_decisions_are_numbered_and_short() -> None:
    parts = re.split(r"^## ", (ROOT / "DECISIONS.md").read_text(), flags=re.MULTILINE)[1:]
    assert [part.split(" ")[0] for part in parts] == [str(n + 1) for n in range(len(parts))]
    assert [part.splitlines()[0] for part in parts if len(part.strip().splitlines()) > 11] == []


def test_the_links_between_the_papers_lead_somewhere() -> None:
    for paper in PAPERS:
        for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / paper).read_text()):
            assert ((ROOT / paper).parent / target).exists(), f"{paper} links to {target}"


def test_readme_is_read_in_a_minute() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150
