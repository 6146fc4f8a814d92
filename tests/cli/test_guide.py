"""Led by the hand at a terminal: from nothing to a drilled vault, with wrong answers and stops."""

import json
import re
import shutil
from pathlib import Path

import pytest

from coordinator.cli.guide import STAGES
from coordinator.guide.facts import gather
from coordinator.guide.steps import is_safe
from coordinator.home.settings import open_home
from storage.database import open_database
from tests.cli.five_tasks import said
from tests.cli.guide_player import CLOSED, CTRL_C, ELSEWHERE, EOF, KILLED, Player
from tests.cli.recorded_guide import COLUMNS, recorded, transcript
from tests.cli.screen import ERASED
from tests.program import run_program

ENTER = "\r"
DOWN = "\x1b[B"
STOP = "\x03"
DECISIONS_MAX = 5
ENDINGS = {CTRL_C: (130,), EOF: (0, 130), CLOSED: (130, -1), KILLED: (-9,)}
"""How the guide may be ended, and with which statuses it ends then."""
MOMENTS_MIN = 30
"""So many different questions the practice has at least; some are asked of each card alike."""
LATER_LETTERS = 1
"""Room for the question who shall be able to, after how long of silence."""
WHOM_TO_ASK = ("? Whom to ask: (Use arrow keys)",)
"""Decided where the home is made: asked on no regtest, see below."""
PRINTED = ("wrote ", "copy:", "transaction ", "paid ", "  payment ", "sent ")
"""Lines of commands whose length is that of a path, an address or a txid."""
WRONG = {
    r"once more: $": ["654321\n"],  # then the PIN is asked for again, from the beginning
    r"Type it back from the paper: $": ["12345678\n"],
    r"Words 5 to 8: $": ["zoo zoo zoo zoo\n", "zoo\n"],
    r"Words 9 to 12: $": ["\n"],
    r"Where will the three cards lie": [DOWN + ENTER],  # at others, which are named
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


@pytest.fixture(scope="module")
def practised(tmp_path_factory: pytest.TempPathFactory) -> Player:
    """Somebody who has practised, at a terminal of 80 columns."""
    player = Player(tmp_path_factory.mktemp("practised") / "home", "--practice")
    assert player.play() == 0, player.screen
    return player


def check_practice(player: Player) -> None:
    assert not player.home.exists(), "practice has a home of its own"
    assert safe(practice_home(player))
    shown = recorded(player.columns).read_text(encoding="utf-8")
    assert transcript(player) == shown, "python -m tests.cli.recorded_guide records it anew"


def practice_home(player: Player) -> Path:
    return player.home.with_name("home-practice")


def test_practice_is_as_it_was_recorded_and_ends_with_a_drilled_vault(practised: Player) -> None:
    check_practice(practised)


@pytest.mark.matrix
def test_practice_at_a_narrow_terminal_is_as_it_was_recorded(tmp_path: Path) -> None:
    player = Player(tmp_path / "home", "--practice", columns=60)
    assert player.play() == 0, player.screen
    check_practice(player)


TASKS = {
    "a payment to somebody": {r"What is it about\?": [DOWN * 2 + ENTER]},
    "the yearly check": {r"What is it about\?": [DOWN * 3 + ENTER]},
    "a lost card": {
        r"What is it about\?": [DOWN * 4 + ENTER],
        r"An address of your own": [f"{ELSEWHERE}{ENTER}"],
    },
}


def test_each_task_takes_as_many_questions_as_the_document_says(
    practised: Player, tmp_path: Path
) -> None:
    """A vault with money: somebody is paid, a card is lost, the yearly check; one command each."""
    taken = {"a new vault": len(practised.asked)}
    for task, answers in TASKS.items():
        home = tmp_path / task.replace(" ", "-")
        shutil.copytree(practice_home(practised), home)
        given = json.loads(run_program(home, "address", "new", "savings", "--json").out)["address"]
        run_program(home, "regtest", "fund", given, "0.01btc")
        run_program(home, "regtest", "mine")
        player = Player(home)
        assert player.play(instead=answers) == 0, player.screen
        taken[task] = len(player.asked)
    assert {task: count for task, count in said().items() if task in taken} == taken


@pytest.mark.parametrize("columns", COLUMNS)
def test_the_recorded_practice_fits_its_width_and_keeps_no_secret(columns: int) -> None:
    shown = recorded(columns).read_text(encoding="utf-8")
    parts = [f"Part {n} of {len(STAGES)}: {name}" for n, (name, _) in enumerate(STAGES, 1)]
    assert all(part in shown for part in parts)
    order = [shown.index(part) for part in parts]
    assert order == sorted(order)
    assert re.sub(r"\s", " ", shown).count("PRACTICE: play money") >= shown.count("Part ")
    assert "It is the same vault, with the same first addresses" in shown.replace("\n", " ")
    told = [line for line in shown.splitlines()[2:] if "HASH" not in line]
    own = [line for line in told if not line.startswith(PRINTED)]
    assert [line for line in own if len(line) >= columns] == []
    for page in shown.split(ERASED)[:-1]:  # what was on a screen that is not left
        assert "PUK" not in page or "event" not in page
    assert not re.search(r"PUK$|WORD", shown.split(ERASED)[-1], re.MULTILINE)


def test_a_person_decides_five_things_at_most_and_enter_takes_each_default(tmp_path: Path) -> None:
    """Somebody presses Enter alone wherever something is suggested, up to the way to real money."""
    home = tmp_path / "home"
    run_program(home, "init", "--network", "regtest")  # else cards on a reader would be wanted
    player = Player(home)
    answers = {r"An address of your own": [f"{ELSEWHERE}{ENTER}"]}
    assert player.play(instead=answers) == 0, player.screen
    assert safe(home)
    decided = [*WHOM_TO_ASK, *(each for each in player.asked if each.startswith("?"))]
    assert len(decided) <= DECISIONS_MAX - LATER_LETTERS, decided
    assert [each for each in decided if "keeps it" in each or "called" in each] == decided[2:]
    with_enter_alone = ("?", ">", "Written down?")
    typed = [each for each in player.asked if not each.startswith(with_enter_alone)]
    typed = [each for each in typed if not re.search("PIN of card|once more|Words|Type it", each)]
    assert typed == ["Sign this transaction? [y/N]"], "what has no default is typed from paper"


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
    for times, question in enumerate((0, 2, 3, 8), 1):
        assert player.play(stop_at=question) == 130, player.screen[-2000:]
        assert player.screen.count("error: interrupted") == times, player.screen[-2000:]
    assert player.play(stop_at=12) == 130
    assert player.play(stop_at=0) == 130
    assert "new PIN" not in player.asked[0], "what was done is not asked for again"


def resumed(player: Player, ending: str) -> set[str]:
    """End each question at once and answer it in the next run; return the questions."""
    stopped_at = set[str]()
    for _ in range(100):
        status = player.play(stopped_at=stopped_at, ending=ending)
        if status == 0:
            break
        assert status in ENDINGS[ending], player.screen[-3000:]
    return stopped_at


@pytest.mark.matrix
@pytest.mark.parametrize("columns", [60, 80])
@pytest.mark.parametrize("ending", ENDINGS)
def test_it_goes_on_from_each_question_however_it_was_ended(
    tmp_path: Path, columns: int, ending: str
) -> None:
    player = Player(tmp_path / "home", "--practice", columns=columns)
    stopped_at = resumed(player, ending)
    assert len(stopped_at) > MOMENTS_MIN, stopped_at
    assert safe(tmp_path / "home-practice")


def test_it_goes_on_after_each_way_of_ending_it(tmp_path: Path) -> None:
    """Three moments: before anything, a PUK on the screen, and the words."""
    player = Player(tmp_path / "home", "--practice")
    for ending, question in ((EOF, 0), (CLOSED, 3), (KILLED, 2)):
        assert player.play(stop_at=question, ending=ending) in ENDINGS[ending], player.screen
    assert player.play(stop_at=0) == 130, player.screen


def test_a_real_home_asks_whom_to_ask_and_names_no_emulated_card(tmp_path: Path) -> None:
    player = Player(tmp_path / "home")
    answers = {
        r"Whom to ask": [DOWN + DOWN + ENTER],
        r"Lay the card on the reader": [ENTER, STOP],
    }
    assert player.play(instead=answers) == 130, player.screen
    assert "Why are you here?" in player.screen
    decided = [question for question in player.asked if question.startswith("?")]
    assert decided == [*WHOM_TO_ASK]
    home = open_home(tmp_path / "home")
    assert (home.network, home.chain) == ("mainnet", "none:")
    assert "it learns your addresses" in player.screen.replace("\n", " ")
    assert "PRACTICE" not in player.screen
    assert not (tmp_path / "home" / "emulated").exists()
