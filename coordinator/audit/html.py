"""The audit as one page: a picture of keys, carriers and places, the findings, what happened."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from sqlalchemy.orm import Session, sessionmaker

from coordinator import clock
from coordinator.audit.auditing import Audited
from coordinator.audit.facts import VaultFacts
from coordinator.audit.gathering import vault_facts
from coordinator.audit.picture import Owned, Picture, picture
from coordinator.audit.time_picture import time_picture
from coordinator.audit.verdict import (
    Least,
    Verdict,
    as_of,
    least_sets,
    sets_header,
    supposed,
    verdict,
)
from coordinator.custody import log as custody_log
from coordinator.home.stored_policies import computed_checksum
from coordinator.shown_text import sats, visible
from coordinator.wallet.scans import Looked, looked
from storage import custody as custody_book
from storage import drills as drill_book
from storage import vaults as vault_book
from storage.database import reading
from storage.model import Drill, Vault

EVENTS: Final = 100


class Happened(NamedTuple):
    """A row of the timeline."""

    day: str
    what: str
    note: str


@dataclass(frozen=True)
class Page:
    """All that stands on the page."""

    facts: VaultFacts
    found: Audited
    owned: Owned
    happened: Sequence[Happened]
    head: str
    date: str
    version: str

    @property
    def drawn(self) -> Picture:
        """Return the picture."""
        return picture(self.facts, self.found.findings, self.owned)

    @property
    def verdict(self) -> Verdict:
        """Return what the page begins with."""
        return verdict(self.found)

    @property
    def supposed(self) -> Sequence[str]:
        """Return what would follow from what the question supposes."""
        return list(supposed(self.found))

    @property
    def as_of(self) -> str:
        """Return which day it is of, where it is not of today."""
        return as_of(self.found.at) if self.found.at is not None else ""

    @property
    def sets(self) -> Sequence[Least]:
        """Return the smallest losses and thefts of each kind."""
        return least_sets(self.found)


def rendered(page: Page) -> str:
    """Return the page as HTML that needs nothing but itself."""
    environment = Environment(
        loader=PackageLoader("coordinator.audit"),
        autoescape=True,
        finalize=_readable,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("audit.html.j2")
    return template.render(
        page=page,
        picture=page.drawn,
        time=time_picture(page.found),
        header=sets_header(page.found),
    )


def _readable(value: object) -> object:
    """Return what an expression of the page gives, its texts without what nobody sees."""
    if isinstance(value, Markup):
        return Markup(visible(value))  # noqa: S704 -- escapes only add what is no mark-up
    return visible(value) if isinstance(value, str) else value


class DrillProgress(Protocol):
    """Where a drill stands: how many keys are proved of how many."""

    @property
    def have(self) -> int:
        """Return how many keys are proved."""
        ...

    @property
    def need(self) -> int:
        """Return how many it takes."""
        ...

    @property
    def state(self) -> str:
        """Return collecting, proved or complete."""
        ...


def page(
    database: sessionmaker[Session], found: Audited, progress: Callable[[Drill], DrillProgress]
) -> str:
    """Return the audit of a vault as HTML; no part of it is fetched from anywhere."""
    return rendered(gathered(database, found, progress))


def gathered(
    database: sessionmaker[Session], found: Audited, progress: Callable[[Drill], DrillProgress]
) -> Page:
    """Return all that stands on the page of an audit."""
    with reading(database).begin() as db:
        vault = vault_book.vault_named(db, found.vault)
        facts = vault_facts(db, vault)
        return Page(
            facts,
            found,
            _owned(facts, looked(db, vault)),
            list(_happened(db, vault, progress)),
            custody_log.verify(db, None).head or "the chain of hashes is broken",
            clock.now().date().isoformat(),
            computed_checksum(vault) or "unknown: what is stored does not hold together",
        )


def _owned(facts: VaultFacts, seen: Looked) -> Owned:
    """Return the money and the last drill in words; nothing is told of rows that disagree."""
    if facts.altered is not None:
        money = "what it holds is unknown, its rows do not agree"
    elif not seen.known:
        money = "what it holds is unknown, no chain was asked yet"
    else:
        block = f", block {seen.tip.height}" if seen.tip else ""
        money = f"{sats(facts.value_sats)} as of the last sync{block}"
    drilled = facts.drilled_at
    last = f"last drill {drilled.date().isoformat()}" if drilled else "no drill was completed yet"
    return Owned(money, last)


def _happened(
    db: Session, vault: Vault, progress: Callable[[Drill], DrillProgress]
) -> Iterator[Happened]:
    """Yield what happened to the vault's things, and its drills, the newest first."""
    items = {carrier.item_id for each in vault.every_key for carrier in each.key.carriers}
    rows = []
    for event in custody_book.all_events(db):
        if event.item_id in items or event.item.kind in {"bag", "copy"}:
            line = custody_log.event_line(event)
            where = f" at {line.location}" if line.location else ""
            seal = f", bag {line.seal}" if line.seal else ""
            told = f"{line.item} {line.event}{where}{seal}"
            rows.append((event.happened_at, told, event.said("note") or ""))
    for each in drill_book.drills_of(db, vault):
        seen = progress(each)
        told = f"drill {each.public_id}: {seen.have} of {seen.need} keys proved"
        rows.append((each.started_at, told, seen.state))
    for moment, what, note in sorted(rows, key=lambda row: row[0], reverse=True)[:EVENTS]:
        yield Happened(moment.date().isoformat(), what, note)
