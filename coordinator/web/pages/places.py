"""Where things are: keys, cards and places as a picture; what if; what was moved; the timeline."""

from dataclasses import replace
from typing import Final

from coordinator.audit import auditing
from coordinator.audit.auditing import Question
from coordinator.audit.exposure import Kind
from coordinator.audit.html import gathered
from coordinator.audit.time_picture import time_picture
from coordinator.audit.verdict import as_of, sets_header, supposed, verdict
from coordinator.custody import card_secrets
from coordinator.custody import log as custody_log
from coordinator.custody.log import NewEvent
from coordinator.errors import UsageError
from coordinator.home.operators import NOBODY
from coordinator.vault import drills
from coordinator.web.context import Answer, Moved, Page, Route, Shown, Visit
from storage import card_secrets as secret_book
from storage import cards as card_book
from storage import custody as custody_book
from storage import sealing

PATH: Final = "/places"
WHAT_IF: Final = "what_if"
KINDS: Final = {
    "home": "my home",
    "friend": "with a friend or relative",
    "bank-vault": "a bank's vault",
    "office": "an office",
    "other": "another place",
}
MOVES: Final = {
    "placed": "it lies there now",
    "seen": "I looked: it is where it was",
    "found": "it was gone, and is back",
    "sealed": "it is in a sealed bag now",
    "destroyed": "it was destroyed, on purpose",
}
STAYS: Final = frozenset({"seen", "destroyed"})
"""What says nothing of another place."""
LAST: Final = 10
"""How many of the last events are shown, where several operators write them."""


def choose(visit: Visit) -> Answer:
    """Show what lies where; a vault has its picture beside it."""
    with visit.context.reading.begin() as db:
        events = custody_log.events(db, None, home=visit.context.home)
        said = {
            "locations": custody_log.locations(db),
            "holders": custody_log.holders(db),
            "items": [custody_log.item_name(each) for each in custody_book.all_items(db)],
            "cards": [card.label for card in card_book.all_cards(db)],
            "secrets": card_secrets.listed(db),
            "is_sealed": sealing.is_sealed(db),
        }
    said |= {
        "kinds": KINDS,
        "moves": MOVES,
        "words": card_secrets.WORDS,
        "vaults": visit.context.vaults(),
        "told": [each for each in reversed(events) if each.operator != NOBODY][:LAST],
        "chosen": {word: visit.query.get(word, "") for word in ("item", "event", "card", "kind")},
    }
    return Shown("places.html", said)


def show(visit: Visit) -> Answer:
    """Show a vault's picture and what it says; answer a question what if, exactly, of any day."""
    context, name = visit.context, visit.path["vault"]
    day, mistake = visit.query.get("at", "").strip() or None, None
    asked = Question(_named(visit, "lose:"), _named(visit, "steal:"))
    if visit.query.get("part") != WHAT_IF:
        context.freshen()
    found = auditing.audited(context.home, context.reading, name, asked=asked)
    then = found
    if day is not None:
        try:
            asked = replace(asked, at=day)
            then = auditing.audited(context.home, context.reading, name, asked=asked)
        except UsageError as wrong:
            mistake = context.explain(wrong).message
    answer = {
        "found": then,
        "day": as_of(then.at) if then.at is not None else None,
        "standing": verdict(then),
        "answered": [line.strip() for line in supposed(then)],
        "mistake": mistake,
    }
    if visit.query.get("part") == WHAT_IF:
        return Shown("place_what_if.html", {"then": answer})
    page = gathered(context.reading, found, drills.progress)
    said = {
        "name": name,
        "then": answer,
        "page": page,
        "picture": page.drawn,
        "time": time_picture(found),
        "header": sets_header(found),
        "found": found,
        "places": sorted(page.facts.places),
        "things": [each.subject for each in page.facts.carriers() if each.gone is None],
        "kinds_of_sets": list(Kind),
        "chosen": set(visit.query),
        "asked_day": day or "",
    }
    return Shown("place_vault.html", said)


def _named(visit: Visit, word: str) -> tuple[str, ...]:
    return tuple(each.removeprefix(word) for each in visit.query if each.startswith(word))


def move(visit: Visit) -> Answer:
    """Write down where a thing lies now."""
    form = visit.form
    event, item, place = form.get("event", ""), form.get("item", ""), form.get("at", "")
    if event not in MOVES:
        raise UsageError("say what happened to it")
    at = None if event in STAYS else place or None
    seal, note = (form.get(name, "").strip() or None for name in ("seal", "note"))
    if event == "sealed" and seal is None:
        raise UsageError("type the number that is printed on the bag")
    new = NewEvent(item, event, at=at, seal=seal, note=note)
    with visit.context.database.begin() as db:
        custody_log.record(db, new)
    return Moved(PATH)


def add_place(visit: Visit) -> Answer:
    """Add a place, and who can open it."""
    form = visit.form
    holder = form.get("holder", "").strip() or None
    region = form.get("region", "").strip() or None
    with visit.context.database.begin() as db:
        known = {each.name for each in custody_log.holders(db)}
        if holder is not None and holder not in known:
            custody_log.add_holder(db, holder, None, contact=None)
        name, kind = form.get("name", "").strip(), form.get("kind", "")
        custody_log.add_location(db, name, kind, region=region, holder=holder)
    return Moved(PATH)


def add_person(visit: Visit) -> Answer:
    """Add somebody who can open places, and how to reach them."""
    name, contact = (visit.form.get(word, "").strip() for word in ("name", "contact"))
    with visit.context.database.begin() as db:
        custody_log.add_holder(db, name, None, contact=contact or None)
    return Moved(f"{PATH}#people")


def tell_secret(visit: Visit) -> Answer:
    """Write down where a PIN is written, or who knows it; never what it is."""
    form = visit.form
    card, kind = form.get("card", ""), form.get("kind", "")
    place, who = form.get("written_at", ""), form.get("known_by", "").strip()
    if not place and not who:
        raise UsageError("say where it is written, or who knows it")
    with visit.context.database.begin() as db:
        if who and who not in {each.name for each in custody_log.holders(db)}:
            custody_log.add_holder(db, who, None, contact=None)
        known = card_secrets.of_card(db, card_book.card_named(db, card))
        same = [each.label for each in known if each.kind == kind]
        stem = f"{card[: card_secrets.STEM_MAX]}-{kind}"
        label = same[0] if same else secret_book.free_label(db, stem)
        card_secrets.tell(
            db,
            label,
            card,
            kind=kind,
            known_by=[who] if who else (),
            written_at=[place] if place else (),
        )
    return Moved(PATH)


PAGE: Final = Page(
    "Where things are",
    PATH,
    (
        Route(PATH, choose),
        Route("/places/move", take=move),
        Route("/places/new", take=add_place),
        Route("/places/person", take=add_person),
        Route("/places/secret", take=tell_secret),
        Route("/places/{vault}", show),
    ),
    {
        ("location", "add"): f"{PATH}#new",
        ("custody", "record"): f"{PATH}?item={{2}}&event={{3}}#moved",
        ("secret", "add"): f"{PATH}?card={{4}}&kind={{6}}#secret",
        ("location", "list"): PATH,
        ("holder", "add"): f"{PATH}#people",
        ("holder", "list"): f"{PATH}#people",
        ("secret", "list"): PATH,
        ("audit",): "/places/{1}",
    },
)
