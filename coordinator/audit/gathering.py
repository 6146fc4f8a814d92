"""The facts of a vault, gathered from the book for its audit."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy.orm import Session

from cards.family import family_named
from coordinator import clock
from coordinator.audit.facts import (
    BranchFacts,
    CardFacts,
    CarrierFacts,
    CoinAges,
    CopyFacts,
    CosignerFacts,
    LimitFacts,
    PlaceFacts,
    SecretFacts,
    VaultFacts,
)
from coordinator.custody import card_secrets, descriptor_copies
from coordinator.custody import log as custody_log
from coordinator.custody.bags import bag_of
from coordinator.wallet.balance import NOTHING, Balance, Owned, balance
from coordinator.wallet.branches import chain_clock
from coordinator.wallet.refresh_state import refresh_notice, refresh_state
from psbt.errors import PsbtError
from storage import card_secrets as secret_book
from storage import cards as card_book
from storage import ceremonies as ceremony_book
from storage import chain as chain_book
from storage import custody as custody_book
from storage import descriptors as copy_book
from storage import drills as drill_book
from storage import succession as succession_book
from storage import vaults as vault_book
from storage.errors import RowDamaged
from storage.model import Card, Carrier, CustodyEvent, DescriptorCopy, Vault

if TYPE_CHECKING:
    from storage.model import CardSecret

REFRESHES = 20
"""Payments that are looked at for one of the vault to itself, the newest first."""


class Book(NamedTuple):
    """What the book says of all things, read once: in as many queries, however many there are.

    `vaults` are those it was read for. Events and cards go by the id of the item, secrets by that
    of the card.
    """

    vaults: Sequence[Vault]
    events: Mapping[int, Sequence[CustodyEvent]]
    cards: Mapping[int, Card]
    secrets: Mapping[int, Sequence["CardSecret"]]
    carried: Collection[int]
    places: Mapping[str, PlaceFacts]
    now: datetime


def book(db: Session, vaults: Sequence[Vault]) -> Book:
    """Read the book for these vaults."""
    secrets: dict[int, list[CardSecret]] = {}
    for secret in secret_book.all_secrets(db):
        secrets.setdefault(secret.card_id, []).append(secret)
    return Book(
        vaults,
        custody_book.events_by_item(db),
        card_book.cards_by_item(db),
        secrets,
        card_book.ever_carried(db),
        _places(db),
        clock.now(),
    )


def vault_facts(db: Session, vault: Vault, said: Book | None = None) -> VaultFacts:
    """Gather what an audit looks at: keys, carriers, places, copies, drills and money.

    `said` is the book where it was read already, for several vaults.
    """
    return with_money(db, vault, key_facts(db, vault, said or book(db, [vault])))


def with_money(
    db: Session, vault: Vault, keys: VaultFacts, *, known: Owned | None = None
) -> VaultFacts:
    """Add to what is known of a vault's keys what it owns, and when it was drilled.

    `known` is that where it was computed already.
    """
    owned, altered = _owned(db, vault) if known is None else (known.balance, known.fault)
    return replace(
        keys,
        altered=altered,
        drilled_at=_drilled_at(db, vault),
        value_sats=owned.whole_sats,
        free_sats=owned.free_sats,
        pending_sats=owned.pending_sats,
        limits=tuple(_limits(db)),
    )


def key_facts(db: Session, vault: Vault, said: Book) -> VaultFacts:
    """Gather what is known of a vault's keys, their carriers and the copies of its descriptor."""
    proved = vault_book.latest_verifications(db, vault)
    known = {
        place.key_id: CosignerFacts(
            place.label,
            tuple(carrier_facts(carrier, said) for carrier in place.key.carriers),
            proved[place.key_id].matched if place.key_id in proved else None,
            not place.key.carriers and place.key_id in said.carried,
            # all zeros stands for a master that nobody knows
            place.key.fingerprint.hex() if any(place.key.fingerprint) else None,
            place.key.created_on,
        )
        for place in vault.every_key
    }
    cosigners = tuple(known[cosigner.key_id] for cosigner in vault.cosigners)
    replaced = succession_book.succession_of(db, vault) is not None
    left = chain_book.unspent_coins(db, vault) if replaced else ()
    digest = descriptor_copies.digest_of(vault.descriptor)
    state = refresh_state(db, vault)
    due = refresh_notice(vault.name, state) if state is not None else None
    heights = chain_book.heights_of_coins(db, vault) if vault.recoveries else ()
    return VaultFacts(
        vault.name,
        vault.threshold,
        cosigners,
        places=said.places,
        copies=tuple(
            _copy(copy, said, stale=replaced or copy.digest != digest)
            for copy in copy_book.copies_of(db, vault)
        ),
        created_at=vault.created_at,
        branches=tuple(
            BranchFacts(
                branch.name,
                branch.threshold,
                tuple(known[place.key_id] for place in branch.keys),
                branch.blocks,
                branch.height,
            )
            for branch in vault.recoveries
        ),
        ages=CoinAges(min(heights), max(heights), len(heights)) if heights else None,
        chain=chain_clock(db, vault),
        taproot=vault.script == "tr",
        replaced=replaced,
        value_sats=sum(coin.value_sats for coin in left),
        due=(due,) if due is not None else (),
    )


def _copy(copy: DescriptorCopy, said: Book, *, stale: bool) -> CopyFacts:
    events = said.events.get(copy.item_id, ())
    place, gone = custody_log.whereabouts(events)
    name = custody_log.item_name(copy.item)
    return CopyFacts(name, place, gone, stale, bag_of(events), copy.created_at)


def _places(db: Session) -> dict[str, PlaceFacts]:
    return {
        place.name: PlaceFacts(
            place.name, place.region, place.holder.name if place.holder else None, place.kind
        )
        for place in custody_book.all_locations(db)
    }


def _drilled_at(db: Session, vault: Vault) -> datetime | None:
    """Return when a drill last had proofs of a quorum."""
    reached = (
        proofs[vault.threshold - 1].given_at
        for drill in drill_book.drills_of(db, vault)
        if len(proofs := drill_book.primary_proofs(drill)) >= vault.threshold
    )
    return max((*reached, *_refreshed_at(db, vault)), default=None)


def _refreshed_at(db: Session, vault: Vault) -> Iterable[datetime]:
    """Yield when a payment of a vault to itself was last sent that is in a block: a drill, too.

    Only where its coins are to be moved every so often; a quorum signed each of them.
    """
    if not vault.recoveries and vault.refresh_months is None:
        return
    from psbt import codec  # noqa: PLC0415 -- seldom, costs 20 ms

    for record in ceremony_book.sent(db, vault)[:REFRESHES]:
        if record.state == "confirmed" and record.broadcast_at and record.branch == "primary":
            try:
                outputs = codec.transaction_of(record.psbt).outputs
            except PsbtError:
                continue  # whoever asks for that ceremony is told
            paid = {output.script_pubkey for output in outputs}
            if len(chain_book.places_of(db, vault, paid)) == len(paid):
                yield record.broadcast_at
                return


def _owned(db: Session, vault: Vault) -> tuple[Balance, str | None]:
    """Return what the vault holds as of its last sync; 0, and why, if its rows do not agree."""
    try:
        return balance(db, vault), None
    except (PsbtError, RowDamaged) as failure:
        return NOTHING, str(failure)


def _limits(db: Session) -> Iterable[LimitFacts]:
    """Yield the holders with a limit, and what lies in the vaults they can open carriers of."""
    limited = [each for each in custody_book.all_holders(db) if each.limit_sats is not None]
    if not limited:
        return
    places = {place.name: place.holder_id for place in custody_book.all_locations(db)}
    vaults = [each for each in vault_book.all_vaults(db) if each.retired_at is None]
    reached: dict[int, set[int | None]] = {}
    for vault in vaults:
        carriers = (carrier for each in vault.every_key for carrier in each.key.carriers)
        lying = (custody_log.where_is(db, carrier.item).location for carrier in carriers)
        reached[vault.id] = {places.get(place) for place in lying if place is not None}
    for holder in limited:
        held = sum(
            _owned(db, vault)[0].whole_sats for vault in vaults if holder.id in reached[vault.id]
        )
        yield LimitFacts(holder.name, holder.limit_sats or 0, held)


def carrier_facts(carrier: Carrier, said: Book) -> CarrierFacts:
    """Gather what the book says of a thing that brings a key back."""
    events = said.events.get(carrier.item_id, ())
    whereabouts = custody_log.whereabouts(events)
    card = said.cards.get(carrier.item_id)
    # A moment that is still to come is a wrong clock's: nothing was seen then.
    seen = [
        event.happened_at
        for event in events
        if event.event in custody_log.BACK and event.happened_at <= said.now
    ]
    if card is None:
        seen.append(carrier.created_at)
    else:  # only looking at the card itself counts
        seen += filter(None, (card.enrolled_at, card.checked_at))
    return CarrierFacts(
        subject=f"{carrier.item.kind}:{carrier.item.name}",
        location=whereabouts.location,
        gone=whereabouts.gone,
        last_seen=max(seen),
        card=None if card is None else _card(card, said.secrets.get(card.id, ())),
        bag=bag_of(events),
        signs_leaf=carrier.leaf_proved_at is not None,
    )


def _card(card: Card, secrets: Sequence["CardSecret"]) -> CardFacts:
    family = family_named(card.family)
    own_pairing = any(secret.kind == "pairing" for secret in secrets)
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
                secret.label,
            )
            for secret in sorted(secrets, key=lambda secret: secret.kind)
        ),
        siblings=card.siblings,
        lonely=not card_secrets.software_for(card, own_pairing=own_pairing),
        prints_backup_key=family.prints_backup_key,
        puk_sets_pin=bool(family.puk_sets_pin) and card.version.startswith(family.puk_sets_pin),
        theft=family.theft,
    )
