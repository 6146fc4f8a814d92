"""The facts an audit looks at: a vault, its keys, what carries them, and the places."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from cards.family import Theft
from coordinator.chain.block_dates import ChainClock
from coordinator.custody.bags import BagFacts
from coordinator.notices import Notice, Severity
from coordinator.shown_text import counted

PRIMARY: Final = "primary"
BANK: Final = "bank-vault"
BACKUP_PAIR = frozenset({"backup-file", "backup-key"})


class PlaceFacts(NamedTuple):
    """A place, the region whose fate it shares, the holder who can open it, and its kind."""

    name: str
    region: str | None = None
    holder: str | None = None
    kind: str = "other"


class SecretFacts(NamedTuple):
    """What is known of a card's secret: pin, puk or pairing; `label` is what it is called."""

    kind: str
    known_by: tuple[str, ...] = ()
    written_at: tuple[str, ...] = ()
    label: str = ""

    @property
    def nowhere(self) -> bool:
        """Tell whether nobody is known to know it, nor any place to hold it."""
        return not self.known_by and not self.written_at


class CardFacts(NamedTuple):
    """What is known of a card besides where it lies.

    `siblings` is how many cards of its set carry the same keys, `lonely` that no other program
    signs with it, `prints_backup_key` that its backup's key stands on it, `puk_sets_pin` that
    whoever has its PUK needs no PIN, `theft` what a thief of the card alone is up against.
    """

    family: str
    version: str
    vendor: str
    attestation: str = "genuine"
    secrets: tuple[SecretFacts, ...] = ()
    siblings: int = 0
    lonely: bool = False
    prints_backup_key: bool = False
    puk_sets_pin: bool = False
    theft: Theft | None = None


class CarrierFacts(NamedTuple):
    """One thing that brings a key back, as the book has it; `gone` is lost, stolen or destroyed.

    `signs_leaf` tells of a card that it proved to sign for a leaf of taproot with the key.
    """

    subject: str
    location: str | None
    gone: str | None
    last_seen: datetime | None
    card: CardFacts | None = None
    bag: BagFacts | None = None
    signs_leaf: bool = False

    @property
    def kind(self) -> str:
        """Return what kind of thing it is."""
        return self.subject.partition(":")[0]

    @property
    def name(self) -> str:
        """Return what it is called among its kind."""
        return self.subject.partition(":")[2]


class LimitFacts(NamedTuple):
    """A holder, what the owner lets them hold, and what lies in vaults they can open things of."""

    holder: str
    limit_sats: int
    held_sats: int


class HotFacts(NamedTuple):
    """What the owner holds hot, and how many per cent of all it may be."""

    hot_sats: int
    percent: int


class Advisory(NamedTuple):
    """A known flaw of a family's cards, of the versions that begin so."""

    id: str
    family: str
    versions: tuple[str, ...]
    severity: Severity
    sentence: str
    remedy: str

    def concerns(self, family: str, version: str) -> bool:
        """Tell whether a card of this family and version has it."""
        return self.family == family and version.startswith(self.versions)


class CopyFacts(NamedTuple):
    """A copy of the descriptor; a stale one is of another descriptor than the vault's."""

    subject: str
    location: str | None
    gone: str | None
    stale: bool = False
    bag: BagFacts | None = None
    made_at: datetime | None = None

    @property
    def current(self) -> bool:
        """Tell whether it is there, and of the descriptor that the vault has."""
        return self.gone is None and not self.stale


class CosignerFacts(NamedTuple):
    """One key of the vault, its carriers, and whether it was proved (None: never).

    `orphaned` means that all its carriers were forgotten or erased; a key that never had one is
    held elsewhere, out of reach of the places known here. `fingerprint` is its seed's (hex), None
    where it is not known.
    """

    label: str
    carriers: tuple[CarrierFacts, ...]
    verified: bool | None
    orphaned: bool = False
    fingerprint: str | None = None
    created_on: str = "card"

    @property
    def on_card_here(self) -> bool:
        """Tell whether a card that is known here and not gone carries it."""
        return any(each.card is not None and each.gone is None for each in self.carriers)

    def by_location(self) -> dict[str, list[CarrierFacts]]:
        """Return the carriers that are not gone, by the place they are known to lie at."""
        placed: dict[str, list[CarrierFacts]] = {}
        for carrier in self.carriers:
            if carrier.location is not None and carrier.gone is None:
                placed.setdefault(carrier.location, []).append(carrier)
        return placed


class BranchFacts(NamedTuple):
    """A later way to spend: so many of these keys, once its wait has run.

    It opens for a coin that is so many `blocks` old, or for all at a `height`; one of both is set.
    """

    name: str
    threshold: int
    keys: tuple[CosignerFacts, ...]
    blocks: int | None = None
    height: int | None = None

    @property
    def said(self) -> str:
        """Return what people read: whose wait it is."""
        return f"the later keys ({self.name})"


class CoinAges(NamedTuple):
    """The blocks that the oldest and the newest confirmed coin came in, and how many there are."""

    oldest: int
    newest: int
    coins: int


@dataclass(frozen=True)
class VaultFacts:
    """All an audit looks at, amounts in satoshis; `altered` is why its rows cannot be believed.

    `cosigners` are the keys of the primary branch, `branches` those that open later, the soonest
    first; `chain` is the newest block known, None where no chain was asked, `at` the block the
    audit looks at, None for now; `look` is the command that looks for newer ones. `approval` is
    how the policy stands to what this home approved; None where nobody asked. `taproot` tells that
    it is a quorum in a leaf, `replaced` that another vault took its place, `seal_differs` that what
    places are sealed to is not what this home approved, `due` what its calendar asks for,
    `rows_altered` which rows are not as an operator left them, `rows_unapproved` which are as one
    did whose key this home did not approve.
    """

    name: str
    threshold: int
    cosigners: tuple[CosignerFacts, ...]
    places: Mapping[str, PlaceFacts] = field(default_factory=dict)
    copies: tuple[CopyFacts, ...] = ()
    altered: str | None = None
    created_at: datetime | None = None
    drilled_at: datetime | None = None
    value_sats: int = 0
    free_sats: int = 0
    pending_sats: int = 0
    limits: tuple[LimitFacts, ...] = ()
    hot: HotFacts | None = None
    advisories: tuple[Advisory, ...] = ()
    approval: str | None = None
    branches: tuple[BranchFacts, ...] = ()
    ages: CoinAges | None = None
    chain: ChainClock | None = None
    at: int | None = None
    look: str = "cardquorum sync"
    taproot: bool = False
    replaced: bool = False
    seal_differs: bool = False
    due: tuple[Notice, ...] = ()
    rows_altered: tuple[str, ...] = ()
    rows_unapproved: tuple[str, ...] = ()

    def opens(self, branch: BranchFacts) -> int | None:
        """Return the first block that may spend the oldest coin by a branch.

        None where its wait counts from a payment still to come.
        """
        if branch.height is not None:
            return branch.height + 1
        if self.ages is None or branch.blocks is None:
            return None
        return self.ages.oldest + branch.blocks

    def open_at(self, height: int) -> tuple[BranchFacts, ...]:
        """Return the later branches by which this block may spend."""
        opening = ((branch, self.opens(branch)) for branch in self.branches)
        return tuple(branch for branch, opens in opening if opens is not None and opens <= height)

    def open_branches(self) -> tuple[BranchFacts, ...]:
        """Return the later branches that are open when the audit looks: now, unless at a block."""
        if self.at is not None:
            return self.open_at(self.at)
        return self.open_at(self.chain.height + 1) if self.chain is not None else ()

    def all_keys(self) -> tuple[CosignerFacts, ...]:
        """Return the keys of all branches, each once, those of the primary first."""
        primary = {key.label for key in self.cosigners}
        later = {key.label: key for branch in self.branches for key in branch.keys}
        return (*self.cosigners, *(key for label, key in later.items() if label not in primary))

    def later_keys(self) -> tuple[CosignerFacts, ...]:
        """Return the keys that only sign once a branch has opened."""
        return self.all_keys()[len(self.cosigners) :]

    def same_seed(self) -> list[tuple[CosignerFacts, ...]]:
        """Return the keys of the vault that come from one seed each, as far as is known."""
        return same_seed(self.all_keys())

    def carriers(self) -> Iterator[CarrierFacts]:
        """Yield every carrier of every key."""
        for key in self.all_keys():
            yield from key.carriers

    def cards(self) -> Iterator[tuple[CarrierFacts, CardFacts]]:
        """Yield every carrier that is a card and not gone."""
        for carrier in self.carriers():
            if carrier.card is not None and carrier.gone is None:
                yield carrier, carrier.card


def same_seed(cosigners: Iterable[CosignerFacts]) -> list[tuple[CosignerFacts, ...]]:
    """Return the keys that come from one seed each, two or more of them.

    Known to be so by the fingerprint of their master, or by a thing that carries them all. Keys
    with different fingerprints may still come from one seed (by other passphrases).
    """
    groups: list[list[CosignerFacts]] = []
    for cosigner in cosigners:
        joined = [group for group in groups if any(_one_seed(cosigner, o) for o in group)]
        groups = [group for group in groups if group not in joined]
        groups.append([*(each for group in joined for each in group), cosigner])
    return [tuple(group) for group in groups if len(group) > 1]


def _one_seed(one: CosignerFacts, other: CosignerFacts) -> bool:
    if one.fingerprint is not None and one.fingerprint == other.fingerprint:
        return True
    carried = {carrier.subject for carrier in one.carriers}
    return any(carrier.subject in carried for carrier in other.carriers)


def keys(count: int) -> str:
    """Return so many keys in words."""
    return counted(count, "key")


def listed_names(names: Sequence[str]) -> str:
    """Return names in words: `a, b and c`."""
    return " and ".join([*([", ".join(names[:-1])] if names[1:] else []), *names[-1:]])
