"""A vault is audited: its findings, what it can lose, and what a thief must take."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from sqlalchemy.orm import Session, sessionmaker

from cards.family import Theft
from coordinator import clock
from coordinator.audit.acceptance import with_standing
from coordinator.audit.dangers import dangers, only_old_coins
from coordinator.audit.exposure import (
    Kind,
    can_read,
    can_spend,
    exposure_of,
    minimal_losses,
    minimal_thefts,
    thief_can_spend,
)
from coordinator.audit.facts import Advisory, HotFacts, VaultFacts
from coordinator.audit.findings import audit
from coordinator.audit.gathering import vault_facts
from coordinator.audit.minimal_sets import MinimalSets
from coordinator.audit.timeline import Period, Start, calendar_notes, looked_at, timeline
from coordinator.errors import Ambiguous
from coordinator.home.settings import Home
from coordinator.notices import Notice
from coordinator.wallet.scans import command_for
from storage import vaults as vault_book
from storage.database import reading
from storage.errors import NotFound

Database = sessionmaker[Session]


@dataclass(frozen=True)
class Question:
    """What an audit is asked besides: what if these were lost, or stolen; the owner's own rules.

    `at` is the date or block it looks at, now where there is none.
    """

    lose: Sequence[str] = ()
    steal: Sequence[str] = ()
    at: str | None = None
    hot: HotFacts | None = None
    advisories: tuple[Advisory, ...] = ()


class Resistance(NamedTuple):
    """What a thief with one card alone is up against."""

    card: str
    theft: Theft


@dataclass(frozen=True)
class Audited:
    """A vault's findings, and what is left once what the question names is lost or stolen.

    `dangers` are those findings that `address new` refuses. `thief_can_spend` supposes a
    thief who knows the descriptor, `thief_has_copy` tells whether he took one; what the book has as
    lost or stolen he has already. All is as of block `at` where that was asked, but what is
    overdue, and the `timeline` from now.
    """

    vault: str
    findings: list[Notice]
    can_spend: bool
    can_read: bool
    thief_can_spend: bool
    thief_has_copy: bool
    lost: list[str]
    stolen: list[str]
    resists: list[Resistance]
    minimal_losses: dict[Kind, MinimalSets]
    minimal_thefts: dict[Kind, MinimalSets]
    notes: list[str]
    dangers: list[Notice]
    at: Start | None
    timeline: list[Period]


def audited(home: Home, database: Database, name: str, *, asked: Question = Question()) -> Audited:
    """Audit a vault as of now; raises NotFound or Ambiguous for what a question names."""
    with reading(database).begin() as db:
        vault = vault_book.vault_named(db, name)
        facts = vault_facts(db, vault)
        if facts.altered is None:
            facts = with_standing(home, db, vault, known=facts)
    look = command_for(name, home.chain)
    return answered(replace(facts, hot=asked.hot, advisories=asked.advisories, look=look), asked)


def answered(facts: VaultFacts, asked: Question) -> Audited:
    """Audit what is known of a vault; raises NotFound, Ambiguous or UsageError."""
    today, at = facts, None
    if asked.at is not None:
        at = looked_at(facts, asked.at)
        facts = replace(facts, at=at.height)
    exposure = exposure_of(facts)
    known = _known(facts)
    lost = [_meant(known, text) for text in asked.lose]
    stolen = [_meant(known, text) for text in asked.steal]
    # of a vault that was replaced no address is given out anyway
    guards = [
        each
        for each in (dangers(today) if not today.replaced else ())
        if not only_old_coins(each.code, today.branches)
    ]
    spends = thief_can_spend(exposure, stolen, knows_descriptor=True)
    return Audited(
        facts.name,
        audit(facts, clock.now()),
        can_spend(exposure, [*lost, *stolen]),
        can_read(exposure, [*lost, *stolen]),
        spends,
        spends and thief_can_spend(exposure, stolen),
        lost,
        stolen,
        [Resistance(c.subject, c.card.theft) for c in facts.carriers() if c.card and c.card.theft],
        {kind: minimal_losses(exposure, kind) for kind in Kind},
        {kind: minimal_thefts(exposure, kind) for kind in Kind},
        [*_notes(facts), *calendar_notes(today, at)],
        guards,
        at,
        timeline(today),
    )


def _notes(facts: VaultFacts) -> Iterator[str]:
    """Yield what an audit cannot know."""
    joined = {each.label for group in facts.same_seed() for each in group}
    alone = (each for each in facts.cosigners if each.label not in joined)
    off_card = [each.label for each in alone if each.created_on != "card"]
    if len(off_card) > 1:
        yield (
            f"keys {' and '.join(off_card)} were not made on their cards: different fingerprints "
            "do not prove that their seeds are different"
        )


def _meant(known: Collection[str], text: str) -> str:
    """Return the kind:name that a person means; a bare name must fit one thing only."""
    fitting = [text] if text in known else sorted(s for s in known if s.partition(":")[2] == text)
    if not fitting:
        raise NotFound("place, person or thing of this vault", text)
    if len(fitting) > 1:
        raise Ambiguous(text, fitting)
    return fitting[0]


def _known(facts: VaultFacts) -> set[str]:
    """Return all that can be lost or stolen: things, what takes them along, and every place."""
    exposure = exposure_of(facts, later=facts.branches)
    places: set[str] = set()
    for each in facts.places.values():
        told = {Kind.LOCATION: each.name, Kind.REGION: each.region, Kind.HOLDER: each.holder}
        places |= {f"{kind}:{name}" for kind, name in told.items() if name is not None}
    return places.union(*(thing.subjects for thing in exposure.things()))
