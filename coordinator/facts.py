"""What the book says about a vault, gathered for its audit."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy.orm import Session, sessionmaker

from cards.family import Theft, family_named
from coordinator import clock, custody
from coordinator.audit import audit, can_spend
from coordinator.findings import CarrierFacts, CosignerFacts, Finding, VaultFacts
from storage import cards as card_book
from storage import custody as custody_book
from storage import knowledge as knowledge_book
from storage import vaults as vault_book
from storage.model import Card, Carrier, Vault


class Resistance(NamedTuple):
    """What a thief with one card alone is up against."""

    card: str
    theft: Theft


class Audited(NamedTuple):
    """A vault's findings, whether its quorum is left, and how long each card resists a thief."""

    vault: str
    findings: list[Finding]
    can_spend: bool
    resists: list[Resistance]


def audited(database: sessionmaker[Session], name: str) -> Audited:
    """Audit a vault as of now."""
    with database.begin() as db:
        facts = vault_facts(db, vault_book.vault_named(db, name))
    resists = [Resistance(c.subject, c.theft) for c in facts.carriers() if c.theft is not None]
    return Audited(name, audit(facts, clock.now()), can_spend(facts), resists)


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
    return VaultFacts(vault.name, vault.threshold, cosigners)


def _carrier(db: Session, carrier: Carrier) -> CarrierFacts:
    events = custody_book.events_of(db, carrier.item)
    whereabouts = custody.whereabouts(events)
    card = card_book.card_of_item(db, carrier.item)
    seen = [event.happened_at for event in events if event.event in custody.BACK]
    thing = CarrierFacts(
        subject=f"{carrier.item.kind}:{carrier.item.name}",
        location=whereabouts.location,
        gone=whereabouts.gone,
        last_seen=max([carrier.created_at, *seen]),
        attestation=None,
    )
    return thing if card is None else _of_card(db, thing, card, seen)


def _of_card(
    db: Session, thing: CarrierFacts, card: Card, seen: Sequence[datetime]
) -> CarrierFacts:
    """Add what is known of a card; only looking at the card itself counts as seeing it."""
    looked_at = [card.enrolled_at, *seen, *([card.checked_at] if card.checked_at else [])]
    family = family_named(card.family)
    return thing._replace(
        last_seen=max(looked_at),
        attestation=card.attestation,
        unwritten=tuple(
            secret.kind
            for secret in knowledge_book.secrets_of(db, card)
            if not secret.known_by and not secret.written_at
        ),
        lonely=not family.software_at(card.version),
        siblings=card.siblings,
        prints_backup_key=family.prints_backup_key,
        theft=family.theft,
    )
