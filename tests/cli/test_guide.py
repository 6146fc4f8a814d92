"""Led by the hand at a terminal: from nothing to a drilled vault, with wrong answers and stops."""

from pathlib import Path

import pytest

from coordinator.cli.guide import STAGES
from coordinator.guide.facts import gather
from coordinator.guide.steps import is_safe
from coordinator.home.settings import open_home
from storage.database import open_database
from tests.cli.guide_player import Player
from tests.program import run_program

ENTER = "\r"
DOWN = "\x1b[B"
WRONG = {
    r"once more: $": ["654321\n"],  # then the PIN is asked for again, from the beginning
    r"Type it back from the paper: $": ["12345678\n"],
    r"Words 5 to 8: $": ["zoo zoo zoo zoo\n", "zoo\n"],
    r"Words 9 to 12: $": ["\n"],
    r"Place 2, where a card will lie:": ["\x15bank" + ENTER],
    r"What kind of place": [ENTER],
    r"Say where card:card-2 lies": [DOWN + DOWN + ENTER],  # beside no other: the third place
    r"Say where card:card-3 lies": [DOWN + DOWN + ENTER],  # beside card-2
    r"Sign this transaction": ["n\n"],
}


def safe(home: Path) -> bool:
    database = open_database(open_home(home).database_url, existing=True)
    try:
        with database.begin() as db:
            return is_safe(gather(open_home(home), db, writable=True))
    finally:
        database.kw["bind"].dispose()


def test_without_a_terminal_it_names_what_programs_use(tmp_path: Path) -> None:
    refused = run_program(tmp_path / "home", "guide", check=2)
    assert "cardquorum status --json" in refused.err
    assert run_program(tmp_path / "home", "--json", "guide", check=2).document["error"]["code"]
    assert not (tmp_path / "home").exists()


def test_practice_leads_to_a_drilled_vault(tmp_path: Path) -> None:
    player = Player(tmp_path / "home", "--practice", columns=80)
    assert player.play() == 0, player.screen
    assert not (tmp_path / "home").exists(), "practice has a home of its own"
    assert safe(tmp_path / "home-practice")
    parts = [f"Part {n} of {len(STAGES)}: {name}" for n, (name, _) in enumerate(STAGES, 1)]
    assert all(part in player.screen for part in parts)
    screens = player.screen.count("PRACTICE: play money")
    assert screens >= player.screen.count("Part ")
    assert "It is the same vault, with the same first addresses" in player.screen
    assert max(len(line) for line in player.screen.splitlines() if line.startswith("Why:")) <= 80


def test_wrong_answers_are_named_and_cost_nothing(tmp_path: Path) -> None:
    player = Player(tmp_path / "home", "--practice", columns=60)
    assert player.play(instead=WRONG) == 0, player.screen
    for told in (
        "the two PINs typed differ; nothing was changed",
        "That is not it.",
        "Word 5 is not right.",
        "Word 9 is not right.",
        "No money has moved",
        "that name is taken",
        "letters, digits, _ or -",
        "A fire or a thief there takes both",
    ):
        assert told in player.screen.replace("\n", " ") or told in player.screen, told
    assert safe(tmp_path / "home-practice")
    told = [line for line in player.screen.splitlines() if line.startswith(("Why:", "You need"))]
    assert max(map(len, told)) <= 60


def test_it_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    player = Player(tmp_path / "home", "--practice")
    for question in (0, 2, 3, 8):
        assert player.play(stop_at=question) == 130, player.screen[-2000:]
    assert player.play(stop_at=12) == 130
    assert player.play(stop_at=0) == 130
    assert "new PIN" not in player.asked[0], "what was done is not asked for again"


@pytest.mark.matrix
@pytest.mark.parametrize("columns", [60, 80])
def test_it_goes_on_from_each_question(tmp_path: Path, columns: int) -> None:
    """Each question is stopped at once, and answered in the next run."""
    player, stopped_at = Player(tmp_path / "home", "--practice", columns=columns), set[str]()
    for _ in range(100):
        status = player.play(stopped_at=stopped_at)
        if status == 0:
            break
        assert status == 130, player.screen[-3000:]
    assert len(stopped_at) > 20
    assert safe(tmp_path / "home-practice")


def test_a_real_home_asks_whom_to_ask_and_names_no_emulated_card(tmp_path: Path) -> None:
    player = Player(tmp_path / "home")
    stopped = {r"Whom to ask": [DOWN + DOWN + ENTER], r"What now\?": [DOWN + DOWN + ENTER]}
    assert player.play(instead=stopped) == 130, player.screen
    home = open_home(tmp_path / "home")
    assert (home.network, home.chain) == ("mainnet", "none:")
    assert "it learns your addresses" in player.screen.replace("\n", " ")
    assert "PRACTICE" not in player.screen
    assert not (tmp_path / "home" / "emulated").exists()
