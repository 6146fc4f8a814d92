"""The printed steps, taken as they are printed, lead from an empty folder to a safe vault."""

import contextlib
import io
import os
import shlex
import shutil
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from sqlalchemy import text

from coordinator import cli
from coordinator.cli import attendant
from coordinator.guide.facts import gather
from coordinator.guide.steps import is_safe
from coordinator.home.settings import open_home
from storage.database import open_database
from tests.cli.terminal import at_terminal
from tests.cli.test_money import STRANGER
from tests.once import computing_once
from tests.program import PIN, asking, made_vault, run_program

STEPS_MAX = 60
PLACES = (("bank", "bank-vault"), ("aunt", "friend"), ("desk", "home"))
LATER = (("attic", "other"), ("shed", "other"))


LYING = {"a": "bank", "b": "aunt", "c": "desk"}
AWAY = {"a": "desk", "b": "bank", "c": "aunt"}


class Newcomer:
    """Somebody who types what is printed, and knows only what steps need from a person."""

    def __init__(self, home: Path) -> None:
        self.home, self.taken, self.named = home, list[str](), "named"
        self.asked = asking(home)
        self.cards, self.folders = iter("abcdef"), iter(range(99))
        self.places = iter(PLACES)
        self.kinds: dict[str, str] = {}

    def value(self, step: Mapping[str, Any], need: str) -> str:
        if need == "LOCATION":
            return self.location(step)
        known = {
            "NETWORK": lambda: "regtest",
            "LABEL": lambda: f"card-{next(self.cards)}",
            "NAME": lambda: f"{self.named}-{len(self.taken)}",
            "KIND": lambda: self.kinds["now"],
            "DIR": lambda: str(self.home.parent / f"kit-{next(self.folders)}"),
            "ADDRESS": lambda: STRANGER,
            "SERIAL": lambda: "B123",
        }
        return known[need]()

    def location(self, step: Mapping[str, Any]) -> str:
        if step["command"].startswith("cardquorum location add"):
            name, self.kinds["now"] = next(self.places)
            return name
        if " moved " in step["command"]:
            out_of_use = self.keys(retired=True) - self.keys(retired=False)
            cards = self.asked("card", "list")["cards"]
            return self.first_but(
                {
                    card["location"]
                    for card in cards
                    if not {key["fingerprint"] for key in card["keys"]} & out_of_use
                }
            )
        lying = step["command"].split("card-")[-1][0]
        written = step["command"].startswith("cardquorum secret")
        if step["code"] == "pin_noted_once" or (written and lying not in AWAY):
            return self.elsewhere(f"card-{lying}")
        if written:
            return AWAY[lying]
        return LYING.get(lying) or self.place_of(f"card-{lying}") or "bank"

    def keys(self, *, retired: bool) -> set[str]:
        """Return the fingerprints of the keys of the vaults that are retired, or are not."""
        vaults = self.asked("vault", "list")["vaults"]
        named = [each["name"] for each in vaults if (each["retired_at"] is not None) is retired]
        shown = (self.asked("vault", "show", name, check=None) for name in named)
        return {key["fingerprint"] for each in shown for key in each["cosigners"]}

    def place_of(self, card: str) -> str | None:
        """Return where a card lies: what is made of it is put there, too."""
        known = {each["label"]: each["location"] for each in self.asked("card", "list")["cards"]}
        place: str | None = known.get(card)
        return place

    def elsewhere(self, card: str) -> str:
        """Return a place where neither the card lies nor its PIN is written down."""
        taken = {self.place_of(card)}
        for each in self.asked("secret", "list")["secrets"]:
            if (each["card"], each["kind"]) == (card, "pin"):
                taken |= {*each["written_at"]}
        return self.first_but(taken)

    def first_but(self, taken: Collection[str | None]) -> str:
        """Return the first place that is none of these."""
        known = {each["name"] for each in self.asked("location", "list")["locations"]}
        return next(name for name, _ in (*PLACES, *LATER) if name in known - {*taken})

    def take(self, step: Mapping[str, Any]) -> None:
        """Run a step's command as printed, at a terminal where PINs are typed."""
        values = {need: self.value(step, need) for need in step["needs"]}
        words = [values.get(word, word) for word in shlex.split(step["command"])]
        self.taken.append(" ".join(words))
        out, err = io.StringIO(), io.StringIO()
        with (
            computing_once(),
            mock.patch.dict(os.environ, {"CARDQUORUM_HOME": str(self.home)}),
            mock.patch.object(attendant, "ask_hidden", return_value=PIN.encode()),
            mock.patch.object(attendant, "ask_line", return_value="y"),
            mock.patch.object(attendant, "tell_terminal", return_value=True),
            mock.patch.object(sys, "stdin", io.StringIO()),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            status = cli.run(words[1:])
        assert status == 0, (words, out.getvalue(), err.getvalue())

    def safe(self) -> bool:
        home = open_home(self.home)
        with computing_once():
            database = open_database(home.database_url, existing=True)
        try:
            with database.begin() as db:
                return is_safe(gather(home, db, writable=True))
        finally:
            database.kw["bind"].dispose()

    def walk(self) -> list[dict[str, Any]]:
        """Take the first step again and again; return what is left where only money may come."""
        for _ in range(STEPS_MAX):
            found = self.asked("status")["next"]
            if not found:
                pytest.fail("\n".join([*self.taken, str(self.asked("status"))]))
            if found[0]["code"] == "fund":
                return found
            self.take(found[0])
        pytest.fail("\n".join(self.taken))


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home that somebody made by taking every step, from an empty folder on."""
    person = Newcomer(tmp_path_factory.mktemp("settled") / "home")
    person.asked("init", "--network", "regtest")
    person.walk()
    assert person.safe()
    return person.home


def test_printed_steps_lead_from_an_empty_folder_to_a_safe_vault(settled: Path) -> None:
    found = asking(settled)("status")["next"]
    assert [step["code"] for step in found] == ["fund"]


STRUCK: dict[str, list[tuple[str, ...]]] = {
    "stolen": [("card", "stolen", "card-a")],
    "lost": [("card", "lost", "card-b")],
    "destroyed": [("card", "destroyed", "card-c")],
    "opened": [
        ("custody", "record", "card:card-b", "sealed", "--seal", "B100"),
        ("custody", "record", "card:card-b", "opened"),
    ],
    "two_lost": [("card", "lost", "card-a"), ("card", "lost", "card-b")],
    "two_stolen": [("card", "stolen", "card-b"), ("card", "stolen", "card-c")],
    "two_destroyed": [("card", "destroyed", "card-b"), ("card", "destroyed", "card-c")],
}
SLOW = pytest.mark.matrix


@pytest.mark.parametrize(
    "event", ["stolen", *(pytest.param(event, marks=SLOW) for event in STRUCK if event != "stolen")]
)
def test_printed_steps_lead_through_an_emergency(settled: Path, tmp_path: Path, event: str) -> None:
    person = Newcomer(tmp_path / "home")
    shutil.copytree(settled, person.home)
    person.cards, person.places, person.named = iter("defghi"), iter(LATER), "later"
    for words in STRUCK[event]:
        person.asked(*words)
    assert not person.safe()
    person.walk()
    assert person.safe()


def test_printed_steps_part_what_lies_together(settled: Path, tmp_path: Path) -> None:
    person = Newcomer(tmp_path / "home")
    shutil.copytree(settled, person.home)
    person.asked("custody", "record", "card:card-b", "moved", "--at", "bank")
    known = person.asked("secret", "list")["secrets"]
    (pin,) = [each["label"] for each in known if (each["card"], each["kind"]) == ("card-a", "pin")]
    pin_of_a = ("--of", "card-a", "--kind", "pin", "--written-at", "bank")
    person.asked("secret", "add", pin, *pin_of_a)
    found = person.asked("status")["next"]
    # The PIN of card-b lay at the bank before the card came: two keys and both PINs are there.
    assert [(each["code"], each["severity"]) for each in found] == [
        ("cards_together", "danger"),
        ("pin_with_card", "danger"),
        ("pin_with_card", "danger"),
    ]
    assert not person.safe()
    person.walk()
    assert person.safe()


def test_at_a_terminal_a_command_ends_with_the_next_step(tmp_path: Path) -> None:
    home = tmp_path / "home"
    begun = at_terminal(home, ["init", "--network", "regtest"], []).screen
    assert begun.rstrip().splitlines()[-1].startswith("next: cardquorum emulate new satochip NAME")
    shown = {
        words: at_terminal(home, words.split(), []).screen.count("next: cardquorum")
        for words in ("location list --quiet", "location list --json", "status", "location list")
    }
    assert list(shown.values()) == [0, 0, 1, 1]
    piped = run_program(home, "location", "list")
    assert "next: " not in piped.err + piped.out


def test_what_is_next_never_fails_a_command(tmp_path: Path) -> None:
    home = tmp_path / "home"
    made_vault(asking(home))
    database = open_database(open_home(home).database_url, existing=True)
    with database.begin() as db:
        for statement in (
            "UPDATE vault SET descriptor = 'wsh(nothing)'",
            "UPDATE \"key\" SET path = 'nowhere'",
        ):
            db.execute(text(statement))
    database.kw["bind"].dispose()
    assert at_terminal(home, ["location", "list"], []).status == 0
