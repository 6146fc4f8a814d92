"""What an audit looks at, and what it finds."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from cards.family import Theft

BACKUP_PAIR = frozenset({"backup-file", "backup-key"})


class Severity(StrEnum):
    """How much a finding matters."""

    INFO = "info"
    WARNING = "warning"
    DANGER = "danger"


class Finding(NamedTuple):
    """One sentence of an audit and what to do about it; subjects are written kind:name."""

    code: str
    severity: Severity
    message: str
    remedy: str
    subjects: tuple[str, ...]


class CarrierFacts(NamedTuple):
    """One thing that brings a key back, as the book has it; `gone` is lost, stolen or destroyed.

    Of a card: `unwritten` are the secrets it has that nobody knows and no place holds, `lonely`
    that no other program signs with it, `siblings` how many cards of its set carry the same keys,
    `prints_backup_key` that its backup's key stands on it, `theft` what a thief is up against.
    """

    subject: str
    location: str | None
    gone: str | None
    last_seen: datetime | None
    attestation: str | None
    unwritten: tuple[str, ...] = ()
    lonely: bool = False
    siblings: int = 0
    prints_backup_key: bool = False
    theft: Theft | None = None

    @property
    def kind(self) -> str:
        """Return what kind of thing it is."""
        return self.subject.partition(":")[0]

    @property
    def name(self) -> str:
        """Return what it is called among its kind."""
        return self.subject.partition(":")[2]


class CosignerFacts(NamedTuple):
    """One key of the vault, its carriers, and whether a card proved it (None: never asked).

    `orphaned` means that all its carriers were forgotten or erased; a key that never had one is
    held elsewhere, out of reach of the places known here.
    """

    label: str
    carriers: tuple[CarrierFacts, ...]
    verified: bool | None
    orphaned: bool = False

    def by_location(self) -> dict[str, list[CarrierFacts]]:
        """Return the carriers that are not gone, by the place they are known to lie at."""
        placed: dict[str, list[CarrierFacts]] = {}
        for carrier in self.carriers:
            if carrier.location is not None and carrier.gone is None:
                placed.setdefault(carrier.location, []).append(carrier)
        return placed


@dataclass(frozen=True)
class VaultFacts:
    """All an audit looks at."""

    name: str
    threshold: int
    cosigners: tuple[CosignerFacts, ...]

    def carriers(self) -> Iterator[CarrierFacts]:
        """Yield every carrier of every key."""
        for cosigner in self.cosigners:
            yield from cosigner.carriers


def bring_back(carriers: Iterable[CarrierFacts]) -> bool:
    """Tell whether these things bring their key back: a backup file does with its key only."""
    kinds = {carrier.kind for carrier in carriers}
    return bool(kinds - BACKUP_PAIR) or kinds >= BACKUP_PAIR
