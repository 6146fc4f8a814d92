"""A drill: each card signs a message for its vault where it lies, on its own day (BIP 322).

A signature that verifies proves its key; those of a quorum together are a proof of the vault that
other software accepts. Each key signs for its branch, of a later one with its wait in the message.
No coin moves, nothing of it can be sent.
"""

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import NamedTuple

from cards.session import CardIdentity
from coordinator import clock, foreign_text
from coordinator.audit.acceptance import Accepted, require_policy
from coordinator.custody import log as custody_log
from coordinator.enrolment import unenrolled
from coordinator.errors import UsageError
from coordinator.foreign_json import Field, read_json, shown
from coordinator.home.settings import Home
from coordinator.home.stored_policies import key_expression, stored_policy
from coordinator.names import fresh_id
from coordinator.notices import Notice, Severity
from coordinator.person import Attendant
from coordinator.readers.slots import Slot
from coordinator.signing import collector
from coordinator.signing.collector import CardShare, Outcome, SigningTask, WaitPolicy
from coordinator.signing.missing_cards import Wanted, wanted_cards
from coordinator.vault.key_proofs import key_place_of
from psbt import message, signer
from psbt.codec import Psbt
from psbt.errors import PsbtError
from psbt.network import Network
from psbt.policy import (
    PRIMARY,
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
from storage import chain as chain_book
from storage import custody as custody_book
from storage import drills as drill_book
from storage import vaults as vault_book
from storage.database import Database, reading
from storage.model import BranchKey, Cosigner, Drill, Vault

FORMAT = "cardquorum drill v1"
MESSAGE = re.compile(r"cardquorum drill: vault (?P<vault>\S+) #(?P<checksum>\S{8}), ")
FILE_MAX = 1 << 20
KEY_MAX = 128
PROOFS_MAX = 200
ADDRESS_INDEX = 0


class Proof(NamedTuple):
    """A key that was proved for a branch: by which card and version, and whether it verifies."""

    card: str
    cosigner: str
    version: str
    at: str
    valid: bool
    branch: str = PRIMARY


class BranchProof(NamedTuple):
    """How many keys of a branch are proved; `bip322` proves it once they are enough."""

    branch: str
    have: int
    need: int
    bip322: str | None


class Progress(NamedTuple):
    """Where a drill stands; `bip322` is the proof of the vault once a quorum has signed.

    So it is of each later branch in `branches`.
    """

    drill: str
    vault: str
    state: str
    message: str
    have: int
    need: int
    proofs: list[Proof]
    missing: list[str]
    bip322: str | None
    branches: list[BranchProof]

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


def start(home: Home, database: Database, vault_name: str, *, accepted: Accepted = None) -> str:
    """Open a drill and return its id; the message fixes the day by the tip, and the book."""
    now = clock.now()
    with database.begin() as db:
        vault = vault_book.vault_named(db, vault_name)
        require_policy(home, vault, accepted)
        tip = chain_book.sync_state(db, vault)
        text = (
            f"{subject(vault.name, stored_policy(vault))}, {clock.text(now)}, "
            f"block {tip.height if tip else '-'} {tip.block_hash if tip else '-'}, "
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
                place = custody_log.where_is(db, card.item)
                if place.gone is None:
                    places.setdefault(place.location, {})[card.label] = key.label
        hours = {place.name: place.lead_hours for place in custody_book.all_locations(db)}
        visits = [
            Visit(
                place,
                hours.get(place or ""),
                sorted(cards),
                _together(place, set(cards.values()), vault),
            )
            for place, cards in places.items()
        ]
    return sorted(visits, key=lambda visit: (visit.lead_hours or 0, visit.location or ""))


def _together(place: str | None, labels: set[str], vault: Vault) -> Notice | None:
    """Warn where so many keys lie at a place that they can spend by a branch."""
    thresholds = {PRIMARY: vault.threshold, **{b.name: b.threshold for b in vault.recoveries}}
    for branch, threshold in thresholds.items():
        here = [each for each in vault.keys_of(branch) if each.label in labels]
        if len(here) >= threshold and (branch == PRIMARY or threshold > 1):
            return Notice(
                "quorum_together",
                Severity.WARNING,
                f"{len(here)} keys of {threshold} needed come together here",
                "take one card at a time",
                (f"location:{place}",),
            )
    return None


def progress(record: Drill) -> Progress:
    """Return where a drill stands; every proof is verified anew."""
    policy = stored_policy(record.vault)
    script = vault_script(policy, RECEIVE, ADDRESS_INDEX)
    places = _places(record.vault, script)
    proofs = []
    for kept in record.proofs:
        branch, place = places.get(kept.pubkey, (PRIMARY, None))
        proofs.append(
            Proof(
                kept.card.label,
                place.label if place else "of no key of this vault",
                kept.card_version,
                clock.text(kept.given_at),
                message.key_proved(
                    record.message, script, kept.pubkey, signature=kept.signature, branch=branch
                ),
                branch,
            )
        )
    branches = []
    for each in policy.branches:
        have = len({p.cosigner for p in proofs if p.valid and p.branch == each.name})
        whole = None
        if have >= each.threshold:
            signed = _signed(record, policy, script, branch=each.name)
            whole = message.vault_proof(signed, policy, branch=each.name)
        branches.append(BranchProof(each.name, have, each.threshold, whole))
    proved = {(proof.branch, proof.cosigner) for proof in proofs if proof.valid}
    unproved = [
        place.label for branch, place in places.values() if (branch, place.label) not in proved
    ]
    missing, first = list(dict.fromkeys(unproved)), branches[0]
    return Progress(
        drill=record.public_id,
        vault=record.vault.name,
        state="complete" if not missing else "proved" if first.have >= first.need else "collecting",
        message=record.message,
        have=first.have,
        need=first.need,
        proofs=proofs,
        missing=missing,
        bip322=first.bip322,
        branches=branches[1:],
    )


def _places(vault: Vault, script: VaultScript) -> dict[bytes, tuple[str, Cosigner | BranchKey]]:
    """Return the branch and the place of each public key; one in two branches is of the first."""
    found: dict[bytes, tuple[str, Cosigner | BranchKey]] = {}
    for branch in script.policy.branches:
        for point, place in zip(
            script.keys_of(branch.name), vault.keys_of(branch.name), strict=True
        ):
            found.setdefault(point, (branch.name, place))
    return found


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
        script = vault_script(policy, RECEIVE, ADDRESS_INDEX)
        asked = {
            branch.name: _signed(record, policy, script, branch=branch.name)
            for branch in policy.branches
        }
        vault, cards = record.vault.name, unenrolled.cards_of(db, record.vault)
        attendant.say(f"to be signed, no coin moves by it: {record.message}")

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
    share_of = _shares(database, drill_id, asked, policy=policy)
    task = SigningTask(share_of, keep, attendant, wait_policy, missing, cards, enrol)
    outcomes = collector.collect(offered, task)
    with database.begin() as db:
        record = drill_book.drill_named(db, drill_id)
        proved = {proof.cosigner for proof in progress(record).proofs if proof.valid}
        keys = [each.key_id for each in record.vault.every_key if each.label in proved]
        vault_book.note_proved(
            db, record.vault, keys, detail=f"signed in drill {drill_id}", now=clock.now()
        )
    return outcomes


def _shares(
    database: Database, drill_id: str, asked: Mapping[str, Psbt], *, policy: Policy
) -> collector.ShareOf:
    """Return what a card has to sign: for each branch that has its key what `asked` says."""

    def share_of(identity: CardIdentity) -> CardShare | None:
        with database.begin() as db:
            vault = drill_book.drill_named(db, drill_id).vault
            card = unenrolled.card_like(db, identity)
            if card is None or key_place_of(vault, card) is None:
                return None
            requests: dict[bytes, SigningRequest] = {}
            for branch, psbt in asked.items():
                if (place := key_place_of(vault, card, branch)) is not None:
                    key = key_expression(place.key)
                    for each in signer.signing_requests(psbt, policy, key, branch=branch):
                        requests.setdefault(each.pubkey, each)
            return CardShare(card.label, card.id, list(requests.values()))

    return share_of


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
    later_proved: dict[str, list[int]]
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
    proved = _proved(text, script, given)
    by = None if proof is None else message.verify_proof(proof, text, script.script_pubkey)
    return Verified(
        vault=name,
        checksum=policy_checksum(policy),
        descriptor=format_descriptor(policy),
        first_address=format_address(script.script_pubkey, policy.network),
        own=format_descriptor(policy) in (own or {}).values(),
        message=text,
        proved=proved[PRIMARY],
        later_proved={name: found for name, found in proved.items() if name != PRIMARY},
        have=len(proved[PRIMARY]),
        need=policy.threshold,
        bip322=by,
        valid=by is not None and len(proved[PRIMARY]) >= policy.threshold,
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


def _proved(
    text: str, script: VaultScript, given: Sequence[tuple[bytes, bytes]]
) -> dict[str, list[int]]:
    """Return which keys are proved, by branch; raises PsbtError where a proof does not verify."""
    found: dict[str, list[int]] = {branch.name: [] for branch in script.policy.branches}
    for number, (pubkey, signature) in enumerate(dict(given).items(), 1):
        for branch, places in found.items():
            if message.key_proved(text, script, pubkey, signature=signature, branch=branch):
                places.append(script.keys_of(branch).index(pubkey))
                break
        else:
            raise PsbtError(f"proof {number} of the drill does not verify")
    return found


def _signed(record: Drill, policy: Policy, script: VaultScript, *, branch: str) -> Psbt:
    """Return the message's PSBT for a branch with every proof of its keys that verifies."""
    asked = message.message_psbt(record.message, policy, script, branch=branch)
    good = [
        (SigningRequest(0, kept.pubkey, (), b""), kept.signature)
        for kept in record.proofs
        if message.key_proved(
            record.message, script, kept.pubkey, signature=kept.signature, branch=branch
        )
    ]
    return signer.with_signatures(asked, good)
