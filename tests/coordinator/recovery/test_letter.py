"""The letter is short, easy to read, and says what it must and nothing that it must not."""

import itertools
import re

import pytest

from coordinator.recovery import reading
from coordinator.recovery.letter import Audience, CardPlace, LaterHands, LetterFacts, written

JARGON = (
    *("descriptor", "xpub", "seed", "mnemonic", "psbt", "quorum", "multisig", "cosigner", "key"),
    *("fingerprint", "carrier", "custody", "ceremony", "drill", "utxo", "feerate", "fee", "rbf"),
    *("confirmation", "timelock", "refresh", "puk", "passphrase", "watch-only", "regtest", "node"),
)
CARDS = [
    CardPlace("blue", "home", None),
    CardPlace("green", "friend", "Marie"),
    CardPlace("r", None, None),
]


def letter(audience: Audience = Audience.EXECUTOR, **more: object) -> LetterFacts:
    facts: dict[str, object] = {
        "audience": audience,
        "threshold": 2,
        "total": 3,
        "noun": "card",
        "date": "2026-11-30",
        "tried": "2026-10-01",
        "contacts": ("Marie Dupont, 0123 456", "Jean"),
        "cards": CARDS if audience is Audience.EXECUTOR else (),
        "without_bank": True,
    }
    return LetterFacts(**{**facts, **more})  # type: ignore[arg-type]


def said(facts: LetterFacts) -> str:
    return " ".join(f"{each.heading}. {each.text}" for each in written(facts).sections)


@pytest.mark.parametrize("audience", Audience)
@pytest.mark.parametrize("bank", [None, True, False])
def test_letter_is_of_grade_six_or_below_in_at_most_260_words(
    audience: Audience,
    bank: bool | None,  # noqa: FBT001 -- a parameter of the test
) -> None:
    for threshold, total in ((1, 1), (2, 3), (3, 5)):
        found = written(letter(audience, threshold=threshold, total=total, without_bank=bank))
        assert found.grade <= 6
        assert found.words <= 260


NET = LaterHands(2, ("anna", "ben", "carl"), "about March 2028", "about 12 months", "anna")
LAST = LaterHands(1, ("dora",), "about 2031", "about 15 months")


@pytest.mark.parametrize("audience", Audience)
@pytest.mark.parametrize("later", [(NET,), (NET, LAST), (NET._replace(since=None),)])
def test_letter_with_later_hands_is_as_short_and_as_easy(
    audience: Audience, later: tuple[LaterHands, ...]
) -> None:
    found = written(letter(audience, later=later))
    assert found.grade <= 6
    assert found.words <= 260 or audience is Audience.EXECUTOR
    assert found.words <= 275
    text = said(letter(audience, later=later)).lower()
    assert [word for word in JARGON if re.search(rf"\\b{word}s?\\b", text)] == []


def test_a_later_hand_reads_what_it_can_do_now_and_from_when() -> None:
    [text] = [each.text for each in written(letter(Audience.OPEN, later=(NET,))).sections[5:6]]
    assert text == (
        "Card anna, which lies here, can move nothing yet. From about March 2028 two of anna, ben "
        "and carl can move it too, later if the money moves first. See page two."
    )
    opened = said(letter(Audience.OPEN, later=(NET._replace(open=True),)))
    assert "Now two of anna, ben and carl can move it too." in opened
    unpaid = said(letter(Audience.OPEN, later=(NET._replace(since=None),)))
    assert "12 months after it last moved two of anna, ben and carl can" in unpaid
    assert "anna" not in said(letter(Audience.EXECUTOR, later=(NET._replace(here=None),)))


@pytest.mark.parametrize("audience", Audience)
def test_letter_speaks_no_jargon_and_does_not_shout(audience: Audience) -> None:
    text = said(letter(audience)).lower()
    assert [word for word in JARGON if re.search(rf"\\b{word}s?\\b", text)] == []
    assert "!" not in text


@pytest.mark.parametrize("audience", Audience)
def test_first_action_is_nothing_and_two_helpers_are_named(audience: Audience) -> None:
    first = written(letter(audience)).sections[0]
    assert first.heading == "Do nothing today"
    assert "Marie Dupont, 0123 456" in first.text
    assert "Jean" in first.text


def test_missing_helpers_are_left_to_a_pen() -> None:
    assert written(letter(contacts=())).sections[0].text.count("____") > 1


def test_only_an_executor_reads_where_cards_lie() -> None:
    for audience in (Audience.OPEN, Audience.LOCKED):
        assert "friend" not in said(letter(audience, cards=CARDS))
    told = said(letter())
    assert "Card green is at friend, with Marie." in told
    assert "Card r is at ____" in told


@pytest.mark.parametrize(
    ("reachable", "told"), [(True, "without the bank"), (False, "must wait for it"), (None, "")]
)
def test_letter_says_whether_it_works_with_the_bank_shut(
    reachable: bool | None,  # noqa: FBT001 -- a parameter of the test
    told: str,
) -> None:
    assert told in said(letter(without_bank=reachable))
    assert ("bank may keep" in said(letter(without_bank=reachable))) == (reachable is not None)


@pytest.mark.parametrize("audience", Audience)
def test_letter_has_a_stop_rule_a_small_sum_and_dates(audience: Audience) -> None:
    text = said(letter(audience))
    for wanted in (
        "If anything looks wrong, stop.",
        "After one wrong PIN, stop and call.",
        "Send a small sum first.",
        "Written 2026-11-30.",
        "Last tried out 2026-10-01.",
        "Older letters no longer count.",
        "Never read a PIN",
    ):
        assert wanted in text
    assert "Not tried out yet." in said(letter(audience, tried=None))


@pytest.mark.parametrize(
    ("text", "grade"),
    [
        ("The cat sat on the mat.", -1.4),
        ("Money sleeps under seven open windows.", 8.4),
        ("", 0.0),
    ],
)
def test_grade_is_the_formula_of_flesch_and_kincaid(text: str, grade: float) -> None:
    assert reading.grade(text) == pytest.approx(grade, abs=0.05)


def test_a_line_of_its_own_is_a_sentence() -> None:
    lines = "\n".join(itertools.repeat("one two three", 3))
    assert len(reading.sentences(lines)) == 3
