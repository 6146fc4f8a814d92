"""What the book says about a vault, gathered for its audit."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from cards.family import family_named
from coordinator import copies, custody, knowledge, wallet
from coordinator.audit.findings import (
    CardFacts,
    CarrierFacts,
    CopyFacts,
    CosignerFacts,
    LimitFacts,
    PlaceFacts,
    SecretFacts,
    VaultFacts,
)
from coordinator.bags import bag_of
from psbt.errors import PsbtError
from storage import cards as card_book
from storage import custody as custody_book
from storage import descriptors as copy_book
from storage import drills as drill_book
from storage import knowledge as knowledge_book
from storage import vaults as vault_book
from storage.errors import StorageError
from storage.model import Card, Carrier, DescriptorCopy, Vault


def vault_facts(db: Session, vault: Vault) -> VaultFacts:
    """Gather what an audit looks at."""
    proved = vault_book.latest_verifications(db, vault)
    cosigners = tuple(
        CosignerFacts(
            cosigner.label,
            tuple(_carrier(db, carrier) for carrier in cosigner.key.carriers),
            proved[cosigner.key_id].matched if cosigner.key_id in proved else None,
            not cosigner.key.carriers and card_book.was_carried(db, cosigner.key),
        )
        for cosigner in vault.cosigners
    )
    value, altered = _owned(db, vault)
    return VaultFacts(
        vault.name,
        vault.threshold,
        cosigners,
        places=_places(db),
        copies=tuple(_copy(db, copy) for copy in copy_book.copies_of(db, vault)),
        altered=altered,
        created_at=vault.created_at,
        drilled_at=_drilled_at(db, vault),
        value_sats=value,
        limits=tuple(_limits(db)),
    )


def _copy(db: Session, copy: DescriptorCopy) -> CopyFacts:
    events = custody_book.events_of(db, copy.item)
    place, gone = custody.whereabouts(events)
    stale = copies.is_stale(db, copy)
    return CopyFacts(custody.item_name(copy.item), place, gone, stale, bag_of(events))


def _places(db: Session) -> dict[str, PlaceFacts]:
    return {
        place.name: PlaceFacts(
            place.name, place.region, place.holder.name if place.holder else None
        )
        for place in custody_book.all_locations(db)
    }


def _drilled_at(db: Session, vault: Vault) -> datetime | None:
    """Return when a drill last had proofs of a quorum."""
    reached = (
        drill.proofs[vault.threshold - 1].given_at
        for drill in drill_book.drills_of(db, vault)
        if len(drill.proofs) >= vault.threshold
    )
    return max(reached, default=None)


def _owned(db: Session, vault: Vault) -> tuple[int, str | None]:
    """Return what the vault holds as of its last sync; 0, and why, if its rows do not agree."""
    try:
        owned = wallet.balance(db, vault)
    except (PsbtError, StorageError) as failure:
        return 0, str(failure)
    return owned.confirmed_sats + owned.pending_sats + owned.immature_sats, None


def _limits(db: Session) -> Iterable[LimitFacts]:
    """Yield the holders with a limit, and what lies in the vaults they can open carriers of."""
    limited = [each for each in custody_book.all_holders(db) if each.limit_sats is not None]
    if not limited:
        return
    places = {place.name: place.holder_id for place in custody_book.all_locations(db)}
    vaults = [each for each in vault_book.all_vaults(db) if each.retired_at is None]
    reached = {vault.id: {places.get(place) for place in _lying(db, vault)} for vault in vaults}
    for holder in limited:
        held = sum(_owned(db, vault)[0] for vault in vaults if holder.id in reached[vault.id])
        yield LimitFacts(holder.name, holder.limit_sats or 0, held)


def _lying(db: Session, vault: Vault) -> Iterable[str]:
    """Yield the places that hold a carrier of the vault."""
    for cosigner in vault.cosigners:
        for carrier in cosigner.key.carriers:
            place = custody.whereabouts(custody_book.events_of(db, carrier.item)).location
            if place is not None:
                yield place


def _carrier(db: Session, carrier: Carrier) -> CarrierFacts:
    events = custody_book.events_of(db, carrier.item)
    whereabouts = custody.whereabouts(events)
    card = card_book.card_of_item(db, carrier.item)
    seen = [event.happened_at for event in events if event.event in custody.BACK]
    looked_at = [carrier.created_at, *seen] if card is None else _looked_at(card, seen)
    return CarrierFacts(
        subject=f"{carrier.item.kind}:{carrier.item.name}",
        location=whereabouts.location,
        gone=whereabouts.gone,
        last_seen=max(looked_at),
        card=None if card is None else _card(db, card),
        bag=bag_of(events),
    )


def _looked_at(card: Card, seen: Sequence[datetime]) -> list[datetime]:
    """Return when a card was seen; only looking at the card itself counts."""
    return [card.enrolled_at, *seen, *([card.checked_at] if card.checked_at else [])]


def _card(db: Session, card: Card) -> CardFacts:
    family = family_named(card.family)
    return CardFacts(
        family=family.name,
        version=card.version,
        vendor=family.vendor,
        attestation=card.attestation,
        secrets=tuple(
            SecretFacts(
                secret.kind,
                tuple(holder.name for holder in secret.known_by),
                tuple(place.name for place in secret.written_at),
            )
            for secret in knowledge_book.secrets_of(db, card)
        ),
        siblings=card.siblings,
        lonely=not knowledge.other_software(db, card),
        prints_backup_key=family.prints_backup_key,
        puk_sets_pin=bool(family.puk_sets_pin) and card.version.startswith(family.puk_sets_pin),
        theft=family.theft,
    )
