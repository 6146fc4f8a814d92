"""Which cards are offered to a command, and where they lie."""

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from sqlalchemy.orm import Session

from cards.errors import OutOfReach
from coordinator.custody import log as custody_log
from coordinator.errors import UsageError
from coordinator.home.settings import Home
from coordinator.readers import emulated
from coordinator.readers.slots import Slot
from storage import cards as card_book
from storage import vaults as vault_book
from storage.database import Database

HOW = "name where each lies with --reader NAME or --emulated NAME"


class ReaderChoice(NamedTuple):
    """The places a person named: real readers and emulated cards."""

    readers: tuple[str, ...] = ()
    emulated: tuple[str, ...] = ()


def places(
    readers: str | Iterable[str] | None, emulated: str | Iterable[str] | None
) -> ReaderChoice:
    """Return what was named with --reader and --emulated, each once."""
    return ReaderChoice(_each(readers), _each(emulated))


def named_slots(home: Home, named: ReaderChoice) -> list[Slot]:
    """Return the slots named: readers first; one reader named in two ways is one."""
    slots = [emulated.slot(home, name) for name in named.emulated]
    if named.readers:
        from coordinator.readers import real_readers  # noqa: PLC0415 -- pyscard only when a reader is wanted

        found = {slot.name: slot for slot in (real_readers.slot(home, n) for n in named.readers)}
        slots = [*found.values(), *slots]
    return slots


def all_labels(db: Session) -> list[str]:
    """Return the labels of every card known here."""
    return [card.label for card in card_book.all_cards(db)]


def labels_of_vault(db: Session, vault: str, branch: str | None = None) -> list[str]:
    """Return the labels of the cards that carry a key of the vault, or of one of its branches."""
    record = vault_book.vault_named(db, vault)
    places = record.keys_of(branch)
    return [card.label for place in places for card in card_book.cards_with_key(db, place.key)]


def slots_for(
    home: Home,
    database: Database,
    labels: Sequence[str],
    *,
    named: ReaderChoice,
    given: Collection[str] = (),
) -> list[Slot]:
    """Return the slots named; else those of the labels a PIN was given for; else of all labels.

    A card that is not emulated is looked for on every reader; one of software that is recorded as
    gone lies nowhere. Raises UsageError where that leaves nothing.
    """
    if named != ReaderChoice():
        return named_slots(home, named)
    with database.begin() as db:
        wanted = [label for label in labels if label in given] or labels
        cards = [card_book.card_named(db, label) for label in wanted]
        lying = [
            card.emulator_name
            for card in cards
            if card.emulator_name is not None
            and (card.label in given or custody_log.where_is(db, card.item).gone is None)
        ]
        real = {(card.family, card.card_id) for card in cards if card.emulator_name is None}
    slots = [emulated.slot(home, place) for place in lying]
    if real:
        from coordinator.readers import real_readers  # noqa: PLC0415 -- as above

        slots = [*real_readers.with_cards(home, real), *slots]
    if not slots:
        raise UsageError(f"no card is offered; {HOW}")
    return slots


def slot_of(home: Home, database: Database, label: str, *, named: ReaderChoice) -> Slot:
    """Return the slot named, else the one a known card lies in, found by its identity."""
    if named != ReaderChoice():
        slots = named_slots(home, named)
        if len(slots) != 1:
            raise UsageError(f"one card is meant, {len(slots)} places are named")
        return slots[0]
    with database.begin() as db:
        card = card_book.card_named(db, label)
        lying, family, card_id = card.emulator_name, card.family, card.card_id
    if lying is not None:
        return emulated.slot(home, lying)
    from coordinator.readers import real_readers  # noqa: PLC0415 -- as above

    return Slot(
        f"of card {label}",
        emulated=False,
        connect=lambda: real_readers.holding(home, family, card_id).connect(),
        surroundings=real_readers.surroundings(home),
    )


def slots_of_strangers(
    home: Home, named: ReaderChoice, count: int, *, besides: str = ""
) -> list[Slot]:
    """Return so many slots for cards not known yet: those named, else the readers with cards."""
    if named != ReaderChoice():
        slots = named_slots(home, named)
    else:
        from coordinator.readers import real_readers  # noqa: PLC0415 -- as above

        try:
            slots = real_readers.occupied(home)
        except OutOfReach as failure:
            told = f"{failure} ({failure.remedy})"
            raise UsageError(f"no card is offered: {told}; {HOW}") from failure
    if len(slots) != count:
        if not slots:
            raise UsageError(f"no card is offered; {HOW}")
        there = f" ({', '.join(slot.name for slot in slots)})"
        raise UsageError(
            f"{len(slots)} cards are offered, {count} are wanted{there}; {HOW}{besides}"
        )
    return slots


def _each(named: str | Iterable[str] | None) -> tuple[str, ...]:
    names = (named,) if isinstance(named, str) else named or ()
    return tuple(dict.fromkeys(names))
