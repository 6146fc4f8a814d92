"""What a person reports has a first step for each thing it can be about, and each is a command."""

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from coordinator.audit.facts import PlaceFacts, SecretFacts
from coordinator.custody.bags import BagFacts
from coordinator.guide.facts import GuideFacts
from coordinator.guide.reports import ADVISED, TOLD, Report, first_steps, subjects
from coordinator.incident.step import Step
from tests.coordinator.guide.model import PLACES, Card, Model, Vault, facts_of

OURS = re.compile(
    r"descriptor|xpub|\bseed|mnemonic|psbt|\bquorum|\d-of-\d|cosigner|fingerprint|carrier|custody"
    r"|ceremony|drill|utxo|\bchange\b|feerate|\brbf\b|confirmation|timelock|refresh|\bpuk\b"
    r"|passphrase|watch-only|regtest",
    re.IGNORECASE,
)
"""Words of ours that whoever reads in fear or grief does not know."""
WORDS_MAX = 25
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
    carrier = carrier._replace(card=carrier.card._replace(secrets=secrets, puk_sets_pin=True))
    cards = (facts.cards[0], facts.cards[1]._replace(carrier=carrier), facts.cards[2])
    return replace(facts, vaults=(standing,), cards=cards)


@pytest.mark.parametrize("report", list(Report))
def test_each_report_has_a_road(report: Report) -> None:
    facts = known()
    about = subjects(report, facts) or [""]
    assert report in TOLD
    for subject in about:
        steps = first_steps(report, facts, subject)
        assert steps
        assert all(step.title and step.why for step in steps)
        assert any(step.command for step in steps)
        if report not in ADVISED and report is not Report.QUIET:
            assert all(step.command for step in steps)


def test_a_place_that_burnt_is_told_thing_by_thing() -> None:
    commands = [step.command for step in first_steps(Report.BURNT, known(), "aunt")]
    assert commands == [
        "cardquorum custody record card:c1 destroyed",
        "cardquorum custody record copy:v-aunt destroyed",
    ]


def test_a_keeper_who_is_silent_costs_their_cards_in_five_steps() -> None:
    assert subjects(Report.QUIET, known()) == ["aunt"]
    steps = first_steps(Report.QUIET, known(), "aunt")
    assert [step.command for step in steps] == [
        None,
        "cardquorum vault verify v",
        "cardquorum card lost c1",
        None,
        None,
    ]
    assert "also where they come back" in steps[2].why
    assert "once a year" in steps[4].title


def test_a_silent_keepers_last_card_is_missed_where_the_others_are_too_few() -> None:
    facts = known()
    (vault,) = facts.vaults
    first = vault.facts.cosigners[0]
    gone = first._replace(carriers=tuple(c._replace(gone="lost") for c in first.carriers))
    vault = replace(vault, facts=replace(vault.facts, cosigners=(gone, *vault.facts.cosigners[1:])))
    steps = first_steps(Report.QUIET, replace(facts, vaults=(vault,)), "aunt")
    assert not any(step.words[:2] == ("vault", "verify") for step in steps)


def test_a_forgotten_pin_is_looked_up_before_the_puk_and_the_puk_before_it_is_given_up() -> None:
    steps = first_steps(Report.FORGOTTEN, known(), "c1")
    assert [step.words[:2] for step in steps] == [
        ("card", "check"),
        ("card", "unblock"),
        ("card", "lost"),
    ]
    assert "at drawer" in steps[0].title
    assert "known by aunt" in steps[1].title
    assert [step.words[1] for step in first_steps(Report.BLOCKED, known(), "c0")] == ["lost"]


def test_a_puk_that_sets_no_pin_frees_a_blocked_card_and_helps_no_forgotten_pin() -> None:
    facts = known()
    carrier = facts.cards[1].carrier
    assert carrier.card is not None
    card = facts.cards[1]._replace(
        carrier=carrier._replace(card=carrier.card._replace(puk_sets_pin=False))
    )
    facts = replace(facts, cards=(facts.cards[0], card, facts.cards[2]))
    verbs = [step.words[1] for step in first_steps(Report.FORGOTTEN, facts, "c1")]
    assert verbs == ["check", "lost"]
    assert [step.words[1] for step in first_steps(Report.BLOCKED, facts, "c1")] == [
        "unblock",
        "lost",
    ]


def test_only_what_lies_in_a_bag_can_have_been_opened() -> None:
    assert subjects(Report.OPENED, known()) == ["card:c0"]


def test_a_lost_computer_is_about_nothing_here_and_needs_the_kit() -> None:
    steps = first_steps(Report.COMPUTER, GuideFacts(network="mainnet"), "")
    assert steps[0].needs == ("FILE", "NAME", "CHECKSUM")
    brought_back = first_steps(Report.COMPUTER, known(), "")
    assert [step.words[0] for step in brought_back] == ["card"], "it is not asked for twice"


def test_of_a_lost_card_the_others_are_tried_out_before_anything_else() -> None:
    assert [step.command for step in first_steps(Report.LOST, known(), "c1")] == [
        "cardquorum card lost c1",
        "cardquorum card check c0 --pin",
        "cardquorum card check c2 --pin",
    ]
    stolen = first_steps(Report.STOLEN, known(), "c1")
    assert [step.command for step in stolen] == ["cardquorum card stolen c1"], "that is urgent"


def advised() -> Iterator[Step]:
    """Yield every step of what happens to people, where a vault is there and where none is."""
    for facts in (known(), replace(known(), cards=(), vaults=()), GuideFacts(network="mainnet")):
        for report in ADVISED:
            for subject in subjects(report, facts) or [""]:
                yield from first_steps(report, facts, subject)


def test_what_happens_to_people_is_told_in_plain_words_and_short_sentences() -> None:
    for step in advised():
        for text in (step.title, step.why):
            assert not OURS.search(text), text
            assert all(len(part.split()) <= WORDS_MAX for part in re.split(r"[.;:]", text)), text


def test_an_heir_does_nothing_first_and_sends_a_small_sum_before_the_rest() -> None:
    steps = first_steps(Report.DIED, known(), "")
    assert [step.command is None for step in steps[:5]] == [True] * 5
    assert "do nothing" in steps[0].title
    assert [step.command for step in steps if step.command] == [
        "cardquorum sync v",
        "cardquorum vault verify v",
        "cardquorum spend create v --to ADDRESS:AMOUNT --target 6",
        "cardquorum spend create v --drain ADDRESS --target 6",
    ]


def test_an_heir_fetches_the_card_in_the_bank_last() -> None:
    facts = replace(known(), banks=frozenset({CARDS[0].place or ""}))
    (told,) = [each.title for each in first_steps(Report.DIED, facts, "") if "bring" in each.title]
    assert told.index("c1") < told.index("c2") < told.index("c0")


def test_an_heir_whose_computer_knows_too_few_cards_shows_them_first() -> None:
    facts = known()
    (vault,) = facts.vaults
    gone = [
        each._replace(carriers=tuple(c._replace(gone="destroyed") for c in each.carriers))
        for each in vault.facts.cosigners[:2]
    ]
    cosigners = (*gone, vault.facts.cosigners[2])
    vault = replace(vault, facts=replace(vault.facts, cosigners=cosigners))
    steps = first_steps(Report.DIED, replace(facts, chain="none:", vaults=(vault,)), "")
    assert [each.command for each in steps if each.command] == [
        "cardquorum card enrol LABEL",
        "cardquorum balance v",
    ]


def test_who_was_forced_records_what_was_taken_only_once_they_are_safe() -> None:
    steps = first_steps(Report.FORCED, known(), "")
    first = next(number for number, step in enumerate(steps) if step.command)
    assert [step.words[:2] for step in steps[first:]] == [("card", "stolen")] * len(CARDS)
    assert "police" in steps[first - 1].title


def test_who_keeps_a_card_is_warned_of_a_threat_by_name() -> None:
    assert any("warn aunt" in each.title for each in first_steps(Report.THREATENED, known(), ""))


def test_a_card_of_a_maker_that_is_gone_is_replaced_by_one_of_another() -> None:
    facts = known()
    (maker,) = subjects(Report.MAKER, facts)
    body = facts.cards[0].carrier
    assert body.card is not None
    other = body.card._replace(vendor="another")
    spare = facts.cards[0]._replace(
        carrier=body._replace(subject="card:c9", card=other),
        fingerprint="c9",
        free=True,
    )
    steps = first_steps(Report.MAKER, replace(facts, cards=(*facts.cards, spare)), maker)
    assert [each.command for each in steps if each.words[:1] == ("replace",)] == [
        f"cardquorum replace start v --card c{n} --with c9" for n in range(3)
    ]
    assert not any(
        each.words[:1] == ("replace",) for each in first_steps(Report.MAKER, facts, maker)
    )
