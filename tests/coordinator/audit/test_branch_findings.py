"""What the branches that open later give an audit to find, at its borders."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from cards.family import Theft
from coordinator.audit.branch_findings import branch_findings
from coordinator.audit.dangers import dangers, only_old_coins, resting_on
from coordinator.audit.facts import BranchFacts, CoinAges, VaultFacts
from coordinator.audit.findings import audit
from coordinator.audit.rule_findings import drill_due
from coordinator.audit.timeline import opening
from coordinator.chain.block_dates import ChainClock
from coordinator.notices import Notice, Severity
from tests.coordinator.audit.later import (
    COSIGNERS,
    HEIR,
    LAWYER,
    NET,
    NOW,
    TIP,
    YEAR,
    later,
    with_key,
)
from tests.coordinator.audit.test_findings import carrier, key


def found(facts: VaultFacts) -> dict[str, Notice]:
    return {each.code: each for each in audit(facts, NOW)}


def test_a_safety_net_of_two_later_keys_elsewhere_has_no_finding() -> None:
    assert found(later(NET)) == {}


@pytest.mark.parametrize("branches", [(), (NET,)])
def test_a_vault_without_branches_has_none_of_these_findings(
    branches: tuple[BranchFacts, ...],
) -> None:
    assert list(branch_findings(later(*branches), NOW)) == []


@pytest.mark.parametrize(
    ("place", "code"), [("friend", "later_key_with_quorum"), ("home", "later_key_at_home")]
)
def test_a_later_key_lies_apart_from_home_and_from_the_quorum(place: str, code: str) -> None:
    near = key("heir", carrier("heir", place))
    seen = found(later(with_key(NET, near, LAWYER)))[code]
    assert (seen.severity, seen.subjects) == (
        Severity.WARNING,
        (f"location:{place}", "card:heir"),
    )
    home = "at home, " if place == "home" else ""
    lies = f"card:heir of later key heir lies {home}at location {place}, where key {place[0]} lies"
    assert seen.message.startswith(f"{lies} too: ")


def test_a_later_key_at_home_is_told_where_no_other_lies() -> None:
    near = key("heir", carrier("heir", "home"))
    elsewhere = (*COSIGNERS[:2], key("h", carrier("h", "lawyer")))
    seen = found(replace(later(with_key(NET, near, LAWYER)), cosigners=elsewhere))
    told = seen["later_key_at_home"].message
    assert told.startswith("card:heir of later key heir lies at home, at location home: one fire ")


def test_a_key_used_again_is_no_later_key() -> None:
    fewer = BranchFacts("recovery", 1, COSIGNERS, blocks=YEAR)
    assert found(later(fewer)).keys() == {"single_later_key"}


def test_a_later_key_that_is_gone_lies_nowhere() -> None:
    lost = key("heir", carrier("heir", "home", gone="lost"))
    assert found(later(with_key(NET, lost, LAWYER))).keys() == {"carrier_gone"}


def test_a_later_key_is_proved_once() -> None:
    facts = later(with_key(NET, HEIR._replace(verified=None), LAWYER))
    seen = found(facts)["later_key_unproved"]
    assert (seen.severity, seen.subjects) == (Severity.WARNING, ("key:heir",))
    assert dangers(facts) == []
    wrong = dangers(later(with_key(NET, HEIR._replace(verified=False), LAWYER)))
    assert [each.code for each in wrong] == ["key_mismatch"]


@pytest.mark.parametrize(
    ("keys", "said"),
    [((HEIR,), "key heir alone"), ((HEIR, LAWYER), "any one of keys heir and lawyer")],
)
def test_a_single_later_key_is_warned_about(keys: tuple[object, ...], said: str) -> None:
    seen = found(later(NET._replace(threshold=1, keys=keys)))["single_later_key"]
    assert seen.severity is Severity.WARNING
    assert f" is over {said} can spend: " in seen.message


@pytest.mark.parametrize(("blocks", "warned"), [(49_000, True), (YEAR, False)])
def test_a_branch_opens_after_the_next_drill_is_due(blocks: int, *, warned: bool) -> None:
    assert ("branch_opens_before_drill" in found(later(NET._replace(blocks=blocks)))) is warned


@pytest.mark.parametrize("late", [timedelta(), timedelta(seconds=1)])
def test_a_branch_that_is_surely_open_when_the_drill_is_due(late: timedelta) -> None:
    facts = later(NET)
    expected, due = opening(facts, NET).expected, drill_due(facts)
    assert expected is not None
    assert due is not None
    moved = replace(facts, drilled_at=NOW + (expected.latest - due) + late)
    assert ("branch_opens_before_drill" in found(moved)) is bool(late)


def test_an_overdue_drill_is_due_now() -> None:
    facts = later(NET, drilled_at=NOW - timedelta(days=900))
    assert "branch_opens_before_drill" not in found(facts)


def test_a_drill_of_the_year_9999_stops_no_audit() -> None:
    assert found(later(NET, drilled_at=datetime(9999, 12, 30, tzinfo=UTC))) == {}


DELAYS = Theft(None, 15, "it delays", "source")
LOCKS = Theft(3, 0, "it locks", "source")


@pytest.mark.parametrize(
    ("theft", "blocks", "warned"),
    [(DELAYS, 24_999, True), (DELAYS, 25_000, False), (LOCKS, 144, False)],
)
def test_a_wait_is_longer_than_a_stolen_card_resists(
    theft: Theft, blocks: int, *, warned: bool
) -> None:
    slow = key("heir", carrier("heir", "daughter", theft=theft))
    seen = found(later(with_key(NET, slow, LAWYER)._replace(blocks=blocks)))
    assert ("wait_shorter_than_card" in seen) is warned


@pytest.mark.parametrize(
    ("wait", "warned"), [(0, False), (1, True), (24_999, True), (25_000, False)]
)
def test_the_wait_for_a_height_is_what_is_left_of_it(wait: int, *, warned: bool) -> None:
    slow = key("heir", carrier("heir", "daughter", theft=DELAYS))
    branch = with_key(NET, slow, LAWYER)._replace(blocks=None, height=TIP - 1 + wait)
    seen = found(later(branch))
    assert ("wait_shorter_than_card" in seen) is warned
    if warned:
        assert f" wait {wait} blocks (" in seen["wait_shorter_than_card"].message
    assert "wait_shorter_than_card" not in found(later(branch, chain=None))


@pytest.mark.parametrize(("left", "warned"), [(65_535, False), (65_536, True)])
def test_a_height_beyond_what_older_counts_is_told(left: int, *, warned: bool) -> None:
    facts = later(NET._replace(blocks=None, height=TIP - 1 + left))
    seen = found(facts)
    assert ("wait_beyond_older" in seen) is warned
    if warned:
        assert facts.chain is not None
        ends = f" ends {facts.chain.about(TIP + left)}, in {left} blocks: "
        assert ends in seen["wait_beyond_older"].message


def test_a_wait_in_more_blocks_than_older_counts_is_a_danger() -> None:
    seen = found(later(NET._replace(blocks=65_536)))["wait_beyond_older"]
    assert seen.severity is Severity.DANGER
    assert "wait_beyond_older" not in found(later(NET._replace(blocks=65_535)))


@pytest.mark.parametrize(("apart", "told"), [(YEAR // 2, False), (YEAR // 2 + 1, True)])
def test_coins_of_very_different_age_are_told(apart: int, *, told: bool) -> None:
    facts = later(NET, oldest=TIP - apart)
    seen = found(facts)
    assert ("coins_of_different_age" in seen) is told
    if told:
        assert facts.chain is not None
        first, last = (facts.chain.about(TIP + at) for at in (YEAR - apart, YEAR))
        said = f"for the oldest of 2 coins {first}, for the newest {last}"
        assert seen["coins_of_different_age"].message.endswith(said)


def test_a_branch_is_open_once_the_next_block_may_spend_by_it() -> None:
    assert "branch_open" not in found(later(NET, oldest=TIP - YEAR + 2))
    facts = later(NET, oldest=TIP - YEAR + 1)
    seen = found(facts)["branch_open"]
    assert seen.severity is Severity.DANGER
    assert seen.message == (
        "the wait of the later keys (recovery) is over from block 900001 on: keys heir and "
        "lawyer together can spend, and so can a thief of both"
    )
    assert resting_on(facts, "branch_open") == "recovery=900001"


def test_without_a_coin_only_a_height_opens_a_branch() -> None:
    assert "branch_open" not in found(later(NET, oldest=None))
    at_height = later(NET._replace(blocks=None, height=TIP), oldest=None)
    assert "make a vault whose later keys wait longer" in found(at_height)["branch_open"].remedy
    by_age = found(later(NET, oldest=TIP - YEAR))["branch_open"]
    assert "cardquorum spend refresh v" in by_age.remedy


def test_a_branch_that_opened_since_the_last_sync_is_a_danger() -> None:
    old = ChainClock(TIP, NOW - timedelta(days=90), NOW)
    message = found(later(NET, oldest=TIP - YEAR + 5_000, chain=old))["branch_open"].message
    assert (
        "the later keys (recovery) is probably over: block 905000 was expected about 28 September"
        in message
    )
    assert "newest block known here, 900000, is 90 days old (cardquorum sync)" in message


def test_an_address_waits_only_for_a_branch_that_new_coins_do_not_wait_for() -> None:
    assert only_old_coins("branch_open", [NET])
    assert not only_old_coins("branch_open", [NET._replace(blocks=None, height=TIP)])
    assert not only_old_coins("quorum_lost", [NET])


def test_thieves_of_the_later_keys_can_spend_once_a_branch_is_open() -> None:
    taken = tuple(key(each.label, carrier(each.label, None, gone="stolen")) for each in NET.keys)
    assert "quorum_stolen" not in found(later(with_key(NET, *taken)))
    seen = found(later(with_key(NET, *taken), oldest=TIP - YEAR))["quorum_stolen"]
    assert seen.subjects == ("vault:v", "card:heir", "card:lawyer")
    assert (
        "2 keys of 2 needed by the later keys (recovery), whose wait is over: a thief can spend"
        in seen.message
    )


def test_a_lost_quorum_waits_for_the_branch_that_is_left() -> None:
    lost = tuple(key(each, carrier(each, None, gone="destroyed")) for each in "bf")
    facts = later(NET, cosigners=(*lost, COSIGNERS[2]))
    lasting = found(facts)["quorum_lost"]
    assert (
        "cannot be spent until the wait of the later keys (recovery) is over, about November 2027"
        in lasting.message
    )
    assert lasting.remedy.endswith("else wait, then: cardquorum spend recover v --to ADDRESS")
    opened = replace(facts, ages=CoinAges(TIP - YEAR, TIP, 2))
    assert "quorum_lost" not in found(opened)


def test_a_place_whose_loss_only_makes_wait_is_no_danger() -> None:
    both = (COSIGNERS[0], key("f", carrier("f", "bank")), COSIGNERS[2])
    fatal = found(later(cosigners=both))["location_loss_fatal"]
    waits = found(later(NET, cosigners=both))["location_loss_fatal"]
    assert (fatal.severity, waits.severity) == (Severity.DANGER, Severity.WARNING)
    assert waits.message == (
        f"{fatal.message}: the coins then wait for the later keys (recovery), about November 2027"
    )


def test_a_place_with_all_later_keys_can_spend_once_they_can() -> None:
    together = with_key(NET, HEIR, key("lawyer", carrier("lawyer", "daughter")))
    assert "location_can_spend" not in found(later(together))
    seen = found(later(together, oldest=TIP - YEAR))["location_can_spend"]
    assert (
        "holds 2 keys of 2 needed by the later keys (recovery), whose wait is over" in seen.message
    )


def test_a_seed_of_two_branches_is_a_danger() -> None:
    cosigners = (COSIGNERS[0]._replace(fingerprint="01020304"), *COSIGNERS[1:])
    heir = HEIR._replace(fingerprint="01020304")
    seen = found(later(with_key(NET, heir, LAWYER), cosigners=cosigners))["same_seed"]
    assert "has keys of the primary branch and of later branches" in seen.message
