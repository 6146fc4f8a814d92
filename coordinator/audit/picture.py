"""The picture of a vault: its money, its keys, what carries them, and what lies at which place."""

from bisect import bisect_right, insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple
from unicodedata import east_asian_width

from coordinator.audit.facts import CarrierFacts, CosignerFacts, SecretFacts, VaultFacts
from coordinator.notices import Notice, Severity

COLUMNS: Final = {"vault": 10, "key": 10, "carrier": 255, "place": 610}
WIDTH: Final = {"vault": 880, "key": 175, "carrier": 285, "place": 280}
LETTERS: Final = {"vault": (80, 120), "key": (18, 25), "carrier": (32, 43), "place": (31, 42)}
"""How many letters of a name, and of a note, a box has room for."""
FULL_WIDTH: Final = 900
HEAD: Final = 30
NAME_HEIGHT: Final = 30
NOTE_HEIGHT: Final = 17
GAP: Final = 16
SWEEPS: Final = 8
NOTES: Final = 8
"""More notes than that are counted: no box fills the page."""
NOWHERE: Final = "nobody wrote down where"
ELSEWHERE: Final = "held elsewhere"

Weak = Mapping[str, tuple[str, str]]
Edges = Sequence[tuple[int, int]]


class Owned(NamedTuple):
    """What stands above the picture: the vault's money as of its last sync, and its last drill."""

    money: str
    drilled: str


@dataclass(frozen=True)
class Item:
    """A key, carrier or place, and what is told of it; `weak` is what is wrong, how severely."""

    column: str
    name: str
    notes: Sequence[str] = ()
    weak: tuple[str, str] | None = None
    gone: bool = False

    @property
    def height(self) -> int:
        """Return how high its box is."""
        lines = len(self.lines) + (self.weak is not None)
        return NAME_HEIGHT + NOTE_HEIGHT * lines + (6 if lines else 0)

    @property
    def lines(self) -> Sequence[str]:
        """Return its notes as they fit in."""
        room = LETTERS[self.column][1]
        more = len(self.notes) - NOTES
        shown = self.notes if more <= 0 else [*self.notes[: NOTES - 1], f"and {more + 1} more"]
        return [shortened(note, room) for note in shown]

    @property
    def shown(self) -> str:
        """Return its name as it fits in; the whole name is its title."""
        return shortened(self.name, LETTERS[self.column][0])

    @property
    def told(self) -> str:
        """Return all of it in a line."""
        wrong = (self.weak[1],) if self.weak else ()
        return f"{self.name}: {', '.join((*self.notes, *wrong))}".removesuffix(": ")


class Box(NamedTuple):
    """An item and where it is drawn."""

    item: Item
    y: int

    @property
    def x(self) -> int:
        """Return its left edge."""
        return COLUMNS[self.item.column]

    @property
    def width(self) -> int:
        """Return how wide it is."""
        return WIDTH[self.item.column]

    @property
    def middle(self) -> int:
        """Return the height at which lines meet it."""
        return self.y + self.item.height // 2


class Line(NamedTuple):
    """A line from one box to the next."""

    x1: int
    y1: int
    x2: int
    y2: int
    broken: bool


class Told(NamedTuple):
    """What the picture shows of one key or place, in words."""

    title: str
    parts: Sequence[str]

    def __str__(self) -> str:
        """Write it in a line."""
        return f"{self.title}: {'; '.join(self.parts)}"


class Picture(NamedTuple):
    """Boxes in three columns below the vault, the lines between them, and the same in words."""

    boxes: Sequence[Box]
    lines: Sequence[Line]
    width: int
    height: int
    heads: int
    said: Sequence[Told]


def picture(facts: VaultFacts, findings: Iterable[Notice], owned: Owned) -> Picture:
    """Lay out which key is carried by what, where that lies, and what else lies there."""
    weak = _weak(findings)
    keys = [_key(facts, each, weak) for each in facts.all_keys()]
    carriers = list({each.subject: each for each in facts.carriers()}.values())
    things = [_carrier(each, weak) for each in carriers]
    spots = _spots(facts, carriers)
    places = [_place(facts, spot, weak) for spot in spots]
    numbers = {each.subject: number for number, each in enumerate(carriers)}
    held = [
        (number, numbers[carrier.subject])
        for number, each in enumerate(facts.all_keys())
        for carrier in each.carriers
    ]
    lying = [(number, spots.index(_spot(each))) for number, each in enumerate(carriers)]
    orders = ordered((len(keys), len(things), len(places)), held, lying)
    any_of = f"any {facts.threshold} of the {len(facts.cosigners)} keys spend"
    vault = Item("vault", f"{facts.name}: {owned.money}", [f"{any_of}; {owned.drilled}"])
    top = HEAD + vault.height + GAP
    columns = [
        [column[number] for number in order]
        for column, order in zip((keys, things, places), orders, strict=True)
    ]
    height = max(_height(column) for column in columns)
    boxes = {id(each.item): each for column in columns for each in _stacked(column, top, height)}
    lines = [_line(boxes[id(keys[one])], boxes[id(things[other])]) for one, other in held] + [
        _line(boxes[id(things[one])], boxes[id(places[other])]) for one, other in lying
    ]
    said = [
        Told("money", [owned.money]),
        Told("drill", [owned.drilled]),
        *_said(facts, dict(zip(numbers, things, strict=True))),
        *(Told(f"at {each.name}", each.notes) for each in places if each.notes),
    ]
    drawn = [Box(vault, 4), *boxes.values()]
    return Picture(drawn, lines, FULL_WIDTH, top + height + 4, top - GAP // 2, said)


def ordered(counts: tuple[int, int, int], held: Edges, lying: Edges) -> list[list[int]]:
    """Return an order of each column in which few lines cross.

    Each column is sorted by the mean height of what it is joined to, sweeping to the right and
    back (the barycentre method); the best order that was seen is taken, the given one among them.
    """
    orders = [list(range(count)) for count in counts]
    best, fewest = [list(order) for order in orders], crossings(orders, held, lying)
    held_by = [(thing, key) for key, thing in held]
    lies = [(place, thing) for thing, place in lying]
    to_right, to_left = ((1, 0, held_by), (2, 1, lies)), ((1, 2, lying), (0, 1, held))
    for sweep in range(SWEEPS):
        for column, beside, edges in to_left if sweep % 2 else to_right:
            _sort(orders[column], orders[beside], edges)
        seen = crossings(orders, held, lying)
        if seen < fewest:
            best, fewest = [list(order) for order in orders], seen
    return best


def _sort(order: list[int], beside: Sequence[int], edges: Edges) -> None:
    """Sort a column by the mean place of what it is joined to; what is joined to none stays."""
    heights = {number: height for height, number in enumerate(beside)}
    joined: dict[int, list[int]] = {}
    for own, other in edges:
        joined.setdefault(own, []).append(heights[other])
    aim = {number: float(height) for height, number in enumerate(order)}
    aim |= {number: sum(met) / len(met) for number, met in joined.items()}
    order.sort(key=aim.__getitem__)


def crossings(orders: Sequence[Sequence[int]], held: Edges, lying: Edges) -> int:
    """Return how many pairs of lines cross."""
    heights = [{number: height for height, number in enumerate(order)} for order in orders]
    crossed = 0
    for left, edges in enumerate((held, lying)):
        ends: list[int] = []
        for _, end in sorted((heights[left][a], heights[left + 1][b]) for a, b in edges):
            crossed += len(ends) - bisect_right(ends, end)
            insort(ends, end)
    return crossed


def shortened(text: str, room: int) -> str:
    """Return a text that takes no more room than so many letters; wide ones count twice."""
    taken = 0
    for number, letter in enumerate(text):
        taken += 2 if east_asian_width(letter) in "WF" else 1
        if taken > room:
            return text[: max(number - 1, 0)] + "…"
    return text


def _weak(findings: Iterable[Notice]) -> Weak:
    """Return what is wrong with each subject, the worst first."""
    found: dict[str, tuple[str, str]] = {}
    for finding in findings:
        if finding.severity is not Severity.INFO:
            for subject in finding.subjects:
                found.setdefault(subject, (finding.severity.value, finding.code.replace("_", " ")))
    return found


class _Spot(NamedTuple):
    """A place, or the fate of what lies at none."""

    name: str
    known: bool


def _spot(carrier: CarrierFacts) -> _Spot:
    if carrier.gone or carrier.location is None:
        return _Spot(carrier.gone or NOWHERE, known=False)
    return _Spot(carrier.location, known=True)


def _spots(facts: VaultFacts, carriers: Iterable[CarrierFacts]) -> list[_Spot]:
    """Return where carriers, kits and notes of PINs are."""
    spots = [_spot(each) for each in carriers]
    others = [each.location for each in facts.copies if each.gone is None]
    others += [place for _, secret in _secrets(facts) for place in secret.written_at]
    spots += [_Spot(place, known=True) for place in others if place is not None]
    return list(dict.fromkeys(spots))


def _secrets(facts: VaultFacts) -> Iterator[tuple[CarrierFacts, SecretFacts]]:
    carriers = {each.subject: each for each in facts.carriers()}.values()
    return ((each, secret) for each in carriers if each.card for secret in each.card.secrets)


def _called(secret: SecretFacts) -> str:
    return secret.kind.upper() if secret.kind in {"pin", "puk"} else secret.kind


def _key(facts: VaultFacts, key: CosignerFacts, weak: Weak) -> Item:
    notes = [*_branches(facts, key), *([] if key.carriers else [ELSEWHERE])]
    return Item("key", key.label, notes, weak.get(f"key:{key.label}"))


def _branches(facts: VaultFacts, key: CosignerFacts) -> list[str]:
    """Return the branches of a key that only signs once one has opened."""
    later = () if key in facts.cosigners else facts.branches
    return [branch.name for branch in later if key in branch.keys]


def _carrier(carrier: CarrierFacts, weak: Weak) -> Item:
    made = f"{carrier.card.family} {carrier.card.version}" if carrier.card else carrier.kind
    notes = [made + (f", bag {carrier.bag.serial}" if carrier.bag else "")]
    for secret in carrier.card.secrets if carrier.card else ():
        known = [f"known by {', '.join(secret.known_by)}"] if secret.known_by else []
        noted = [f"noted at {', '.join(secret.written_at)}"] if secret.written_at else []
        notes.append(f"{_called(secret)} {', '.join(known + noted) or 'noted nowhere'}")
    if carrier.card and not any(each.kind == "pin" for each in carrier.card.secrets):
        notes.append("PIN: nobody recorded who knows it")
    gone = carrier.gone is not None
    return Item("carrier", carrier.subject, notes, weak.get(carrier.subject), gone)


def _place(facts: VaultFacts, spot: _Spot, weak: Weak) -> Item:
    if not spot.known:
        return Item("place", spot.name)
    place = facts.places.get(spot.name)
    notes = [", ".join(part for part in (place.region, place.holder) if part)] if place else []
    notes += [
        f"kit {each.subject.partition(':')[2]}" + (", out of date" if each.stale else "")
        for each in facts.copies
        if each.gone is None and each.location == spot.name
    ]
    notes += [
        f"{_called(secret)} of {carrier.subject} is noted here"
        for carrier, secret in _secrets(facts)
        if spot.name in secret.written_at
    ]
    told = [note for note in notes if note]
    return Item("place", spot.name, told, weak.get(f"location:{spot.name}"))


def _height(column: Sequence[Item]) -> int:
    return sum(each.height + GAP for each in column)


def _stacked(column: Sequence[Item], top: int, height: int) -> Iterator[Box]:
    """Yield the boxes of a column below one another, spread over its height."""
    spare = (height - _height(column)) // max(len(column), 1)
    y = top + (spare + GAP) // 2
    for each in column:
        yield Box(each, y)
        y += each.height + GAP + spare


def _line(left: Box, right: Box) -> Line:
    broken = left.item.gone or right.item.gone
    return Line(left.x + left.width, left.middle, right.x, right.middle, broken)


def _said(facts: VaultFacts, things: Mapping[str, Item]) -> Iterator[Told]:
    for cosigner in facts.all_keys():
        carried = []
        for carrier in cosigner.carriers:
            item = things[carrier.subject]
            lies = carrier.gone or (f"at {carrier.location}" if carrier.location else NOWHERE)
            wrong = f" ({item.weak[1]})" if item.weak else ""
            carried.append(f"{carrier.subject}, {lies}{wrong}; {', '.join(item.notes)}")
        title = ", ".join([f"key {cosigner.label}", *_branches(facts, cosigner)])
        yield Told(title, carried or [ELSEWHERE])
