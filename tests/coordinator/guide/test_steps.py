"""Whoever follows the steps reaches a safe vault, from every state of a finite model."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from itertools import product
from typing import NamedTuple

import pytest

from coordinator.audit.findings import audit
from coordinator.custody.bags import BagFacts
from coordinator.guide.steps import ORDER, is_safe, next_steps
from coordinator.incident.step import Need, Step
from coordinator.notices import Severity
from tests.coordinator.guide.model import (
    EARLIER,
    LARGE,
    NOW,
    PLACES,
    SMALL,
    Card,
    Model,
    Payment,
    Vault,
    facts_of,
    taken,
)
from tests.coordinator.guide.next_steps_table import PAPER, Counts, document
from tests.sampled import in_turn

STEPS_MAX = 80
SAMPLE = 31
"""`make test` walks from one state in 31, `make test-all` from all: 31 divides no axis."""
CHAINS = ("regtest:", "http://node", "none:")
BEFORE = [
    Model(made=False),
    *(
        Model(chain=chain, cards=cards[:count], places=places, next_label=count, emulators=soft)
        for chain, count, places, soft in product(CHAINS, range(4), range(4), range(2))
        for cards in (
            tuple(Card(f"c{n}", PLACES[n] if n < placed else None, told) for n in range(3))
            for placed, told in product({0, places}, (False, True))
        )
    ),
]
MONEY = {
    "none": {},
    "address": {"address": True},
    "pending": {"received": True, "pending": True, "sats": SMALL},
    "small": {"received": True, "sats": SMALL},
    "large": {"received": True, "sats": LARGE},
    "spent": {"received": True, "spent": True},
}
EMERGENCIES: dict[str, tuple[dict[str, object], ...]] = {
    "none": (),
    "lost": ({"gone": "lost"},),
    "stolen": ({"gone": "stolen"},),
    "destroyed": ({"gone": "destroyed"},),
    "opened": ({"bag": BagFacts("B1", opened=EARLIER)},),
    "other_bag": ({"bag": BagFacts("B1", other="B9")},),
    "pin_beside": ({"beside": True},),
    "pins_noted_once": ({"once": True}, {"once": True}, {"once": True}),
    "together": ({"place": PLACES[1]},),
    "all_together": ({"place": PLACES[2], "beside": True}, {"place": PLACES[2], "beside": True}),
    "two_lost": ({"gone": "lost"}, {"gone": "lost"}),
    "two_stolen": ({"gone": "stolen"}, {"gone": "stolen"}),
    "two_destroyed": ({"gone": "destroyed"}, {"gone": "destroyed"}),
    "lost_and_opened": ({"gone": "lost"}, {"bag": BagFacts("B1", opened=EARLIER)}),
}


def after() -> Iterator[Model]:
    """Yield the states of a home with a vault of three cards, and a fourth card or none."""
    axes = product(
        CHAINS,
        (True, False),  # custody recorded
        ((), ("c0",), ("c0", "c1", "c2")),  # proved
        ((), PLACES[:1], PLACES[:3]),  # copies
        MONEY.values(),
        (None, "open", "done"),  # drill
        EMERGENCIES.items(),
        (True, False),  # a spare card
    )
    for chain, told, proved, copies, money, drill, (happened, emergency), spare in axes:
        if chain != CHAINS[0] and happened not in {"none", "stolen"}:
            continue  # what happened to cards is told alike wherever the chain is asked
        cards = [Card(f"c{n}", PLACES[n] if told else None, told) for n in range(3)]
        for number, change in enumerate(emergency):
            cards[number] = replace(cards[number], **change)
        extra = (Card("c3"),) if spare else ()
        vault = Vault("v", ("c0", "c1", "c2"), drill=drill, **money)
        vault = replace(vault, proved=frozenset(proved), copies=frozenset(copies))
        yield Model(True, chain, (*cards, *extra), 3, (vault,), next_label=3 + spare)


def paying() -> Iterator[Model]:
    """Yield states with a payment under way, and a vault nobody compared with its paper."""
    for model in after():
        (vault,) = model.vaults
        if vault.sats and not vault.pending and vault.drill is None and len(vault.proved) != 1:
            for state in ("collecting", "complete", "final"):
                yield replace(model, payment=Payment("v", state))
        if vault.drill is None and not vault.received:
            yield model.with_vault(replace(vault, approved=False))


class Seen(NamedTuple):
    """Whether a state is safe, what is dangerous in each of its vaults, and what is next."""

    safe: bool
    dangers: tuple[frozenset[str], ...]
    steps: tuple[Step, ...]


@cache
def seen(model: Model) -> Seen:
    facts = facts_of(model)
    found = tuple(frozenset(each.code for each in vault.dangers) for vault in facts.vaults)
    return Seen(is_safe(facts), found, tuple(next_steps(facts)))


def walk(start: Model, ways: dict[Model, int]) -> list[str]:
    """Follow the first step again and again; return the commands of a walk that goes nowhere.

    `ways` are the states from which safety is reached, and in how many steps.
    """
    model, told, passed = start, list[str](), list[Model]()
    while model not in ways:
        safe, _, steps = seen(model)
        if safe:
            ways[model] = 0
            break
        passed.append(model)
        step = next((step for step in steps if step.command), None)
        if step is None or len(told) > STEPS_MAX:
            return [*told, "nothing is next" if step is None else "too many steps"]
        told.append(step.command or "")
        model = taken(model, step)
        if model in passed:
            return [*told, "it goes in a circle"]
    for left, each in enumerate(reversed(passed), 1):
        ways[each] = ways[model] + left
    return []


def counted(every: int = 1) -> tuple[dict[Model, int], Counts]:
    """Return each state met on the ways to safety from every nth, and how many there are."""
    ways: dict[Model, int] = {}
    starts = [*BEFORE, *after(), *paying()][::every]
    for start in starts:
        assert walk(start, ways) == [], start
    return ways, Counts(len(starts), len(ways), max(ways.values()))


@pytest.fixture(scope="module", params=[SAMPLE, pytest.param(1, marks=pytest.mark.matrix)])
def walked(request: pytest.FixtureRequest) -> tuple[dict[Model, int], Counts]:
    return counted(request.param)


@pytest.fixture
def states(walked: tuple[dict[Model, int], Counts]) -> Iterable[Model]:
    """Return the states met on the ways to safety."""
    ways, counts = walked
    assert counts.seen > counts.starts > 500
    return ways


@pytest.fixture
def audited(walked: tuple[dict[Model, int], Counts]) -> Iterable[Model]:
    """Return the states whose vaults are audited: all where all are walked from, else one in 3."""
    ways, counts = walked
    return in_turn(ways, 0, 1 if counts.starts == told().starts else 3)


def told() -> Counts:
    """Return the numbers that stand in the document."""
    shown = re.search(r"([\d,]+) states of a\s+model \(([\d,]+) .*?(\d+) steps", PAPER.read_text())
    assert shown is not None
    return Counts(*(int(number.replace(",", "")) for number in shown.groups()))


def test_the_document_of_next_steps_is_as_they_are() -> None:
    shown = PAPER.read_text(encoding="utf-8")
    assert document(told()) == shown, "python -m tests.coordinator.guide.next_steps_table"


def test_the_document_counts_the_states(walked: tuple[dict[Model, int], Counts]) -> None:
    counts = walked[1]
    whole = counts.starts == told().starts
    assert counts == told() if whole else counts.starts == -(-told().starts // SAMPLE)
    assert counts.longest <= told().longest


def test_who_follows_the_steps_reaches_safety_from_every_state(states: Iterable[Model]) -> None:
    assert any(seen(model).safe for model in states)


def test_a_home_is_safe_only_where_nothing_but_money_is_left_to_come(
    states: Iterable[Model],
) -> None:
    for model in states:
        safe, _, steps = seen(model)
        codes = {step.code for step in steps}
        assert (codes <= {"fund"}) if safe else ("fund" not in codes), (model, steps)


def test_what_is_dangerous_comes_first(states: Iterable[Model]) -> None:
    for model in states:
        order = [ORDER.index(step.severity) for step in seen(model).steps]
        assert order == sorted(order)


def test_nothing_contradicts_what_is_dangerous(audited: Iterable[Model]) -> None:
    """Status, the first step, the audit's verdict and its exit status are of one mind."""
    for model in audited:
        dangers, steps = seen(model).dangers, seen(model).steps
        first = bool(steps) and steps[0].severity is Severity.DANGER
        assert first is any(dangers), (model, dangers, steps)
        for vault, codes in zip(facts_of(model).vaults, dangers, strict=True):
            asked = audit(vault.facts, NOW)
            grave = {each.code for each in asked if each.severity is Severity.DANGER}
            assert grave == codes, model


def test_no_address_is_next_while_anything_is_dangerous(states: Iterable[Model]) -> None:
    for model in states:
        if any(seen(model).dangers):
            assert not any(step.words[:1] == ("address",) for step in seen(model).steps)


def test_a_signed_payment_is_sent_before_a_vault_without_a_quorum_is_given_up(
    states: Iterable[Model],
) -> None:
    found = 0
    for model in states:
        payment = model.payment
        if payment is not None and payment.state in {"complete", "final"}:
            (dangers,) = [
                dangers
                for vault, dangers in zip(model.vaults, seen(model).dangers, strict=True)
                if vault.name == payment.vault
            ]
            if {"quorum_lost", "quorum_stolen"} & dangers:
                verb = "finalize" if payment.state == "complete" else "broadcast"
                assert seen(model).steps[0].words == ("spend", verb, "payid")
                found += 1
    assert found > 10


def test_no_command_is_told_twice(states: Iterable[Model]) -> None:
    for model in states:
        commands = [step.command for step in seen(model).steps if step.command]
        assert len(commands) == len(set(commands))


def test_a_home_that_can_only_be_read_is_told_no_command() -> None:
    for model in BEFORE[1:]:
        facts = replace(facts_of(model), writable=False)
        assert all(step.command is None for step in next_steps(facts))


def test_a_place_that_only_a_retired_vaults_card_lies_at_takes_another_card() -> None:
    here = [Card(f"c{n}", PLACES[n > 1], told=True) for n in range(3)]
    vault = Vault("v", tuple(each.label for each in here))
    old = Card("old", PLACES[2], told=True)
    model = Model(cards=(*here, old), places=3, vaults=(vault,), retired=frozenset({"old"}))
    (step,) = (step for step in next_steps(facts_of(model)) if step.code == "cards_together")
    assert step.words[:2] == ("custody", "record")
    spare = replace(model, retired=frozenset())
    for full in (replace(model, places=2), spare):
        (step,) = (step for step in next_steps(facts_of(full)) if step.code == "cards_together")
        assert step.words[:2] == ("location", "add")


def test_a_command_is_quoted_for_a_shell_and_needs_are_told_apart() -> None:
    words = ("kit", "DIR", "--out", Need("DIR"), "--location", "at home; rm -r")
    step = Step("kit", Severity.INFO, "print", "why", words)
    assert step.command == "cardquorum kit 'DIR' --out DIR --location 'at home; rm -r'"
    assert step.needs == ("DIR",)
    assert step.filled({"DIR": "there"}) == [
        "kit", "DIR", "--out", "there", "--location", "at home; rm -r",
    ]  # fmt: skip
