"""A drill: each card signs a message for its vault where it lies, on its own day (BIP 322).

A signature that verifies proves its key; those of a quorum together are a proof of the vault that
other software accepts. No coin moves, nothing of it can be sent.
"""

import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import NamedTuple

from sqlalchemy.orm import Session, sessionmaker

from cards.session import CardIdentity
from coordinator import clock, foreign_text
from coordinator.audit.acceptance import Accepted, require_policy
from coordinator.chain import Tip
from coordinator.custody import log as custody_log
from coordinator.enrolment import unenrolled
from coordinator.errors import UsageError
from coordinator.foreign_json import Field, read_json, shown
from coordinator.home.settings import Home
from coordinator.home.stored import key_expression, stored_policy
from coordinator.names import fresh_id
from coordinator.notices import Notice, Severity
from coordinator.person import Attendant
from coordinator.readers.slots import Slot
from coordinator.signing import collector
from coordinator.signing.collector import (
    CardShare,
    Outcome,
    SigningTask,
    WaitPolicy,
)
from coordinator.signing.wanted import Wanted, wanted_cards
from coordinator.vault.key_proofs import key_place_of
from psbt import message, signer
from psbt.codec import Psbt
from psbt.errors import PsbtError
from psbt.network import Network
from psbt.policy import (
    RECEIVE,
    Policy,
    VaultScript,
    format_address,
    format_descriptor,
    parse_descriptor,
    policy_checksum,
    vault_script,
)
from psbt.signer import SigningRequest
from storage import cards as card_book
from storage import custody as custody_book
from storage import drills as drill_book
from storage import vaults as vault_book
from storage.database import reading
from storage.model import Drill

Database = sessionmaker[Session]
FORMAT = "cardquorum drill v1"
MESSAGE = re.compile(r"cardquorum drill: vault (?P<vault>\S+) #(?P<checksum>\S{8}), ")
FILE_MAX = 1 << 20
KEY_MAX = 128
PROOFS_MAX = 200
ADDRESS_INDEX = 0


class Proof(NamedTuple):
    """A key that was proved: by which card, of which version, and whether it still verifies."""

    card: str
    cosigner: str
    version: str
    at: str
    valid: bool


class Progress(NamedTuple):
    """Where a drill stands; `bip322` is the proof of the vault once a quorum has signed."""

    drill: str
    vault: str
    state: str
    message: str
    have: int
    need: int
    proofs: list[Proof]
    missing: list[str]
    bip322: str | None

    @property
    def complete(self) -> bool:
        """Return whether every key of the vault is proved."""
        return not self.missing


class Visit(NamedTuple):
    """A place to go to, the cards that sign there, and how many hours ahead it must be told."""

    location: str | None
    lead_hours: int | None
    cards: list[str]
    warning: Notice | None


def start(
    home: Home,
    database: Database,
    vault_name: str,
    *,
    tip: Tip | None,
    accepted: Accepted = None,
) -> str:
    """Open a drill and return its id; the message fixes the day by the tip, and the book."""
    now = clock.now()
    with database.begin() as db:
        vault = vault_book.vault_named(db, vault_name)
        require_policy(home, vault, accepted)
        text = (
            f"{subject(vault.name, stored_policy(vault))}, {clock.text(now)}, "
            f"block {tip.height if tip else '-'} {tip.hash if tip else '-'}, "
            f"custody head {custody_book.verify(db).hex()}, nonce {secrets.token_hex(16)}"
        )
        return drill_book.add_drill(db, vault, fresh_id(), message=text, now=now).public_id


def plan(database: Database, vault_name: str) -> list[Visit]:
    """Return the visits of a drill, the soonest possible first; no two need to be the same day."""
    with database.begin() as db:
        vault = vault_book.vault_named(db, vault_name)
        places: dict[str | None, dict[str, str]] = {}
        for key in vault.every_key:
            for card in card_book.cards_with_key(db, key.key):
                place = custody_log.whereabouts(custody_book.events_of(db, card.item))
                if place.gone is None:
                    places.setdefault(place.location, {})[card.label] = key.label
        hours = {place.name: place.lead_hours for place in custody_book.all_locations(db)}
        visits = [
            Visit(
                place,
                hours.get(place or ""),
                sorted(cards),
                _together(place, cards, vault.threshold),
            )
            for place, cards in places.items()
        ]
    return sorted(visits, key=lambda visit: (visit.lead_hours or 0, visit.location or ""))


def _together(place: str | None, cards: dict[str, str], threshold: int) -> Notice | None:
    keys = set(cards.values())
    if len(keys) < threshold:
        return None
    return Notice(
        "quorum_together",
        Severity.WARNING,
        f"{len(keys)} keys of {threshold} needed come together here",
        "take one card at a time",
        (f"location:{place}",),
    )


def progress(record: Drill) -> Progress:
    """Return where a drill stands; every proof is verified anew."""
    policy = stored_policy(record.vault)
    script = vault_script(policy, RECEIVE, ADDRESS_INDEX)
    labels = dict(zip(script.pubkeys, (c.label for c in record.vault.cosigners), strict=True))
    proofs = [
        Proof(
            kept.card.label,
            labels.get(kept.pubkey, "of no key of this vault"),
            kept.card_version,
            clock.text(kept.given_at),
            message.key_proved(record.message, script, kept.pubkey, signature=kept.signature),
        )
        for kept in record.proofs
    ]
    proved = {proof.cosigner for proof in proofs if proof.valid}
    missing = [label for label in labels.values() if label not in proved]
    have = len(proved)
    complete = have >= policy.threshold
    return Progress(
        drill=record.public_id,
        vault=record.vault.name,
        state="complete" if not missing else "proved" if complete else "collecting",
        message=record.message,
        have=have,
        need=policy.threshold,
        proofs=proofs,
        missing=missing,
        bip322=message.vault_proof(_signed(record, policy, script), policy) if complete else None,
    )


def subject(vault: str, policy: Policy) -> str:
    """Return what a drill's message begins with: which vault, by name and computed checksum."""
    return f"cardquorum drill: vault {vault} #{policy_checksum(policy)}"


def sign(
    home: Home,
    database: Database,
    drill_id: str,
    *,
    offered: Sequence[Slot],
    attendant: Attendant,
    wait_policy: WaitPolicy = WaitPolicy(),  # noqa: B008 -- frozen
    accepted: Accepted = None,
) -> list[Outcome]:
    """Let the cards offered sign the message; each proof is verified, then kept."""
    with database.begin() as db:
        record = drill_book.drill_named(db, drill_id)
        require_policy(home, record.vault, accepted)
        policy = stored_policy(record.vault)
        if not record.message.startswith(f"{subject(record.vault.name, policy)}, "):
            raise PsbtError(f"the message of drill {drill_id} names another vault or version")
        asked = _signed(record, policy, vault_script(policy, RECEIVE, ADDRESS_INDEX))
        vault, cards = record.vault.name, unenrolled.cards_of(db, record.vault)
        attendant.say(f"to be signed, no coin moves by it: {record.message}")

    def share_of(identity: CardIdentity) -> CardShare | None:
        with database.begin() as db:
            vault = drill_book.drill_named(db, drill_id).vault
            card = unenrolled.card_like(db, identity)
            place = key_place_of(vault, card) if card else None
            if card is None or place is None:
                return None
            requests = signer.signing_requests(asked, policy, key_expression(place.key))
            return CardShare(card.label, card.id, requests)

    def keep(share: CardShare, request: SigningRequest, signature: bytes) -> None:
        with database.begin() as db:
            drill = drill_book.drill_named(db, drill_id)
            card = card_book.card_named(db, share.label)
            drill_book.keep_proof(
                db, drill, card, pubkey=request.pubkey, signature=signature, now=clock.now()
            )
            new_event = custody_log.NewEvent(f"card:{card.label}", "seen", note=f"drill {drill_id}")
            custody_log.record(db, new_event)

    def missing() -> list[Wanted]:
        with reading(database).begin() as db:
            drill = drill_book.drill_named(db, drill_id)
            return wanted_cards(db, drill.vault, progress(drill).missing)

    enrol = partial(unenrolled.enrol_where_asked, database, vault)
    task = SigningTask(share_of, keep, attendant, wait_policy, missing, cards, enrol)
    outcomes = collector.collect(offered, task)
    with database.begin() as db:
        record = drill_book.drill_named(db, drill_id)
        proved = {proof.cosigner for proof in progress(record).proofs if proof.valid}
        keys = [each.key_id for each in record.vault.cosigners if each.label in proved]
        vault_book.note_proved(
            db, record.vault, keys, detail=f"signed in drill {drill_id}", now=clock.now()
        )
    return outcomes


@dataclass(frozen=True)
class ExportedProof:
    """A card's signature of a drill's message, and when it was given."""

    pubkey: bytes
    signature: bytes
    card: str
    family: str
    card_id: str
    version: str
    at: datetime


@dataclass(frozen=True)
class ExportedDrill:
    """A drill as its file has it."""

    format: str
    vault: str
    network: str
    descriptor: str
    message: str
    proofs: list[ExportedProof]
    bip322: str | None


@dataclass(frozen=True)
class Verified:
    """What an exported drill proves: which keys, and who vouched for the proof of the vault."""

    vault: str | None
    checksum: str
    descriptor: str
    first_address: str
    own: bool
    message: str
    proved: list[int]
    have: int
    need: int
    bip322: str | None
    valid: bool


def exported(record: Drill) -> ExportedDrill:
    """Return a drill as a file that anyone can check with `drill verify`, or by BIP 322."""
    policy = stored_policy(record.vault)
    seen = progress(record)
    return ExportedDrill(
        format=FORMAT,
        vault=record.vault.name,
        network=policy.network.value,
        descriptor=format_descriptor(policy),
        message=record.message,
        proofs=[
            ExportedProof(
                pubkey=kept.pubkey,
                signature=kept.signature,
                card=kept.card.label,
                family=kept.card.family,
                card_id=kept.card.card_id,
                version=kept.card_version,
                at=kept.given_at,
            )
            for kept in record.proofs
        ],
        bip322=seen.bip322,
    )


def verified(data: bytes, own: Mapping[str, str] | None = None) -> Verified:
    """Check an exported drill by itself; raises UsageError where it is none, PsbtError if it lies.

    Descriptor and message must be of one vault and version, and of the vault of that name among
    `own`, by name the descriptors this home has, where there is one. Returns vault, checksum and
    first address, message, which keys are proved, and who vouched for the proof of the vault.
    """
    try:
        said = Field(read_json(foreign_text.decoded(data, "the file"), size_max=FILE_MAX), "it")
        form = said["format"].text()
        if form != FORMAT:
            raise UsageError(f"the file is of format {shown(form)}, not {FORMAT!r}")
        network = Network(said["network"].text())
        policy = parse_descriptor(said["descriptor"].text(FILE_MAX), network)
        given = [
            (each["pubkey"].bytes(KEY_MAX), each["signature"].bytes(KEY_MAX))
            for each in said["proofs"].items(PROOFS_MAX)
        ]
        text = said["message"].text()
        whole = said.member("bip322")
        proof = None if whole is None else whole.text(FILE_MAX)
        vault = said.member("vault")
        name = None if vault is None else vault.text()
    except ValueError as failure:
        raise UsageError(f"the file is no exported drill: {failure}") from failure
    _agree(name, policy, text, own=own or {})
    script = vault_script(policy, RECEIVE, ADDRESS_INDEX)
    proved = list(_proved(text, script, given))
    by = None if proof is None else message.verify_proof(proof, text, script.script_pubkey)
    return Verified(
        vault=name,
        checksum=policy_checksum(policy),
        descriptor=format_descriptor(policy),
        first_address=format_address(script.script_pubkey, policy.network),
        own=format_descriptor(policy) in (own or {}).values(),
        message=text,
        proved=proved,
        have=len(proved),
        need=policy.threshold,
        bip322=by,
        valid=by is not None and len(proved) >= policy.threshold,
    )


def _agree(name: str | None, policy: Policy, text: str, *, own: Mapping[str, str]) -> None:
    """Raise PsbtError where name, descriptor and message of a drill are not of one vault."""
    checksum = policy_checksum(policy)
    said = MESSAGE.match(text)
    if said is None or name is None:
        raise PsbtError("the message of the drill does not say which vault it is for")
    if (said["vault"], said["checksum"]) != (name, checksum):
        raise PsbtError(
            f"the message is for vault {said['vault']} #{said['checksum']}, the descriptor of the "
            f"drill is that of {name} #{checksum}: it proves nothing of the vault it names"
        )
    if own.get(name, format_descriptor(policy)) != format_descriptor(policy):
        raise PsbtError(
            f"the drill is for another vault {name}: its descriptor (#{checksum}) is not the one "
            "of this home"
        )


def _proved(text: str, script: VaultScript, given: Sequence[tuple[bytes, bytes]]) -> Iterator[int]:
    for number, (pubkey, signature) in enumerate(dict(given).items(), 1):
        if not message.key_proved(text, script, pubkey, signature=signature):
            raise PsbtError(f"proof {number} of the drill does not verify")
        yield script.pubkeys.index(pubkey)


def _signed(record: Drill, policy: Policy, script: VaultScript) -> Psbt:
    """Return the message's PSBT with every proof that verifies."""
    asked = message.message_psbt(record.message, policy, script)
    good = [
        (SigningRequest(0, kept.pubkey, (), b""), kept.signature)
        for kept in record.proofs
        if message.key_proved(record.message, script, kept.pubkey, signature=kept.signature)
    ]
    return signer.with_signatures(asked, good)
