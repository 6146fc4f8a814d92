"""Something is gone, stolen or was opened: what is still possible, and what to do now, in order."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from sqlalchemy.orm import Session

from cards.family import Theft
from coordinator.audit.dangers import saving
from coordinator.audit.exposure import (
    can_spend,
    exposure_of,
    keys_left,
    quorum_taken,
    thief_can_spend,
)
from coordinator.audit.facts import CarrierFacts, VaultFacts, keys
from coordinator.audit.gathering import vault_facts
from coordinator.audit.timeline import opening
from coordinator.custody import bags
from coordinator.custody import log as custody_log
from coordinator.incident.step import Need, Step
from coordinator.notices import Severity
from storage import card_secrets as secret_book
from storage import custody as custody_book
from storage import vaults as vault_book
from storage.model import Item

NOW, DAY, WEEK, MONTH = 0, 24, 7 * 24, 30 * 24
CODE: Final = "incident"
WHY: Final = "something that brings a key back is not where it was"
DUE: Final = {"stolen": DAY, "opened": DAY, "lost": WEEK, "destroyed": MONTH, "found": DAY}
"""Within how many hours a person acts after an event that tells something; no other does."""


class Effect(NamedTuple):
    """What one vault can still do, and what the thief of what is gone can.

    `waits` is the branch that can spend once it has opened, and about when, where none can now.
    """

    vault: str
    can_spend: bool
    thief_can_spend: bool
    keys_left: int
    keys_taken: int
    threshold: int
    waits: str | None = None


@dataclass(frozen=True)
class IncidentResponse:
    """The effect on every vault that counts on the thing, and the steps."""

    effects: list[Effect]
    resists: list[tuple[str, Theft]]
    steps: list[Step]


class _Case(NamedTuple):
    """One vault, and what the event costs it."""

    facts: VaultFacts
    effect: Effect


def after(db: Session, item: Item, event: str) -> IncidentResponse:
    """Say where an event that is in the book already leaves the vaults; empty where it matters not.

    What happens to a bag happens to all that is in it. What was in bags that are open is taken to
    be in the thief's hands.
    """
    items = bags.contents(db, item, opened=True) if item.kind == bags.BAG else [item]
    subjects = {custody_log.item_name(each) for each in items}
    cases = list(_cases(db, subjects, event)) if event in DUE else []
    struck = [
        carrier
        for case in cases
        for carrier in case.facts.carriers()
        if carrier.subject in subjects
    ]
    resists = {c.subject: c.card.theft for c in struck if c.card and c.card.theft}
    shown = list(resists.items()) if event in {"lost", "stolen", "opened"} else []
    return IncidentResponse(
        [case.effect for case in cases],
        shown,
        list(_steps(db, items, cases, event=event)) if cases else [],
    )


def _cases(db: Session, subjects: set[str], event: str) -> Iterator[_Case]:
    for vault in vault_book.all_vaults(db):
        if vault.retired_at is not None:
            continue
        facts, taken = vault_facts(db, vault), set[str]()
        if subjects.isdisjoint(carrier.subject for carrier in facts.carriers()):
            continue
        if event == "opened":
            bagged = [(each.subject, each.bag) for each in facts.carriers() if each.bag is not None]
            taken = {*subjects, *(name for name, bag in bagged if bag.opened or bag.other)}
        yield _Case(facts, _effect(facts, taken))


def _effect(facts: VaultFacts, taken: Collection[str]) -> Effect:
    exposure, bare = exposure_of(facts), exposure_of(facts, codes=False)
    able = can_spend(exposure)
    later = None if able else saving(facts)
    return Effect(
        facts.name,
        able,
        thief_can_spend(exposure, taken, knows_descriptor=True),
        keys_left(exposure),
        (quorum_taken(bare, taken) or bare.quorums[0]).taken(taken),
        facts.threshold,
        None if later is None else f"{later.said} can, {opening(facts, later).about}",
    )


def _steps(
    db: Session, items: Sequence[Item], cases: Sequence[_Case], *, event: str
) -> Iterator[Step]:
    """Yield the steps in order: the coins first where a thief can have them."""
    if event == "found":
        yield from _look_at(items)
        return
    urgent = [case for case in cases if case.effect.thief_can_spend]
    for case in urgent:
        drain = ("--drain", Need("ADDRESS"), "--target", "1")
        yield _step(
            f"a thief can spend vault {case.facts.name}: move its coins to a vault or address "
            "whose keys he cannot have, before anything else",
            ("spend", "create", case.facts.name, *drain),
            NOW,
        )
    if event == "lost":
        yield from _search(db, items)
    if event in {"stolen", "opened"}:
        yield from _codes_beside(db, items)
    for case in cases:
        hours = NOW if case in urgent else DUE[event]
        yield from _fetch(db, case, items, hours=hours)
        yield from _replace(case, items, hours)
    for case in cases:
        yield _step(
            f"see what is left to mend in vault {case.facts.name}",
            ("audit", case.facts.name),
            DUE[event],
        )


def _step(what: str, words: tuple[str, ...], hours: int) -> Step:
    severity = Severity.DANGER if hours == NOW else Severity.WARNING
    return Step(CODE, severity, what, WHY, words, within_hours=hours)


def _look_at(items: Sequence[Item]) -> Iterator[Step]:
    for item in items:
        if item.kind == "card":
            check = ("card", "check", item.name, "--pin")
            yield _step(f"check that card {item.name} is the one it was", check, DAY)
    names = " and ".join(custody_log.item_name(item) for item in items)
    yield _step(
        f"if anybody can have had {names} in hand for longer than it resists, replace it all the "
        "same; else put it back and write down where",
        _record(items[0], "placed"),
        DAY,
    )


def _search(db: Session, items: Sequence[Item]) -> Iterator[Step]:
    for item in items:
        placed = [e for e in custody_book.events_of(db, item) if e.location is not None]
        if placed and placed[-1].location is not None:
            last = placed[-1]
            where = f"{last.location.name if last.location else ''} on {last.happened_at.date()}"
            what = f"look for {custody_log.item_name(item)}: it was last at {where}"
            yield _step(what, _record(item, "found"), DAY)


def _record(item: Item, event: str) -> tuple[str, ...]:
    name = custody_log.item_name(item)
    return "custody", "record", name, event, "--at", Need("LOCATION")


def _codes_beside(db: Session, items: Iterable[Item]) -> Iterator[Step]:
    """Yield the changes of PINs that were written where the thing was taken from."""
    places = {place.id for item in items if (place := custody_log.last_place(db, item))}
    for secret in secret_book.all_secrets(db):
        beside = [place.name for place in secret.written_at if place.id in places]
        gone = custody_log.where_is(db, secret.card.item).gone
        if beside and secret.kind == "pin" and gone is None:
            label = secret.card.label
            yield _step(
                f"change the PIN of card {label}: it is written at {' and '.join(beside)} too",
                ("card", "pin", label),
                DAY,
            )


def _fetch(db: Session, case: _Case, items: Sequence[Item], *, hours: int) -> Iterator[Step]:
    """Yield the visits that bring a quorum together, the soonest possible first."""
    gone = {custody_log.item_name(item) for item in items}
    if not case.effect.can_spend:
        yield _step(
            f"vault {case.facts.name} has {keys(case.effect.keys_left)} left and "
            f"{case.effect.threshold} are needed: find a card, its backup or its PIN",
            ("custody", "log", min(gone)),
            NOW,
        )
        return
    lead = {place.name: place.lead_hours for place in custody_book.all_locations(db)}

    def ahead_of(carrier: CarrierFacts) -> int:
        return lead.get(carrier.location or "") or 0

    nearest = []
    for cosigner in case.facts.cosigners:
        left = [c for c in cosigner.carriers if c.gone is None and c.card and c.subject not in gone]
        if left:
            nearest.append(min(left, key=ahead_of))
    nearest.sort(key=lambda each: (ahead_of(each), each.subject))
    for carrier in nearest[: case.facts.threshold]:
        ahead = ahead_of(carrier)
        where = f" from {carrier.location}" if carrier.location else ""
        told = f", to be told {ahead} hours ahead" if ahead else ""
        tried = ("card", "check", carrier.name, "--pin")
        what = f"have {carrier.subject} at hand{where}{told}, and try it"
        yield _step(what, tried, max(hours, ahead))


def _replace(case: _Case, items: Iterable[Item], hours: int) -> Iterator[Step]:
    for item in items:
        struck = [c for c in case.facts.carriers() if c.subject == custody_log.item_name(item)]
        if item.kind == "card" and struck and case.effect.can_spend:
            yield _step(
                f"set up a new card, and a vault without the key of {item.name}",
                ("replace", "plan", case.facts.name, "--card", item.name),
                hours,
            )


def hours_text(hours: int | None) -> str:
    """Return a time limit for people."""
    if hours is None:
        return "when you can"
    if hours == NOW:
        return "now"
    return f"within {hours} hours" if hours <= 2 * DAY else f"within {hours // DAY} days"
