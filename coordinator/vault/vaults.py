"""A vault is made from keys, proved by its cards, carried in and out as text."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from cards.family import families, family_named
from coordinator import clock
from coordinator.audit.findings import CarrierFacts, CosignerFacts, same_seed
from coordinator.chain import UNKNOWN, Birthday
from coordinator.custody import card_secrets
from coordinator.errors import CardCannotSign, ChecksumDiffers, NotAccepted, UsageError
from coordinator.foreign_json import Field, read_json
from coordinator.home import approvals
from coordinator.home.settings import Home
from coordinator.home.stored import key_expression, stored_policy
from coordinator.interop import annotations
from coordinator.interop.descriptor_file import descriptor_in
from coordinator.names import checked_name
from coordinator.wallet import scans
from psbt.errors import PsbtError
from psbt.keys import (
    KeyExpression,
    format_key_expression,
    format_path,
    parse_key_expression,
)
from psbt.network import Network
from psbt.policy import (
    RECEIVE,
    Policy,
    addresses,
    format_descriptor,
    format_template,
    parse_descriptor,
    policy_checksum,
)
from storage import cards as card_book
from storage import succession as succession_book
from storage import vaults as vault_book
from storage.errors import AlreadyExists
from storage.lookup import first_free
from storage.model import Cosigner, Key, Vault

MADE_HERE = "wsh"
SAME_SEED = "same_seed"
SCRIPTS = (MADE_HERE, "sh-wsh", "tr")


@dataclass(frozen=True)
class VaultPlan:
    """What a new vault shall be: keys of enrolled cards by label, and keys held elsewhere."""

    name: str
    threshold: int
    cards: tuple[str, ...]
    keys: tuple[str, ...] = ()
    script: str = "wsh"
    birthday: str | None = None


def create(
    home: Home, db: Session, plan: VaultPlan, accepted: Collection[str] | None = None
) -> Vault:
    """Make and approve a vault of enrolled cards and keys held elsewhere, in the order given.

    Raises NotAccepted where keys are known to come from one seed.
    """
    now = clock.now()
    keys = [card_book.key_of_card(db, label, home.network) for label in plan.cards]
    keys += [_foreign_key(home, db, text, now) for text in plan.keys]
    Policy(plan.threshold, tuple(key_expression(key) for key in keys), Network(home.network))
    shared = _of_one_seed(keys)
    if shared and SAME_SEED not in (accepted or ()):
        raise NotAccepted((SAME_SEED,), (shared,))
    birthday = _typed_birthday(home, db, plan) or _newest_key(keys)
    vault = _store(home, db, plan, keys, birthday)
    if shared:
        approvals.accept_danger(home, vault.name, SAME_SEED, f"{vault.descriptor} ")
    approvals.approve_policy(home, vault.name, vault.descriptor)
    return vault


def _of_one_seed(keys: Sequence[Key]) -> str | None:
    """Say which keys come from one seed, by the fingerprint of their master or a common carrier."""
    cosigners = [
        CosignerFacts(
            key.label,
            tuple(
                CarrierFacts(f"{carrier.item.kind}:{carrier.item.name}", None, None, None)
                for carrier in key.carriers
            ),
            None,
            fingerprint=key.fingerprint.hex() if any(key.fingerprint) else None,
        )
        for key in keys
    ]
    told = [" and ".join(each.label for each in group) for group in same_seed(cosigners)]
    if not told:
        return None
    return f"keys {', '.join(told)} come from one seed: whoever has it has all of them"


class Imported(NamedTuple):
    """A vault from a text; `known` where it was there already, `widened` where it got older."""

    vault: Vault
    known: bool
    widened: bool


def import_text(
    home: Home, db: Session, plan: VaultPlan, text: str, checksum: str | None = None
) -> Imported:
    """Make a vault from a descriptor, or from the JSON `vault export` writes.

    It is approved where a person gives the checksum of its paper; raises ChecksumDiffers for
    another.

    Keys known here are bound by public key and chain code, never by fingerprint: the origin a
    card gave stands, whatever the text says of it. Its birthday is the person's word, else the
    text's, else unknown: nobody knows how old a vault is that was made elsewhere. A policy that
    is here already stays the vault it is, under its name; an earlier birthday is taken.
    """
    annotated = annotations.split(descriptor_in(text))
    policy = parse_descriptor(annotated.descriptor, Network(home.network))
    if checksum is not None:
        compare_checksum(plan.name, policy, checksum)
    birthday = _typed_birthday(home, db, plan)
    if birthday is None:
        birthday = _birthday_in(home, db, text, annotated.birthday_height)
    if (twin := twin_of(db, policy)) is not None:
        found = Imported(twin, known=True, widened=_widen(home, db, twin, birthday))
    else:
        found = _imported(home, db, plan, policy, birthday or UNKNOWN)
    same = policy_checksum(stored_policy(found.vault)) == policy_checksum(policy)
    if checksum is not None and same:
        approvals.approve_policy(home, found.vault.name, found.vault.descriptor)
    return found


def _imported(
    home: Home, db: Session, plan: VaultPlan, policy: Policy, birthday: Birthday
) -> Imported:
    plan = replace(plan, threshold=policy.threshold)
    now = clock.now()
    keys = []
    for number, expression in enumerate(policy.keys, 1):
        known = card_book.key_like(db, expression.key.public_key, expression.key.chain_code)
        keys.append(known or _add_key(db, home, f"{plan.name}-{number}", expression, now))
    vault = _store(home, db, plan, keys, birthday)
    return Imported(vault, known=False, widened=False)


def succeed(home: Home, db: Session, vault: Vault, gone: Key, new: Key) -> Vault:
    """Make a vault of the same policy with one key instead of another, named after the first."""
    keys = [new if each.key_id == gone.id else each.key for each in vault.cosigners]
    names = (each.name for each in vault_book.all_vaults(db))
    plan = VaultPlan(first_free(vault.name, names), vault.threshold, ())
    successor = _store(home, db, plan, keys, _newest_key(keys))
    approvals.approve_policy(home, successor.name, successor.descriptor)
    return successor


def approve(home: Home, db: Session, name: str, checksum: str) -> Vault:
    """Approve a vault whose checksum a person read from its paper.

    Raises ChecksumDiffers, which does not tell the right one.
    """
    vault = vault_book.vault_named(db, name)
    policy = stored_policy(vault)
    compare_checksum(vault.name, policy, checksum)
    approvals.approve_policy(home, vault.name, format_descriptor(policy))
    return vault


def compare_checksum(name: str, policy: Policy, checksum: str) -> None:
    """Raise ChecksumDiffers unless these are the eight characters after the descriptor's #."""
    if checksum.strip().removeprefix("#").lower() != policy_checksum(policy):
        raise ChecksumDiffers(name)


def set_birthday(home: Home, db: Session, vault: Vault, text: str) -> None:
    """Set when a vault was first used; raises UsageError for what is still to come."""
    found = scans.parse_birthday(text, scans.newest_known(db, home.network), home.network)
    vault.birthday, vault.birthday_height = found
    db.flush()


def _widen(home: Home, db: Session, vault: Vault, birthday: Birthday | None) -> bool:
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


def _birthday_in(home: Home, db: Session, text: str, height: int | None) -> Birthday | None:
    """Return the birthday that a text tells beside its descriptor: an annotation's, or JSON's."""
    tip = scans.newest_known(db, home.network)
    if height is not None:
        return scans.checked_birthday(Birthday(height=height), tip, home.network)
    if not text.lstrip().startswith("{"):
        return None
    told = Field(read_json(text), "the file")
    try:
        if (number := told.member("birthday_height")) is not None:
            return scans.checked_birthday(Birthday(height=number.height()), tip, home.network)
        if (date := told.member("birthday")) is not None:
            return scans.parse_birthday(date.text(), tip, home.network)
    except ValueError as failure:
        raise UsageError(f"{failure}: add --birthday DATE") from failure
    return None


def _newest_key(keys: Iterable[Key]) -> Birthday:
    """Return when the newest key was made that was made here: no vault of it is older.

    Where all were made elsewhere the vault may be as old as they are, and nobody knows.
    """
    return Birthday(max((key.made_at for key in keys if key.made_at is not None), default=None))


def document(home: Home, db: Session, vault: Vault) -> dict[str, Any]:
    """Return the fields of `vault show --json`."""
    policy, seen = stored_policy(vault), scans.looked(db, vault)
    approval = approvals.policy_standing(home, vault.name, vault.descriptor)
    return {
        "name": vault.name,
        "network": vault.network,
        "threshold": vault.threshold,
        "total": len(policy.keys),
        "script": vault.script,
        "descriptor": vault.descriptor,
        "checksum": policy_checksum(policy),
        "approval": approval.value,
        "approved": approval is approvals.Standing.APPROVED,
        "policy": format_template(policy),
        "cosigners": [_cosigner_document(db, policy, cosigner) for cosigner in vault.cosigners],
        "first_address": next(addresses(policy, RECEIVE, [0])),
        "birthday": vault.birthday,
        "birthday_height": vault.birthday_height,
        **seen.document(),
        "looked": seen.known,
        "created_at": vault.created_at,
        "retired_at": vault.retired_at,
        **standing(db, vault),
    }


def standing(db: Session, vault: Vault) -> dict[str, Any]:
    """Return whether a vault is in use, only watched since another took its place, or retired."""
    succession = succession_book.succession_of(db, vault)
    successor = succession.successor.name if succession else None
    state = "retired" if vault.retired_at else "watch" if successor else "active"
    return {"state": state, "replaced_by": successor}


def _cosigner_document(db: Session, policy: Policy, cosigner: Cosigner) -> dict[str, Any]:
    key = cosigner.key
    known = {family.name for family in families()}
    cards = [card for card in card_book.cards_with_key(db, key) if card.family in known]
    return {
        "index": cosigner.position,
        "label": cosigner.label,
        "key": format_key_expression(key_expression(key), policy.network),
        "fingerprint": key.fingerprint,
        "path": key.path,
        "created_on": key.created_on,
        "carriers": [f"{carrier.item.kind}:{carrier.item.name}" for carrier in key.carriers],
        "other_software": sorted(
            {name for card in cards for name in card_secrets.other_software(db, card)}
        ),
    }


def _store(
    home: Home, db: Session, plan: VaultPlan, keys: Sequence[Key], birthday: Birthday
) -> Vault:
    expressions = tuple(key_expression(key) for key in keys)
    policy = Policy(plan.threshold, expressions, Network(home.network))
    if (twin := twin_of(db, policy)) is not None:
        raise AlreadyExists("vault", twin.name)
    _refuse_script(db, plan.script, keys)
    descriptor = format_descriptor(policy)
    return vault_book.add_vault(
        db,
        name=checked_name(plan.name),
        network=policy.network.value,
        threshold=policy.threshold,
        descriptor=descriptor,
        checksum=descriptor.rpartition("#")[2],
        keys=keys,
        birthday=birthday.moment,
        birthday_height=birthday.height,
        now=clock.now(),
    )


def twin_of(db: Session, policy: Policy) -> Vault | None:
    """Return the vault that has a policy's scripts: the order of keys changes none."""
    whole = {(each.key.public_key, each.key.chain_code) for each in policy.keys}
    for vault in vault_book.all_vaults(db):
        known = {(each.key.public_key, each.key.chain_code) for each in vault.cosigners}
        if (vault.threshold, known) == (policy.threshold, whole):
            return vault
    return None


def _refuse_script(db: Session, script: str, keys: Sequence[Key]) -> None:
    """Refuse scripts that a card of one of the keys cannot sign for, or that are not made here."""
    if script not in SCRIPTS:
        raise UsageError(f"script {script} is none of {', '.join(SCRIPTS)}")
    for card in (card for key in keys for card in card_book.cards_with_key(db, key)):
        if script not in family_named(card.family).signs_at(card.version):
            raise CardCannotSign(card.label, f"{card.family} {card.version}", script)
    if script != MADE_HERE:
        raise UsageError(f"this version makes {MADE_HERE} vaults only, not {script}")


def _foreign_key(home: Home, db: Session, text: str, now: datetime) -> Key:
    label, equals, expression = text.partition("=")
    if not equals:
        raise UsageError(f"{text!r} is not LABEL=[fingerprint/path]xpub")
    try:
        parsed = parse_key_expression(expression, Network(home.network))
    except PsbtError as failure:
        raise UsageError(f"key {label}: {failure}") from failure
    known = card_book.key_like(db, parsed.key.public_key, parsed.key.chain_code)
    if known is not None and known.label == label:
        return known
    return _add_key(db, home, checked_name(label), parsed, now)


def _add_key(db: Session, home: Home, label: str, parsed: KeyExpression, now: datetime) -> Key:
    return card_book.add_key(
        db,
        label=label,
        network=home.network,
        fingerprint=parsed.fingerprint,
        path=format_path(parsed.path),
        **parsed.key._asdict(),
        created_on="elsewhere",
        now=now,
    )
