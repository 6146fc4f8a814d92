"""Rules with a number: nothing is told where it is just kept, and what to do where it is not."""

from datetime import timedelta

import pytest

from coordinator.audit.facts import HotFacts, LimitFacts, VaultFacts
from coordinator.audit.findings import audit
from coordinator.audit.rule_findings import CHECK_INTERVAL, DRILL_INTERVAL, FIRST_DRILL
from coordinator.notices import Notice
from tests.coordinator.audit.test_findings import GOOD, NOW, carrier, key, vault

SECOND = timedelta(seconds=1)


def told(facts: VaultFacts) -> dict[str, Notice]:
    return {each.code: each for each in audit(facts, NOW)}


@pytest.mark.parametrize(("held", "above"), [(1_000, False), (1_001, True)])
def test_a_holder_may_reach_the_limit(held: int, *, above: bool) -> None:
    found = told(vault(*GOOD, limits=(LimitFacts("marie", 1_000, held),)))
    assert ("holder_above_limit" in found) is above


@pytest.mark.parametrize(("hot", "above"), [(10, False), (11, True)])
def test_the_hot_share_may_reach_its_rule(hot: int, *, above: bool) -> None:
    found = told(vault(*GOOD, value_sats=100 - hot, hot=HotFacts(hot, 10)))
    assert ("hot_share" in found) is above
    if above:
        assert (
            "11 of 100 sat are hot, 11.0 %; the rule is 10 % at most" in found["hot_share"].message
        )


@pytest.mark.parametrize(("late", "code"), [(timedelta(), None), (SECOND, "drill_overdue")])
def test_a_drill_is_due_after_a_year_to_the_second(late: timedelta, code: str | None) -> None:
    found = told(vault(*GOOD, drilled_at=NOW - DRILL_INTERVAL - late))
    assert set(found) == ({code} if code else set())


@pytest.mark.parametrize(("late", "code"), [(timedelta(), None), (SECOND, "never_drilled")])
def test_a_first_drill_is_due_after_a_month_to_the_second(
    late: timedelta, code: str | None
) -> None:
    found = told(vault(*GOOD, created_at=NOW - FIRST_DRILL - late))
    assert set(found) == ({code} if code else set())


def test_nobody_is_to_look_at_what_is_gone() -> None:
    lost = carrier("a", None, gone="lost", last_seen=NOW - CHECK_INTERVAL - SECOND)
    codes = {each.code for each in audit(vault(key("a", lost), *GOOD[1:]), NOW)}
    assert "carrier_gone" in codes
    assert "not_checked" not in codes


def test_what_is_to_be_looked_at_is_checked_where_it_can_be() -> None:
    long_ago = NOW - CHECK_INTERVAL - SECOND
    card = carrier("a", "bank", last_seen=long_ago)
    plate = card._replace(subject="plate:p", card=None)
    facts = vault(key("a", card, plate), *GOOD[1:])
    remedies = [each.remedy for each in audit(facts, NOW) if each.code == "not_checked"]
    assert remedies == [
        "look at it and run: cardquorum card check a",
        "look at it and run: cardquorum custody record plate:p seen",
    ]


def test_what_is_overdue_is_told_since_it_was_done_last() -> None:
    drilled = NOW - DRILL_INTERVAL - SECOND
    found = told(vault(*GOOD, created_at=drilled - DRILL_INTERVAL, drilled_at=drilled))
    assert "was last drilled 365 days ago" in found["drill_overdue"].message
