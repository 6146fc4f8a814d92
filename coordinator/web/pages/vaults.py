"""A vault is made of cards, its keys are proved, its plan compared with paper, and rehearsed."""

from typing import Final

from coordinator.audit import acceptance
from coordinator.errors import CoordinatorError, UsageError
from coordinator.guide import road
from coordinator.home import statement_checks
from coordinator.vault import drills, key_proofs, vaults
from coordinator.vault.vaults import VaultPlan
from coordinator.wallet import history, scans
from coordinator.wallet.branches import wait_words
from coordinator.web.attendant import PageAttendant
from coordinator.web.context import Answer, Moved, Page, Route, Shown, Visit
from coordinator.web.offered_cards import patiently, slots_of, told
from coordinator.web.tasks import Conversation, Done, Task
from storage import drills as drill_book

PATH: Final = "/vaults"
CARD: Final = "card:"
PAST_MAX: Final = 200
KINDS: Final = {
    history.RECEIVED: "came in",
    history.SENT: "paid",
    history.MOVED: "moved to itself",
    history.BUMPED: "paid with more postage",
}


def ask_new(visit: Visit) -> Answer:
    """Ask for the name of a vault, its cards, and how many of them move the money."""
    usable = road.usable_cards(visit.context.facts())
    said = {
        "cards": [(each.label, each.carrier.location) for each in usable],
        "threshold": len(usable) // 2 + 1,
    }
    return Shown("vault_new.html", said)


def make(visit: Visit) -> Answer:
    """Make the vault."""
    context, form = visit.context, visit.form
    context.opened.require_writable()
    cards = tuple(name.removeprefix(CARD) for name in form if name.startswith(CARD))
    threshold = form.get("threshold", "")
    if not threshold.isdecimal() or not 1 <= int(threshold[:3]) <= len(cards):
        raise UsageError(
            f"{len(cards)} cards are chosen, and {threshold!r} of them shall be enough"
        )
    plan = VaultPlan(form.get("name", "").strip(), int(threshold), cards)
    context.freshen()
    with context.database.begin() as db:
        made = vaults.create(context.home, db, plan, accepted=visit.accepted)
        name = made.name
    return Moved(f"{PATH}/{name}")


def show(visit: Visit) -> Answer:
    """Show a vault: its cards, whether their keys are proved, its plan, its drills."""
    context, name = visit.context, visit.path["vault"]
    with context.opened.vault(name, reads=True) as (db, record):
        found = vaults.shown(context.home, db, record)
        rehearsed = [
            (drills.progress(each), each.started_at)
            for each in drill_book.drills_of(db, record)[:5]
        ]
        operators = statement_checks.of_vault(context.home, db, record)
    proved = {
        key.label: key.verified
        for vault in context.facts().vaults
        if vault.name == name
        for key in vault.facts.all_keys()
    }
    later = [(each, wait_words(each)) for each in found.branches if each.wait is not None]
    said = {
        "vault": found,
        "drills": rehearsed,
        "proved": proved,
        "later": later,
        "operators": operators,
    }
    return Shown("vault.html", said)


def past(visit: Visit) -> Answer:
    """Show what came in and went out, the newest first."""
    context, name = visit.context, visit.path["vault"]
    away = context.freshen(name)
    found = history.history(context.reading, name)
    with context.opened.vault(name, reads=True) as (db, record):
        looked = scans.looked(db, record)
    lines = found.transactions
    said = {
        "name": name,
        "lines": lines[:PAST_MAX],
        "more": max(len(lines) - PAST_MAX, 0),
        "vanished": found.vanished,
        "looked": looked,
        "kinds": KINDS,
        "unreachable": away,
    }
    return Shown("vault_history.html", said)


def prove(visit: Visit) -> Answer:
    """Have each card prove its key."""
    context, name = visit.context, visit.path["vault"]

    def work(conversation: Conversation) -> Done:
        context.opened.require_writable()
        person = PageAttendant(conversation)
        proofs = key_proofs.verify_vault(
            context.database,
            name,
            slots_of(context, name),
            attendant=person,
            wait_policy=patiently(person),
        )
        with context.opened.vault(name) as (_, record):
            differs = acceptance.differing(context.home, record)
        wrong = [f"{each.cosigner or name}: {each.reason}" for each in proofs.mismatches]
        if wrong or differs:
            raise CoordinatorError(f"something differs: {'; '.join([*wrong, *differs])}")
        lines = tuple(f"never proved yet: {label}" for label in proofs.missing)
        count = len(proofs.verified)
        return Done(f"{count} of the keys of vault {name} are proved now", lines, f"{PATH}/{name}")

    command = f"cardquorum vault verify {name}"
    title = f"Have the cards of vault {name} prove their keys"
    return context.begin(Task(title, command, f"{PATH}/{name}", work))


def approve(visit: Visit) -> Answer:
    """Take the eight characters from the paper: this vault is the one on it."""
    context, name = visit.context, visit.path["vault"]
    context.opened.require_writable()
    typed = visit.form.get("checksum", "").strip().removeprefix("#")
    with context.database.begin() as db:
        vaults.approve(context.home, db, name, checksum=typed)
    return Moved(f"{PATH}/{name}")


def drill(visit: Visit) -> Answer:
    """Have the cards that are here prove their keys in a drill; no coin moves."""
    context, name = visit.context, visit.path["vault"]
    begun = visit.form.get("drill", "")
    accepted = visit.accepted

    def work(conversation: Conversation) -> Done:
        context.opened.require_writable()
        person = PageAttendant(conversation)
        chosen = begun
        if not chosen:
            context.freshen(name)
            chosen = drills.start(context.home, context.database, name, accepted=accepted)
        outcomes = drills.sign(
            context.home,
            context.database,
            chosen,
            offered=slots_of(context, name),
            attendant=person,
            wait_policy=patiently(person),
            accepted=accepted,
        )
        with context.database.begin() as db:
            seen = drills.progress(drill_book.drill_named(db, chosen))
        lines = [*told(outcomes, context.explain), *(f"still to come: {n}" for n in seen.missing)]
        return Done(
            f"{seen.have} keys are proved in this try-out; {seen.need} are needed",
            tuple(lines),
            f"{PATH}/{name}",
        )

    command = f"cardquorum drill {'sign ' + begun if begun else 'start ' + name}"
    title = f"Try out vault {name} without money"
    return context.begin(Task(title, command, f"{PATH}/{name}", work))


PAGE: Final = Page(
    "",
    PATH,
    (
        Route("/vaults", ask_new, make),
        Route("/vaults/{vault}", show),
        Route("/vaults/{vault}/history", past),
        Route("/vaults/{vault}/prove", take=prove),
        Route("/vaults/{vault}/approve", take=approve),
        Route("/vaults/{vault}/drill", take=drill),
    ),
    {
        ("vault", "create"): PATH,
        ("vault", "verify"): "/vaults/{2}",
        ("vault", "approve"): "/vaults/{2}",
        ("vault", "show"): "/vaults/{2}",
        ("drill", "start"): "/vaults/{2}",
        ("history",): "/vaults/{1}/history",
    },
)
