"""Each prompt of the guide and each wrong answer: a sentence, asked again, nothing lost."""

from collections.abc import Callable
from pathlib import Path

import pytest

from coordinator.cli import guide_answers
from coordinator.cli.guide_answers import Answers
from coordinator.guide.facts import GuideFacts
from coordinator.incident.step import Need, Step
from coordinator.notices import Severity
from tests.cli.guide_player import ELSEWHERE

LONG, CONTROL, LIST = "x" * 5000, "a\x1b[2Jb", "a, b"
PLACE = ("location", "add", Need("LOCATION"), "--kind", "home")
PAY = ("spend", "create", "v", "--to", Need("ADDRESS:AMOUNT"))
PROMPTS = {
    "a vault's name": (("vault", "create", Need("NAME")), "savings", ("", "no/name", "x" * 41)),
    "a place": (PLACE, "attic", ("", "two words", "bank")),
    "an address": (
        ("spend", "create", "v", "--drain", Need("ADDRESS")),
        ELSEWHERE,
        ("", ELSEWHERE[:-1], "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "n"),
    ),
    "a URI with its sum": (
        PAY,
        f"bitcoin:{ELSEWHERE}?amount=0.1",
        ("", ELSEWHERE[:-1], f"{ELSEWHERE}:0,1", f"bitcoin:{ELSEWHERE}?amount=0", "n"),
    ),
    "a checksum": (
        ("vault", "approve", "v", "--checksum", Need("CHECKSUM")),
        "qpzry9x8",
        ("", "qpzry9x", "qpzry9x88", "iiiiiiii", "n"),
    ),
    "a rate": (
        ("replace", "start", "v", "--feerate", Need("FEERATE")),
        "2.5",
        ("", "0", "1,5", "fast", "1e9"),
    ),
    "a number on a bag": (
        ("custody", "record", "card:a", "sealed", "--seal", Need("SERIAL")),
        "4711",
        ("",),
    ),
}


def test_an_address_is_asked_for_and_then_the_sum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def ask_text(question: str, _default: str = "", *, check: Callable[[str], str | None]) -> str:
        asked.append(question)
        if len(asked) == 1:
            return ELSEWHERE
        assert all(check(typed) for typed in ("", "0", "-5", "0,1", "much", LONG, CONTROL))
        assert check("20 000 sat") is None
        return "20 000 sat"

    monkeypatch.setattr(guide_answers, "ask_text", ask_text)
    step = Step("step", Severity.INFO, "title", "why", PAY)
    answers = Answers(step, GuideFacts("regtest"), tmp_path, practice=False, known={})
    assert answers.given() == {"ADDRESS:AMOUNT": f"{ELSEWHERE}:20 000 sat"}
    assert len(asked) == 2


@pytest.mark.parametrize("prompt", PROMPTS)
def test_every_wrong_answer_is_told_in_a_sentence_and_asked_again(
    prompt: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words, right, wrong = PROMPTS[prompt]
    told: list[str] = []

    def ask_text(
        _question: str, _default: str = "", check: Callable[[str], str | None] = str, **_: object
    ) -> str:
        for typed in (*wrong, LONG, CONTROL, *([LIST] if prompt != "a number on a bag" else [])):
            said = check(typed)
            assert said, (prompt, typed)
            told.append(said)
        assert check(right) is None
        return right

    monkeypatch.setattr(guide_answers, "ask_text", ask_text)
    monkeypatch.setattr(guide_answers, "choose", lambda *_a, **_k: guide_answers.OTHER)
    facts = GuideFacts("regtest", places=("bank",))
    step = Step("step", Severity.INFO, "title", "why", words)
    answers = Answers(step, facts, tmp_path, practice=False, known={})
    assert list(answers.given().values()) == [right]
    assert len(told) >= 3
    assert all("\n" not in each and "\x1b" not in each and len(each) < 200 for each in told)
