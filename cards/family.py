"""A family of cards is a folder of this package; nothing else lists them."""

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Protocol

import cards
from cards.errors import CardError, NotSupported, StatusWordError
from cards.session import CardSession
from cards.transport import CardTransport


@dataclass(frozen=True)
class Roots:
    """Certificates (DER) of authorities, roots and below: the maker's, and those for tests only."""

    published: tuple[bytes, ...]
    test: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Surroundings:
    """What a session may need from outside the card; `roots` by family, else its own."""

    roots: Mapping[str, Roots] = field(default_factory=dict)


class EmulatedCard(Protocol):
    """A card made of software, spoken to by APDU only."""

    def insert(self) -> CardTransport:
        """Give it power: what was unlocked is forgotten."""
        ...

    def state(self) -> bytes:
        """Return everything that survives power-off."""
        ...


@dataclass(frozen=True)
class CardFamily:
    """One kind of card: how to open it, how to emulate it, what is known of it.

    `profiles` are the versions the emulator knows, newest last; `emulate(profile)` makes a
    factory-fresh card, `revive(state)` one that was there before.
    """

    name: str
    aid: bytes
    profiles: tuple[str, ...]
    open: Callable[[CardTransport, Surroundings], CardSession]
    emulate: Callable[[str], EmulatedCard]
    revive: Callable[[bytes], EmulatedCard]
    makes_key_on_card: bool
    other_software: tuple[str, ...]


@cache
def families() -> tuple[CardFamily, ...]:
    """Return every family, found by listing the sub-packages, by name."""
    found = [
        importlib.import_module(f"cards.{module.name}").FAMILY
        for module in pkgutil.iter_modules(cards.__path__)
        if module.ispkg
    ]
    return tuple(sorted(found, key=lambda family: family.name))


def family_named(name: str) -> CardFamily:
    """Return the family of that name; raises NotSupported."""
    for family in families():
        if family.name == name:
            return family
    raise NotSupported(name, "anything here: no such family")


def detect(transport: CardTransport, surroundings: Surroundings) -> CardSession:
    """Open the card with the first family that recognises it; no PIN is presented.

    Raises CardError where no family does.
    """
    for family in families():
        try:
            return family.open(transport, surroundings)
        except StatusWordError:
            continue
    raise CardError("the card on the reader belongs to no family known here")
