"""An audit is written down as a page."""

from collections.abc import Callable, Iterator
from typing import Protocol

from sqlalchemy.orm import Session, sessionmaker

from coordinator import clock
from coordinator.audit.auditing import Audited, smallest
from coordinator.audit.facts import vault_facts
from coordinator.audit.html import Happened, Page, rendered
from coordinator.custody import log as custody_log
from coordinator.home.stored import computed_checksum
from storage import custody as custody_book
from storage import drills as drill_book
from storage import vaults as vault_book
from storage.model import Drill, Vault

EVENTS = 100


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
    with database.begin() as db:
        vault = vault_book.vault_named(db, found.vault)
        return rendered(
            Page(
                vault_facts(db, vault),
                found.findings,
                found.can_spend,
                found.thief_can_spend,
                [(each.card, each.theft.sentence) for each in found.resists],
                list(_sets(found)),
                found.notes,
                [each.code for each in found.dangers],
                list(_happened(db, vault, progress)),
                custody_log.verify(db, None).head or "the chain of hashes is broken",
                clock.now().date().isoformat(),
                computed_checksum(vault) or "unknown: what is stored does not hold together",
            )
        )


def _sets(found: Audited) -> Iterator[tuple[str, str]]:
    for verb, kinds in (("loss", found.minimal_losses), ("theft", found.minimal_thefts)):
        for kind, least in kinds.items():
            if least.smallest:
                yield f"{verb}, by {kind.value}", smallest(kind.value, least)
            elif least.count:
                yield f"{verb}, by {kind.value}", "nothing more: it has come to that already"


def _happened(
    db: Session, vault: Vault, progress: Callable[[Drill], DrillProgress]
) -> Iterator[Happened]:
    """Yield what happened to the vault's things, and its drills, the newest first."""
    items = {carrier.item_id for each in vault.cosigners for carrier in each.key.carriers}
    rows = [
        (event.happened_at, _told(custody_log.event_line(event)), event.said("note") or "")
        for event in custody_book.all_events(db)
        if event.item_id in items or event.item.kind in {"bag", "copy"}
    ]
    for each in drill_book.drills_of(db, vault):
        seen = progress(each)
        told = f"drill {each.public_id}: {seen.have} of {seen.need} keys proved"
        rows.append((each.started_at, told, seen.state))
    for moment, what, note in sorted(rows, key=lambda row: row[0], reverse=True)[:EVENTS]:
        yield Happened(moment.date().isoformat(), what, note)


def _told(event: custody_log.EventLine) -> str:
    where = f" at {event.location}" if event.location else ""
    seal = f", bag {event.seal}" if event.seal else ""
    return f"{event.item} {event.event}{where}{seal}"
