"""A vault comes back from its kit: typed lines, a file, pictures of codes; held against paper."""

from typing import Final

from sqlalchemy.orm import Session

from coordinator.errors import CoordinatorError, NotAccepted, UsageError
from coordinator.guide import arrival
from coordinator.guide.arrival import TOLD, Reason
from coordinator.names import checked_name
from coordinator.recovery import recover as recovering
from coordinator.vault import vaults
from coordinator.web.context import Answer, Moved, Page, Route, Shown, Visit
from coordinator.web.uploads import given, named, typed
from psbt.errors import PolicyError, PsbtError
from storage.errors import AlreadyExists, NotFound

PATH: Final = "/recover"
LOCKED: Final = "locked"
OPENS: Final = (
    "this kit is locked, and none of the cards known here opens it: show one of the vault's cards "
    "to this computer first, then come back"
)


def arrive(visit: Visit) -> Answer:
    """Say what somebody has to know first who comes with papers, or after a loss or a death."""
    try:
        reason = Reason(visit.path["reason"])
    except ValueError as failure:
        raise NotFound("reason", visit.path["reason"]) from failure
    said = {
        "title": TOLD[reason],
        "advice": list(arrival.first_words(reason)),
        "cards_alone": arrival.CARDS_ALONE,
        "restore": arrival.backup_back().command,
    }
    return Shown("arrival.html", said)


def ask(visit: Visit, mistake: str | None = None) -> Answer:
    """Ask for what there is of the vault."""
    said = {"given": typed(visit.form), "mistake": mistake}
    return Shown("recover.html", said, 400 if mistake else 200)


def take(visit: Visit) -> Answer:
    """Rebuild the vault; what was mistyped is named above the form, and nothing typed is lost."""
    context, form = visit.context, visit.form
    context.opened.require_writable()
    birthday = form.get("birthday", "").strip() or None
    checksum = form.get("checksum", "").strip().removeprefix("#") or None
    try:
        name = checked_name(form.get("name", "").strip())
        plan = vaults.VaultPlan(name, 0, (), birthday=birthday)
        with named(form):
            data = given(form)
            context.freshen()
            with context.database.begin() as db:
                text = _opened(visit, db, data)
                found = vaults.import_text(context.home, db, plan, text=text, checksum=checksum)
                name = found.vault.name
    except NotAccepted:
        raise
    except (CoordinatorError, PsbtError, PolicyError, AlreadyExists) as mistake:
        return ask(visit, context.explain(mistake).message)
    locked = f"?{LOCKED}=yes" if recovering.is_encrypted(data) else ""
    return Moved(f"{PATH}/{name}{locked}")


def _opened(visit: Visit, db: Session, data: bytes) -> str:
    """Return what a kit says; one that is locked is opened by a card that is known here."""
    try:
        return recovering.descriptor_of(visit.context.home, db, data, keys=())
    except CoordinatorError as failure:
        if recovering.is_encrypted(data):
            raise UsageError(OPENS) from failure
        raise


def show(visit: Visit) -> Answer:
    """Show what has to be the same on the paper, and what comes next."""
    context, name = visit.context, visit.path["vault"]
    with context.opened.vault(name, reads=True) as (db, record):
        shown = vaults.shown(context.home, db, record)
        first = recovering.first_addresses(record)
    standing = next((each for each in context.facts().vaults if each.name == name), None)
    looked = standing is not None and standing.looked
    keys = () if standing is None else standing.facts.cosigners
    said = {
        "back": not shown.approved or not all(key.verified for key in keys),
        "vault": shown,
        "first": first,
        "doubts": [recovering.WRITER_UNKNOWN] if LOCKED in visit.query else [],
        "looked": looked,
        "nothing": looked and standing is not None and not standing.received,
        "nothing_found": arrival.NOTHING_FOUND,
        "rescan": arrival.rescan(name),
    }
    return Shown("recovered.html", said)


PAGE: Final = Page(
    "",
    PATH,
    (
        Route("/arrival/{reason}", arrive),
        Route(PATH, ask, take),
        Route("/recover/{vault}", show),
    ),
    {("recover",): PATH},
)
