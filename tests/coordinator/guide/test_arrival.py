"""What somebody is told who comes without a vault, and how their vault is brought back."""

import re
from dataclasses import replace

from coordinator.guide.arrival import TOLD, Reason, first_words, home_back, show_card, vault_back
from coordinator.guide.facts import GuideFacts
from tests.coordinator.guide.model import PLACES, Card, Model, Vault, facts_of
from tests.coordinator.guide.test_reports import OURS, WORDS_MAX


def standing(*, looked: bool) -> GuideFacts:
    cards = tuple(Card(f"c{n}", PLACES[n], told=True) for n in range(3))
    facts = facts_of(Model(chain="p2p:", cards=cards, vaults=(Vault("v", ("c0", "c1", "c2")),)))
    return replace(facts, vaults=(replace(facts.vaults[0], looked=looked),))


def test_a_new_vault_is_what_enter_takes() -> None:
    assert next(iter(TOLD)) is Reason.NEW
    assert set(TOLD) == set(Reason)


def test_after_a_death_nothing_is_done_first() -> None:
    told = [advice.title for advice in first_words(Reason.DIED)]
    assert "do nothing" in told[0]
    assert any("call the helper" in title for title in told)
    assert any("bring cards together" in title for title in told)


def test_who_lost_a_computer_hears_that_the_keys_are_on_the_cards() -> None:
    told = list(first_words(Reason.COMPUTER))
    assert "not on the computer" in told[0].title
    assert any("sign nothing on it again" in advice.title for advice in told)


def test_first_words_are_plain_and_short() -> None:
    texts = [text for reason in Reason for advice in first_words(reason) for text in advice[:2]]
    steps = [home_back(), show_card(), vault_back(GuideFacts(network="mainnet"))]
    texts += [text for step in steps if step is not None for text in (step.title, step.why)]
    assert texts
    for text in texts:
        assert not OURS.search(text), text
        assert all(len(part.split()) <= WORDS_MAX for part in re.split(r"[.;:]", text)), text


def test_the_vault_comes_from_its_paper_and_is_looked_for_before_anything_is_said_of_it() -> None:
    first = vault_back(GuideFacts(network="mainnet"))
    assert first is not None
    assert first.words[0] == "recover"
    assert first.needs == ("FILE", "NAME", "CHECKSUM", "BIRTHDAY")
    unseen = standing(looked=False)
    looking = vault_back(unseen)
    assert looking is not None
    assert looking.command == "cardquorum sync v"
    assert vault_back(replace(unseen, chain="none:")) is None, "coins come by file"
    assert vault_back(standing(looked=True)) is None
