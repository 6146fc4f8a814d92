"""Cards that are put in one after the other: those there first, then each asked for by name."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from coordinator.slots import Slot

SLICE = 0.25
ANY = -1


class Wanted(NamedTuple):
    """A card that is still lacking, and how a person is told of it: name and place."""

    label: str
    words: str


class Arrived(NamedTuple):
    """A place with a card in it; `asked` where it came after somebody was asked for it."""

    slot: Slot
    asked: bool


def named(wanted: Sequence[Wanted]) -> str:
    """Return the words that ask for any of these cards."""
    return f"now {' or '.join(each.words for each in wanted)}"


def arrivals(
    offered: Sequence[Slot],
    wanted: Callable[[], list[Wanted]],
    say: Callable[[str], None],
    seconds: float,
) -> Iterator[Arrived]:
    """Yield each place offered, then each reader that a wanted card is put into.

    An empty reader is yielded only where nobody waits. It ends when no card is wanted, or none
    has come for so many seconds.
    """
    seen: dict[str, int] = {}
    for slot in offered:
        number = ANY if slot.arrival is None else slot.arrival(ANY, 0)
        seen[slot.name] = ANY if number is None else number
        if number is not None or not seconds:
            yield Arrived(slot, asked=False)
    readers = [slot for slot in offered if slot.arrival is not None]
    left, told = seconds if readers else 0.0, list[Wanted]()
    while left > 0 and (lacking := wanted()):
        if lacking != told:
            told = lacking
            say(f"reader {' or '.join(slot.name for slot in readers)}: {named(lacking)}")
        left -= SLICE
        for slot in _filled(readers, seen):
            left = seconds
            yield Arrived(slot, asked=True)


def _filled(readers: Sequence[Slot], seen: dict[str, int]) -> Iterator[Slot]:
    """Watch every reader for its share of a moment; yield those a card was put into."""
    for slot in readers:
        share = SLICE / len(readers)
        number = slot.arrival(seen[slot.name], share) if slot.arrival else None
        if number is not None:
            seen[slot.name] = number
            yield slot
