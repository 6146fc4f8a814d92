"""What the book says of a vault, as the keys and copies that can be lost or taken."""

from collections.abc import Iterable, Iterator, Mapping

from coordinator.audit.exposure import ExposedKey, Exposure, Groups, KeyCarrier, Thing
from coordinator.audit.findings import (
    CardFacts,
    CarrierFacts,
    CopyFacts,
    CosignerFacts,
    PlaceFacts,
    SecretFacts,
    VaultFacts,
)

Places = Mapping[str, PlaceFacts]
OPENS_BACKUP = "backup-key"
NEEDS_OPENING = "backup-file"


def exposure_of(facts: VaultFacts, *, codes: bool = True) -> Exposure:
    """Return what a vault can lose and what can be taken; without `codes`, as if no card had any.

    A PIN of which nobody recorded who knows it or where it is written counts as known to whoever
    has the card, a place's or not. The copy on this computer counts only while no other is left.
    Keys of one seed have all their carriers in common: whatever brings one back brings all.
    """
    shared = {each.label: group for group in facts.same_seed() for each in group}
    keys = tuple(
        _exposed(cosigner, shared.get(cosigner.label, (cosigner,)), facts.places, codes=codes)
        for cosigner in facts.cosigners
    )
    current = [copy for copy in facts.copies if not copy.stale]
    left = any(copy.gone is None for copy in current)
    copies = tuple(_thing(copy, facts.places) for copy in current) if left else None
    return Exposure(facts.threshold, keys, copies)


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
    for carrier in cosigner.carriers:
        if carrier.kind == OPENS_BACKUP:
            continue
        thing = _thing(carrier, places)
        if carrier.kind == NEEDS_OPENING:
            yield KeyCarrier(thing, (tuple(_openers(cosigner, places)),))
        elif carrier.card is not None and codes:
            siblings = [_thing(other, places) for other in _siblings(cosigner, carrier)]
            needs = tuple(_needs(carrier.name, carrier.card, siblings, places=places))
            yield KeyCarrier(thing, needs, resists=_locks(carrier.card))
        else:
            yield KeyCarrier(thing)


def _locks(card: CardFacts) -> bool:
    """Tell whether wrong PINs lock the card for good; where they only delay, it falls one day."""
    return card.theft is None or card.theft.attempts is not None


def _openers(cosigner: CosignerFacts, places: Places) -> Iterator[Thing]:
    """Yield what opens the key's encrypted backup: its printed key, or the card it stands on."""
    for carrier in cosigner.carriers:
        printed = carrier.card is not None and carrier.card.prints_backup_key
        if carrier.kind == OPENS_BACKUP or printed:
            yield _thing(carrier, places)


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
