"""What the book says about a vault, gathered for its audit."""

from typing import NamedTuple

from sqlalchemy.orm import Session, sessionmaker

from coordinator import clock, custody
from coordinator.audit import CarrierFacts, CosignerFacts, Finding, VaultFacts, audit, can_spend
from storage import cards as card_book
from storage import custody as custody_book
from storage import vaults as vault_book
from storage.model import Carrier, Vault


class Audited(NamedTuple):
    """A vault's findings, and whether its quorum is left."""

    vault: str
    findings: list[Finding]
    can_spend: bool


def audited(database: sessionmaker[Session], name: str) -> Audited:
    """Audit a vault as of now."""
    with database.begin() as db:
        facts = vault_facts(db, vault_book.vault_named(db, name))
    return Audited(name, audit(facts, clock.now()), can_spend(facts))


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
    if card is not None:
        seen += [moment for moment in (card.enrolled_at, card.checked_at) if moment is not None]
    return CarrierFacts(
        subject=f"{carrier.item.kind}:{carrier.item.name}",
        location=whereabouts.location,
        gone=whereabouts.gone,
        last_seen=max(seen, default=None),
        attestation=card.attestation if card else None,
    )
