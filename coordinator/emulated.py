"""Emulated cards of a home: made, listed, removed; never on mainnet."""

import secrets
from typing import NamedTuple

from cards.emulation import create_card, open_card
from cards.errors import NotSupported, ReaderNotFound
from cards.family import Surroundings, family_named
from cards.pin import Pin, Secret
from cards.session import CardIdentity, Initialiser, KeyGenerator, SeedLoader
from coordinator.errors import UsageError
from coordinator.memory import FolderMemory
from coordinator.settings import Home
from coordinator.slots import Slot, card_in, checked_name
from storage.errors import AlreadyExists

CARD_SUFFIX = ".card"
FACTORY_PIN = b"123456"


class EmulatedCard(NamedTuple):
    """An emulated card of the home, as it identifies itself."""

    name: str
    identity: CardIdentity


def slot(home: Home, name: str) -> Slot:
    """Return the slot an emulated card of this home lies in.

    Raises UsageError on mainnet, ReaderNotFound where there is no such card.
    """
    if home.network == "mainnet":
        raise UsageError("emulated cards are never used on mainnet")
    path = home.emulated_cards / (checked_name(name) + CARD_SUFFIX)
    if not path.exists():
        raise ReaderNotFound(f"there is no emulated card {name} in {home.folder}")
    return Slot(
        name,
        emulated=True,
        connect=lambda: open_card(path),
        surroundings=Surroundings(memory=FolderMemory(home.card_memory)),
    )


def slots(home: Home) -> list[Slot]:
    """Return the slots of all emulated cards, by name."""
    if home.network == "mainnet":
        return []
    return [slot(home, path.stem) for path in sorted(home.emulated_cards.glob("*" + CARD_SUFFIX))]


def create(
    home: Home, family: str, name: str, profile: str | None = None, *, set_up: bool = True
) -> EmulatedCard:
    """Make an emulated card: with PIN 123456 and a random key, or factory-fresh."""
    known = family_named(family)
    if home.network == "mainnet":
        raise UsageError("emulated cards are never used on mainnet")
    if profile is not None and profile not in known.profiles:
        raise UsageError(f"family {family} has profiles {', '.join(known.profiles)}, not {profile}")
    home.emulated_cards.mkdir(mode=0o700, exist_ok=True)
    path = home.emulated_cards / (checked_name(name) + CARD_SUFFIX)
    if path.exists():
        raise AlreadyExists("emulated card", name)
    create_card(path, known, profile or known.profiles[-1])
    place = slot(home, name)
    if set_up:
        _set_up(place)
    return EmulatedCard(name, _identity(place))


def listed(home: Home) -> list[EmulatedCard]:
    """Return every emulated card with its identity."""
    return [EmulatedCard(place.name, _identity(place)) for place in slots(home)]


def remove(home: Home, name: str) -> None:
    """Delete an emulated card and its key."""
    slot(home, name)
    for suffix in (CARD_SUFFIX, CARD_SUFFIX + ".lock"):
        (home.emulated_cards / (name + suffix)).unlink(missing_ok=True)


def _identity(place: Slot) -> CardIdentity:
    with card_in(place) as session:
        return session.identity()


def _set_up(place: Slot) -> None:
    """Give the card PIN 123456, a random PUK and a random key, through its own protocol."""
    with card_in(place) as session, Pin(FACTORY_PIN) as pin, Secret(_digits(8)) as puk:
        if not isinstance(session, Initialiser):
            raise NotSupported(session.identity().family, "being set up")
        session.initialise({"pin": pin, "puk": puk})
        session.unlock(pin)
        if isinstance(session, KeyGenerator):
            session.generate_key()
        elif isinstance(session, SeedLoader):
            with Secret(secrets.token_bytes(64)) as seed:
                session.load_seed(seed)


def _digits(count: int) -> bytes:
    return "".join(secrets.choice("0123456789") for _ in range(count)).encode()
