"""What an audit says of places, people and regions: who can spend, and what a loss leaves."""

from dataclasses import replace

import pytest

from coordinator.audit.facts import CopyFacts, PlaceFacts, SecretFacts
from coordinator.audit.place_findings import place_findings as found_at
from coordinator.audit.place_findings import without_banks
from coordinator.notices import Notice, Severity
from tests.coordinator.audit.later import NET, TIP, YEAR, later
from tests.coordinator.audit.test_findings import GOOD, carrier, key, vault

ELSEWHERE = (SecretFacts("pin", written_at=("office",)),)


def findings(*cosigners: object, **more: object) -> dict[tuple[str, str], Notice]:
    """Return what is found, by its code and the group that it is about."""
    found = list(found_at(vault(*cosigners, **more)))
    by_group = {(each.code, each.subjects[0]): each for each in found}
    assert len(by_group) == len(found)
    return by_group


def places(*, region: str | None = None, holder: str | None = None) -> dict[str, PlaceFacts]:
    """Return bank and friend, which share a region or a holder; home shares nothing."""
    shared = {name: PlaceFacts(name, region, holder) for name in ("bank", "friend")}
    return {**shared, "home": PlaceFacts("home", "south", "me")}


def test_only_pins_elsewhere_keep_a_quorum_from_spending() -> None:
    pair = [key(name, carrier(name, "bank", secrets=ELSEWHERE)) for name in "ab"]
    found = findings(*pair, GOOD[2])
    told = found["location_holds_quorum", "location:bank"]
    assert told.severity is Severity.WARNING
    assert told.message == (
        "location bank holds 2 keys of 2 needed: "
        "only PINs that are elsewhere keep whoever opens it from spending"
    )
    assert told.remedy == "move cards so that none reaches more than 1 keys"
    assert ("location_can_spend", "location:bank") not in found


def test_a_place_needs_less_once_a_key_was_stolen() -> None:
    stolen = key("a", carrier("a", None, gone="stolen"))
    found = findings(stolen, *GOOD[1:])
    assert {group for code, group in found if code == "location_can_spend"} == {
        "location:friend",
        "location:home",
    }
    told = found["location_can_spend", "location:friend"]
    assert told.message == (
        "location friend holds 1 key and 1 key lost or stolen already, of 2 needed: "
        "whoever opens it can spend"
    )
    assert told.remedy == "make a vault without the key that is gone and move the coins there"


def test_a_destroyed_card_counts_for_no_theft() -> None:
    destroyed = key("a", carrier("a", None, gone="destroyed"))
    assert "location_can_spend" not in {code for code, _ in findings(destroyed, *GOOD[1:])}


def test_a_quorum_that_is_gone_is_no_finding_of_a_location() -> None:
    stolen = [key(name, carrier(name, None, gone="stolen")) for name in "ab"]
    rest = [key(name, carrier(name, name)) for name in "cd"]
    assert "location_can_spend" not in {code for code, _ in findings(*stolen, *rest)}


def test_one_person_with_two_places_can_spend_and_can_fail() -> None:
    found = findings(*GOOD, places=places(holder="ann"))
    told = found["holder_can_spend", "holder:ann"]
    assert told.severity is Severity.WARNING
    assert told.message == ("holder ann can open 2 keys of 2 needed: that person alone can spend")
    told = found["holder_loss_fatal", "holder:ann"]
    assert told.severity is Severity.WARNING
    assert told.message == (
        "if holder ann is gone or does not help, 1 key is left and 2 are needed"
    )
    assert ("holder_can_spend", "holder:me") not in found
    assert ("holder_loss_fatal", "holder:me") not in found


def test_a_region_that_takes_a_quorum_with_it() -> None:
    found = findings(*GOOD, places=places(region="north"))
    told = found["region_loss_fatal", "region:north"]
    assert told.severity is Severity.WARNING
    assert told.message == "if region north is struck, 1 key is left and 2 are needed"
    assert not {code for code, _ in found} & {"places_share_region", "region_can_spend"}


def test_a_region_whose_loss_can_be_borne_is_still_told() -> None:
    saved = key("a", *GOOD[0].carriers, carrier("a2", "home"))
    found = findings(saved, *GOOD[1:], places=places(region="north"))
    told = found["places_share_region", "region:north"]
    assert told.severity is Severity.INFO
    assert told.subjects == ("region:north", "location:bank", "location:friend")
    assert told.message.startswith("locations bank and friend lie in region north: ")
    assert ("places_share_region", "region:south") not in found


def test_a_region_counts_only_places_in_use() -> None:
    more = {**places(), "attic": PlaceFacts("attic", "south"), "shed": PlaceFacts("shed")}
    assert findings(*GOOD, places=more) == {}


@pytest.mark.parametrize("region", [None, "north"])
def test_copies_of_the_descriptor_that_lie_together(region: str | None) -> None:
    copies = (CopyFacts("copy:bank", "bank", None),)
    near = {"bank": PlaceFacts("bank", region, "ann")}
    found = findings(*GOOD, copies=copies, places=near)
    assert set(found) == {("copies_together", "location:bank")}
    told = found["copies_together", "location:bank"]
    assert told.severity is Severity.WARNING
    assert told.message.startswith("if location bank is lost, and this computer, no copy ")


def test_a_fatal_loss_is_told_once() -> None:
    copies = (CopyFacts("copy:bank", "bank", None),)
    pair = [key(name, carrier(name, "bank")) for name in "ab"]
    found = findings(*pair, GOOD[2], copies=copies)
    assert set(found) == {
        ("location_can_spend", "location:bank"),
        ("location_loss_fatal", "location:bank"),
    }
    assert found["location_loss_fatal", "location:bank"].severity is Severity.DANGER


@pytest.mark.parametrize(("left", "said"), [(1, "1 key is left"), (2, "2 keys are left")])
def test_how_many_keys_a_loss_leaves(left: int, said: str) -> None:
    lost = [key(str(n), carrier(str(n), "bank")) for n in range(3)]
    kept = [key(name, carrier(name, name)) for name in "xy"[:left]]
    found = findings(*lost, *kept, threshold=3)
    message = found["location_loss_fatal", "location:bank"].message
    assert message == f"if location bank is lost, {said} and 3 are needed"


def banks(*names: str) -> dict[str, PlaceFacts]:
    """Return the three places, of which these are banks; another bank holds nothing."""
    kinds = {name: "bank-vault" if name in names else "home" for name in ("bank", "friend", "home")}
    more = {"empty": PlaceFacts("empty", kind="bank-vault")}
    return {**{name: PlaceFacts(name, kind=kind) for name, kind in kinds.items()}, **more}


@pytest.mark.parametrize(
    ("shut", "borne"), [((), None), (("bank",), True), (("bank", "friend"), False)]
)
def test_whether_a_vault_can_be_spent_while_banks_are_shut(
    shut: tuple[str, ...], *, borne: bool | None
) -> None:
    facts = vault(*GOOD, places=banks(*shut))
    assert without_banks(facts) is borne
    assert ("bank_shut" in {each.code for each in found_at(facts)}) == (borne is False)


@pytest.mark.parametrize(
    ("left", "said"), [(0, "0 keys are at hand"), (1, "1 key is at hand"), (2, "2 keys are at")]
)
def test_a_shut_bank_that_stops_the_vault_is_told(left: int, said: str) -> None:
    held = [key(name, carrier(name, "bank" if name < "c" else "friend")) for name in "abcd"]
    kept = [key(name, carrier(name, name)) for name in "xy"[:left]]
    found = findings(*held, *kept, threshold=3, places=banks("bank", "friend"))
    told = found["bank_shut", "location:bank"]
    assert told.severity is Severity.WARNING
    assert told.subjects == ("location:bank", "location:friend")
    assert told.message.startswith(f"while bank and friend are shut, {said}")
    assert " and 3 are needed: " in told.message


@pytest.mark.parametrize(("kept", "stops"), [("bank", True), ("friend", False)])
def test_a_pin_that_lies_in_a_shut_bank_stops_the_vault(kept: str, *, stops: bool) -> None:
    pin = (SecretFacts("pin", written_at=(kept,)),)
    cards = [key("b", carrier("b", "friend", secrets=pin)), GOOD[2]]
    found = findings(GOOD[0], *cards, places=banks("bank"))
    assert {code for code, _ in found} & {"pin_in_bank", "bank_shut"} == (
        {"pin_in_bank"} if stops else set()
    )
    if stops:
        told = found["pin_in_bank", "location:bank"]
        assert told.severity is Severity.WARNING
        assert told.message.startswith("while bank is shut, 2 keys are at hand but PINs for 1 of ")


def test_a_place_that_holds_the_quorums_of_two_branches_is_told_once() -> None:
    at_bank = [key(name, carrier(name, "bank")) for name in ("a", "b", "heir", "lawyer")]
    open_now = NET._replace(keys=tuple(at_bank[2:]))
    facts = replace(later(open_now, oldest=TIP - YEAR), cosigners=(*at_bank[:2], GOOD[2]))
    told = [each.code for each in found_at(facts) if each.subjects == ("location:bank",)]
    assert told.count("location_can_spend") == 1
