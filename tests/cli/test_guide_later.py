"""The guide asks who else shall be able to spend after a silence; nobody is the default."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from coordinator.audit.facts import CarrierFacts
from coordinator.cli import guide_decisions
from coordinator.cli.prompts import Choice
from coordinator.guide.facts import CardFact, GuideFacts
from psbt.keys import format_key_expression
from psbt.network import Network
from tests.cli.guide_player import Player
from tests.program import PIN, asking
from tests.psbt.soft_vault import soft_vault

KEYS = [format_key_expression(key, Network.REGTEST) for key in soft_vault(2, 3).policy.keys]
WORDS = ("vault", "create", "savings", "--threshold", "2", "--card", "a", "--card", "b")
Asked = Callable[..., list[str]]
ENTER, DOWN, STOP = "\r", "\x1b[B", "\x03"


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Return the words that come of these answers; None takes the default of a choice."""

    def run(*answers: str | None, cards: Sequence[str] = ()) -> list[str]:
        left: Iterator[str | None] = iter(answers)

        def choose(_question: str, choices: Sequence[Choice], *_more: object) -> str:
            answer = next(left)
            assert answer is None or answer in {each.value for each in choices}
            return choices[0].value if answer is None else answer

        def ask_text(_question: str, _default: str, check: Callable[[str], str | None]) -> str:
            for answer in left:
                if check(answer or "") is None:
                    return answer or ""
            raise AssertionError("no answer was taken")

        monkeypatch.setattr(guide_decisions, "choose", choose)
        monkeypatch.setattr(guide_decisions, "ask_text", ask_text)
        facts = GuideFacts(
            "regtest",
            cards=tuple(
                CardFact(CarrierFacts(f"card:{label}", None, None, None)) for label in cards
            ),
        )
        found = guide_decisions.later_words(facts, WORDS)
        assert list(left) == []
        return found

    return run


def test_nobody_else_is_the_default(answered: Asked) -> None:
    assert answered(None) == []


def test_the_safety_net_is_two_of_three_after_a_year(answered: Asked) -> None:
    texts = [word for at, key in enumerate(KEYS) for word in (f"person-{at}", key)]
    assert answered("net", None, *texts) == [
        *("--recovery-after", "52560", "--recovery-threshold", "2"),
        *(word for at, key in enumerate(KEYS) for word in ("--recovery-key", f"person-{at}={key}")),
    ]


def test_one_person_alone_is_warned_about_and_asked_again(answered: Asked) -> None:
    found = answered("one", "one", "26280", "anna", KEYS[0])
    assert found == [
        *("--recovery-after", "26280", "--recovery-threshold", "1"),
        *("--recovery-key", f"anna={KEYS[0]}"),
    ]
    assert answered("one", None, None, "x", KEYS[0], "y", KEYS[1], "z", KEYS[2])[3] == "2"


def test_a_card_here_may_be_a_later_key_and_a_wrong_key_is_asked_again(answered: Asked) -> None:
    found = answered(
        "net", None, "heir", "", "anna", "no key", KEYS[0], "ben", KEYS[1], cards=["a", "heir"]
    )
    assert found[4:6] == ["--recovery-card", "heir"]
    assert found[6:8] == ["--recovery-key", f"anna={KEYS[0]}"]


def test_at_a_terminal_the_net_of_two_of_three_becomes_a_branch(tmp_path: Path) -> None:
    """A vault of cards that lie at their places is made by the guide, with three people's keys."""
    asked = asking(tmp_path / "home")
    asked("init", "--network", "regtest")
    for card, place in zip("abc", ("home", "bank", "aunt"), strict=True):
        asked("emulate", "new", "satochip", card)
        asked("card", "enrol", card, "--emulated", card, "--pin-stdin", stdin=PIN)
        asked("location", "add", place)
        asked("custody", "record", f"card:{card}", "placed", "--at", place)
    player = Player(tmp_path / "home")
    player.keys = list(KEYS)
    answers = {
        r"Who else, after a long silence": [DOWN + ENTER],
        r"PIN of card \w+ \(satochip": [STOP],  # the vault is made: its keys are to be proved
    }
    assert player.play(instead=answers) == 130, player.screen
    told = player.screen.replace("\n", " ")
    assert "Once the silence is over those people can spend without your cards" in told
    [vault] = asked("vault", "list")["vaults"]
    primary, recovery = asked("vault", "show", vault["name"])["branches"]
    assert (primary["threshold"], primary["keys"]) == (2, ["a", "b", "c"])
    assert (recovery["threshold"], recovery["wait"]["blocks"]) == (2, 52_560)
    assert recovery["keys"] == ["person-1", "person-2", "person-3"]
    assert player.keys == []
