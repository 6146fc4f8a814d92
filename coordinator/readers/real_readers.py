"""Real readers: found by name, looked at without a PIN, opened with a deadline."""

import re
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

from cards import pcsc
from cards.deadline import DeadlineTransport
from cards.errors import CardError, CardRemoved, ReaderNotFound, ReadersUnlisted
from cards.family import Surroundings
from coordinator.errors import Ambiguous
from coordinator.home.settings import Home
from coordinator.readers.slots import FolderMemory, Found, Slot, look

NUMBERS = re.compile(" [0-9A-F]{2} [0-9A-F]{2}$")
"""What pcsc-lite writes last: which reader it is, and which slot of it."""
SLOT = re.compile(" [0-9A-F]{2}$")
LOOK_SECONDS = 2.0
"""How long a look waits for a reader that another program keeps for itself."""


def slot(home: Home, name: str) -> Slot:
    """Return the reader of this name, or the only one whose name holds this text.

    Raises ReaderNotFound with the readers there are, or Ambiguous.
    """
    return _called(home, _full_name(name))


def _called(home: Home, name: str, wait_seconds: float = pcsc.WAIT_SECONDS) -> Slot:
    """Return the reader of exactly this name."""
    return Slot(
        name,
        emulated=False,
        connect=lambda: DeadlineTransport(
            lambda: pcsc.ReaderTransport(name, wait_seconds), name, take_seconds=wait_seconds
        ),
        surroundings=surroundings(home),
        arrival=partial(pcsc.arrival, name),
    )


def surroundings(home: Home) -> Surroundings:
    """Return what a card on a reader gets from this home."""
    return Surroundings(memory=FolderMemory(home.card_memory))


def occupied(home: Home) -> list[Slot]:
    """Return every reader that holds a card just now."""
    return [_called(home, name) for name in pcsc.reader_names() if _is_occupied(name)]


def _is_occupied(name: str) -> bool:
    """Tell whether a reader holds a card; one that cannot be asked is tried."""
    try:
        return pcsc.arrival(name, pcsc.ANY_CARD, 0) is not None
    except CardError:
        return True


def looked_at(home: Home, names: Sequence[str] | None = None) -> list[Found]:
    """Look at every reader at once: who lies there, by what the card says before any PIN."""
    names = pcsc.reader_names() if names is None else names
    with ThreadPoolExecutor(max_workers=max(1, len(names))) as threads:
        looks = [(name, threads.submit(_look, home, name)) for name in names]
    found = []
    for name, asked in looks:
        if (failure := asked.exception()) is None:
            found.append(asked.result())
        else:  # whatever it is, it stands for its reader alone
            told = f"the card could not be looked at: {type(failure).__name__}: {failure}"
            found.append(Found(name, None, CardError(told)))
    return found


def with_cards(home: Home, wanted: Collection[tuple[str, str]]) -> list[Slot]:
    """Return the readers that hold one of these cards, or a card that cannot be told yet.

    `wanted` are families and card ids; where no reader does, every reader with a card.
    """
    seen = looked_at(home)
    fitting = [
        _called(home, found.name)
        for found in seen
        if (found.error is not None and found.family in {None, *(family for family, _ in wanted)})
        or (found.card is not None and (found.card.family, found.card.card_id) in wanted)
    ]
    return fitting or occupied(home)


def holding(home: Home, family: str, card_id: str) -> Slot:
    """Return the reader that holds this very card; raises ReaderNotFound."""
    seen = looked_at(home)
    for found in seen:
        if found.card is not None and (found.card.family, found.card.card_id) == (family, card_id):
            return _called(home, found.name)
    silent = [found for found in seen if found.error is not None]
    if len(silent) == 1:
        return _called(home, silent[0].name)
    told = [f"{f.name}: {f.card.family if f.card else f.error or 'empty'}" for f in seen]
    there = f" ({'; '.join(told)})" if told else ""
    raise ReaderNotFound(f"the card is on none of {len(seen)} readers{there}")


def _look(home: Home, name: str) -> Found:
    place = _called(home, name, LOOK_SECONDS)
    place = place._replace(surroundings=replace(place.surroundings, look_only=True))
    found = look(place)
    return Found(name, None) if isinstance(found.error, CardRemoved) else found


def _full_name(name: str) -> str:
    """Return the one reader meant: by its whole name, without the numbers, or by a part of it."""
    try:
        known = pcsc.reader_names()
    except ReadersUnlisted:  # the name of another reader cannot be read
        return name
    if name in known:
        return name
    wanted = name.removeprefix("reader:").casefold()
    ways = (
        [each for each in known if each.casefold() == wanted],
        [each for each in known if NUMBERS.sub("", each).casefold() == wanted],
        [each for each in known if wanted in each.casefold()],
    )
    fitting = _occupied_slot(next((found for found in ways if found), []))
    if len(fitting) > 1:
        raise Ambiguous(name, [f"reader:{each}" for each in fitting])
    if not fitting:
        there = f"; there is {', '.join(known)}" if known else "; no reader is connected"
        raise ReaderNotFound(f"there is no reader {name}{there}")
    return fitting[0]


def _occupied_slot(names: list[str]) -> list[str]:
    """Return the one slot with a card, where all names are slots of one reader; else all names.

    PC/SC ends a name with the reader's number and, last, that of its slot.
    """
    if len(names) < 2 or len({SLOT.sub("", name) for name in names}) > 1:
        return names
    occupied = [name for name in names if _is_occupied(name)]
    return occupied if len(occupied) == 1 else names
