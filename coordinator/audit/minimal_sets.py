"""The minimal sets that reach a threshold: counted exactly, listed smallest first.

What is asked is a monotone function: parts, each with a weight and with terms (sets of names, any
of which brings the part about), and how much weight is needed; or several such thresholds, of
which any one must be reached, or every one. Its minimal sets not holding a name
are those of the function without it; the others are those of the function with it, less those
again. Both become one diagram without repeated nodes (a ZDD), so that sets are counted without
being listed. Its size is bound by the combinations of half-done parts: usually thousands, at worst
exponential in the names, and then only the smallest sets are looked for.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, NamedTuple

from coordinator.audit.decision_diagram import Diagram, TooLarge, Weighed

Terms = frozenset[frozenset[str]]

LISTED: Final = 1_000


class Part(NamedTuple):
    """Something brought about by any one of its terms: by all names of that term together."""

    weight: int
    terms: Terms


class Threshold(NamedTuple):
    """How much weight is needed of which parts."""

    need: int
    parts: tuple[Part, ...]


class Function(NamedTuple):
    """Thresholds of which any one must be reached; or every one of them."""

    thresholds: tuple[Threshold, ...]
    every: bool = False


class Block(NamedTuple):
    """Names that play one part: any one of them will do, or they only count together."""

    names: tuple[str, ...]
    any_one: bool

    @property
    def size(self) -> int:
        """Return how many names it stands for in a set."""
        return 1 if self.any_one else len(self.names)

    @property
    def choices(self) -> int:
        """Return how many ways there are to choose it."""
        return len(self.names) if self.any_one else 1

    def __str__(self) -> str:
        """Write `a|b` for any one of two, `a+b` for both."""
        return ("|" if self.any_one else "+").join(self.names)


@dataclass(frozen=True)
class MinimalSets:
    """How many there are, with every choice counted; the smallest's size; the first ones.

    The first are the smallest; which of one size come first depends on nothing but the parts.
    Where there are too many combinations to go through, `complete` is False: then all sets of a
    size that is listed are there, and larger ones were not counted.
    """

    count: int
    smallest: int | None
    sets: tuple[tuple[Block, ...], ...]
    complete: bool = True


def any_of(alternatives: Iterable[Terms]) -> Terms:
    """Return the terms of: one of these is there."""
    return least(term for terms in alternatives for term in terms)


def all_of(together: Iterable[Terms]) -> Terms:
    """Return the terms of: all of these are there."""
    found: Terms = frozenset({frozenset()})
    for terms in together:
        found = least(one | other for one in found for other in terms)
    return found


def least(terms: Iterable[frozenset[str]]) -> Terms:
    """Return the terms that hold no other."""
    kept: list[frozenset[str]] = []
    for term in sorted(set(terms), key=len):
        if not any(smaller <= term for smaller in kept):
            kept.append(term)
    return frozenset(kept)


def minimal_sets(function: Function, listed: int = LISTED) -> MinimalSets:
    """Return the minimal sets of names that reach what a function asks for."""
    parts = tuple(part for threshold in function.thresholds for part in threshold.parts)
    merged, blocks = _in_blocks(parts)
    names = _order(merged)
    places = {name: place for place, name in enumerate(names)}
    sizes = [blocks[name].size for name in names]
    masked = iter(
        (part.weight, frozenset(sum(1 << places[name] for name in term) for term in part.terms))
        for part in merged
    )
    asked = [(each.need, list(islice(masked, len(each.parts)))) for each in function.thresholds]
    diagram, root, complete = _diagram(asked, sizes, every=function.every)
    counts = diagram.counts(root, [blocks[name].choices for name in names])
    first = islice(diagram.smallest_first(root), listed)
    return MinimalSets(
        sum(counts.values()),
        min(counts, default=None),
        tuple(tuple(blocks[names[place]] for place in chosen) for chosen in first),
        complete,
    )


def _diagram(
    asked: Sequence[Weighed], sizes: list[int], *, every: bool
) -> tuple[Diagram, int, bool]:
    """Build the whole diagram, or that of the smallest sets as far as it can be built."""
    diagram = Diagram(sizes, every=every)
    try:
        return diagram, diagram.minimal(asked), True
    except TooLarge:
        pass
    found = Diagram(sizes), 0
    for room in range(1, sum(sizes)):
        diagram = Diagram(sizes, every=every)
        try:
            found = diagram, diagram.minimal(asked, room)
        except TooLarge:
            break
    return *found, False


def _in_blocks(parts: tuple[Part, ...]) -> tuple[tuple[Part, ...], Mapping[str, Block]]:
    """Let one name stand for all that play the same part; return those it stands for."""
    blocks: dict[str, Block] = {}
    for any_one in (True, False):
        roles: dict[frozenset[tuple[int, frozenset[str]]], list[str]] = defaultdict(list)
        for name, role in _roles(parts, any_one=any_one).items():
            roles[role].append(name)
        alike = [sorted(names) for names in roles.values() if not blocks.keys() & set(names)]
        blocks |= {names[0]: Block(tuple(names), any_one) for names in alike if len(names) > 1}
        spare = {name for block in blocks.values() for name in block.names} - blocks.keys()
        parts = tuple(_without(part, spare, any_one=any_one) for part in parts)
    single = {name: Block((name,), True) for name in _names(parts)}
    return parts, single | blocks


def _roles(
    parts: tuple[Part, ...], *, any_one: bool
) -> Mapping[str, frozenset[tuple[int, frozenset[str]]]]:
    """Return in which terms each name stands, or beside what: who shares it, shares the role."""
    roles: dict[str, set[tuple[int, frozenset[str]]]] = defaultdict(set)
    for number, part in enumerate(parts):
        for term in part.terms:
            for name in term:
                roles[name].add((number, term - {name} if any_one else term))
    return {name: frozenset(role) for name, role in roles.items()}


def _without(part: Part, spare: set[str], *, any_one: bool) -> Part:
    left = (term - spare for term in part.terms if not (any_one and term & spare))
    return Part(part.weight, frozenset(left))


def _names(parts: Iterable[Part]) -> set[str]:
    return {name for part in parts for term in part.terms for name in term}


def _order(parts: Iterable[Part]) -> list[str]:
    """Put names of one part side by side, so that few parts are half done at a time."""
    waiting = [sorted(_names((part,))) for part in parts]
    placed: dict[str, None] = {}
    while waiting:
        waiting.sort(key=lambda names: (sum(name not in placed for name in names), names))
        placed |= dict.fromkeys(waiting.pop(0))
    return list(placed)
