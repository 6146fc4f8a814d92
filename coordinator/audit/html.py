"""The audit as one page: a picture of keys, carriers and places, the findings, what happened."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from sqlalchemy.orm import Session, sessionmaker

from coordinator import clock
from coordinator.audit.auditing import Audited, smallest
from coordinator.audit.facts import vault_facts
from coordinator.audit.findings import CarrierFacts, VaultFacts
from coordinator.custody import log as custody_log
from coordinator.home.stored import computed_checksum
from coordinator.notices import Notice, Severity
from coordinator.shown_text import visible
from storage import custody as custody_book
from storage import drills as drill_book
from storage import vaults as vault_book
from storage.model import Drill, Vault

ROW: Final = 64
HEIGHT: Final = 44
TOP: Final = 40
COLUMNS: Final = {"key": 10, "carrier": 300, "place": 590}
WIDTH: Final = {"key": 200, "carrier": 200, "place": 220}
NOWHERE: Final = "nobody wrote down where"
ELSEWHERE: Final = "held elsewhere"
LETTERS: Final = 26
EVENTS: Final = 100


Weak = dict[str, tuple[str, str]]


class Box(NamedTuple):
    """A key, carrier or place in the picture; `weak` says what is wrong with it, how severely."""

    column: str
    name: str
    note: str
    y: int
    weak: tuple[str, str] | None = None
    gone: bool = False

    @property
    def x(self) -> int:
        """Return its left edge."""
        return COLUMNS[self.column]

    @property
    def width(self) -> int:
        """Return how wide it is."""
        return WIDTH[self.column]

    @property
    def middle(self) -> int:
        """Return the height at which lines meet it."""
        return self.y + HEIGHT // 2

    @property
    def shown(self) -> str:
        """Return its name as it fits in; the whole name is its title."""
        return self.name if len(self.name) <= LETTERS else self.name[: LETTERS - 1] + "…"


class Line(NamedTuple):
    """A line from one box to the next."""

    x1: int
    y1: int
    x2: int
    y2: int
    broken: bool


class Picture(NamedTuple):
    """Boxes in three columns and the lines between them; `said` is the same in words."""

    boxes: Sequence[Box]
    lines: Sequence[Line]
    width: int
    height: int
    said: Sequence[str]


class Happened(NamedTuple):
    """A row of the timeline."""

    day: str
    what: str
    note: str


@dataclass(frozen=True)
class Page:
    """All that stands on the page."""

    facts: VaultFacts
    findings: Sequence[Notice]
    can_spend: bool
    thief_can_spend: bool
    resists: Sequence[tuple[str, str]]
    sets: Sequence[tuple[str, str]]
    notes: Sequence[str]
    dangers: Sequence[str]
    happened: Sequence[Happened]
    head: str
    date: str
    version: str


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
    drawn = picture(page.facts, page.findings)
    return environment.get_template("audit.html.j2").render(page=page, picture=drawn, high=HEIGHT)


def _readable(value: object) -> object:
    """Return what an expression of the page gives, its texts without what nobody sees."""
    if isinstance(value, Markup):
        return Markup(visible(value))  # noqa: S704 -- escapes only add what is no mark-up
    return visible(value) if isinstance(value, str) else value


def picture(facts: VaultFacts, findings: Iterable[Notice]) -> Picture:
    """Lay out which key is carried by what, and where that lies."""
    weak = _weak(findings)
    carriers = [carrier for cosigner in facts.cosigners for carrier in cosigner.carriers]
    names = sorted({_place(carrier) for carrier in carriers})
    keys = [cosigner.label for cosigner in facts.cosigners]
    columns = {"key": keys, "carrier": [each.subject for each in carriers], "place": names}
    rows = max(len(column) for column in columns.values())
    boxes = {
        (column, name): _box(
            column, name, TOP + _centred(number, len(listed), rows), facts=facts, weak=weak
        )
        for column, listed in columns.items()
        for number, name in enumerate(listed)
    }
    lines = []
    for cosigner in facts.cosigners:
        for carrier in cosigner.carriers:
            thing = boxes["carrier", carrier.subject]
            broken = carrier.gone is not None
            lines.append(_line(boxes["key", cosigner.label], thing, broken=broken))
            lines.append(_line(thing, boxes["place", _place(carrier)], broken=broken))
    return Picture(
        list(boxes.values()),
        lines,
        COLUMNS["place"] + WIDTH["place"] + COLUMNS["key"],
        TOP + rows * ROW,
        list(_said(facts, weak)),
    )


def _centred(number: int, count: int, rows: int) -> int:
    """Return how far down a box stands so that its column is centred."""
    return round((number + (rows - count) / 2) * ROW)


def _place(carrier: CarrierFacts) -> str:
    return carrier.gone or carrier.location or NOWHERE


def _lies(carrier: CarrierFacts) -> str:
    return f"at {carrier.location}" if carrier.location else _place(carrier)


def _weak(findings: Iterable[Notice]) -> Weak:
    """Return what is wrong with each subject, the worst first."""
    found: Weak = {}
    for finding in findings:
        if finding.severity is not Severity.INFO:
            for subject in finding.subjects:
                found.setdefault(subject, (finding.severity.value, finding.code.replace("_", " ")))
    return found


def _box(column: str, name: str, y: int, *, facts: VaultFacts, weak: Weak) -> Box:
    if column == "key":
        return Box(column, name, f"one of {facts.threshold} needed", y, weak.get(f"key:{name}"))
    if column == "carrier":
        carrier = next(each for each in facts.carriers() if each.subject == name)
        made = f"{carrier.card.family} {carrier.card.version}" if carrier.card else carrier.kind
        bag = f", bag {carrier.bag.serial}" if carrier.bag else ""
        gone = carrier.gone is not None
        return Box(column, carrier.name, made + bag, y, weak.get(name), gone)
    place = facts.places.get(name)
    told = [part for part in (place.region, place.holder) if part] if place else []
    return Box(column, name, ", ".join(told), y, weak.get(f"location:{name}"))


def _line(left: Box, right: Box, *, broken: bool) -> Line:
    return Line(left.x + left.width, left.middle, right.x, right.middle, broken)


def _said(facts: VaultFacts, weak: Weak) -> Iterator[str]:
    for cosigner in facts.cosigners:
        carried = [
            f"{carrier.subject}, {_lies(carrier)}"
            + (f" ({weak[carrier.subject][1]})" if carrier.subject in weak else "")
            for carrier in cosigner.carriers
        ]
        yield f"key {cosigner.label}: {'; '.join(carried) or ELSEWHERE}"


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
