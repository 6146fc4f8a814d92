"""A family of cards is a folder of this package; nothing else lists them."""

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, NamedTuple, Protocol

import cards
from cards.errors import NotSupported
from cards.pin import Secret
from cards.pin_rules import CodeRule

if TYPE_CHECKING:  # what is known of a family is told without a card
    from cards.session import CardSession
    from cards.transport import CardTransport


class Roots(NamedTuple):
    """Certificates (DER) of authorities, roots and below: the maker's, and those for tests only."""

    published: tuple[bytes, ...]
    test: tuple[bytes, ...] = ()


class CardMemory(Protocol):
    """What must be remembered of a card outside of it (a Keycard's pairing), by card_id."""

    def read(self, card_id: str) -> bytes | None:
        """Return what was kept, or None."""

    def write(self, card_id: str, data: bytes) -> None:
        """Keep this instead of what was kept before."""

    def forget(self, card_id: str) -> None:
        """Keep nothing any more; nothing kept is no error."""


class TransientMemory:
    """A card memory that lasts as long as the process."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def read(self, card_id: str) -> bytes | None:
        """Return what was kept, or None."""
        return self._kept.get(card_id)

    def write(self, card_id: str, data: bytes) -> None:
        """Keep this instead of what was kept before."""
        self._kept[card_id] = data

    def forget(self, card_id: str) -> None:
        """Keep nothing any more."""
        self._kept.pop(card_id, None)


@dataclass(frozen=True)
class Surroundings:
    """What a session may need from outside the card.

    `roots` by family, else its own; `memory` by card_id; `progress` hears why a card makes us
    wait and for how many seconds more; `secret` asks for a named secret besides the PIN
    (`passcode`, `pairing`) and returns None where nobody gives it; the card may have been let go
    of meanwhile. `pair_anew` tells whether a person agrees to pair again with a card that refuses
    the pairing kept for it. `disturbed` hears that the card lost what was selected or open on it,
    as it does when another program resets it. `look_only` means that the card may not even be
    paired with: then it may leave out how many attempts it has left.
    """

    roots: Mapping[str, Roots] = field(default_factory=dict)
    memory: CardMemory = field(default_factory=TransientMemory)
    progress: Callable[[str, int], None] = lambda _reason, _seconds_left: None
    secret: Callable[[str], Secret | None] = lambda _kind: None
    pair_anew: Callable[[], bool] = lambda: False
    disturbed: Callable[[], None] = lambda: None
    look_only: bool = False


ByVersion = Mapping[str, frozenset[str]]
"""What holds for versions that begin so; the longest beginning decides."""


class Software(NamedTuple):
    """Another program that signs for multi-signature vaults with a card, and where that is seen.

    `versions` are how the versions begin that it can drive; all of them where it is empty.
    """

    name: str
    source: str
    versions: tuple[str, ...] = ("",)


class Theft(NamedTuple):
    """What a thief with the card alone is up against, in one sentence, and who says so.

    `attempts` is how many PINs may be tried before the card locks for good; None where it only
    delays, which then takes `seconds_per_attempt`.
    """

    attempts: int | None
    seconds_per_attempt: int
    sentence: str
    source: str


class Evidence(StrEnum):
    """What stands behind a claim that something works, the weakest first."""

    EMULATOR = "own emulator only"
    VECTORS = "published vectors"
    TRANSCRIPT = "transcript of the real applet"
    VENDOR = "vendor client"
    CARD = "physical card"


class EmulatedCard(Protocol):
    """A card made of software, spoken to by APDU only."""

    def insert(self) -> "CardTransport":
        """Give it power: what was unlocked is forgotten."""

    def state(self) -> bytes:
        """Return everything that survives power-off."""


class CardFamily(NamedTuple):
    """One kind of card: how to open it, how to emulate it, what is known of it.

    Its folder under `cards` bears its name, and its session and emulator are loaded when first
    needed. `profiles` are the versions the emulator knows, newest last. A card that is not
    `identified_before_pin` says nothing before it: its identity raises NotUnlocked, and its session
    module has a `Recognition`, which knows such cards again by what a memory keeps. `signs` are
    the script types it can sign for, by version: wsh, sh-wsh, tr. `evidence` names what stands
    behind a capability by the word cards/README.md uses for it, besides the own emulator.
    `codes` tells what fits as a new `pin`, `puk` or `duress`; `prints_pin` that the PIN of a fresh
    card stands on it; `puk_digits` how long a PUK made here is; `setup_secrets` what a card may be
    set up with besides PIN and PUK, by version: `duress`, `pairing`. `prints_backup_key` tells that
    the key to its encrypted backup stands on the card, `puk_sets_pin` how the versions begin whose
    PUK sets a new PIN: whoever has that needs no PIN.
    """

    name: str
    vendor: str
    aid: bytes
    profiles: tuple[str, ...]
    makes_key_on_card: bool
    other_software: tuple[Software, ...]
    signs: ByVersion
    theft: Theft
    identified_before_pin: bool = True
    evidence: Mapping[str, Evidence] = MappingProxyType({})
    codes: Mapping[str, CodeRule] = MappingProxyType({})
    prints_pin: bool = False
    puk_digits: int = 8
    setup_secrets: ByVersion = MappingProxyType({})
    prints_backup_key: bool = False
    puk_sets_pin: tuple[str, ...] = ()

    def open(self, transport: "CardTransport", surroundings: Surroundings) -> "CardSession":
        """Open the card on a transport; raises StatusWordError where it is none of the family."""
        session: CardSession = self._part("session").open_session(transport, surroundings)
        return session

    def forget(self, memory: CardMemory, card_id: str) -> None:
        """Wipe a card from a memory, and what would know it again before its PIN."""
        if not self.identified_before_pin:
            self._part("session").Recognition(memory).forget(card_id)
        memory.forget(card_id)

    def recognises(self, memory: CardMemory, card_id: str) -> bool:
        """Tell whether a memory would know a card again that tells nothing before its PIN."""
        if self.identified_before_pin:
            return False
        known: bool = self._part("session").Recognition(memory).knows(card_id)
        return known

    def emulate(self, profile: str) -> EmulatedCard:
        """Make a factory-fresh card of a version."""
        card: EmulatedCard = self._part("emulator").emulate(profile)
        return card

    def revive(self, state: bytes) -> EmulatedCard:
        """Make the card whose state this is; raises CardError for anything else."""
        card: EmulatedCard = self._part("emulator").revive(state)
        return card

    @property
    def variants(self) -> Mapping[str, Callable[[str], EmulatedCard]]:
        """Return, by name, other ways in which its cards or its maker's emulator behave.

        `uncertified` cards have nothing to prove themselves with.
        """
        variants: Mapping[str, Callable[[str], EmulatedCard]] = self._part("emulator").VARIANTS
        return variants

    def _part(self, name: str) -> ModuleType:
        return importlib.import_module(f"cards.{self.name}.{name}")

    def signs_at(self, version: str) -> frozenset[str]:
        """Return the script types a card of this version can sign for."""
        return at_version(self.signs, version)

    def setup_secrets_at(self, version: str) -> frozenset[str]:
        """Return what a card of this version may be set up with besides PIN and PUK."""
        return at_version(self.setup_secrets, version)

    def software_at(self, version: str) -> tuple[Software, ...]:
        """Return the other programs that can sign with a card of this version."""
        return tuple(each for each in self.other_software if version.startswith(each.versions))


def at_version(by_version: ByVersion, version: str) -> frozenset[str]:
    """Return what holds for a version; nothing where none of the beginnings fits."""
    fitting = [beginning for beginning in by_version if version.startswith(beginning)]
    return by_version[max(fitting, key=len)] if fitting else frozenset()


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
