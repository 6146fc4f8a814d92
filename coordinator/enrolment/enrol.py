"""A card becomes known: identified, attested, unlocked, its key read and remembered."""

import contextlib
import hashlib
import secrets
from datetime import datetime
from typing import NamedTuple

from sqlalchemy.orm import Session

from cards.errors import (
    CardNotInitialised,
    NotGenuine,
    NotSupported,
    NotUnlocked,
    PathNotAvailable,
    ProtocolError,
    WrongCard,
)
from cards.session import (
    DIGEST_SIZE,
    UNTOLD_CHAIN_CODE,
    Attestation,
    Attester,
    CardIdentity,
    CardSession,
    EvidenceTaker,
    KeyGenerator,
    OriginTeller,
    SchnorrSigner,
    SeedLoader,
    Verdict,
)
from coordinator import clock
from coordinator.custody import card_secrets
from coordinator.errors import UsageError
from coordinator.home import approvals
from coordinator.home.settings import Home
from coordinator.home.stored_policies import key_expression, rebuilt_policy
from coordinator.names import checked_name
from coordinator.person import Attendant
from coordinator.readers.slots import (
    Candidates,
    CardPrompts,
    KnownCard,
    Slot,
    card_in,
    unlock,
    unlock_silent,
)
from psbt.keys import (
    ExtendedPublicKey,
    KeyExpression,
    Path,
    bip48_path,
    child,
    fingerprint,
    format_key_expression,
    format_path,
    parse_path,
)
from psbt.network import Network
from psbt.policy import format_descriptor
from psbt.signature import BIP340, ECDSA, Scheme
from psbt.signer import SigningRequest, signature_valid
from storage import cards as card_book
from storage import ceremonies as ceremony_book
from storage import vaults as vault_book
from storage.database import Database
from storage.errors import AlreadyExists
from storage.model import Card

PROOF_TAG = b"cardquorum key proof v1"
PROOF_STEPS = (0, 0)
UNTOLD = "nothing tells it from software that plays a card, see SECURITY.md"
# What two cards, or a card and a text, tell of one key: a seed that was on a host stays so.
WORST_ORIGIN_FIRST = ("host", "card", "unknown", "elsewhere")


class CardAtSlot(NamedTuple):
    """A card a person named, the slot it should lie in, and whether its last PIN attempt may go."""

    label: str
    slot: Slot
    last_attempt: bool = False


class OriginMended(NamedTuple):
    """The vaults whose descriptor names the card's origin now, and those that keep another.

    A vault keeps what was approved on this computer, and what payments were begun with.
    """

    mended: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()


class Enrolled(NamedTuple):
    """A card as it was found, its key, how far it proved to be genuine, and its keys of before.

    `secrets` are the kinds of secrets it turned out to have besides its PIN, `backup` is the
    carrier its encrypted backup is, `pin_set` tells whether its PIN was set just now, `made_here`
    whether its key did not exist before, `proves_leaf` whether it signed for a leaf of taproot.
    """

    label: str
    identity: CardIdentity
    emulated: bool
    key: KeyExpression
    created_on: str
    attestation: Attestation
    replaced: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    backup: str | None = None
    pin_set: bool = False
    made_here: bool = False
    origin: OriginMended = OriginMended()
    proves_leaf: bool = False

    def expression(self, network: str) -> str:
        """Return the key with its origin (BIP 380)."""
        return format_key_expression(self.key, Network(network))


def enrol(
    home: Home,
    database: Database,
    asked: CardAtSlot,
    *,
    attendant: Attendant,
    path: str | None = None,
    evidence: bytes | None = None,
) -> Enrolled:
    """Identify, attest, unlock, read the key, remember both; nothing is stored on a failure.

    `evidence` is a document of its maker's that completes its proof.
    """
    label = checked_name(asked.label)
    account = account_path(home.network, path)
    prompts = CardPrompts(attendant, label)
    with card_in(asked.slot, prompts) as session:
        refuse_useless_evidence(session, evidence)
        known = held_against(database, label, asked.slot)
        silent = unlock_silent(session, label, attendant, known=known)
        identity = session.identity()
        refuse_another_label(database, label, identity)
        if not identity.initialised:
            raise CardNotInitialised("the card has no PIN or no key yet")
        if not silent:
            attest_while_locked(session, home.network)
            unlock(session, label, attendant, last_attempt=asked.last_attempt)
        give_evidence(session, evidence)
        found = examine(session, asked.slot, label, path=account, network=home.network)
    found = found._replace(secrets=tuple(prompts.given & set(card_secrets.KINDS)))
    with database.begin() as db:
        found = store(db, found, asked.slot, network=home.network)
    with database.begin() as db:
        return found._replace(origin=mend_origin(home, db, found.key))


def held_against(database: Database, label: str, slot: Slot) -> Candidates | None:
    """Return what a card that says nothing is held against: that of this label, if there is one."""
    with database.begin() as db:
        card = card_book.find_card(db, label)
        if card is None:
            return None
        known = [KnownCard(card.label, card.family, card.card_id)]
        return Candidates(known, slot.surroundings.memory)


def examine(session: CardSession, slot: Slot, label: str, *, path: Path, network: str) -> Enrolled:
    """Attest an unlocked card and read its key; one that can answers a challenge by BIP 340."""
    identity = session.identity()
    attestation = accepted(attest(session), network)
    key = account_key(session, path)
    return Enrolled(
        label=label,
        identity=identity,
        emulated=slot.emulated,
        key=key,
        created_on=_origin(session),
        attestation=attestation,
        proves_leaf=leaf_proved(session, key),
    )


def leaf_proved(session: CardSession, key: KeyExpression) -> bool:
    """Tell whether a card signs by BIP 340 with a leaf of its key as it is, on a fresh challenge.

    A card whose version or owner does not let it is none that does.
    """
    if not isinstance(session, SchnorrSigner):
        return False
    leaf = challenge(key, BIP340)
    try:
        signature = session.sign_schnorr(leaf.path, leaf.digest, bytes(DIGEST_SIZE))
    except (NotSupported, PathNotAvailable, ProtocolError):
        return False
    return signature_valid(leaf, signature)


def challenge(key: KeyExpression, scheme: Scheme = ECDSA) -> SigningRequest:
    """Return a fresh challenge for a child of an account key: a tagged random digest.

    No transaction can have it.
    """
    leaf = key.key
    for step in PROOF_STEPS:
        leaf = child(leaf, step)
    tag = hashlib.sha256(PROOF_TAG).digest()
    digest = hashlib.sha256(tag + tag + secrets.token_bytes(32)).digest()
    return SigningRequest(0, leaf.public_key, (*key.path, *PROOF_STEPS), digest, scheme)


def _origin(session: CardSession) -> str:
    """Return where the key was made: card or host, unknown where it may be either."""
    if isinstance(session, OriginTeller):
        return "card" if session.made_its_key() else "host"
    if not isinstance(session, KeyGenerator):
        return "host"
    return "unknown" if isinstance(session, SeedLoader) else "card"


def account_path(network: str, typed: str | None) -> Path:
    """Return the path asked for, or BIP 48's for the network; raises UsageError."""
    try:
        return parse_path(typed) if typed else bip48_path(Network(network))
    except ValueError as failure:
        raise UsageError(str(failure)) from failure


def account_key(session: CardSession, path: Path) -> KeyExpression:
    """Read the key at `path` with its origin; the card must be unlocked."""
    master = session.xpub(())
    key = ExtendedPublicKey(*session.xpub(path))
    if key.chain_code == UNTOLD_CHAIN_CODE:
        raise PathNotAvailable(path)
    return KeyExpression(fingerprint(master.public_key), path, key)


def attest(session: CardSession) -> Attestation:
    """Return how far the card proves to be genuine; raises NotGenuine on a failed proof."""
    if not isinstance(session, Attester):
        return Attestation(Verdict.UNPROVEN, "this family has nothing to prove it with")
    return session.attest()


def give_evidence(session: CardSession, document: bytes | None) -> None:
    """Hand an unlocked card's session what its maker says of it, where somebody gave that."""
    if isinstance(session, EvidenceTaker) and document is not None:
        session.take_evidence(document)


def refuse_useless_evidence(session: CardSession, document: bytes | None) -> None:
    """Raise NotSupported where a document was given that the card has no use for."""
    if document is not None and not isinstance(session, EvidenceTaker):
        raise NotSupported(session.family, "evidence from a file: it proves itself alone")


def accepted(attestation: Attestation, network: str) -> Attestation:
    """Return the attestation unless it may not be used here: a test root on mainnet, or failed."""
    if attestation.result is Verdict.FAILED:
        raise NotGenuine(attestation.reason)
    if attestation.result is Verdict.TEST and network == "mainnet":
        raise NotGenuine("its certificate ends in a test root, which mainnet never accepts")
    if attestation.result is Verdict.UNPROVEN:
        return attestation._replace(reason=f"{attestation.reason}; {UNTOLD}")
    return attestation


def attest_while_locked(session: CardSession, network: str) -> None:
    """Refuse a card that fails before a PIN is asked for or set, where it can tell by then."""
    with contextlib.suppress(NotUnlocked, CardNotInitialised):
        accepted(attest(session), network)


def refuse_another_label(database: Database, label: str, identity: CardIdentity) -> None:
    """Raise WrongCard or AlreadyExists where label and card do not belong together."""
    with database.begin() as db:
        known = card_book.card_with_id(db, identity.family, identity.card_id)
        taken = card_book.find_card(db, label)
        if known is not None and known.label != label:
            raise WrongCard(f"a card to be labelled {label}", f"card {known.label}")
        if taken is not None and known is None:
            raise AlreadyExists("card", label)


def store(db: Session, found: Enrolled, slot: Slot, *, network: str) -> Enrolled:
    """Store card, key and carrier; a card that is known already is refreshed.

    A card holds one seed: keys of another seed it carried before are named, and no longer its.
    """
    now = clock.now()
    card = _card(db, found, slot, now=now)
    card.siblings = found.attestation.siblings
    card_book.attested(
        db, card, found.attestation.result.value, reason=found.attestation.reason, now=now
    )
    old = [
        key
        for key in card_book.keys_of_card(db, found.label)
        if key.fingerprint != found.key.fingerprint
    ]
    replaced = tuple(key.label for key in old)
    card_book.retire_carriers(db, card.item, old, now=now)
    key = card_book.key_like(db, found.key.key.public_key, found.key.key.chain_code)
    if key is None:
        key = card_book.add_key(
            db,
            label=card_book.free_key_label(db, found.label),
            network=network,
            fingerprint=found.key.fingerprint,
            path=format_path(found.key.path),
            **found.key.key._asdict(),
            created_on=found.created_on,
            made_at=now if found.made_here else None,
            now=now,
        )
    key.created_on = min(key.created_on, found.created_on, key=WORST_ORIGIN_FIRST.index)
    carrier = card_book.add_carrier(db, key, card.item, now=now)
    carrier.leaf_proved_at = now if found.proves_leaf else None
    card_secrets.note(db, card, found.secrets, now=now)
    return found._replace(replaced=replaced, created_on=key.created_on)


def mend_origin(home: Home, db: Session, found: KeyExpression) -> OriginMended:
    """Take a card's word for its key's origin against a file's, where nothing rests on that.

    The scripts of a vault do not depend on it: public key and chain code stay. What signers look
    for does, and the descriptor's checksum.
    """
    key = card_book.key_like(db, found.key.public_key, found.key.chain_code)
    if key is None or key_expression(key) == found:
        return OriginMended()
    vaults = vault_book.vaults_with(db, [key])
    names = tuple(vault.name for vault in vaults)
    for vault in vaults:
        standing = approvals.policy_standing(home, vault.name, vault.descriptor)
        if standing is not approvals.Standing.NONE or ceremony_book.ceremonies_of(db, vault):
            return OriginMended(kept=names)
    if any(format_descriptor(rebuilt_policy(vault)) != vault.descriptor for vault in vaults):
        return OriginMended(kept=names)
    key.fingerprint, key.path = found.fingerprint, format_path(found.path)
    key.depth, key.child_number = found.key.depth, found.key.child_number
    key.parent_fingerprint = found.key.parent_fingerprint
    for vault in vaults:
        vault.descriptor = format_descriptor(rebuilt_policy(vault))
        vault.checksum = vault.descriptor.rpartition("#")[2]
    db.flush()
    return OriginMended(mended=names)


def _card(db: Session, found: Enrolled, slot: Slot, *, now: datetime) -> Card:
    emulator_name = slot.name if slot.emulated else None
    card = card_book.card_with_id(db, found.identity.family, found.identity.card_id)
    if card is None:
        return card_book.add_card(
            db,
            label=found.label,
            family=found.identity.family,
            card_id=found.identity.card_id,
            version=found.identity.version,
            emulated_name=emulator_name,
            now=now,
        )
    card.version, card.checked_at = found.identity.version, now
    card.emulated, card.emulator_name = slot.emulated, emulator_name
    return card
