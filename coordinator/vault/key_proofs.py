"""Cards prove that the keys stored are theirs: the answer to a swapped row in the database."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import NamedTuple

from cards.errors import CardRemoved, WrongCard
from cards.session import CardIdentity, CardSession
from coordinator import clock
from coordinator.enrolment import unenrolled
from coordinator.enrolment.enrol import account_key, challenge, leaf_proved
from coordinator.errors import CardNotEnrolled
from coordinator.home.stored_policies import stored_policy
from coordinator.person import Attendant
from coordinator.readers.slots import (
    Candidates,
    CardPrompts,
    Slot,
    card_in,
    pin_of_silent,
    silent_identity,
    unlock,
)
from coordinator.signing.collector import LOOK_AGAIN, SLICE, WaitPolicy, said_of
from coordinator.signing.missing_cards import Wanted, wanted_cards
from psbt.errors import PsbtError
from psbt.keys import parse_path
from psbt.signer import signature_valid
from storage import cards as card_book
from storage import vaults as vault_book
from storage.database import Database, reading
from storage.model import BranchKey, Card, Cosigner, Vault


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


class Expected(NamedTuple):
    """What a card is held against: its label, its cosigner and the key stored for it."""

    card_id: int
    key_id: int
    label: str
    cosigner: str
    path: str
    public_key: bytes
    chain_code: bytes
    fingerprint: bytes
    script: str = "wsh"


def verify_vault(
    database: Database,
    name: str,
    offered: Sequence[Slot],
    *,
    attendant: Attendant,
    wait_policy: WaitPolicy = WaitPolicy(),  # noqa: B008 -- frozen
) -> Proofs:
    """Let each card offered prove its account key against the stored one; each proof is kept.

    Readers go on asking for the cards that have not proved theirs, as the wait_policy says. A card
    that has no part in the vault raises WrongCard before any PIN, unless it says nothing before
    its PIN; one that comes later is only told of.
    """
    proofs = Proofs(name, [], [], [])
    with database.begin() as db:
        try:
            stored_policy(vault_book.vault_named(db, name))
        except PsbtError as failure:  # the vault's own rows contradict one another
            proofs.mismatches.append(Mismatch(None, None, str(failure)))

    def missing() -> list[Wanted]:
        seen = {*proofs.verified, *(each.cosigner for each in proofs.mismatches)}
        with reading(database).begin() as db:
            vault = vault_book.vault_named(db, name)
            own = {each.label for each in vault.cosigners}
            asked = vault.cosigners if own & seen else vault.every_key  # whose visit it is
            labels = [each.label for each in asked if each.label not in seen]
            wanted = wanted_cards(db, vault, labels)
        return [
            each for each in wanted if wait_policy.only is None or each.label in wait_policy.only
        ]

    for slot, first in _in_turn(offered, attendant, wait_policy, missing=missing):
        waits = slot.arrival is not None and wait_policy.wait_seconds > 0
        try:
            _prove(
                database, proofs, slot, attendant=attendant, last_attempt=wait_policy.last_attempt
            )
        except (WrongCard, CardNotEnrolled, CardRemoved) as failure:
            if not waits or (first and not isinstance(failure, CardRemoved)):
                raise
            attendant.say(f"reader {slot.name}: {said_of(failure)}")
    with database.begin() as db:
        vault = vault_book.vault_named(db, name)
        proved = vault_book.latest_verifications(db, vault)
        proofs.missing.extend(
            place.label
            for place in vault.every_key
            if place.key_id not in proved or not proved[place.key_id].matched
        )
    return proofs


def _in_turn(
    offered: Sequence[Slot],
    attendant: Attendant,
    wait_policy: WaitPolicy,
    *,
    missing: Callable[[], list[Wanted]],
) -> Iterator[tuple[Slot, bool]]:
    """Yield every slot once, then readers as cards are put in, as long as some are missing."""
    seen: dict[str, int] = {}
    for slot in offered:
        number = -1 if slot.arrival is None else slot.arrival(-1, 0)
        seen[slot.name] = -1 if number is None else number
        if number is not None or not wait_policy.wait_seconds:
            yield slot, True
    readers = [slot for slot in offered if slot.arrival is not None]
    told: list[Wanted] = []
    left = wait_policy.wait_seconds if readers else 0
    wanted: list[Wanted] = []
    again = 0
    while left > 0:
        if again == 0:
            wanted, again = missing(), LOOK_AGAIN
        if not wanted:
            return
        again -= 1
        if wanted != told:
            told = wanted
            names = " or ".join(each.words for each in wanted)
            attendant.say(f"now {names}, on reader {' or '.join(slot.name for slot in readers)}")
        for slot in readers:
            share = min(SLICE, left) / len(readers)
            number = slot.arrival(seen[slot.name], share) if slot.arrival else None
            if number is not None:
                seen[slot.name], again = number, 0
                yield slot, False
        left -= SLICE


def _prove(
    database: Database, proofs: Proofs, slot: Slot, *, attendant: Attendant, last_attempt: bool
) -> None:
    """Have the card in a slot prove its key, and keep what came of it."""
    with database.begin() as db:
        here = [card.label for card in card_book.all_cards(db) if card.emulator_name == slot.name]
        cards = unenrolled.cards_of(db, vault_book.vault_named(db, proofs.vault))
    prompts = CardPrompts(attendant, here[0] if here and slot.emulated else slot.name)
    with card_in(slot, prompts) as session, ExitStack() as wiped:
        unlocked = False

        def unlock_once(label: str) -> None:
            nonlocal unlocked
            prompts.label = label
            if not unlocked:
                unlock(session, label, attendant, last_attempt=last_attempt)
                unlocked = True

        def enrol(identity: CardIdentity) -> None:
            unenrolled.enrol_where_asked(
                database,
                proofs.vault,
                session,
                identity=identity,
                slot=slot,
                person=attendant,
                unlock=unlock_once,
            )

        try:
            known = Candidates(cards, slot.surroundings.memory)
            unlocked = (
                pin_of_silent(session, prompts, attendant, wiped=wiped, known=known) is not None
            )
        except WrongCard:
            enrol(silent_identity(session))
        wanted = _wanted(database, proofs.vault, session)
        if wanted is None:
            enrol(session.identity())
            wanted = _wanted(database, proofs.vault, session)
        if wanted is None:
            raise WrongCard(f"a card of vault {proofs.vault}", prompts.label)
        unlock_once(wanted.label)
        reason = difference(session, wanted)
    with database.begin() as db:
        vault = vault_book.vault_named(db, proofs.vault)
        vault_book.add_verification(
            db,
            vault,
            key_id=wanted.key_id,
            card_id=wanted.card_id,
            matched=reason is None,
            detail=reason or "the card proved the key",
            now=clock.now(),
        )
    if reason is None:
        proofs.verified.append(wanted.cosigner)
    else:
        proofs.mismatches.append(Mismatch(wanted.label, wanted.cosigner, reason))


def difference(session: CardSession, wanted: Expected) -> str | None:
    """Return what differs between the card's key and the stored one; None where nothing does.

    Keys are compared whole, then the card signs a fresh challenge with a child of its key.
    """
    path = parse_path(wanted.path)
    found = account_key(session, path)
    if (found.key.public_key, found.key.chain_code) != (wanted.public_key, wanted.chain_code):
        return f"the key at {wanted.path} on the card is not the one stored"
    if found.fingerprint != wanted.fingerprint:
        return (
            f"the card's master fingerprint is {found.fingerprint.hex()}, "
            f"stored is {wanted.fingerprint.hex()}"
        )
    if wanted.script == "tr":
        if leaf_proved(session, found):
            return None
        return "the card does not sign a fresh challenge by BIP 340 with the stored key"
    asked = challenge(found)
    if not signature_valid(asked, session.sign(asked.path, asked.digest)):
        return "the card's signature over a fresh challenge does not verify under the stored key"
    return None


def _wanted(database: Database, name: str, session: CardSession) -> Expected | None:
    identity = session.identity()
    with database.begin() as db:
        vault = vault_book.vault_named(db, name)
        card = unenrolled.card_like(db, identity)
        place = key_place_of(vault, card) if card else None
        if card is None or place is None:
            return None
        key = place.key
        return Expected(
            card.id,
            key.id,
            card.label,
            place.label,
            key.path,
            key.public_key,
            key.chain_code,
            key.fingerprint,
            vault.script,
        )


def key_place_of(
    vault: Vault, card: Card, branch: str | None = None
) -> Cosigner | BranchKey | None:
    """Return the place in the vault, or in one of its branches, of the key that a card carries."""
    for place in vault.keys_of(branch):
        if any(carrier.item_id == card.item_id for carrier in place.key.carriers):
            return place
    return None
