"""An audit comes to one sentence, and to a table of what a loss or a theft takes."""

from dataclasses import replace

import pytest

from coordinator import clock
from coordinator.audit.auditing import Question, answered
from coordinator.audit.verdict import Verdict, least_sets, supposed, verdict
from coordinator.notices import Severity
from tests.coordinator.audit.test_findings import GOOD, carrier, key, vault

FACTS = vault(*GOOD)
NOTHING = Question()


@pytest.fixture(autouse=True)
def _today(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: GOOD[0].carriers[0].last_seen)


def stands(*keys: object, asked: Question = NOTHING) -> Verdict:
    return verdict(answered(vault(*keys), asked))


def test_good_order_says_what_it_takes() -> None:
    assert stands(*GOOD) == Verdict(
        Severity.INFO,
        "vault v: nothing found; the money is lost only with 2 places at once, "
        "and a thief must get into 2 places to take it",
    )


def test_one_place_that_is_enough_is_said() -> None:
    found = stands(*GOOD[:2], key("c", carrier("c", "bank")))
    assert found.severity is Severity.DANGER
    assert found.sentence.endswith(
        "the loss of one place can lose the money, and a thief in one place can take it"
    )


def gone(fate: str) -> tuple[object, ...]:
    return (*(key(name, carrier(name, None, gone=fate)) for name in "ab"), GOOD[2])


def test_what_a_thief_can_spend_is_said_before_what_is_lost() -> None:
    assert stands(*gone("stolen")).sentence.startswith("a thief can spend this vault now")
    assert stands(*gone("destroyed")) == Verdict(
        Severity.DANGER, "this vault can NOT be spent with what is left"
    )


@pytest.mark.parametrize("fate", ["stolen", "destroyed"])
def test_a_question_neither_hides_nor_makes_a_danger(fate: str) -> None:
    asked = Question(("card:a", "card:b"), ("card:a", "card:b"))
    assert stands(*GOOD, asked=asked) == stands(*GOOD)
    assert stands(*gone(fate), asked=asked) == stands(*gone(fate))
    assert list(supposed(answered(FACTS, NOTHING))) == []
    assert "  you can NOT spend any more" in supposed(answered(FACTS, asked))


def test_keys_held_elsewhere_are_out_of_a_thiefs_reach() -> None:
    found = stands(key("a"), key("b"), key("c"))
    assert found.sentence.endswith("; the money is lost only with 3 places at once")
    [sets] = [
        each
        for each in least_sets(answered(vault(key("a"), key("b"), key("c")), NOTHING))
        if each.kind == "location"
    ]
    assert (sets.loss, sets.theft) == ("3: bank and friend and home (1 way)", "-")


def test_the_table_names_the_smallest_of_each_kind() -> None:
    [first, *_] = least_sets(answered(FACTS, NOTHING))
    assert first.kind == "location"
    assert first.loss == first.theft == "2: bank and friend (3 ways)"


def test_an_audit_names_what_an_address_is_refused_for_unless_the_vault_was_replaced() -> None:
    facts = vault(*(each._replace(verified=None) for each in GOOD))
    assert [each.code for each in answered(facts, NOTHING).dangers] == ["keys_unproved"]
    assert answered(replace(facts, replaced=True), NOTHING).dangers == []
