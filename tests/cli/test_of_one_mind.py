"""Status, the guide's first step, the audit's verdict, its exit status and the page agree."""

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the page's extra is not installed")

from coordinator.guide import status as standing
from coordinator.web.pages.today import verdict
from coordinator.workspace.opened_home import OpenedHome
from psbt.policy import format_descriptor
from tests.cli.test_branches import ONE, TWO_OF_THREE, create, fund, made_branches
from tests.program import PIN, Asked, asking, made_vault, prove_keys, run_program
from tests.psbt.soft_vault import soft_vault

Act = Callable[[Asked], object]


def record(*words: str) -> Act:
    return lambda asked: asked("custody", "record", *words)


def gone(event: str, *labels: str) -> Act:
    return lambda asked: [asked("card", event, label) for label in labels]


def noted(label: str, *places: str) -> Act:
    written = [word for place in places for word in ("--written-at", place)]
    name = f"{label}-pin"
    return lambda asked: asked("secret", "add", name, "--of", label, "--kind", "pin", *written)


def sealed(*labels: str) -> Act:
    return lambda asked: [
        asked("custody", "record", f"card:{label}", "sealed", "--seal", f"B{label}")
        for label in labels
    ]


def replaced(asked: Asked) -> None:
    asked("emulate", "new", "satochip", "d")
    asked("card", "enrol", "d", "--emulated", "d", "--pin-stdin", stdin=PIN)
    asked("replace", "start", "v", "--card", "a", "--with", "d", "--feerate", "2")


def papers_gone(asked: Asked) -> None:
    for label in "abc":
        asked("custody", "record", f"copy:paper-{label}", "destroyed")


WORDS = ("carrier", "add", "b", "words", "b-words")
STATES: dict[str, tuple[Act, ...]] = {
    "unproved": (),
    "proved": (prove_keys,),
    "one lost": (prove_keys, gone("lost", "a")),
    "one stolen": (prove_keys, gone("stolen", "a")),
    "one destroyed": (prove_keys, gone("destroyed", "a")),
    "two lost": (prove_keys, gone("lost", "a", "b")),
    "two stolen": (prove_keys, gone("stolen", "a", "b")),
    "two destroyed": (prove_keys, gone("destroyed", "a", "b")),
    "a paper stolen": (prove_keys, record("copy:paper-a", "stolen")),
    "two at one place": (prove_keys, record("card:a", "moved", "--at", "at-b")),
    "no papers": (prove_keys, papers_gone),
    "papers nowhere": (prove_keys, papers_gone, lambda a: a("copy", "add", "v", "here")),
    "words beside a card": (
        prove_keys,
        lambda asked: asked(*WORDS),
        record("words:b-words", "placed", "--at", "at-a"),
    ),
    "a PIN beside its card": (prove_keys, noted("a", "at-a")),
    "all PINs at one place": (prove_keys, *(noted(each, "at-c") for each in "abc")),
    "PINs in a ring": (prove_keys, noted("a", "at-b"), noted("b", "at-c"), noted("c", "at-a")),
    "a bag opened": (prove_keys, sealed("a"), record("card:a", "opened")),
    "two bags opened": (
        prove_keys,
        sealed("a", "b"),
        record("card:a", "opened"),
        record("card:b", "opened"),
    ),
    "another bag": (prove_keys, sealed("a"), record("card:a", "seen", "--seal", "B9")),
    "lost, and a bag opened": (
        prove_keys,
        sealed("b"),
        gone("lost", "a"),
        record("card:b", "opened"),
    ),
    "replaced": (prove_keys, gone("lost", "a"), replaced),
    "replaced, then stolen": (prove_keys, gone("stolen", "a"), replaced, gone("stolen", "b")),
}
SHORT = {"unproved", "one stolen", "PINs in a ring", "two bags opened", "replaced"}


def seen_by_page(home: Path) -> standing.Status:
    opened = OpenedHome(home)
    try:
        opened.freshen()
        return standing.status(opened.home, opened.database, lambda: opened.chain)
    finally:
        opened.close()


def check_all_agree(home: Path, name: str) -> set[str]:
    """Compare what is told in each place; return the dangers, by their codes."""
    asked, seen = asking(home), seen_by_page(home)
    told = [each for each in asked("status")["dangers"] if each["vault"] == name]
    dangers = {each["code"] for each in told}
    audit = run_program(home, "--json", "audit", name, check=5 if dangers else 0).document
    grave = {each["code"] for each in audit["findings"] if each["severity"] == "danger"}
    assert grave == dangers
    assert {each["code"] for each in audit["dangers"]} <= dangers
    shown = run_program(home, "audit", name, check=None).out
    assert shown.startswith("DANGER: ") is bool(dangers), shown
    assert ("no danger" in shown or "nothing found" in shown) is not bool(dangers), shown
    everywhere = bool(seen.dangers)
    steps = asked("status")["next"]
    assert (bool(steps) and steps[0]["severity"] == "danger") is everywhere, steps
    assert (verdict(seen).severity == "danger") is everywhere
    assert not (seen.safe and everywhere)
    return dangers


@pytest.mark.parametrize(
    "state",
    [pytest.param(s, marks=() if s in SHORT else pytest.mark.matrix) for s in STATES],
)
def test_whatever_happened_nothing_contradicts_anything(tmp_path: Path, state: str) -> None:
    asked = asking(tmp_path / "home")
    made_vault(asked)
    for act in STATES[state]:
        act(asked)
    check_all_agree(asked.home, "v")


WAITING = {"just paid": 0, "due": 5, "late": 8, "an alarm": 9, "open": 10}


@pytest.mark.parametrize(
    ("passed", "later"),
    [
        pytest.param(passed, later, marks=pytest.mark.matrix if passed != "an alarm" else ())
        for passed in WAITING
        for later in (TWO_OF_THREE, ONE)
    ],
)
def test_nor_does_a_branch_that_opens(tmp_path: Path, passed: str, later: tuple[str, ...]) -> None:
    asked = asking(tmp_path / "home")
    made_branches(asked)
    create(asked, *later)
    fund(asked)
    for _ in range(WAITING[passed]):
        asked("regtest", "mine", "1")
    check_all_agree(asked.home, "w")


def test_two_of_two_is_as_dangerous_everywhere(tmp_path: Path) -> None:
    """Whatever burns, the money is gone: no command mends that, and each place says so."""
    asked = asking(tmp_path / "home")
    made_vault(asked)
    asked("vault", "create", "w", "--threshold", "2", "--card", "a", "--card", "b")
    assert "location_loss_fatal" in check_all_agree(asked.home, "w")


def test_a_vault_that_is_only_looked_at(tmp_path: Path) -> None:
    asked = asking(tmp_path / "home")
    asked("init", "--network", "regtest")
    words = ("vault", "import", "-", "--name", "v")
    asked(*words, stdin=format_descriptor(soft_vault(2, 3).policy))
    assert "policy_not_approved" in check_all_agree(asked.home, "v")
