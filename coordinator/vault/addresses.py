"""Addresses: given out, drawn, listed with what came of them, and looked up."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from coordinator import clock
from coordinator.audit.acceptance import Accepted, require_payable, require_policy
from coordinator.errors import CoordinatorError
from coordinator.home.settings import Home
from coordinator.home.stored_policies import stored_policy
from coordinator.wallet import labels
from coordinator.wallet.scripts import keychain_name, reached, scripts_at, watched, watched_counts
from psbt.policy import (
    RECEIVE,
    VaultScript,
    derive_scripts,
    format_address,
    policy_checksum,
    vault_script,
)
from storage import chain as chain_book
from storage import labels as label_book
from storage import succession as succession_book
from storage import totals
from storage import vaults as vault_book
from storage.database import Database
from storage.model import Address, Vault
from storage.totals import Use

NEVER = Use(0, 0, 0, None)


@dataclass(frozen=True)
class AddressLine:
    """An address that was issued or used, and what came of it.

    `used` stays true where a payment vanished: somebody knows the address.
    """

    address: str
    keychain: str
    index: int
    script_pubkey: bytes
    issued_at: datetime | None
    used: bool
    payments: int
    received_sats: int
    held_sats: int
    label: str | None


@dataclass(frozen=True)
class Owner:
    """Whose address it is, where, and what came of it; the height is that of the last payment."""

    vault: str
    keychain: str
    index: int
    checksum: str
    used: bool
    payments: int
    received_sats: int
    held_sats: int
    last_height: int | None
    label: str | None


@dataclass(frozen=True)
class FreshAddress:
    """An address nobody was given before, with its policy's checksum."""

    vault: str
    address: str
    keychain: str
    index: int
    script_pubkey: bytes
    checksum: str


def new_address(db: Session, vault: Vault) -> FreshAddress:
    """Issue the next unused receive address of a vault; one no longer in use gives none."""
    refuse_closed(db, vault)
    policy = stored_policy(vault)
    index = chain_book.next_index(db, vault, RECEIVE)
    script = next(derive_scripts(policy, RECEIVE, [index]))
    chain_book.issue_address(db, vault, script, now=clock.now())
    address = format_address(script.script_pubkey, policy.network)
    return FreshAddress(
        vault.name,
        address,
        keychain_name(RECEIVE),
        index,
        script.script_pubkey,
        policy_checksum(policy),
    )


def refuse_closed(db: Session, vault: Vault) -> None:
    """Raise CoordinatorError for a vault that was retired or replaced."""
    if (why := closed(db, vault)) is not None:
        raise CoordinatorError(f"vault {vault.name} must not be paid any more: {why}")


def closed(db: Session, vault: Vault) -> str | None:
    """Return why a vault must not be paid any more; None where it may be."""
    if vault.retired_at is not None:
        return "it is retired"
    succession = succession_book.succession_of(db, vault)
    return None if succession is None else f"it was replaced by {succession.successor.name}"


def fresh(
    db: Session, home: Home, vault: str, *, label: str | None, accepted: Accepted = None
) -> FreshAddress:
    """Issue the next unused address of a vault, and call it something.

    Raises UsageError, NotAccepted, ApprovalMismatch.
    """
    record = vault_book.vault_named(db, vault)
    refuse_closed(db, record)
    require_payable(home, db, record, accepted=accepted)
    made = new_address(db, record)
    if label is not None:
        labels.set_label(home, db, made.address, text=label)
    return made


def addresses(
    home: Home,
    database: Database,
    vault: str,
    *,
    unused: bool = False,
    newest: int | None = None,
    accepted: Accepted = None,
) -> list[AddressLine]:
    """Return the addresses issued or used so far, by keychain and index; or only the unused.

    With `newest` only so many receive addresses, the last ones. Each is derived afresh: what was
    paid counts only where it was paid to that script.
    """
    with database.begin() as db:
        record = vault_book.vault_named(db, vault)
        require_policy(home, record, accepted)
        known = [each for each in chain_book.addresses_of(db, record) if not (unused and each.used)]
        if newest is not None:
            known = [each for each in known if each.keychain == RECEIVE][-newest:]
        policy = stored_policy(record)
        scripts = scripts_at(policy, ((each.keychain, each.index) for each in known))
        use = totals.use_of_scripts(db, record)
        names = label_book.named(db, "addr")
    found = []
    for each in known:
        script = scripts[each.keychain, each.index]
        address = format_address(script, policy.network)
        seen = use.get(script, NEVER)
        found.append(
            AddressLine(
                address,
                keychain_name(each.keychain),
                each.index,
                script,
                each.issued_at,
                each.used or seen.payments > 0,
                seen.payments,
                seen.received_sats,
                seen.held_sats,
                names.get(address),
            )
        )
    return found


def owner_of(
    home: Home,
    database: Database,
    script_pubkey: bytes,
    *,
    accepted: Accepted = None,
    reach: int = 0,
) -> Owner | None:
    """Return whose address a script is, by deriving it; None where it is nobody's.

    Those that a sync looks for are derived, and at least `reach` of each keychain.
    """
    with database.begin() as db:
        for record in vault_book.all_vaults(db):
            known = chain_book.address_with(db, record, script_pubkey)
            script = _derived(db, record, script_pubkey, known=known, reach=reach)
            if script is None:
                continue
            require_policy(home, record, accepted)
            policy = stored_policy(record)
            seen = totals.use_of_scripts(db, record, script_pubkey).get(script_pubkey, NEVER)
            return Owner(
                record.name,
                keychain_name(script.keychain),
                script.index,
                policy_checksum(policy),
                (known is not None and known.used) or seen.payments > 0,
                *seen,
                label_book.named(db, "addr").get(format_address(script_pubkey, policy.network)),
            )
    return None


def compared(database: Database, reach: int = 0) -> int:
    """Return how many addresses of each keychain of every vault `owner_of` derives at least."""
    with database.begin() as db:
        counts = (
            min(watched_counts(db, vault, reached(db, vault, reach)))
            for vault in vault_book.all_vaults(db)
        )
        return min(counts, default=0)


def _derived(
    db: Session, vault: Vault, script_pubkey: bytes, *, known: Address | None, reach: int
) -> VaultScript | None:
    """Return where a script comes from: where it is known to, else among all that are watched."""
    policy = stored_policy(vault)
    if known is not None:
        script = vault_script(policy, known.keychain, known.index)
        if script.script_pubkey == script_pubkey:
            return script
    return watched(db, vault, policy, least=reached(db, vault, reach)).get(script_pubkey)
