"""Led by the guide with cards on readers: wrong PINs, a wrong card, a card that is taken away."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cards.emulation import create_card, open_card
from cards.family import family_named
from tests.cli.guide_player import Player
from tests.cli.test_guide import ENDINGS, resumed, safe
from tests.program import PIN, Asked, run_program
from tests.readers.conftest import PINS, Put, reader

ENTER, DOWN = "\r", "\x1b[B"
FAMILIES = {"card-1": "satochip", "card-2": "tapsigner", "card-3": "keycard"}
WRONG = "000000"
PROVE = r"Do it\?"
LAY = "Lay the card on the reader"
TAKEN_AT = ("new PIN of card", "once more", "Written down", "Type it back", "Words 1 to 4",
            "Words 21 to 24")  # fmt: skip
QUESTIONS_MIN = 25


class Hands:
    """Cards that lie in a folder, and the readers they are laid on."""

    def __init__(self, put: Put, folder: Path) -> None:
        self.put, self.folder = put, folder
        folder.mkdir(exist_ok=True)

    def lay(self, label: str, number: int, family: str = "satochip") -> None:
        """Lay a card on a reader; one that is not there yet comes fresh from its maker."""
        file = self.folder / f"{label}.card"
        if not file.exists():
            made = family_named(FAMILIES.get(label, family))
            create_card(file, made, made.profiles[-1])
        self.put(number, lambda: open_card(file))

    def take(self, *numbers: int) -> None:
        for number in numbers or tuple(self.put.readers):
            if number in self.put.readers:
                self.put.readers[number].close()

    def lay_all(self) -> None:
        self.take()
        for number, label in enumerate(FAMILIES):
            self.lay(label, number)


class AtReaders(Player):
    """Somebody who does something with cards, each time one of these is asked."""

    def __init__(self, home: Path, does: dict[str, list[Callable[[], None]]]) -> None:
        super().__init__(home)
        self.does, self.done = does, set[tuple[str, int]]()

    def _answer(self, unread: str, left: dict[str, list[str]]) -> str | None:
        answer = super()._answer(unread, left)
        if answer is not None:
            step = self.screen.count("Why:")  # a question is drawn more than once
            for asked, acts in self.does.items():
                if asked in unread and acts and (asked, step) not in self.done:
                    self.done.add((asked, step))
                    acts.pop(0)()
        return answer

    @property
    def told(self) -> str:
        """Return all that was shown as one line."""
        return " ".join(self.screen.split())


@pytest.fixture
def hands(put: Put, tmp_path: Path) -> Hands:
    return Hands(put, tmp_path / "cards")


@pytest.fixture
def begun(asked: Asked, home: Path) -> Path:
    asked("init", "--network", "regtest", "--chain", "none:")
    return home


@pytest.fixture
def vaulted(asked: Asked, begun: Path, hands: Hands) -> Path:
    """A home whose three cards, on readers 0 to 2, are enrolled and in a vault, nothing proved."""
    for number, label in enumerate(FAMILIES):
        asked("emulate", "new", FAMILIES[label], label)
        (begun / "emulated" / f"{label}.card").rename(hands.folder / f"{label}.card")
        hands.lay(label, number)
        words = ("card", "enrol", label, "--reader", reader(number), "--pin-stdin")
        asked(*words, stdin=PIN)
        asked("location", "add", f"at-{label}", "--kind", "home")
        asked("custody", "record", f"card:{label}", "placed", "--at", f"at-{label}")
    cards = [word for label in FAMILIES for word in ("--card", label)]
    asked("vault", "create", "v", "--threshold", "2", *cards)
    return begun


@pytest.mark.matrix
def test_three_cards_of_three_makers_are_led_to_a_drilled_vault(begun: Path, hands: Hands) -> None:
    laid = [
        lambda label=label: (hands.take(), hands.lay(label, 0))  # type: ignore[misc]  # bound
        for label in FAMILIES
    ]
    player = AtReaders(begun, {LAY: laid, "prove its key": [hands.lay_all]})
    assert player.play() == 0, player.screen
    assert safe(begun)
    for family in FAMILIES.values():
        assert f"lies a {family}" in player.told
    assert player.told.count("is not enrolled here") == len(FAMILIES)
    assert "PRACTICE" not in player.screen


def test_a_wrong_pin_is_told_with_what_is_left_and_presented_once(
    asked: Asked, vaulted: Path, hands: Hands
) -> None:
    hands.take(1, 2)
    player = AtReaders(vaulted, {"now the card labelled": [hands.lay_all]})
    answers = {r"PIN of card card-1 ": [f"{WRONG}\n"]}
    player.play(instead=answers, stop_at=4)
    assert "attempts left: 5" in player.screen
    assert "attempts: 4 left" in player.told
    left = asked("card", "check", "card-1", "--reader", reader(0))["attempts_left"]
    assert left == 4


def test_a_foreign_card_is_named_and_presented_no_pin(
    asked: Asked, vaulted: Path, hands: Hands
) -> None:
    assert asked("vault", "list")["vaults"]
    hands.take()
    hands.lay("stranger", 0)
    player = AtReaders(vaulted, {})
    player.play(stop_at=1)
    assert "PIN of card" not in player.screen
    assert PINS not in player.screen


@pytest.mark.matrix
def test_a_card_that_is_taken_away_while_it_is_set_up_is_gone_on_with(
    begun: Path, hands: Hands
) -> None:
    def lay() -> None:
        hands.take()
        hands.lay("card-1", 0)

    does = {LAY: [lay, lay], "once more: ": [hands.take], "Written down?": []}
    player = AtReaders(begun, does)
    player.play(stop_at=8)
    assert "No money has moved" in player.told
    assert player.told.count("it is factory fresh") == 2


@pytest.mark.matrix
def test_a_card_that_is_taken_away_before_its_words_is_gone_on_with(
    asked: Asked, begun: Path, hands: Hands
) -> None:
    def lay() -> None:
        hands.take()
        hands.lay("card-1", 0)

    player = AtReaders(begun, {LAY: [lay, lay], "Words 5 to 8": [hands.take]})
    player.play(stop_at=24)
    assert "No money has moved" in player.told
    assert "has a PIN and no key yet" in player.told
    assert [each["label"] for each in asked("card", "list")["cards"]] == ["card-1"]


@pytest.mark.matrix
def test_an_empty_reader_is_told_and_the_card_left_for_later(begun: Path, hands: Hands) -> None:
    hands.take()
    player = AtReaders(begun, {})
    answers = {r"What now\?": [DOWN + ENTER] * 3}
    status = player.play(instead=answers)
    assert "No card is seen" in player.told
    assert status == 0
    assert "left: Set up card 1 of 3" in player.told or "left: set up card 1 of 3" in player.told


class Resumed(AtReaders):
    """Somebody whose guide ends at each question, and who lays on what is wanted then."""

    def __init__(self, home: Path, hands: Hands, asked: Asked) -> None:
        super().__init__(home, {})
        self.hands, self.known = hands, asked

    def _answer(self, unread: str, left: dict[str, list[str]]) -> str | None:
        answer = super()._answer(unread, left)
        if answer is not None and LAY in unread:
            self.hands.take()
            self.hands.lay(f"card-{len(self.known('card', 'list')['cards']) + 1}", 0)
        elif answer is not None and "Do it?" in unread:
            self.hands.lay_all()
        return answer


@pytest.mark.matrix
@pytest.mark.parametrize("ending", ENDINGS)
def test_with_real_cards_it_goes_on_from_each_question_however_it_was_ended(
    asked: Asked, begun: Path, hands: Hands, ending: str
) -> None:
    player = Resumed(begun, hands, asked)
    stopped_at = resumed(player, ending)
    assert len(stopped_at) > QUESTIONS_MIN, stopped_at
    assert safe(begun)
    assert "error: unexpected" not in player.screen


@pytest.mark.matrix
@pytest.mark.parametrize("asks", TAKEN_AT)
def test_a_card_that_is_taken_away_at_a_question_is_gone_on_with(
    asked: Asked, begun: Path, hands: Hands, asks: str
) -> None:
    def lay() -> None:
        hands.take()
        hands.lay("card-1", 0)

    player = AtReaders(begun, {LAY: [lay, lay, lay], asks: [hands.take]})
    player.play(stop_at=30)
    assert [each["label"] for each in asked("card", "list")["cards"]] == ["card-1"], player.screen
    assert "error: unexpected" not in player.screen


def test_what_was_left_to_be_done_is_told_without_a_terminal(begun: Path) -> None:
    assert "set up card 1 of 3" in run_program(begun, "status").out
