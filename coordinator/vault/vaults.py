"""A vault is made from keys, proved by its cards, carried in and out as text."""

import re
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from sqlalchemy.orm import Session

from cards.family import families
from coordinator import clock
from coordinator.audit.acceptance import refuse_unaccepted
from coordinator.audit.facts import CarrierFacts, CosignerFacts, same_seed
from coordinator.chain import UNKNOWN, Birthday, Tip
from coordinator.custody import card_secrets
from coordinator.custody.log import item_name
from coordinator.errors import ChecksumDiffers, UsageError
from coordinator.home import approvals
from coordinator.home.settings import Home
from coordinator.home.stored_policies import (
    computed_checksum,
    key_expression,
    rebuilt_policy,
    stored_policy,
    with_keys,
)
from coordinator.interop import wallet_file
from coordinator.interop.wallet_file import WalletFile, policy_of
from coordinator.names import checked_name
from coordinator.notices import Notice, Severity
from coordinator.vault.plans import (
    TAPROOT,
    BranchPlan,
    branch_warnings,
    in_order,
    key_for,
    planned_policy,
    refuse_script,
    refuse_unproved,
)
from coordinator.wallet import scans
from coordinator.wallet.branches import BranchLine, branch_lines
from coordinator.wallet.scripts import LOOKAHEAD
from psbt.errors import PolicyError, PsbtError
from psbt.keys import KeyExpression, format_key_expression, format_path, parse_key_expression
from psbt.network import Network
from psbt.policy import (
    RECEIVE,
    Policy,
    Wait,
    addresses,
    format_descriptor,
    format_template,
    policy_checksum,
    same_scripts,
)
from storage import cards as card_book
from storage import chain as chain_book
from storage import succession as succession_book
from storage import vaults as vault_book
from storage.errors import AlreadyExists, NotFound
from storage.lookup import first_free
from storage.model import BranchKey, Cosigner, Key, Vault

NOT_IN_NAMES = re.compile("[^A-Za-z0-9_-]+")
KEY_NAME_MAX = 32
SAME_SEED = "same_seed"
NO_BRANCHES = {"Sparrow Wallet"}
"""Programs that sign with cards, but open no vault with later branches, nor a leaf of taproot."""


@dataclass(frozen=True)
class VaultPlan:
    """What a new vault shall be: keys of enrolled cards by label, and keys held elsewhere.

    A key may be a card's too, as `card:LABEL`. `recoveries` are the branches that open later.
    """

    name: str
    threshold: int
    cards: tuple[str, ...]
    keys: tuple[str, ...] = ()
    script: str = "wsh"
    birthday: str | None = None
    recoveries: tuple[BranchPlan, ...] = ()


def create(
    home: Home, db: Session, plan: VaultPlan, *, accepted: Collection[str] | None = None
) -> Vault:
    """Make and approve a vault of enrolled cards and keys held elsewhere, in the order given.

    Raises NotAccepted where keys are known to come from one seed.
    """

    def named(texts: Iterable[str]) -> list[Key]:
        return [_planned_key(home, db, text, script=plan.script) for text in texts]

    primary = named((*(f"card:{label}" for label in plan.cards), *plan.keys))
    later = [(branch, named(branch.keys)) for branch in plan.recoveries]
    _refuse_open(db, plan.recoveries)
    keys = list(dict.fromkeys([*primary, *(key for _, own in later for key in own)]))
    refuse_script(db, plan.script, keys)
    refuse_unproved(db, plan.script, keys)
    policy = planned_policy(
        plan.threshold,
        [key_expression(key) for key in primary],
        [(branch, [key_expression(key) for key in own]) for branch, own in later],
        network=Network(home.network),
        script=plan.script,
    )
    shared = _of_one_seed(keys)
    if shared:
        refuse_unaccepted([Notice(SAME_SEED, Severity.DANGER, shared)], accepted)
    birthday = _typed_birthday(home, db, plan) or _newest_key(keys)
    vault = _store(db, plan.name, policy, birthday=birthday)
    if shared:
        approvals.accept_danger(home, vault.name, SAME_SEED, facts=f"{vault.descriptor} ")
    approvals.approve_policy(home, vault.name, vault.descriptor)
    return vault


def _refuse_open(db: Session, recoveries: Iterable[BranchPlan]) -> None:
    """Refuse a branch that would be open at once, as far as a newest block is known here."""
    newest = chain_book.newest_sync(db)
    for branch in recoveries:
        height = branch.wait.height
        if newest is not None and height is not None and height <= newest[0].height:
            raise UsageError(
                f"block {height} is past, block {newest[0].height} is known already: the branch "
                "would be open at once"
            )


def warnings(vault: Vault) -> list[Notice]:
    """Return what is odd about a new vault: paths for another script, branches to think over."""
    found = branch_warnings(vault.name, stored_policy(vault))
    for place in vault.every_key:
        named = wallet_file.script_of_path(key_expression(place.key).path)
        if named not in (None, vault.script):
            path = f"the path {place.key.path} of key {place.label}"
            message = f"{path} is for {named}, the vault for {vault.script}"
            found.append(Notice("path_of_other_script", Severity.WARNING, message))
    return found


def _of_one_seed(keys: Sequence[Key]) -> str | None:
    """Say which keys come from one seed, by the fingerprint of their master or a common carrier."""
    cosigners = []
    for key in keys:
        carriers = (CarrierFacts(item_name(each.item), None, None, None) for each in key.carriers)
        known = key.fingerprint.hex() if any(key.fingerprint) else None
        cosigners.append(CosignerFacts(key.label, tuple(carriers), None, fingerprint=known))
    told = [" and ".join(each.label for each in group) for group in same_seed(cosigners)]
    if not told:
        return None
    return f"keys {', '.join(told)} come from one seed: whoever has it has all of them"


class Imported(NamedTuple):
    """A vault from a file; `known` where it was there already, `widened` where it got older.

    `format` names what the file was, `warnings` what was odd about it.
    """

    vault: Vault
    known: bool
    widened: bool
    format: str
    warnings: tuple[Notice, ...]


def import_text(
    home: Home, db: Session, plan: VaultPlan, *, text: str, checksum: str | None = None
) -> Imported:
    """Make a vault from a text of any format that is known."""
    from coordinator.interop import recognition  # noqa: PLC0415 -- twenty readers, needed here alone

    file = recognition.read_text(text, Network(home.network))
    return import_wallet(home, db, plan, file=file, checksum=checksum)


def import_wallet(
    home: Home,
    db: Session,
    plan: VaultPlan,
    *,
    file: WalletFile,
    checksum: str | None = None,
    accepted: Collection[str] | None = None,
) -> Imported:
    """Make a vault from another wallet's file, or from what `vault export` writes.

    It is approved where a person gives the checksum of its paper; raises ChecksumDiffers for
    another, NotAccepted where the file has to be repaired first.

    Keys known here are bound by public key and chain code, never by fingerprint: the origin a
    card gave stands, whatever the file says of it. Its birthday is the person's word, else the
    file's, else unknown: nobody knows how old a vault is that was made elsewhere. A policy that
    is here already stays the vault it is, under its name; an earlier birthday is taken.
    """
    network = Network(home.network)
    refuse_unaccepted(file.repairs, accepted)
    policy = policy_of(file, network)
    if checksum is not None:
        compare_checksum(plan.name, policy, checksum)
    birthday = _typed_birthday(home, db, plan)
    if birthday is None:
        file, birthday = _birthday_in(home, db, file)
    twin = twin_of(db, policy)
    if twin is None:
        _know_keys(home, db, plan.name, file=file)
        vault, widened = _store(db, plan.name, policy, birthday=birthday or UNKNOWN), False
    else:
        vault, widened = twin, _widen(home, db, twin, birthday=birthday)
    same = policy_checksum(stored_policy(vault)) == policy_checksum(policy)
    if checksum is not None and same:
        approvals.approve_policy(home, vault.name, vault.descriptor)
    said = (
        *file.warnings,
        *file.repairs,
        *_gap_warning(file, vault.name),
        *branch_warnings(vault.name, policy),
    )
    return Imported(vault, twin is not None, widened, file.format, said)


def _know_keys(home: Home, db: Session, name: str, *, file: WalletFile) -> None:
    """Keep the keys of a file that are not known here; what is known stays as it is."""
    for number, each in enumerate(file.keys, 1):
        if card_book.key_like(db, each.key.public_key, each.key.chain_code) is None:
            called = NOT_IN_NAMES.sub("-", each.name or "").strip("-")[:KEY_NAME_MAX]
            label = card_book.free_key_label(db, called) if called else f"{name}-{number}"
            add_key(db, home, label, parsed=wallet_file.key_expression(each))


def _gap_warning(file: WalletFile, name: str) -> tuple[Notice, ...]:
    if file.gap is None or file.gap <= LOOKAHEAD:
        return ()
    said = f"the {file.format} has a gap of {file.gap} addresses, {LOOKAHEAD} are looked for here"
    remedy = f"cardquorum sync {name} --reach {file.gap}"
    return (Notice("gap_wider", Severity.WARNING, said, remedy, (f"vault:{name}",)),)


def wallet_file_of(vault: Vault) -> WalletFile:
    """Return a vault as a wallet to be written for other programs."""
    policy = stored_policy(vault)
    names = tuple(place.label for place in vault.every_key)
    file = wallet_file.wallet_of(policy, vault.name, names)
    return replace(file, birthday=vault.birthday, birthday_height=vault.birthday_height)


def succeed(home: Home, db: Session, vault: Vault, *, gone: Key, new: Key) -> Vault:
    """Make a vault of the same policy with one key instead of another, named after the first.

    It has the new key wherever the other was: in every branch, with the same keychains, and in the
    same place where the order of the keys counts.
    """
    names = (each.name for each in vault_book.all_vaults(db))
    lost, taken = key_expression(gone), key_expression(new)
    refuse_unproved(db, vault.script, [new])
    policy = in_order(with_keys(stored_policy(vault), {lost: taken}.get))
    keys = [new if each.key_id == gone.id else each.key for each in vault.every_key]
    name = first_free(vault.name, names)
    successor = _store(db, name, policy, birthday=_newest_key(keys))
    approvals.approve_policy(home, successor.name, successor.descriptor)
    return successor


def approve(home: Home, db: Session, name: str, *, checksum: str) -> Vault:
    """Approve a vault whose checksum a person read from its paper.

    Raises ChecksumDiffers, which does not tell the right one.
    """
    vault = vault_book.vault_named(db, name)
    compare_checksum(vault.name, stored_policy(vault), checksum)
    approvals.approve_policy(home, vault.name, vault.descriptor)
    vault_book.state_approved(db, vault)
    return vault


def compare_checksum(name: str, policy: Policy, checksum: str) -> None:
    """Raise ChecksumDiffers unless these are the eight characters after the descriptor's #."""
    if checksum.strip().removeprefix("#").lower() != policy_checksum(policy):
        raise ChecksumDiffers(name)


def set_birthday(home: Home, db: Session, vault: Vault, *, text: str) -> None:
    """Set when a vault was first used; raises UsageError for what is still to come."""
    found = scans.parse_birthday(text, scans.newest_known(db, home.network), home.network)
    vault.birthday, vault.birthday_height = found
    db.flush()


def _widen(home: Home, db: Session, vault: Vault, *, birthday: Birthday | None) -> bool:
    """Take a birthday that is earlier than the vault's."""
    before = Birthday(vault.birthday, vault.birthday_height)
    if birthday is None or not scans.is_earlier(
        birthday, before, scans.newest_known(db, home.network)
    ):
        return False
    vault.birthday, vault.birthday_height = birthday
    db.flush()
    return True


def _typed_birthday(home: Home, db: Session, plan: VaultPlan) -> Birthday | None:
    if plan.birthday is None:
        return None
    return scans.parse_birthday(plan.birthday, scans.newest_known(db, home.network), home.network)


def _birthday_in(home: Home, db: Session, file: WalletFile) -> tuple[WalletFile, Birthday | None]:
    """Return the birthday a file tells; another program's that is still to come is a warning."""
    tip = scans.newest_known(db, home.network)
    height, moment = file.birthday_height, file.birthday
    if height is None and moment is None:
        return file, None
    told = Birthday(height=height) if height is not None else Birthday(moment)
    try:
        return file, scans.checked_birthday(told, tip, home.network)
    except UsageError as failure:
        if file.format == wallet_file.OWN_FORMAT:
            raise
        return file.warned(
            "birthday_ahead", f"the {file.format}'s birthday is not used: {failure}"
        ), None


def _newest_key(keys: Iterable[Key]) -> Birthday:
    """Return when the newest key was made that was made here: no vault of it is older.

    Where all were made elsewhere the vault may be as old as they are, and nobody knows.
    """
    return Birthday(max((key.made_at for key in keys if key.made_at is not None), default=None))


class VaultState(NamedTuple):
    """Whether a vault is active, only watched since another took its place, or retired."""

    state: str
    replaced_by: str | None


@dataclass(frozen=True)
class CosignerLine:
    """A cosigner's key as it is shown, what carries it, and what else can sign with that."""

    index: int
    label: str
    key: str
    fingerprint: bytes
    path: str
    created_on: str
    carriers: list[str]
    other_software: list[str]


@dataclass(frozen=True)
class VaultLine:
    """A vault as a list shows it; no checksum where its rows contradict one another."""

    name: str
    network: str
    threshold: int
    total: int
    script: str
    checksum: str | None
    retired_at: datetime | None
    state: str
    replaced_by: str | None


@dataclass(frozen=True)
class VaultShown:
    """A vault, its keys, how old it is and how far it was looked for."""

    name: str
    network: str
    threshold: int
    total: int
    script: str
    descriptor: str
    checksum: str
    approval: approvals.Standing
    approved: bool
    policy: str
    cosigners: list[CosignerLine]
    later_keys: list[CosignerLine]
    branches: list[BranchLine]
    refresh_months: int | None
    first_address: str
    birthday: datetime | None
    birthday_height: int | None
    looked_from: int | None
    tip: Tip | None
    reach: dict[str, int] | None
    earlier_unknown: bool
    looked: bool
    created_at: datetime
    retired_at: datetime | None
    state: str
    replaced_by: str | None

    @property
    def seen(self) -> scans.Looked:
        """Return how far it was looked for."""
        return scans.Looked(
            self.looked, self.looked_from, self.tip, self.reach, self.earlier_unknown
        )


def listed(db: Session) -> list[VaultLine]:
    """Return every vault of the home."""
    return [
        VaultLine(
            vault.name,
            vault.network,
            vault.threshold,
            len(vault.cosigners),
            vault.script,
            computed_checksum(vault),
            vault.retired_at,
            *standing(db, vault),
        )
        for vault in vault_book.all_vaults(db)
    ]


def shown(home: Home, db: Session, vault: Vault) -> VaultShown:
    """Return a vault as it is shown, computed from its keys."""
    policy, seen = stored_policy(vault), scans.looked(db, vault)
    approval = approvals.policy_standing(home, vault.name, vault.descriptor)
    state, replaced_by = standing(db, vault)
    lines = [
        _cosigner_line(db, policy, place, index=number)
        for number, place in enumerate(vault.every_key)
    ]
    return VaultShown(
        name=vault.name,
        network=vault.network,
        threshold=vault.threshold,
        total=len(policy.keys),
        script=vault.script,
        descriptor=vault.descriptor,
        checksum=policy_checksum(policy),
        approval=approval,
        approved=approval is approvals.Standing.APPROVED,
        policy=format_template(policy),
        cosigners=lines[: len(policy.keys)],
        later_keys=lines[len(policy.keys) :],
        branches=branch_lines(db, vault, policy),
        refresh_months=vault.refresh_months,
        first_address=next(addresses(policy, RECEIVE, [0])),
        birthday=vault.birthday,
        birthday_height=vault.birthday_height,
        looked_from=seen.looked_from,
        tip=seen.tip,
        reach=seen.reach,
        earlier_unknown=seen.earlier_unknown,
        looked=seen.known,
        created_at=vault.created_at,
        retired_at=vault.retired_at,
        state=state,
        replaced_by=replaced_by,
    )


def standing(db: Session, vault: Vault) -> VaultState:
    """Return whether a vault is in use."""
    succession = succession_book.succession_of(db, vault)
    successor = succession.successor.name if succession else None
    state = "retired" if vault.retired_at else "watch" if successor else "active"
    return VaultState(state, successor)


def _cosigner_line(
    db: Session, policy: Policy, place: Cosigner | BranchKey, *, index: int
) -> CosignerLine:
    key = place.key
    known = {family.name for family in families()}
    cards = [card for card in card_book.cards_with_key(db, key) if card.family in known]
    return CosignerLine(
        index,
        place.label,
        format_key_expression(key_expression(key), policy.network),
        key.fingerprint,
        key.path,
        key.created_on,
        [item_name(carrier.item) for carrier in key.carriers],
        sorted(
            {name for card in cards for name in card_secrets.other_software(db, card)}
            - (NO_BRANCHES if policy.recoveries or policy.script == TAPROOT else set())
        ),
    )


def _store(db: Session, name: str, policy: Policy, *, birthday: Birthday) -> Vault:
    """Keep a vault whose keys are all known here, each with the origin it is known by."""
    if (twin := twin_of(db, policy)) is not None:
        raise AlreadyExists("vault", twin.name)
    known = {}
    for each in policy.all_keys:
        key = card_book.key_like(db, each.key.public_key, each.key.chain_code)
        if key is None:
            raise NotFound("key", each.fingerprint.hex())
        known[each] = key
    refuse_script(db, policy.script, list(known.values()))
    policy = with_keys(policy, lambda each: key_expression(known[each]))
    rows = {key_expression(key): key for key in known.values()}
    descriptor = format_descriptor(policy)
    return vault_book.add_vault(
        db,
        name=checked_name(name),
        network=policy.network.value,
        script=policy.script,
        threshold=policy.threshold,
        descriptor=descriptor,
        checksum=descriptor.rpartition("#")[2],
        keys=[rows[each] for each in policy.keys],
        recoveries=[
            vault_book.NewBranch(
                branch.name,
                branch.threshold,
                [rows[use.expression] for use in branch.keys],
                *(branch.wait or Wait()),
            )
            for branch in policy.recoveries
        ],
        birthday=birthday.moment,
        birthday_height=birthday.height,
        now=clock.now(),
    )


def twin_of(db: Session, policy: Policy) -> Vault | None:
    """Return the vault that has a policy's scripts; sorted, the order of keys changes none."""
    for vault in vault_book.all_vaults(db):
        with suppress(PolicyError):
            if same_scripts(rebuilt_policy(vault), policy):
                return vault
    return None


def _planned_key(home: Home, db: Session, text: str, *, script: str) -> Key:
    """Return the key that is meant: a card's, one that is known, or one that is written out."""
    label, equals, expression = text.partition("=")
    if not equals and label.startswith("card:"):
        return key_for(db, label.removeprefix("card:"), home.network, script=script)
    if not equals:
        return card_book.key_named(db, text.removeprefix("key:"))
    try:
        parsed = parse_key_expression(expression, Network(home.network), script)
    except PsbtError as failure:
        raise UsageError(f"key {label}: {failure}") from failure
    known = card_book.key_like(db, parsed.key.public_key, parsed.key.chain_code)
    if known is not None and known.label == label:
        return known
    return add_key(db, home, checked_name(label), parsed=parsed)


def add_key(db: Session, home: Home, label: str, *, parsed: KeyExpression) -> Key:
    """Remember a key held elsewhere; raises AlreadyExists for its label."""
    return card_book.add_key(
        db,
        label=label,
        network=home.network,
        fingerprint=parsed.fingerprint,
        path=format_path(parsed.path),
        **parsed.key._asdict(),
        created_on="elsewhere",
        now=clock.now(),
    )
