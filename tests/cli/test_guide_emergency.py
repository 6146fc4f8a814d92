"""The guide at a vault that something happened to."""

from pathlib import Path

from coordinator.cli import run
from coordinator.cli.guide import Guide
from coordinator.cli.guide_answers import helpers
from tests.cli.guide_player import Player
from tests.cli.scripted import led
from tests.program import Asked, asking, made_vault, prove_keys

ENTER, DOWN = "\r", "\x1b[B"


def test_what_happened_is_asked_first_and_its_road_begins(tmp_path: Path) -> None:
    home = tmp_path / "home"
    asked = asking(home)
    made_vault(asked)
    prove_keys(asked)
    player = Player(home, columns=60)
    answers = {
        r"What is it about\?": [DOWN * 4 + ENTER],  # something happened
        r"What happened\?": [DOWN + ENTER],  # a card was stolen
        r"Which one\?": [DOWN + ENTER],
    }
    assert player.play(stop_at=3, instead=answers) == 130, player.screen
    shown = player.screen.replace("\n", " ")
    assert "no money has moved, and one card alone cannot move it" in shown
    assert "card b: recorded as stolen" in shown
    assert asked("card", "show", "b")["history"][-1]["event"] == "stolen"
    assert asked("status")["next"][0]["code"] == "card_stolen"


def test_enter_alone_records_nothing_that_may_not_be_so(vault: Asked) -> None:
    """Somebody in fear presses Enter at each question: no card becomes stolen by it."""
    forced = [
        ("What is it about", "Something happened"),
        ("What happened", "Somebody forces us"),
        *[("press Enter", "")] * 4,
    ]
    left = led(vault.home, [*forced, *[("Is it so", "")] * 3])
    assert "Lives come before money" in left.shown
    assert not any(stolen(vault, label) for label in "abc")
    led(vault.home, [*forced, ("Is it so", ""), ("Is it so", "Yes"), ("Is it so", "No")])
    assert [stolen(vault, label) for label in "abc"] == [False, True, False]


def test_a_keeper_is_named_on_a_kit_with_how_they_are_reached(vault: Asked) -> None:
    prove_keys(vault)
    vault("holder", "add", "marie", "--contact", "0123 456")
    vault("holder", "add", "tom", "--contact", "x" * 90)
    for place, who in (("at-a", "marie"), ("at-b", "tom")):
        vault("location", "edit", place, "--holder", who)
    facts = Guide(vault.home, run, practice=False).next()[0]
    assert helpers(vault.home, facts) == ["marie, 0123 456", "tom"]


def stolen(asked: Asked, label: str) -> bool:
    return any(each["event"] == "stolen" for each in asked("card", "show", label)["history"])


def test_a_step_can_be_left_for_later(tmp_path: Path) -> None:
    home = tmp_path / "home"
    made_vault(asking(home))
    player = Player(home)
    answers = {r"Do it\?": [DOWN + ENTER] * 2}
    player.play(stop_at=3, instead=answers)
    assert "Have each card of vault v prove its key" in player.screen
    assert "Say that the words of card a are written down" in player.screen


def test_an_heir_is_led_to_a_small_sum_and_no_further_before_it_is_signed(tmp_path: Path) -> None:
    home = tmp_path / "home"
    asked = asking(home)
    made_vault(asked)
    prove_keys(asked)
    player = Player(home, columns=60)
    answers = {
        r"What is it about\?": [DOWN * 4 + ENTER],  # something happened
        r"What happened\?": [DOWN * 6 + ENTER],  # the owner has died
    }
    player.play(stop_at=15, instead=answers)
    shown = " ".join(player.screen.split())
    assert "The owner has died" in shown
    assert "Do nothing with the money today" in shown
    assert "Sign payment" in shown
    assert "send the rest" not in shown
    assert [each["state"] for each in asked("spend", "list")["ceremonies"]] == ["collecting"]
