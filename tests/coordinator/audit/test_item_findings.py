"""What an audit says of bags, copies of the descriptor, and what is overdue or above a limit."""

from datetime import timedelta

import pytest

from coordinator.audit import item_findings, rule_findings
from coordinator.audit.facts import CopyFacts, HotFacts, LimitFacts, SecretFacts, VaultFacts
from coordinator.custody.bags import BagFacts
from coordinator.notices import Notice, Severity
from tests.coordinator.audit.test_findings import COPIES, GOOD, NOW, carrier, key, vault

OPENED = BagFacts("S1", opened=NOW)
SWAPPED = BagFacts("S1", other="S2")
WHOLE = BagFacts("S1")


def of_items(*cosigners: object, **more: object) -> dict[str, Notice]:
    return {each.code: each for each in item_findings.item_findings(vault(*cosigners, **more))}


def of_rules(facts: VaultFacts) -> dict[str, Notice]:
    return {each.code: each for each in rule_findings.rule_findings(facts, NOW)}


class TestBags:
    def test_a_bag_that_holds_is_no_finding(self) -> None:
        assert of_items(key("a", carrier("a", "bank", bag=WHOLE)), *GOOD[1:]) == {}

    def test_a_bag_that_was_opened(self) -> None:
        found = of_items(key("a", carrier("a", "bank", bag=OPENED)), *GOOD[1:])
        assert set(found) == {"bag_opened"}
        assert found["bag_opened"].severity is Severity.WARNING
        assert found["bag_opened"].subjects == ("bag:S1", "card:a")
        assert "2026-11-23" in found["bag_opened"].message

    def test_a_bag_with_another_serial(self) -> None:
        found = of_items(key("a", carrier("a", "bank", bag=SWAPPED)), *GOOD[1:])
        assert set(found) == {"bag_mismatch"}
        assert found["bag_mismatch"].severity is Severity.DANGER
        assert "sealed in bag S1 and seen in bag S2" in found["bag_mismatch"].message

    def test_a_copys_bag_is_looked_at_too(self) -> None:
        copies = (*COPIES[:2], COPIES[2]._replace(bag=OPENED))
        found = of_items(*GOOD, copies=copies)
        assert set(found) == {"bag_opened"}
        assert found["bag_opened"].subjects == ("bag:S1", "copy:home")

    def test_opened_bags_with_a_quorum_are_a_danger_wherever_the_pins_are(self) -> None:
        pin = (SecretFacts("pin", written_at=("office",)),)
        opened = [key(n, carrier(n, n, bag=OPENED, secrets=pin)) for n in "ab"]
        told = of_items(*opened, GOOD[2])["open_bags_hold_quorum"]
        assert told.severity is Severity.DANGER
        assert "had 2 keys in hand and 2 are needed" in told.message
        assert "open_bags_hold_quorum" not in of_items(opened[0], *GOOD[1:])

    def test_what_is_gone_has_no_bag(self) -> None:
        gone = key("a", carrier("a", None, gone="stolen", bag=OPENED))
        copy = CopyFacts("copy:x", None, "lost", bag=SWAPPED)
        assert of_items(gone, *GOOD[1:], copies=(*COPIES, copy)) == {}

    def test_a_quorum_that_was_in_open_bags(self) -> None:
        pair = (
            key("a", carrier("a", "bank", bag=OPENED)),
            key("b", carrier("b", "friend", bag=SWAPPED)),
        )
        told = of_items(*pair, GOOD[2])["open_bags_hold_quorum"]
        assert told.severity is Severity.DANGER
        assert told.subjects == ("card:a", "card:b")
        assert "had 2 keys in hand and 2 are needed" in told.message
        assert "open_bags_hold_quorum" not in of_items(*pair, GOOD[2], threshold=3)

    def test_what_was_stolen_before_was_not_in_the_bags(self) -> None:
        stolen = key("c", carrier("c", None, gone="stolen"))
        opened = key("a", carrier("a", "bank", bag=OPENED))
        assert "open_bags_hold_quorum" not in of_items(opened, GOOD[1], stolen)


class TestCopies:
    @pytest.mark.parametrize(("place", "said"), [("bank", "bank"), (None, "LOCATION")])
    def test_a_copy_of_another_descriptor(self, place: str | None, said: str) -> None:
        stale = CopyFacts("copy:old", place, None, stale=True)
        told = of_items(*GOOD, copies=(*COPIES, stale))["copy_stale"]
        assert told.subjects == ("copy:old",)
        assert told.remedy.endswith(f"--location {said}")

    def test_one_that_is_gone_is_neither_stale_nor_misplaced(self) -> None:
        gone = CopyFacts("copy:old", None, "destroyed", stale=True)
        assert of_items(*GOOD, copies=(*COPIES, gone)) == {}

    def test_a_copy_whose_place_nobody_wrote_down(self) -> None:
        found = of_items(*GOOD, copies=(*COPIES, CopyFacts("copy:x", None, None)))
        assert set(found) == {"place_unknown"}
        assert found["place_unknown"].subjects == ("copy:x",)

    def test_a_copy_beside_a_quorums_cards(self) -> None:
        pair = [key(name, carrier(name, "bank")) for name in "ab"]
        found = of_items(*pair, GOOD[2])
        assert found["copy_with_quorum"].subjects == ("location:bank", "copy:bank")
        pin = (SecretFacts("pin", written_at=("office",)),)
        locked = [key(n, carrier(n, "bank", secrets=pin)) for n in "ab"]
        assert "copy_with_quorum" in of_items(*locked, GOOD[2])
        assert "copy_with_quorum" not in of_items(*pair, GOOD[2], threshold=3)
        assert "copy_with_quorum" not in of_items(*pair, GOOD[2], copies=COPIES[1:])
        stale = (COPIES[0]._replace(stale=True), *COPIES[1:])
        assert "copy_with_quorum" not in of_items(*pair, GOOD[2], copies=stale)

    def test_what_was_stolen_before_lies_beside_no_copy(self) -> None:
        stolen = key("a", carrier("a", None, gone="stolen"))
        assert "copy_with_quorum" not in of_items(stolen, *GOOD[1:])

    def test_a_key_without_a_copy_at_its_place(self) -> None:
        found = of_items(*GOOD, copies=COPIES[:2])
        assert set(found) == {"copy_missing"}
        assert found["copy_missing"].severity is Severity.INFO
        assert found["copy_missing"].subjects == ("location:home",)

    def test_a_place_of_what_is_gone_needs_no_copy(self) -> None:
        gone = key("a", carrier("a", "attic", gone="destroyed"), carrier("a2", "bank"))
        assert of_items(gone, *GOOD[1:]) == {}


class TestRules:
    @pytest.mark.parametrize(("days", "late"), [(30, False), (31, True)])
    def test_the_first_drill_is_due_in_a_month(self, *, days: int, late: bool) -> None:
        found = of_rules(vault(*GOOD, created_at=NOW - timedelta(days=days)))
        assert set(found) == ({"never_drilled"} if late else set())
        if late:
            assert found["never_drilled"].message == (
                "vault v was never drilled since it was made 31 days ago"
            )

    @pytest.mark.parametrize(("days", "late"), [(365, False), (366, True)])
    def test_a_drill_is_due_in_a_year(self, *, days: int, late: bool) -> None:
        made, drilled = NOW - timedelta(days=1000), NOW - timedelta(days=days)
        found = of_rules(vault(*GOOD, created_at=made, drilled_at=drilled))
        assert set(found) == ({"drill_overdue"} if late else set())
        if late:
            assert found["drill_overdue"].message == "vault v was last drilled 366 days ago"

    @pytest.mark.parametrize(("days", "old"), [(365, False), (366, True)])
    def test_a_letter_is_printed_anew_after_a_year(self, *, days: int, old: bool) -> None:
        made = NOW - timedelta(days=days)
        paper = CopyFacts("copy:1", "bank", None, made_at=made)
        found = of_rules(vault(*GOOD, copies=(paper,)))
        assert set(found) == ({"letter_old"} if old else set())
        if old:
            assert "copy:1 at bank was made 366 days ago" in found["letter_old"].message
            assert "kit v --out DIR --location bank" in found["letter_old"].remedy

    def test_an_old_letter_is_right_where_a_newer_one_lies_or_none_counts(self) -> None:
        old = CopyFacts("copy:1", "bank", None, made_at=NOW - timedelta(days=500))
        others = (
            old._replace(subject="copy:2", made_at=NOW),
            old._replace(subject="copy:0", made_at=NOW),
        )
        for newer in others:
            assert of_rules(vault(*GOOD, copies=(old, newer))) == {}
            assert of_rules(vault(*GOOD, copies=(newer, old))) == {}
        for none in (
            old._replace(gone="destroyed"),
            old._replace(stale=True),
            old._replace(location=None),
        ):
            assert of_rules(vault(*GOOD, copies=(none,))) == {}

    @pytest.mark.parametrize(("held", "above"), [(100, False), (101, True)])
    def test_a_holder_above_their_limit(self, *, held: int, above: bool) -> None:
        found = of_rules(vault(*GOOD, limits=(LimitFacts("ann", 100, held),)))
        assert set(found) == ({"holder_above_limit"} if above else set())
        if above:
            assert found["holder_above_limit"].subjects == ("holder:ann",)
            assert (
                "hold 101 sat in all; the limit is 100 sat" in found["holder_above_limit"].message
            )

    @pytest.mark.parametrize(
        ("cold", "hot", "above"), [(900, 100, False), (899, 101, True), (0, 0, False), (0, 1, True)]
    )
    def test_a_hot_share_above_the_rule_is_a_finding(
        self, *, cold: int, hot: int, above: bool
    ) -> None:
        found = of_rules(vault(*GOOD, value_sats=cold, hot=HotFacts(hot, 10)))
        assert set(found) == ({"hot_share"} if above else set())

    def test_a_hot_share_is_told_in_per_cent(self) -> None:
        told = of_rules(vault(*GOOD, value_sats=750, hot=HotFacts(250, 10)))["hot_share"]
        assert told.message == "250 of 1000 sat are hot, 25.0 %; the rule is 10 % at most"
        assert of_rules(vault(*GOOD, value_sats=750)) == {}

    @pytest.mark.parametrize(
        ("subject", "command"),
        [("card:a", "card check a"), ("plate:p", "custody record plate:p seen")],
    )
    def test_how_to_tell_that_a_thing_was_looked_at(self, subject: str, command: str) -> None:
        unseen = carrier("a", "bank", last_seen=None)._replace(subject=subject)
        found = of_rules(vault(key("a", unseen), *GOOD[1:]))
        assert found["not_checked"].remedy == f"look at it and run: cardquorum {command}"
        gone = unseen._replace(gone="lost")
        assert of_rules(vault(key("a", gone), *GOOD[1:])) == {}
