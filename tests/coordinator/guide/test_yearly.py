"""What an owner may want of a vault: to receive, to pay, and the round of every year."""

from dataclasses import replace

from coordinator.custody.bags import BagFacts
from coordinator.guide.facts import GuideFacts
from coordinator.guide.yearly import TOLD, Wish, wished
from tests.coordinator.guide.test_reports import known


def commands(wish: Wish, facts: GuideFacts) -> list[str | None]:
    return [step.command for step in wished(wish, facts, "v")]


def test_each_wish_can_be_chosen() -> None:
    assert set(TOLD) == set(Wish)
    assert next(iter(TOLD)) is Wish.NEXT


def test_receiving_and_paying_are_a_command_each() -> None:
    assert commands(Wish.RECEIVE, known()) == ["cardquorum address new v"]
    paying = "cardquorum spend create v --to ADDRESS:AMOUNT"
    assert commands(Wish.PAY, known()) == [f"{paying} --target 6"]
    assert commands(Wish.PAY, replace(known(), chain="none:")) == [f"{paying} --feerate FEERATE"]


def test_the_yearly_round_looks_at_all_of_it() -> None:
    assert commands(Wish.ROUND, known()) == [
        "cardquorum sync v",
        "cardquorum custody record card:c0 seen --seal SERIAL",
        "cardquorum card check c1 --pin",
        "cardquorum card check c2 --pin",
        *(f"cardquorum custody record copy:v-{place} seen" for place in ("aunt", "bank", "desk")),
        "cardquorum drill start v",
        "cardquorum audit v",
        "cardquorum backup --out FILE",
    ]


def test_what_is_gone_or_was_opened_is_no_part_of_the_round() -> None:
    facts = known()
    (vault,) = facts.vaults
    first, second, third = vault.facts.cosigners
    (body,) = first.carriers
    gone = second._replace(carriers=tuple(c._replace(gone="lost") for c in second.carriers))
    opened = first._replace(carriers=(body._replace(bag=BagFacts("B1", opened=facts.now)),))
    changed = replace(vault.facts, cosigners=(opened, gone, third))
    facts = replace(facts, vaults=(replace(vault, facts=changed),))
    found = commands(Wish.ROUND, facts)
    assert "cardquorum card check c0 --pin" in found
    assert not any(command and "c1" in command for command in found)


def test_flaws_that_became_known_are_looked_for_by_family_and_version() -> None:
    (step,) = [each for each in wished(Wish.ROUND, known(), "v") if each.code == "advisories"]
    assert "satochip 0.12" in step.title
