"""Cards prove that the keys stored are theirs: the answer to a swapped row in the database."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy.orm import Session, sessionmaker

from cards.errors import CardRemoved, WrongCard
from cards.session import CardSession
from coordinator import clock, custody
from coordinator.arrivals import Wanted, arrivals
from coordinator.attendant import Attendant
from coordinator.ceremony import Manner
from coordinator.enrol import account_key
from coordinator.slots import Company, Slot, card_in, unlock, unlock_silent
from coordinator.vaults import stored_policy
from psbt.errors import PsbtError
from psbt.keys import KeyExpression, child, parse_path
from psbt.signer import SigningRequest, signature_valid
from storage import cards as card_book
from storage import vaults as vault_book
from storage.model import Card, Cosigner, Vault

Database = sessionmaker[Session]
PROOF_TAG = b"cardquorum key proof v1"
PROOF_STEPS = (0, 0)


class Mismatch(NamedTuple):
    """What a card or the book says that the other does not."""

    card: str | None
    cosigner: str | None
    reason: str


class Proofs(NamedTuple):
    """Which cosigners were proved now, which never were, and what did not match."""

    vault: str
    verified: list[str]
    missing: list[str]
    mismatches: list[Mismatch]


class Stored(NamedTuple):
    """What a card is held against: its label, its cosigner and the key stored for it."""

    card_id: int
    key_id: int
    label: str
    cosigner: str
    path: str
    public_key: bytes
    chain_code: bytes
    fingerprint: bytes


def verify_vault(
    database: Database,
    name: str,
    offered: Sequence[Slot],
    attendant: Attendant,
    manner: Manner = Manner(),  # noqa: B008 -- frozen
) -> Proofs:
    """Let each card offered prove its account key against the stored one; each proof is kept.

    A card that has no part in the vault raises WrongCard before any PIN, unless it says nothing
    before its PIN. Readers go on asking for the other cards, as the manner says; a stranger put
    in then is named, and the wait goes on.
    """
    proofs = Proofs(name, [], [], [])
    with database.begin() as db:
        proofs.mismatches.extend(_contradictions(vault_book.vault_named(db, name)))
    sitting = _Sitting(database, name, attendant, manner, proofs)
    for place in arrivals(offered, sitting.wanted, attendant.say, manner.wait_seconds):
        try:
            sitting.prove(place.slot)
        except (WrongCard, CardRemoved) as failure:
            if not place.asked:
                raise
            attendant.say(f"reader {place.slot.name}: {failure}")
    with database.begin() as db:
        proofs.missing.extend(_never_proved(db, vault_book.vault_named(db, name)))
    return proofs


@dataclass(frozen=True)
class _Sitting:
    """One verification of a vault, card after card."""

    database: Database
    vault: str
    attendant: Attendant
    manner: Manner
    proofs: Proofs
    cards: set[int] = field(default_factory=set)

    def wanted(self) -> list[Wanted]:
        """Return the cards of keys that were not looked at in this sitting."""
        seen = {*self.proofs.verified, *(m.cosigner for m in self.proofs.mismatches)}
        only = self.manner.only
        with self.database.begin() as db:
            return [
                Wanted(card.label, custody.called(db, card))
                for cosigner in vault_book.vault_named(db, self.vault).cosigners
                if cosigner.label not in seen
                for card in card_book.cards_with_key(db, cosigner.key)
                if only is None or card.label in only
            ]

    def prove(self, slot: Slot) -> None:
        """Have the card in a slot prove its key, and keep what came of it."""
        company = Company(self.attendant, _expected_label(self.database, slot))
        with card_in(slot, company) as session:
            unlocked = unlock_silent(session, company.label, self.attendant)
            stored = _stored(self.database, self.vault, session)
            company.label = stored.label
            if stored.card_id in self.cards:
                self.attendant.say(f"card {stored.label} was here already")
                return
            self.cards.add(stored.card_id)
            if not unlocked:
                last = self.manner.last_attempt
                unlock(session, stored.label, self.attendant, last_attempt=last)
            reason = difference(session, stored)
        with self.database.begin() as db:
            vault_book.add_verification(
                db,
                vault_book.vault_named(db, self.vault),
                key_id=stored.key_id,
                card_id=stored.card_id,
                matched=reason is None,
                detail=reason or "the card proved the key",
                now=clock.now(),
            )
        if reason is None:
            self.proofs.verified.append(stored.cosigner)
        else:
            self.proofs.mismatches.append(Mismatch(stored.label, stored.cosigner, reason))


def difference(session: CardSession, stored: Stored) -> str | None:
    """Return what differs between the card's key and the stored one; None where nothing does.

    Keys are compared whole, then the card signs a fresh challenge with a child of its key.
    """
    path = parse_path(stored.path)
    found = account_key(session, path)
    if (found.key.public_key, found.key.chain_code) != (stored.public_key, stored.chain_code):
        return f"the key at {stored.path} on the card is not the one stored"
    if found.fingerprint != stored.fingerprint:
        return (
            f"the card's master fingerprint is {found.fingerprint.hex()}, "
            f"stored is {stored.fingerprint.hex()}"
        )
    if not signature_valid(*_challenged(session, found)):
        return "the card's signature over a fresh challenge does not verify under the stored key"
    return None


def _challenged(session: CardSession, found: KeyExpression) -> tuple[SigningRequest, bytes]:
    """Have the card sign a tagged random digest, which no transaction can have."""
    leaf = found.key
    for step in PROOF_STEPS:
        leaf = child(leaf, step)
    tag = hashlib.sha256(PROOF_TAG).digest()
    digest = hashlib.sha256(tag + tag + secrets.token_bytes(32)).digest()
    request = SigningRequest(0, leaf.public_key, found.path + PROOF_STEPS, digest)
    return request, session.sign(request.path, digest)


def _expected_label(database: Database, slot: Slot) -> str:
    """Return the label of the card that was enrolled in a slot, else the slot's name."""
    with database.begin() as db:
        here = [card for card in card_book.all_cards(db) if card.emulator_name == slot.name]
    return here[0].label if here and slot.emulated else slot.name


def _stored(database: Database, name: str, session: CardSession) -> Stored:
    identity = session.identity()
    with database.begin() as db:
        vault = vault_book.vault_named(db, name)
        card = card_book.card_with_id(db, identity.family, identity.card_id)
        cosigner = cosigner_of(vault, card) if card else None
        if card is None or cosigner is None:
            found = card.label if card else f"{identity.family} {identity.card_id[:16]}"
            raise WrongCard(f"a card of vault {name}", found)
        key = cosigner.key
        return Stored(
            card.id,
            key.id,
            card.label,
            cosigner.label,
            key.path,
            key.public_key,
            key.chain_code,
            key.fingerprint,
        )


def cosigner_of(vault: Vault, card: Card) -> Cosigner | None:
    """Return the cosigner of the vault whose key the card carries."""
    for cosigner in vault.cosigners:
        if any(carrier.item_id == card.item_id for carrier in cosigner.key.carriers):
            return cosigner
    return None


def _contradictions(vault: Vault) -> list[Mismatch]:
    """Return where the vault's own rows contradict each other."""
    try:
        stored_policy(vault)
    except PsbtError as failure:
        return [Mismatch(None, None, str(failure))]
    return []


def _never_proved(db: Session, vault: Vault) -> list[str]:
    proved = vault_book.latest_verifications(db, vault)
    return [
        cosigner.label
        for cosigner in vault.cosigners
        if cosigner.key_id not in proved or not proved[cosigner.key_id].matched
    ]
