"""What a vault can lose and what a thief can take before it is spent, or can no longer be.

Everything is a thing that lies somewhere: what brings a key back, what opens it (a PIN somebody
knows or wrote down, the key of an encrypted backup), a copy of the descriptor. Losing a group,
say a place, takes every thing in it; so does a thief who has it. Each branch that is open is one
more way to spend: it saves from a loss, and serves a thief.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from coordinator.audit.facts import (
    PRIMARY,
    BranchFacts,
    CardFacts,
    CarrierFacts,
    CopyFacts,
    CosignerFacts,
    PlaceFacts,
    SecretFacts,
    VaultFacts,
)
from coordinator.audit.minimal_sets import (
    LISTED,
    Function,
    MinimalSets,
    Part,
    Terms,
    Threshold,
    all_of,
    any_of,
    minimal_sets,
)

Places = Mapping[str, PlaceFacts]
OPENS_BACKUP: Final = "backup-key"
NEEDS_OPENING: Final = "backup-file"
ALREADY: Final[Terms] = frozenset({frozenset()})
NEVER: Final[Terms] = frozenset()


class Kind(StrEnum):
    """What things may have in common, to be lost or taken together."""

    LOCATION = "location"
    REGION = "region"
    HOLDER = "holder"
    CARD = "card"
    FAMILY = "family"
    VENDOR = "vendor"


WITHOUT_COPIES: Final = frozenset({Kind.CARD, Kind.FAMILY, Kind.VENDOR})


class Groups(NamedTuple):
    """The name of the group of each kind that a thing belongs to, if it does."""

    location: str | None = None
    region: str | None = None
    holder: str | None = None
    card: str | None = None
    family: str | None = None
    vendor: str | None = None


class Thing(NamedTuple):
    """A thing written kind:name; `gone` is lost, stolen or destroyed, `bag` what holds it."""

    subject: str
    groups: Groups = Groups()
    gone: str | None = None
    bag: str | None = None

    @property
    def subjects(self) -> frozenset[str]:
        """Return all that takes it along, itself among them."""
        groups = (self.group(kind) for kind in Kind)
        return frozenset({self.subject, *filter(None, (*groups, self.bag))})

    def group(self, kind: Kind) -> str | None:
        """Return its group of a kind, written kind:name."""
        name = getattr(self.groups, kind)
        return None if name is None else f"{kind}:{name}"


class KeyCarrier(NamedTuple):
    """A thing that brings a key back.

    It `needs` one of each row: of those who know its PIN and the places it is written at, say, and
    of its backup key's. What does not resist gives a thief the key without.
    """

    thing: Thing
    needs: tuple[tuple[Thing, ...], ...] = ()
    resists: bool = True


class ExposedKey(NamedTuple):
    """A key and all its carriers; one held elsewhere is out of reach of loss and theft here."""

    label: str
    carriers: tuple[KeyCarrier, ...]
    elsewhere: bool = False


class Quorum(NamedTuple):
    """A branch that is open: so many of these keys spend."""

    name: str
    threshold: int
    keys: tuple[ExposedKey, ...]

    @property
    def by(self) -> str:
        """Return what a sentence adds where it is not the primary branch."""
        return (
            "" if self.name == PRIMARY else f" by the later keys ({self.name}), whose wait is over"
        )

    def left(self, lost: Collection[str] = ()) -> int:
        """Return how many of its keys can sign without what is lost."""
        return sum(_key_lost(key, _among(lost)) != ALREADY for key in self.keys)

    def taken(self, stolen: Collection[str] = ()) -> int:
        """Return how many of its keys sign for a thief who has what is stolen."""
        return sum(_key_taken(key, _among(stolen)) == ALREADY for key in self.keys)


class Exposure(NamedTuple):
    """A vault's keys, the copies of its descriptor, and the later branches that are open.

    None stands for copies nobody recorded: one is taken to be left, and known to any thief.
    """

    threshold: int
    keys: tuple[ExposedKey, ...]
    copies: tuple[Thing, ...] | None = None
    later: tuple[Quorum, ...] = ()

    @property
    def quorums(self) -> tuple[Quorum, ...]:
        """Return every branch that is open, the primary first."""
        return (Quorum(PRIMARY, self.threshold, self.keys), *self.later)

    def things(self) -> Iterator[Thing]:
        """Yield all that can be lost or taken, some of it more than once."""
        keys = (key for quorum in self.quorums for key in quorum.keys)
        for carrier in (carrier for key in keys for carrier in key.carriers):
            yield carrier.thing
            for keepers in carrier.needs:
                yield from keepers
        yield from self.copies or ()


def can_spend(exposure: Exposure, lost: Collection[str] = ()) -> bool:
    """Return whether enough keys and a copy are left without what is lost, written kind:name."""
    return not _reached(_losses(exposure, _among(lost)), lost)


def can_read(exposure: Exposure, lost: Collection[str] = ()) -> bool:
    """Return whether a copy of the descriptor is left, which shows coins and addresses."""
    if exposure.copies is None:
        return True
    return any(_lost(copy, _among(lost)) == NEVER for copy in exposure.copies)


def keys_left(exposure: Exposure, lost: Collection[str] = ()) -> int:
    """Return how many keys of the primary branch can sign without what is lost."""
    return exposure.quorums[0].left(lost)


def quorum_left(exposure: Exposure, lost: Collection[str] = ()) -> Quorum | None:
    """Return the first branch that has enough keys without what is lost."""
    return next((each for each in exposure.quorums if each.left(lost) >= each.threshold), None)


def quorum_taken(exposure: Exposure, stolen: Collection[str] = ()) -> Quorum | None:
    """Return the first branch of which a thief has enough keys with what is stolen."""
    return next((each for each in exposure.quorums if each.taken(stolen) >= each.threshold), None)


class Reached(NamedTuple):
    """So many keys of a branch that asks for as many or fewer; `by` names a later branch."""

    keys: int
    threshold: int
    by: str


def reached_by(exposure: Exposure, stolen: Collection[str]) -> Reached | None:
    """Return the first branch that what is stolen spends by itself, without what is gone before."""
    for each in exposure.quorums:
        taken = each.taken(stolen) - each.taken()
        if taken >= each.threshold:
            return Reached(taken, each.threshold, each.by)
    return None


def thief_can_spend(
    exposure: Exposure, stolen: Collection[str], *, knows_descriptor: bool = False
) -> bool:
    """Return whether what is stolen gives enough keys, and a copy unless the thief knows it."""
    return _reached(_thefts(exposure, _among(stolen), copies=not knows_descriptor), stolen)


def minimal_losses(exposure: Exposure, kind: Kind, listed: int = LISTED) -> MinimalSets:
    """Return the smallest sets of groups whose loss makes the vault unspendable.

    One empty set means that it is so already.
    """
    return minimal_sets(_losses(exposure, _in_group(kind)), listed)


def minimal_thefts(exposure: Exposure, kind: Kind, listed: int = LISTED) -> MinimalSets:
    """Return the smallest sets of groups that let a thief spend.

    Copies of the descriptor lie at places, with people: for other kinds the thief is taken to
    have one.
    """
    copies = kind not in WITHOUT_COPIES
    return minimal_sets(_thefts(exposure, _in_group(kind), copies=copies), listed)


Fate = Callable[[Thing], Terms]


def _losses(exposure: Exposure, fate: Fate) -> Function:
    """Ask for so many keys lost that no branch is left, or for every copy, which weighs as much."""
    copies = None
    if exposure.copies is not None:
        copies = all_of(_lost(copy, fate) for copy in exposure.copies)
    thresholds = []
    for quorum in exposure.quorums:
        need = max(len(quorum.keys) - quorum.threshold + 1, 1)
        parts = [Part(1, _key_lost(key, fate)) for key in quorum.keys]
        if copies is not None:
            parts.append(Part(need, copies))
        thresholds.append(Threshold(need, tuple(parts)))
    return Function(tuple(thresholds), every=True)


def _key_lost(key: ExposedKey, fate: Fate) -> Terms:
    if key.elsewhere:
        return NEVER
    lost = []
    for carrier in key.carriers:
        unmet = (all_of(_lost(keeper, fate) for keeper in keepers) for keepers in carrier.needs)
        lost.append(any_of((_lost(carrier.thing, fate), *unmet)))
    return all_of(lost)


def _lost(thing: Thing, fate: Fate) -> Terms:
    return fate(thing) if thing.gone is None else ALREADY


def _thefts(exposure: Exposure, fate: Fate, *, copies: bool) -> Function:
    """Ask for a branch's quorum and, with more weight than all keys have, for a copy."""
    copy = None
    if copies and exposure.copies is not None:
        copy = any_of(_taken(copy, fate) for copy in exposure.copies)
    thresholds = []
    for quorum in exposure.quorums:
        need = quorum.threshold
        parts = [Part(1, _key_taken(key, fate)) for key in quorum.keys]
        if copy is not None:
            weight = len(parts) + 1
            need += weight
            parts.append(Part(weight, copy))
        thresholds.append(Threshold(need, tuple(parts)))
    return Function(tuple(thresholds))


def _key_taken(key: ExposedKey, fate: Fate) -> Terms:
    if key.elsewhere:
        return NEVER
    taken = []
    for carrier in key.carriers:
        needs = carrier.needs if carrier.resists else ()
        met = (any_of(_taken(keeper, fate) for keeper in keepers) for keepers in needs)
        taken.append(all_of((_taken(carrier.thing, fate), *met)))
    return any_of(taken)


def _taken(thing: Thing, fate: Fate) -> Terms:
    """Suppose that a thief found what is lost; what is destroyed nobody has."""
    match thing.gone:
        case None:
            return fate(thing)
        case "destroyed":
            return NEVER
    return ALREADY


def _in_group(kind: Kind) -> Fate:
    """Let a thing share the fate of its group of that kind."""

    def fate(thing: Thing) -> Terms:
        group = thing.group(kind)
        return NEVER if group is None else frozenset({frozenset({group})})

    return fate


def _among(subjects: Collection[str]) -> Fate:
    """Let a thing be there already if it, or a group of it, is among these."""
    chosen = frozenset(subjects)
    return lambda thing: ALREADY if thing.subjects & chosen else NEVER


def _reached(function: Function, names: Collection[str]) -> bool:
    chosen = frozenset(names)
    reached = (
        each.need <= sum(p.weight for p in each.parts if any(t <= chosen for t in p.terms))
        for each in function.thresholds
    )
    return all(reached) if function.every else any(reached)


def exposure_of(
    facts: VaultFacts, *, codes: bool = True, later: Iterable[BranchFacts] | None = None
) -> Exposure:
    """Return what a vault can lose and what can be taken; without `codes`, as if no card had any.

    `later` are the branches taken to be open besides the primary; those that are now where it is
    not said. A PIN of which nobody recorded who knows it or where it is written counts as known to
    whoever has the card, a place's or not. The copy on this computer counts only while no other is
    left. Keys of one seed have all their carriers in common: whatever brings one back brings all.
    """
    shared = {each.label: group for group in facts.same_seed() for each in group}
    keys = {
        each.label: _exposed(each, shared.get(each.label, (each,)), facts.places, codes=codes)
        for each in facts.all_keys()
    }
    quorums = tuple(
        Quorum(branch.name, branch.threshold, tuple(keys[key.label] for key in branch.keys))
        for branch in (facts.open_branches() if later is None else later)
    )
    current = [copy for copy in facts.copies if not copy.stale]
    left = any(copy.gone is None for copy in current)
    copies = tuple(_thing(copy, facts.places) for copy in current) if left else None
    primary = tuple(keys[each.label] for each in facts.cosigners)
    return Exposure(facts.threshold, primary, copies, quorums)


def _exposed(
    cosigner: CosignerFacts, of_seed: Iterable[CosignerFacts], places: Places, *, codes: bool
) -> ExposedKey:
    """Return a key with all that brings it back, each thing once: what brings its seed does."""
    carriers = {
        carrier.thing.subject: carrier
        for each in of_seed
        for carrier in _key_carriers(each, places, codes=codes)
    }
    elsewhere = not (carriers or cosigner.carriers or cosigner.orphaned)
    return ExposedKey(cosigner.label, tuple(carriers.values()), elsewhere)


def _key_carriers(cosigner: CosignerFacts, places: Places, *, codes: bool) -> Iterator[KeyCarrier]:
    """Yield the key's carriers; its encrypted backup opens by the digits of the backup's key.

    These are printed by themselves, or on a card.
    """
    for carrier in cosigner.carriers:
        if carrier.kind == OPENS_BACKUP:
            continue
        thing = _thing(carrier, places)
        if carrier.kind == NEEDS_OPENING:
            openers = (
                _thing(other, places)
                for other in cosigner.carriers
                if other.kind == OPENS_BACKUP or (other.card and other.card.prints_backup_key)
            )
            yield KeyCarrier(thing, (tuple(openers),))
        elif carrier.card is not None and codes:
            siblings = [_thing(other, places) for other in _siblings(cosigner, carrier)]
            needs = tuple(_needs(carrier.name, carrier.card, siblings, places=places))
            # where wrong PINs only delay, and never lock the card for good, it falls one day
            theft = carrier.card.theft
            yield KeyCarrier(thing, needs, resists=theft is None or theft.attempts is not None)
        else:
            yield KeyCarrier(thing)


def _siblings(cosigner: CosignerFacts, carrier: CarrierFacts) -> Iterator[CarrierFacts]:
    """Yield the other cards of a backup set: with any of them a card's code can be set anew."""
    if carrier.card is None or not carrier.card.siblings:
        return
    for other in cosigner.carriers:
        if other is not carrier and other.card is not None and other.card.siblings:
            yield other


def _needs(
    name: str, card: CardFacts, siblings: Iterable[Thing], *, places: Places
) -> Iterator[tuple[Thing, ...]]:
    """Yield a row for the PIN, and one for the pairing password, where their custody is known."""
    known = {secret.kind: secret for secret in card.secrets if not secret.nowhere}
    if "pin" in known:
        kinds = ("pin", "puk") if card.puk_sets_pin else ("pin",)
        own = (
            keeper for kind in kinds if kind in known for keeper in _kept(name, known[kind], places)
        )
        yield (*own, *siblings)
    if "pairing" in known:
        yield tuple(_kept(name, known["pairing"], places))


def _kept(name: str, secret: SecretFacts, places: Places) -> Iterator[Thing]:
    subject = f"{secret.kind}:{name}"
    for holder in secret.known_by:
        yield Thing(subject, Groups(holder=holder))
    for place in secret.written_at:
        yield Thing(subject, _at(place, places))


def _thing(item: CarrierFacts | CopyFacts, places: Places) -> Thing:
    groups = _at(item.location, places)
    if isinstance(item, CarrierFacts) and item.card is not None:
        card = item.card
        groups = groups._replace(card=item.name, family=card.family, vendor=card.vendor)
    bag = f"bag:{item.bag.serial}" if item.bag else None
    return Thing(item.subject, groups, item.gone, bag)


def _at(location: str | None, places: Places) -> Groups:
    if location is None:
        return Groups()
    place = places.get(location, PlaceFacts(location))
    return Groups(location=location, region=place.region, holder=place.holder)
