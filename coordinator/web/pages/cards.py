"""Cards: what lies on the readers just now, every card that is known, and what is done with one."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from sqlalchemy.orm import Session

from cards.errors import CardError
from cards.family import CardFamily, families, family_named
from coordinator.enrolment import check as checking
from coordinator.enrolment import enrol as enrolling
from coordinator.enrolment import listing, pins
from coordinator.enrolment import setup as setting_up
from coordinator.enrolment.enrol import CardAtSlot
from coordinator.enrolment.listing import CardLine
from coordinator.enrolment.setup_plan import Setup
from coordinator.errors import PinMissing, UsageError
from coordinator.names import checked_name
from coordinator.readers import emulated, real_readers
from coordinator.web.attendant import TERMINAL_ONLY, PageAttendant
from coordinator.web.context import Answer, Context, Handler, Moved, Page, Route, Shown, Visit
from coordinator.web.reader_watch import Lying
from coordinator.web.tasks import Conversation, Done, Elsewhere, Task
from storage import cards as card_book
from storage import vaults as vault_book
from storage.model import Card

PATH: Final = "/cards"
SECRETS: Final = (
    "a secret is shown or typed once, and a browser is no place for it: extensions and histories "
    "may keep it"
)
TRY_PIN: Final = "try the PIN next: check the card"
PUK: Final = (
    "the PUK is never typed into a browser; a few wrong ones destroy the card, so stop after one "
    "mistake and look it up"
)


class Laid(NamedTuple):
    """A place with what lies there, and what is known here of that card.

    `here` tells that a fresh card can be set up on the page: no PUK and no words come of it; any
    other is set up in the terminal while the page waits.
    """

    lying: Lying
    known: CardLine | None
    vaults: Sequence[str]
    here: bool


def show(visit: Visit) -> Answer:
    """Show what lies on the readers, then the cards that do not."""
    context = visit.context
    seen = context.watch.seen
    with context.reading.begin() as db:
        known = {line.label: line for line in listing.listed(db, context.home.network)}
        used = _vaults_of(db, known)
        laid = [_laid(db, each, known, used=used) for each in seen.lying]
    there = {each.known.label for each in laid if each.known is not None}
    said = {
        "laid": [each for each in laid if not each.lying.is_empty],
        "empty": [each.lying for each in laid if each.lying.is_empty],
        "away": [
            (line, context.watch.attempts_of(line.family, line.card_id))
            for label, line in known.items()
            if label not in there
        ],
        "used": used,
        "no_readers": seen.no_readers,
        "families": families(),
        "practice_pin": emulated.FACTORY_PIN.decode(),
    }
    return Shown("cards.html", said)


def _vaults_of(db: Session, labels: Mapping[str, CardLine]) -> dict[str, list[str]]:
    """Return the vaults that count on each card."""
    used: dict[str, list[str]] = {label: [] for label in labels}
    for vault in vault_book.all_vaults(db):
        for place in vault.every_key:
            for card in card_book.cards_with_key(db, place.key):
                used.setdefault(card.label, []).append(vault.name)
    return used


def _laid(
    db: Session, lying: Lying, known: Mapping[str, CardLine], *, used: Mapping[str, Sequence[str]]
) -> Laid:
    card = None if lying.card is None else _card_of(db, lying)
    line = None if card is None else known.get(card.label)
    fresh = lying.card is not None and not lying.card.initialised
    here = fresh and _sets_up_here(*lying.kind)
    return Laid(lying, line, used.get(line.label, ()) if line else (), here)


def _card_of(db: Session, lying: Lying) -> Card | None:
    if lying.card is None:
        return None
    return card_book.card_with_id(db, lying.card.family, lying.card.card_id)


def _sets_up_here(name: str, version: str) -> bool:
    """Tell whether setting up a card of this family shows no PUK, password or words."""
    family: CardFamily = family_named(name)
    besides = family.setup_secrets_at(version) - {"duress"}
    return family.makes_key_on_card and "puk" not in family.codes and not besides


def one(visit: Visit) -> Answer:
    """Show one card: what it is for, where it lies, what it told, and what can be done with it."""
    context, label = visit.context, visit.path["label"]
    with context.reading.begin() as db:
        found = listing.shown(db, label, context.home.network)
        used = _vaults_of(db, {}).get(label, [])
        there = [(each, _card_of(db, each)) for each in context.watch.seen.lying]
    lying = next((each for each, card in there if card and card.label == label), None)
    family = family_named(found.family)
    said = {
        "card": found,
        "vaults": used,
        "lying": lying,
        "left": lying.card.attempts_left if lying is not None and lying.card else None,
        "puk_left": lying.card.puk_attempts_left if lying is not None and lying.card else None,
        "frees_with_puk": "puk" in family.codes,
    }
    return Shown("card.html", said)


def _begin(
    title: str, command: str, doing: Callable[[Context, CardAtSlot, PageAttendant], Done]
) -> Handler:
    """Return what begins a task with a known card, whose label is filled in title and command."""

    def take(visit: Visit) -> Answer:
        context, label = visit.context, visit.path["label"]
        last = visit.form.get("last") == "yes"

        def work(conversation: Conversation) -> Done:
            context.opened.require_writable()
            asked = context.opened.card_at(label, None, None, last_attempt=last)
            return doing(context, asked, PageAttendant(conversation))

        path = f"{PATH}/{label}"
        return context.begin(Task(title.format(label), command.format(label), path, work))

    return take


def _check(context: Context, asked: CardAtSlot, person: PageAttendant) -> Done:
    found = checking.check(context.home, context.database, asked, attendant=person, with_pin=True)
    label, path = asked.label, f"{PATH}/{asked.label}"
    if not found.present:
        raise UsageError(f"card {label} is not there: {found.differences[0]}")
    if found.differences:
        raise CardError(f"card {label}: {'; '.join(found.differences)}")
    proved = {
        "genuine": "its maker's proof holds",
        "test": "it proves itself with a test certificate",
        "unproven": "nothing tells whether its maker made it; this kind of card cannot prove it",
    }
    lines = ("its key is the one that was read before", proved.get(found.genuine or "", ""))
    return Done(f"card {label} is in order", tuple(filter(None, lines)), path)


def _change_pin(context: Context, asked: CardAtSlot, person: PageAttendant) -> Done:
    pins.change_pin(context.database, asked, person)
    lines = ("change the note of the old PIN now, where it is written",)
    return Done(f"card {asked.label} has its new PIN", lines, f"{PATH}/{asked.label}")


def make_known(visit: Visit) -> Answer:
    """Name a card that lies on a reader, read its key; one that is fresh is set up first."""
    context, form = visit.context, visit.form
    label, place = checked_name(form.get("label", "").strip()), form.get("place", "")
    lying = next((each for each in context.watch.seen.lying if each.place == place), None)
    if lying is None or lying.is_empty:
        raise UsageError("the card was taken away; lay it on the reader again")
    fresh = not lying.card.initialised if lying.card is not None else form.get("new") == "yes"
    kind, version = lying.kind
    here = not fresh or _sets_up_here(kind, version)
    if lying.emulated:
        slot = emulated.slot(context.home, lying.place)
    else:
        slot = real_readers.slot(context.home, lying.place)
    last = form.get("last") == "yes"
    verb, option = ("setup", " --generate") if fresh else ("enrol", "")
    at = f"--{'emulated' if lying.emulated else 'reader'} {shlex.quote(lying.place)}"
    command = f"cardquorum card {verb} {label}{option} {at}"

    def work(conversation: Conversation) -> Done:
        context.opened.require_writable()
        person = PageAttendant(conversation)
        if not here:
            return _known_elsewhere(context, conversation, command)
        try:
            if fresh:
                wanted = Setup(label, slot, "generate", None, None, None, last)
                setting_up.set_up(context.home, context.database, wanted, attendant=person)
            else:
                asked = CardAtSlot(label, slot, last)
                enrolling.enrol(context.home, context.database, asked, attendant=person)
        except PinMissing as missing:
            if missing.kind not in TERMINAL_ONLY:
                raise
            return _known_elsewhere(context, conversation, command)
        return _is_known(label)

    return context.begin(Task(f"Make card {label} known", command, PATH, work))


def _is_known(label: str) -> Done:
    lines = ("say next where it will lie", "write its PIN on paper, kept at another place")
    return Done(f"card {label} is known now", lines, f"{PATH}/{label}")


def _known_elsewhere(context: Context, conversation: Conversation, command: str) -> Done:
    """Wait until another card is known: it is set up, or shown to this home, in the terminal."""
    before = _labels(context)

    def found() -> Done | None:
        new = sorted(_labels(context) - before)
        return _is_known(new[0]) if new else None

    return conversation.wait_for(Elsewhere(SECRETS, command), found)


def _labels(context: Context) -> set[str]:
    with context.reading.begin() as db:
        return {card.label for card in card_book.all_cards(db)}


def ask_unblock(visit: Visit) -> Answer:
    """Say what frees a card that is blocked, or whose PIN is forgotten."""
    with visit.context.reading.begin() as db:
        card = card_book.card_named(db, visit.path["label"])
        said = {"label": card.label, "frees": "puk" in family_named(card.family).codes}
    return Shown("card_unblock.html", said)


def unblock(visit: Visit) -> Answer:
    """Wait until a card is free again: its PUK is typed in the terminal."""
    context, label = visit.context, visit.path["label"]
    command = f"cardquorum card unblock {label}"
    with context.reading.begin() as db:
        card = card_book.card_named(db, label)
        known = card.family, card.card_id

    def work(conversation: Conversation) -> Done:
        before = _attempts(context, known)

        def found() -> Done | None:
            left = _attempts(context, known)
            if left is None or left <= (before or 0):
                return None
            lines = (f"{left} PIN attempts are left", TRY_PIN)
            return Done(f"card {label} is free again", lines, f"{PATH}/{label}")

        whole = Done(f"card {label} was freed in the terminal", (TRY_PIN,), f"{PATH}/{label}")
        unseen = whole if before else None  # it may have had all its attempts all the time
        return conversation.wait_for(Elsewhere(PUK, command, unseen), found)

    return context.begin(Task(f"Free card {label}", command, f"{PATH}/{label}", work))


def _attempts(context: Context, known: tuple[str, str]) -> int | None:
    """Return the attempts that a card on a reader has left just now; None where it is not there."""
    for each in context.watch.look().lying:
        if each.card is not None and (each.card.family, each.card.card_id) == known:
            return each.card.attempts_left
    return None


def make_practice_card(visit: Visit) -> Answer:
    """Make a card of software, set up with the PIN that all practice cards have."""
    context, form = visit.context, visit.form
    context.opened.require_writable()
    name = form.get("name", "").strip()
    emulated.create(context.home, form.get("family", ""), name, set_up=True)
    context.watch.look_again()
    return Moved(PATH)


def lay(visit: Visit) -> Answer:
    """Lay a practice card on its reader, or take it away."""
    laid = visit.form.get("answer") == "lay"
    emulated.fault(visit.context.home, visit.form.get("name", ""), "insert" if laid else "eject")
    return Moved(PATH)


CHECK: Final = _begin("Check card {0}", "cardquorum card check {0} --pin", _check)
CHANGE_PIN: Final = _begin("Change the PIN of card {0}", "cardquorum card pin {0}", _change_pin)
PAGE: Final = Page(
    "Cards",
    PATH,
    (
        Route(PATH, show),
        Route("/cards/known", take=make_known),
        Route("/cards/practice", take=make_practice_card),
        Route("/cards/lay", take=lay),
        Route("/cards/{label}", one),
        Route("/cards/{label}/unblock", ask_unblock, unblock),
        Route("/cards/{label}/check", take=CHECK),
        Route("/cards/{label}/pin", take=CHANGE_PIN),
    ),
    {
        ("card", "setup"): PATH,
        ("card", "enrol"): PATH,
        ("emulate", "new"): PATH,
        ("card", "check"): "/cards/{2}",
        ("card", "pin"): "/cards/{2}",
        ("card", "unblock"): "/cards/{2}/unblock",
        ("card", "list"): PATH,
        ("card", "show"): "/cards/{2}",
    },
)
