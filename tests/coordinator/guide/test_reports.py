"""What a person reports has a first step for each thing it can be about, and each is a command."""

from dataclasses import replace

import pytest

from coordinator.audit.findings import PlaceFacts, SecretFacts
from coordinator.custody.bags import BagFacts
from coordinator.guide.facts import GuideFacts
from coordinator.guide.reports import TOLD, Report, first_steps, subjects
from tests.coordinator.guide.model import PLACES, Card, Model, Vault, facts_of

CARDS = tuple(Card(f"c{n}", PLACES[n], told=True) for n in range(3))


def known() -> GuideFacts:
    """Return a vault of three cards, one of them in a bag and one with a PUK, kept by an aunt."""
    bagged = replace(CARDS[0], bag=BagFacts("B1"))
    vault = Vault("v", ("c0", "c1", "c2"), proved=frozenset({"c0", "c1", "c2"}))
    vault = replace(vault, copies=frozenset(PLACES[:3]))
    facts = facts_of(Model(cards=(bagged, *CARDS[1:]), places=3, vaults=(vault,)))
    (standing,) = facts.vaults
    places = {name: PlaceFacts(name, holder="aunt" if name == "aunt" else None) for name in PLACES}
    standing = replace(standing, facts=replace(standing.facts, places=places))
    carrier = facts.cards[1].carrier
    assert carrier.card is not None
    secrets = (*carrier.card.secrets, SecretFacts("puk", ("aunt",)))
    carrier = carrier._replace(card=carrier.card._replace(secrets=secrets))
    cards = (facts.cards[0], replace(facts.cards[1], carrier=carrier), facts.cards[2])
    return replace(facts, vaults=(standing,), cards=cards)


@pytest.mark.parametrize("report", list(Report))
def test_each_report_has_a_road(report: Report) -> None:
    facts = known()
    about = subjects(report, facts) or [""]
    assert report in TOLD
    for subject in about:
        steps = first_steps(report, facts, subject)
        assert steps
        assert all(step.command for step in steps)


def test_a_place_that_burnt_is_told_thing_by_thing() -> None:
    commands = [step.command for step in first_steps(Report.BURNT, known(), "aunt")]
    assert commands == [
        "cardquorum custody record card:c1 destroyed",
        "cardquorum custody record copy:v-aunt destroyed",
    ]


def test_a_keeper_who_is_silent_costs_their_cards() -> None:
    assert subjects(Report.QUIET, known()) == ["aunt"]
    (step,) = first_steps(Report.QUIET, known(), "aunt")
    assert step.command == "cardquorum card lost c1"


def test_a_forgotten_pin_is_looked_up_before_the_puk_and_the_puk_before_it_is_given_up() -> None:
    steps = first_steps(Report.FORGOTTEN, known(), "c1")
    assert [step.words[:2] for step in steps] == [
        ("card", "check"),
        ("card", "unblock"),
        ("card", "lost"),
    ]
    assert "at attic" in steps[0].title
    assert "known by aunt" in steps[1].title
    assert [step.words[1] for step in first_steps(Report.BLOCKED, known(), "c0")] == ["lost"]


def test_only_what_lies_in_a_bag_can_have_been_opened() -> None:
    assert subjects(Report.OPENED, known()) == ["card:c0"]


def test_a_lost_computer_is_about_nothing_here_and_needs_the_kit() -> None:
    steps = first_steps(Report.COMPUTER, GuideFacts(network="mainnet"), "")
    assert steps[0].needs == ("FILE", "NAME", "CHECKSUM")
