"""Papers: kits to print, the copies there are and their age, when to try everything out."""

from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

from coordinator import clock
from coordinator.audit.rule_findings import CHECK_INTERVAL
from coordinator.custody import descriptor_copies
from coordinator.custody import log as custody_log
from coordinator.errors import UsageError
from coordinator.files import read_bytes
from coordinator.recovery import kit as kits
from coordinator.recovery.letter import Audience
from coordinator.vault import drills
from coordinator.web.context import Answer, Context, Moved, Page, Route, Sent, Shown, Visit, unused
from storage import cards as card_book
from storage import drills as drill_book

PATH: Final = "/papers"
CONTACTS: Final = 2
CONTACT_MAX: Final = 80
KITS: Final = "kits"
FOR: Final = {
    "": "whoever opens that place",
    Audience.EXECUTOR.value: "whoever settles my affairs: it tells where the cards lie",
}


class Check(NamedTuple):
    """A card, when it was last checked, and when it is due."""

    card: str
    checked: datetime | None
    due: datetime

    @property
    def late(self) -> bool:
        """Tell whether the day has come."""
        return self.due <= clock.now()


def choose(visit: Visit) -> Answer:
    """Show the vaults, or the only one."""
    names = visit.context.vaults()
    if len(names) == 1:
        return Moved(f"{PATH}/{names[0]}")
    return Shown("papers.html", {"names": names})


def show(visit: Visit) -> Answer:
    """Show a vault's copies, what can be printed, and the calendar."""
    context, name = visit.context, visit.path["vault"]
    made = visit.query.get("made")
    with context.opened.vault(name, reads=True) as (db, record):
        copies = descriptor_copies.listed(db, name)
        rehearsed = [(drills.progress(x), x.started_at) for x in drill_book.drills_of(db, record)]
        checks = [
            Check(
                card.label, card.checked_at, (card.checked_at or card.enrolled_at) + CHECK_INTERVAL
            )
            for key in record.every_key
            for card in card_book.cards_with_key(db, key.key)
        ]
        places = [each.name for each in custody_log.locations(db)]
    said = {
        "name": name,
        "copies": copies,
        "drills": rehearsed[:5],
        "visits": drills.plan(context.reading, name),
        "checks": checks,
        "places": places,
        "audiences": FOR,
        "folder": context.beside(KITS),
        "made": made if made and _kit(context, name, made).exists() else None,
    }
    return Shown("papers_vault.html", said)


def _kit(context: Context, vault: str, folder: str) -> Path:
    """Return the file of a kit that was made; raises UsageError for the name of anything else."""
    if folder != Path(folder).name or not folder.startswith(f"{vault}-"):
        raise UsageError("there is no such kit")
    return context.beside(KITS) / folder / f"{vault}-kit.pdf"


def make(visit: Visit) -> Answer:
    """Write a kit to be printed; it counts as a copy from then on."""
    context, name, form = visit.context, visit.path["vault"], visit.form
    place = form.get("place", "") or None
    for_whom = form.get("for", "")
    if for_whom not in FOR:
        raise UsageError("say for whom the kit is")
    contacts = [" ".join(form.get(f"contact{number}", "").split()) for number in range(CONTACTS)]
    if any(len(each) > CONTACT_MAX for each in contacts):
        raise UsageError(f"a helper is named in at most {CONTACT_MAX} characters")
    context.opened.require_writable()
    folder = unused(context.beside(KITS), f"{name}-{place or 'kit'}", what=KITS)
    wanted = kits.Wanted(
        name,
        folder,
        place,
        form.get("paper", "a4"),
        audience=Audience(for_whom) if for_whom else None,
        contacts=tuple(filter(None, contacts)),
    )
    with context.database.begin() as db:
        kits.make(context.home, db, wanted, accepted=visit.accepted)
    return Moved(f"{PATH}/{name}?made={folder.name}")


def download(visit: Visit) -> Answer:
    """Hand a kit to the browser, to be printed."""
    name = visit.path["vault"]
    file = _kit(visit.context, name, visit.path["folder"])
    return Sent(read_bytes(file), "application/pdf", f"{visit.path['folder']}.pdf")


PAGE: Final = Page(
    "Papers",
    PATH,
    (
        Route(PATH, choose),
        Route("/papers/{vault}", show, make),
        Route("/papers/{vault}/{folder}", download),
    ),
    {
        ("kit",): "/papers/{1}",
        ("copy", "add"): "/papers/{2}",
        ("drill", "plan"): "/papers/{2}",
    },
)
