"""Something happened: what is possible, what to do, in order, ticked off as it is done."""

from typing import Final, NamedTuple

from coordinator.custody import log as custody_log
from coordinator.errors import ChainError, UsageError
from coordinator.guide.reports import TOLD, WHOLE, Report, first_steps, is_done, subjects
from coordinator.home.settings import OFFLINE
from coordinator.incident import replacement, response
from coordinator.incident.step import Step
from coordinator.web import fee_choice, ticked_steps
from coordinator.web.context import Answer, Moved, Page, Route, Shown, Visit
from storage import custody as custody_book
from storage import succession as succession_book
from storage.errors import NotFound
from storage.private_rows import stand_in

PATH: Final = "/happened"
CARD_EVENTS: Final = frozenset({"lost", "stolen", "destroyed", "found"})
THING_EVENTS: Final = frozenset({"lost", "stolen", "destroyed", "found", "opened"})
NOW_BLOCKS, SOON_BLOCKS = 1, 6
ASKED: Final = {
    Report.LOST: "Which card?",
    Report.STOLEN: "Which card?",
    Report.OPENED: "What was in the bag?",
    Report.FORGOTTEN: "Of which card?",
    Report.BLOCKED: "Which card?",
    Report.BURNT: "Which place?",
    Report.QUIET: "Who?",
    Report.MAKER: "Which maker?",
}


GONE: Final = frozenset({Report.LOST, Report.STOLEN})
"""What is still about a card once it is recorded."""


class Recording(NamedTuple):
    """A step that writes an event into the book: a button does it here."""

    item: str
    event: str


class OnRoad(NamedTuple):
    """A step of a road: what it records, what it is ticked off by, whether it is done.

    The book tells it of a step that is `known`; of any other a person did.
    """

    step: Step
    recording: Recording | None
    mark: str
    known: bool
    ticked: bool

    @property
    def done(self) -> bool:
        """Tell whether it is done."""
        return self.known or self.ticked


def choose(visit: Visit) -> Answer:
    """Ask what happened; show the replacements that are under way."""
    with visit.context.reading.begin() as db:
        under_way = [
            replacement.show(db, each.vault.name) for each in succession_book.all_successions(db)
        ]
    going = [each for each in under_way if any(step.state != "done" for step in each.steps)]
    return Shown("happened.html", {"reports": list(TOLD.items()), "going": going})


def show(visit: Visit) -> Answer:
    """Ask what or whom it is about, or show what to do, one thing after the other."""
    report = _report(visit)
    facts = visit.context.facts()
    found = subjects(report, facts)
    subject = visit.query.get("about", "")
    said: dict[str, object] = {"report": report.value, "title": TOLD[report]}
    gone = report in GONE and any(
        card.label == subject and card.carrier.gone == report.value for card in facts.cards
    )
    if report not in WHOLE and subject not in found and not gone:
        asked = {"asked": ASKED.get(report, "Which?"), "subjects": found}
        return Shown("happened_about.html", said | asked)
    ticked = visit.context.ticks.of(_road(visit, report, subject))
    steps = []
    for step in first_steps(report, facts, subject):
        mark = ticked_steps.mark(step, subject)
        steps.append(
            OnRoad(step, _recording(step), mark, is_done(step, facts), ticked=mark in ticked)
        )
    left = None
    if gone:
        with visit.context.reading.begin() as db:
            left = response.after(db, custody_log.item_named(db, f"card:{subject}"), report.value)
    said |= {"subject": subject, "steps": steps, "left": left, "when": response.hours_text}
    said["next"] = next((each.mark for each in steps if not each.done), None)
    return Shown("happened_steps.html", said)


def _road(visit: Visit, report: Report, subject: str) -> str:
    """Return what a road's ticks are kept by; a place or a person by its number alone."""
    with visit.context.reading.begin() as db:
        names = {}
        if report is Report.BURNT:
            names = {each.name: stand_in(each) for each in custody_book.all_locations(db)}
        elif report is Report.QUIET:
            names = {each.name: stand_in(each) for each in custody_book.all_holders(db)}
    return f"{report.value}/{names.get(subject, subject)}"


def _report(visit: Visit) -> Report:
    try:
        return Report(visit.path["report"])
    except ValueError as failure:
        raise NotFound("report", visit.path["report"]) from failure


def _recording(step: Step) -> Recording | None:
    """Return what a step writes into the book; None where it is something else."""
    words = step.words
    if step.needs:
        return None
    if len(words) == 3 and words[0] == "card" and words[1] in CARD_EVENTS:
        return Recording(f"card:{words[2]}", words[1])
    if len(words) == 4 and words[:2] == ("custody", "record") and words[3] in THING_EVENTS:
        return Recording(words[2], words[3])
    return None


def tick(visit: Visit) -> Answer:
    """Tick a step off, or take the tick back."""
    report, subject = _report(visit), visit.form.get("about", "")
    steps = first_steps(report, visit.context.facts(), subject)
    known = {ticked_steps.mark(each, subject) for each in steps}
    visit.context.opened.require_writable()
    if (mark := visit.form.get("step", "")) in known:
        visit.context.ticks.turn(_road(visit, report, subject), mark)
    return Moved(f"{PATH}/{report.value}?about={subject}")


def record(visit: Visit) -> Answer:
    """Write into the book what happened; say what is still possible, and what to do now."""
    context, form = visit.context, visit.form
    item, event = form.get("item", ""), form.get("event", "")
    if event not in THING_EVENTS:
        raise UsageError("say what happened")
    with context.database.begin() as db:
        found = custody_log.item_named(db, item)
        new = custody_log.NewEvent(item, event, note=form.get("note", "").strip() or None)
        written = custody_log.record(db, new)
        left = response.after(db, found, event)
    said = {
        "item": custody_log.item_name(found),
        "event": event,
        "notices": written.notices,
        "left": left,
        "when": response.hours_text,
    }
    return Shown("happened_recorded.html", said)


def withdraw(visit: Visit) -> Answer:
    """Write down that what a replaced vault had lying about was taken back and destroyed."""
    with visit.context.database.begin() as db:
        replacement.withdrawn(db, visit.form.get("item", ""))
    return Moved(f"{PATH}/replace/{visit.path['vault']}")


def ask_replacement(visit: Visit, mistake: str | None = None) -> Answer:
    """Show what putting another card in the place of one that is gone takes."""
    context, name = visit.context, visit.path["vault"]
    facts = context.facts()
    with context.opened.vault(name, reads=True) as (db, old):
        under_way = succession_book.succession_of(db, old)
        seen = replacement.show(db, name) if under_way is not None else None
    gone = [
        each.name
        for vault in facts.vaults
        if vault.name == name
        for each in vault.facts.carriers()
        if each.card and each.gone is not None
    ]
    fresh = [card.label for card in facts.cards if card.free and card.carrier.gone is None]
    said = {
        "name": name,
        "seen": seen,
        "gone": gone,
        "fresh": fresh,
        "given": visit.form,
        "asks_rate": mistake is not None or context.home.chain == OFFLINE,
        "mistake": mistake,
    }
    return Shown("happened_replace.html", said, 400 if mistake else 200)


def replace_card(visit: Visit) -> Answer:
    """Make the successor of a vault, and a payment of all its coins there."""
    context, name, form = visit.context, visit.path["vault"], visit.form
    context.opened.require_writable()
    typed = form.get("rate", "").strip() or None
    with context.opened.vault(name, reads=True) as (db, old):
        blocks = NOW_BLOCKS if replacement.is_urgent(db, old) else SOON_BLOCKS
    try:
        feerate = context.fee_rate(name, typed, blocks if typed is None else None)
    except ChainError as away:
        return ask_replacement(visit, fee_choice.without_chain(context.explain(away).message))
    except UsageError as mistake:
        return ask_replacement(visit, context.explain(mistake).message)
    with context.database.begin() as db:
        made = replacement.start(
            context.home,
            db,
            name,
            gone=form.get("gone", ""),
            new=form.get("new", ""),
            feerate=feerate,
            accepted=visit.accepted,
        )
    return Moved(f"{PATH}/replace/{made.vault}")


PAGE: Final = Page(
    "Something happened",
    PATH,
    (
        Route(PATH, choose),
        Route("/happened/record", take=record),
        Route("/happened/replace/{vault}", ask_replacement, replace_card),
        Route("/happened/replace/{vault}/done", take=withdraw),
        Route("/happened/{report}", show, tick),
    ),
    {
        ("card", "lost"): "/happened/lost?about={2}",
        ("card", "stolen"): "/happened/stolen?about={2}",
        ("card", "destroyed"): PATH,
        ("card", "found"): PATH,
        ("guide",): PATH,
        ("replace", "start"): "/happened/replace/{2}",
        ("replace", "show"): "/happened/replace/{2}",
        ("replace", "plan"): "/happened/replace/{2}",
    },
)
