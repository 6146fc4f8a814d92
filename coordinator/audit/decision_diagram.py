"""A zero-suppressed decision diagram: each node is an element, the sets without it, and with it.

The functions it is built from are monotone: thresholds, each with parts of some weight of which
enough must come about; any one of the thresholds must be reached, or every one. A function is a
state: of each threshold not settled yet the weight still needed, and the weight and key of each
half-done part; a key stands for the terms (bit masks of elements) that are left of the part.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

Weighed = tuple[int, Sequence[tuple[int, frozenset[int]]]]
Left = tuple[int, tuple[tuple[int, int], ...]]
State = tuple[Left, ...]

NONE: Final = 0  # no set at all
EMPTY: Final = 1  # only the empty set
REACHED: Final[State] = ((0, ()),)
HOPELESS: Final[State] = ((1, ()),)
NODES_MAX: Final = 500_000


class TooLarge(Exception):
    """The diagram would have more nodes than are built."""


class Terms:
    """What is left of a part while elements are decided, each remainder under a key."""

    def __init__(self) -> None:
        self._terms: list[frozenset[int]] = []
        self._keys: dict[frozenset[int], int] = {}
        self._steps: dict[tuple[int, int, bool], frozenset[int] | None] = {}
        self.support: list[int] = []

    def key(self, terms: frozenset[int]) -> int:
        """Return the key of a remainder."""
        if terms not in self._keys:
            self._keys[terms] = len(self._terms)
            self._terms.append(terms)
            support = 0
            for term in terms:
                support |= term
            self.support.append(support)
        return self._keys[terms]

    def after(self, key: int, bit: int, *, taken: bool) -> frozenset[int] | None:
        """Return what is left once an element is taken or left out; None if that is all."""
        step = (key, bit, taken)
        if step not in self._steps:
            self._steps[step] = _after(self._terms[key], bit, taken=taken)
        return self._steps[step]


class Diagram:
    """The minimal sets of functions, over elements of these sizes.

    The functions ask for every one of their thresholds, or for any one.
    """

    def __init__(self, sizes: Sequence[int], *, every: bool = False) -> None:
        self._sizes = sizes
        self._every = every
        self._nodes = [(len(sizes), NONE, NONE), (len(sizes), EMPTY, EMPTY)]
        self._places: dict[tuple[int, int, int], int] = {}
        self._terms = Terms()
        self._minimal: dict[tuple[State, int | None], int] = {}
        self._less: dict[tuple[int, int], int] = {}

    def minimal(self, thresholds: Sequence[Weighed], room: int | None = None) -> int:
        """Return the node of all minimal sets, or of those that are no larger than `room`."""
        return self._sets(self._settled(map(self._left, thresholds)), room)

    def counts(self, root: int, choices: Sequence[int]) -> Counter[int]:
        """Return how many sets of each size there are, each element chosen in so many ways."""
        found: dict[int, Counter[int]] = {NONE: Counter(), EMPTY: Counter({0: 1})}
        for node in self._below(root):
            element, without, taken = self._nodes[node]
            sizes = Counter(found[without])
            for size, count in found[taken].items():
                sizes[size + self._sizes[element]] += count * choices[element]
            found[node] = sizes
        return found[root]

    def smallest_first(self, root: int) -> Iterator[tuple[int, ...]]:
        """Yield the sets in the order of their sizes."""
        possible: dict[int, set[int]] = defaultdict(set, {EMPTY: {0}})
        for node in self._below(root):
            element, without, taken = self._nodes[node]
            grown = {size + self._sizes[element] for size in possible[taken]}
            possible[node] = possible[without] | grown
        for size in sorted(possible[root]):
            yield from self._sized(root, size, possible)

    def _sets(self, state: State, room: int | None) -> int:
        """Join the sets without the next element, and those with it that need it."""
        if state == REACHED:
            return EMPTY
        if state == HOPELESS:
            return NONE
        asked = (state, room)
        if asked not in self._minimal:
            element, without, taken = self._cofactors(state)
            left = None if room is None else room - self._sizes[element]
            with_it = NONE
            if left is None or left >= 0:
                with_it = self._difference(self._sets(taken, left), self._sets(without, left))
            self._minimal[asked] = self._node(element, self._sets(without, room), with_it)
        return self._minimal[asked]

    def _left(self, threshold: Weighed) -> Left:
        """Return what is left of a threshold before any element is decided."""
        need, parts = threshold
        need -= sum(weight for weight, terms in parts if 0 in terms)
        left = [
            (weight, self._terms.key(terms)) for weight, terms in parts if terms and 0 not in terms
        ]
        return need, tuple(left)

    def _settled(self, thresholds: Iterable[Left]) -> State:
        """Return the one state of all that need nothing more, or can no longer have it."""
        left: set[Left] = set()
        for need, parts in thresholds:
            if need <= 0:
                if not self._every:
                    return REACHED
            elif sum(weight for weight, _ in parts) >= need:
                left.add((need, tuple(sorted(parts))))
            elif self._every:
                return HOPELESS
        if not left:
            return REACHED if self._every else HOPELESS
        return tuple(sorted(left))

    def _cofactors(self, state: State) -> tuple[int, State, State]:
        support = 0
        for _, parts in state:
            for _, key in parts:
                support |= self._terms.support[key]
        bit = support & -support
        without, taken = (
            self._settled(self._cofactor(left, bit, taken=taken) for left in state)
            for taken in (False, True)
        )
        return bit.bit_length() - 1, without, taken

    def _cofactor(self, threshold: Left, bit: int, *, taken: bool) -> Left:
        need, parts = threshold
        left = []
        for part in parts:
            weight, key = part
            if not self._terms.support[key] & bit:
                left.append(part)
                continue
            terms = self._terms.after(key, bit, taken=taken)
            if terms is None:
                need -= weight
            elif terms:
                left.append((weight, self._terms.key(terms)))
        return need, tuple(left)

    def _node(self, element: int, without: int, taken: int) -> int:
        if taken == NONE:
            return without
        node = (element, without, taken)
        if node not in self._places:
            if len(self._nodes) + len(self._minimal) > NODES_MAX:
                raise TooLarge
            self._places[node] = len(self._nodes)
            self._nodes.append(node)
        return self._places[node]

    def _difference(self, one: int, other: int) -> int:
        """Return the node of the sets of one that are not sets of the other."""
        if one in (NONE, other):
            return NONE
        if other == NONE:
            return one
        asked = (one, other)
        if asked not in self._less:
            element, without, taken = self._nodes[one]
            second, other_without, other_taken = self._nodes[other]
            if element < second:
                found = self._node(element, self._difference(without, other), taken)
            elif element > second:
                found = self._difference(one, other_without)
            else:
                rest = self._difference(taken, other_taken)
                found = self._node(element, self._difference(without, other_without), rest)
            self._less[asked] = found
        return self._less[asked]

    def _below(self, root: int) -> Sequence[int]:
        """Return the nodes up to the root; what a node refers to was always made before it."""
        return range(EMPTY + 1, root + 1)

    def _sized(
        self, node: int, size: int, possible: dict[int, set[int]]
    ) -> Iterator[tuple[int, ...]]:
        if size not in possible[node]:
            return
        if node == EMPTY:
            yield ()
            return
        element, without, taken = self._nodes[node]
        for rest in self._sized(taken, size - self._sizes[element], possible):
            yield (element, *rest)
        yield from self._sized(without, size, possible)


def _after(terms: frozenset[int], bit: int, *, taken: bool) -> frozenset[int] | None:
    if not taken:
        return frozenset(term for term in terms if not term & bit)
    shorter = {term & ~bit for term in terms}
    if 0 in shorter:
        return None
    return frozenset(
        term for term in shorter if not any(o != term and o & term == o for o in shorter)
    )
