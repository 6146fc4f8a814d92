"""The letter is short, easy to read, and says what it must and nothing that it must not."""

import itertools
import re
from collections.abc import Iterator

import pytest

from coordinator.recovery import readability
from coordinator.recovery.letter import Audience, CardPlace, LaterHands, LetterFacts, written

JARGON = (
    *("descriptor", "xpub", "seed", "mnemonic", "psbt", "quorum", "multisig", "cosigner", "key"),
    *("fingerprint", "carrier", "custody", "ceremony", "drill", "utxo", "feerate", "fee", "rbf"),
    *("confirmation", "timelock", "refresh", "puk", "passphrase", "watch-only", "regtest", "node"),
)
SPOKEN = re.compile(rf"\b(?:{'|'.join(JARGON)})s?\b")
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
    return LetterFacts(**{**facts, **more})  # type: ignore[arg-type]  # by name


def said(facts: LetterFacts) -> str:
    return " ".join(f"{each.heading}. {each.text}" for each in written(facts).sections)


NET = LaterHands(2, ("anna", "ben", "carl"), "about March 2028", "about 12 months", "anna")
LAST = LaterHands(1, ("dora",), "about 2031", "about 15 months")
QUORUMS = [(m, n) for n in range(1, 16) for m in range(1, n + 1)]
HELPERS = ((), ("Marie Dupont, +33 1 23 45 67 89", "Jean Paul Meier, jean@example.org"))
WAITS = (("about March 2028", "about 12 months", False), (None, "about 15 months", False),
         (None, None, False), ("about March 2028", "about 12 months", True))  # fmt: skip


def hands() -> Iterator[LaterHands]:
    """Yield branches that open later: of few and of many people, a card of theirs here or not."""
    for total, threshold in ((1, 1), (3, 2), (3, 3), (4, 3), (15, 8)):
        people = tuple(f"person-{n}" for n in range(total))
        for (since, after, is_open), here in itertools.product(WAITS, (None, "person-0")):
            yield LaterHands(threshold, people, since, after, here, is_open)


def every_letter() -> Iterator[LetterFacts]:
    """Yield letters of every quorum, place, helper, shut bank and set of later branches.

    Later branches do not depend on the quorum but by its number: three quorums have them all.
    """
    pairs = [*((one,) for one in hands()), *itertools.product(hands(), repeat=2)]
    for audience, contacts, (m, n) in itertools.product(Audience, HELPERS, QUORUMS):
        told = [CardPlace(f"card-{c}", "friend", "marie") for c in range(n)]
        cards = told if audience is Audience.EXECUTOR else ()
        more = pairs if contacts and (m, n) in {(2, 3), (5, 5), (8, 15)} else []
        cases = [
            *itertools.product((None, True, False), [(), (NET, LAST)]),
            *((True, p) for p in more),
        ]
        for bank, later in cases:
            yield letter(
                audience, threshold=m, total=n, noun="card" if n % 2 else "key",
                contacts=contacts, cards=cards, without_bank=bank, later=later,
                tried=None if bank else "2026-10-01",
            )  # fmt: skip


@pytest.mark.parametrize("every", [7, pytest.param(1, marks=pytest.mark.matrix)])
def test_page_one_is_of_grade_six_or_below_in_at_most_260_words_whatever_the_vault(
    every: int,
) -> None:
    count = 0
    for facts in itertools.islice(every_letter(), None, None, every):
        found = written(facts)
        assert found.grade <= 6, facts
        assert found.words <= 260, facts
        count += 1
    assert count > 10_000 // every


def test_letter_with_later_hands_speaks_no_jargon() -> None:
    for audience, later in itertools.product(Audience, itertools.combinations(hands(), 2)):
        text = said(letter(audience, later=later)).lower()
        assert SPOKEN.findall(text) == []


def test_many_cards_are_listed_after_page_two_and_counted_where_they_stand() -> None:
    few = [CardPlace(f"card-{n}", "friend", "marie") for n in range(5)]
    here = written(letter(cards=few, total=5))
    there = written(letter(cards=[*few, CARDS[0]], total=6))
    assert here.lists_here
    assert not there.lists_here
    assert "The list below says" in here.sections[3].text
    assert "The list after page two says" in there.sections[3].text
    assert here.words - there.words == (7 + 3 * 5) - 2  # its head, three a card; "after page two"
    full = written(letter(cards=few, total=5, contacts=HELPERS[1], later=(NET, LAST)))
    assert not full.lists_here, "three words more a card would be too many"


def test_a_later_hand_reads_what_it_can_do_now_and_from_when() -> None:
    [text] = [each.text for each in written(letter(Audience.OPEN, later=(NET,))).sections[5:6]]
    assert text == (
        "Card anna here can move nothing yet. From about March 2028 two of anna, ben "
        "and carl can move it too, later if the money moves first. See the steps after page two."
    )
    opened = said(letter(Audience.OPEN, later=(NET._replace(open=True),)))
    assert "Now two of anna, ben and carl can move it too." in opened
    unpaid = said(letter(Audience.OPEN, later=(NET._replace(since=None),)))
    assert "12 months after it last moved, two of anna, ben and carl can" in unpaid
    assert "anna" not in said(letter(Audience.EXECUTOR, later=(NET._replace(here=None),)))


@pytest.mark.parametrize("audience", Audience)
def test_letter_speaks_no_jargon_and_does_not_shout(audience: Audience) -> None:
    text = said(letter(audience)).lower()
    assert [word for word in JARGON if re.search(rf"\b{word}s?\b", text)] == []
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
        assert written(letter(audience, cards=())).cards == ()
    assert written(letter()).cards == CARDS


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
    assert readability.grade(text) == pytest.approx(grade, abs=0.05)


def test_a_line_of_its_own_is_a_sentence() -> None:
    lines = "\n".join(itertools.repeat("one two three", 3))
    assert len(readability.sentences(lines)) == 3
