"""Dangers: what a command refuses to do until the person accepts it by its code.

`coordinator.audit.dangers` says what of a vault is dangerous; here it meets the person.

What differs from what this home approved is no danger to accept: it is refused.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy.orm import Session, object_session

from coordinator.audit.dangers import POLICY_NOT_APPROVED, dangers, only_old_coins, resting_on
from coordinator.audit.facts import VaultFacts
from coordinator.audit.findings import grave
from coordinator.audit.gathering import Book, book, key_facts
from coordinator.errors import ApprovalMismatch, NotAccepted, UsageError
from coordinator.home import approvals, row_checks, seals, statement_checks
from coordinator.home.approvals import Standing
from coordinator.home.operators import NOBODY
from coordinator.home.settings import Home
from coordinator.home.stored_policies import computed_checksum, stored_policy
from coordinator.notices import Notice, Severity
from coordinator.wallet.scans import command_for
from psbt.errors import PsbtError
from psbt.policy import format_descriptor
from storage import sealing
from storage import vaults as vault_book
from storage.model import Ceremony, Vault

if TYPE_CHECKING:
    from psbt.codec import Psbt

PAYMENT_NOT_APPROVED: Final = "payment_not_approved"

Accepted = Collection[str] | None
"""What a person accepts: codes of dangers, or what `as_told` returns of one."""
TOLD: Final = 16


class Threatened(NamedTuple):
    """A vault, what of it is dangerous, and the facts of its keys; None where rows disagree."""

    vault: Vault
    dangers: list[Notice]
    keys: VaultFacts | None


@dataclass(frozen=True)
class Danger(Notice):
    """A notice that a person has to accept; asked about again once its `facts` have changed."""

    facts: str = ""


def refuse_unaccepted(dangers: Iterable[Notice], accepted: Accepted) -> None:
    """Raise NotAccepted with every danger that is not accepted, by code or as told, each once."""
    open_dangers: dict[str, str] = {}
    for danger in dangers:
        names = {danger.code, as_told(danger.code, danger.sentence)}
        if names.isdisjoint(accepted or ()):
            open_dangers.setdefault(danger.code, danger.sentence)
    if open_dangers:
        raise NotAccepted(tuple(open_dangers), tuple(open_dangers.values()))


def as_told(code: str, sentence: str) -> str:
    """Return what accepts a danger as it was told, and no other one of its code."""
    return f"{code}:{sha256(sentence.encode()).hexdigest()[:TOLD]}"


def accept_or_refuse(
    home: Home, vault: str, dangers: Iterable[Danger], *, accepted: Accepted
) -> None:
    """Raise NotAccepted unless each danger of a vault is accepted, now or with these facts before.

    What is accepted now is remembered.
    """
    fresh = not_accepted_before(home, vault, dangers)
    refuse_unaccepted(fresh, accepted)
    remember_accepted(home, vault, fresh)


def not_accepted_before(home: Home, vault: str, dangers: Iterable[Danger]) -> list[Danger]:
    """Return the dangers of a vault that nobody accepted yet with the facts they have now."""
    return [
        danger
        for danger in dangers
        if not approvals.danger_accepted(home, vault, danger.code, facts=danger.facts)
    ]


def remember_accepted(home: Home, vault: str, dangers: Iterable[Danger]) -> None:
    """Keep that a person accepted these dangers of a vault."""
    for danger in dangers:
        approvals.accept_danger(home, vault, danger.code, facts=danger.facts)


def policy_standing(home: Home, vault: Vault) -> Standing:
    """Return how a vault's policy, computed from its keys, stands to what this home approved.

    Raises PolicyError where keys and descriptor disagree.
    """
    return approvals.policy_standing(home, vault.name, format_descriptor(stored_policy(vault)))


def require_policy(home: Home, vault: Vault, accepted: Accepted = None) -> None:
    """Raise ApprovalMismatch or NotAccepted unless this home approved the vault's policy."""
    if refuse_other_policy(home, vault) is Standing.NONE:
        accept_or_refuse(home, vault.name, [not_approved(vault)], accepted=accepted)


def refuse_other_policy(home: Home, vault: Vault) -> Standing:
    """Raise ApprovalMismatch where this home approved another policy under the vault's name.

    So it does where the home's seal is not the one approved: the database was changed. Returns how
    the policy stands else.
    """
    standing = policy_standing(home, vault)
    if standing is Standing.DIFFERS:
        raise ApprovalMismatch(f"what is stored of vault {vault.name}")
    db = object_session(vault)
    if db is not None and seals.standing(home, db, sealing.sealing_key(db)) is Standing.DIFFERS:
        raise ApprovalMismatch("the key that places and people are sealed to")
    return standing


def differing(home: Home, vault: Vault) -> list[str]:
    """Say how a vault differs from what this home approved; nothing where it does not."""
    try:
        refuse_other_policy(home, vault)
    except ApprovalMismatch as mismatch:
        return [str(mismatch)]
    except PsbtError:
        return []  # the rows contradict one another: whoever reads them says so
    return []


def not_approved(vault: Vault) -> Danger:
    """Return the danger of a vault that nobody compared with the paper here."""
    return Danger(
        POLICY_NOT_APPROVED,
        Severity.DANGER,
        f"nobody compared vault {vault.name} with its paper on this computer yet",
        f"cardquorum vault approve {vault.name}",
        (f"vault:{vault.name}",),
        vault.descriptor,
    )


def vault_dangers(home: Home, db: Session, vault: Vault) -> list[Notice]:
    """Return what of a vault is dangerous now, the worst first.

    It is what an audit finds dangerous.
    """
    said = book(db, [vault])
    return grave(standing_facts(home, db, vault, said=said), said.now)


def all_dangers(home: Home, db: Session, said: Book | None = None) -> list[Threatened]:
    """Return every vault in use, each with what of it is dangerous now.

    So is a retired one whose rows contradict one another: what it holds is not known. `said` is
    the book where it was read already.
    """
    said = said or book(db, vault_book.all_vaults(db))
    threatened = []
    for vault in said.vaults:
        if vault.retired_at is None or computed_checksum(vault) is None:
            facts = standing_facts(home, db, vault, said=said)
            known = facts if facts.altered is None else None
            threatened.append(Threatened(vault, grave(facts, said.now), known))
    return threatened


def require_payable(home: Home, db: Session, vault: Vault, *, accepted: Accepted) -> None:
    """Raise NotAccepted unless each danger of a vault that is to be paid is accepted.

    Raises ApprovalMismatch, which nobody can accept.
    """
    require_policy(home, vault, accepted)
    facts = standing_facts(home, db, vault, said=book(db, [vault]))
    found = [
        Danger(**vars(each), facts=f"{vault.descriptor} {resting_on(facts, each.code)}")
        for each in dangers(facts)
        if each.code != POLICY_NOT_APPROVED and not only_old_coins(each.code, vault.recoveries)
    ]
    accept_or_refuse(home, vault.name, found, accepted=accepted)


def standing_facts(home: Home, db: Session, vault: Vault, *, said: Book) -> VaultFacts:
    """Return what is known of a vault's keys, and how it stands to what this home approved."""
    keys = replace(key_facts(db, vault, said), look=command_for(vault.name, home.chain))
    return with_standing(home, db, vault, known=keys)


def with_standing(home: Home, db: Session, vault: Vault, *, known: VaultFacts) -> VaultFacts:
    """Add to what is known of a vault how it stands to what this home approved."""
    try:
        standing = policy_standing(home, vault)
    except PsbtError as failure:
        return replace(known, altered=str(failure))
    rows = row_checks.doubted(home, db)
    return replace(
        known,
        approval=standing.value,
        seal_differs=seals.standing(home, db, sealing.sealing_key(db)) is Standing.DIFFERS,
        rows_altered=tuple(rows.altered),
        rows_unapproved=tuple(rows.unapproved),
    )


def require_payment(
    home: Home, record: Ceremony, psbt: "Psbt", *, accepted: Accepted = None
) -> None:
    """Raise ApprovalMismatch or NotAccepted unless this home approved what a ceremony signs."""
    require_policy(home, record.vault, accepted)
    accept_or_refuse(
        home, record.vault.name, payment_dangers(home, record, psbt), accepted=accepted
    )


def payment_dangers(home: Home, record: Ceremony, psbt: "Psbt") -> list[Danger]:
    """Return the danger of a payment made elsewhere, none where it was approved here.

    Raises ApprovalMismatch where this home approved another payment under the ceremony's id,
    StatementBroken where the operator who opened it signed another.
    """
    from psbt.outline import commitment  # noqa: PLC0415 -- whoever has no PSBT needs no reader of one

    payment = commitment(psbt)
    db = object_session(record)
    if db is not None:
        statement_checks.require_opened(db, record)
    standing = approvals.payment_standing(home, record.public_id, payment)
    if standing is Standing.DIFFERS:
        raise ApprovalMismatch(f"what ceremony {record.public_id} pays")
    if standing is Standing.APPROVED:
        return []
    who = statement_checks.opened_by(home, db, record) if db is not None else NOBODY
    opened = f"; it was opened by {who.words}" if home.server or who != NOBODY else ""
    return [
        Danger(
            PAYMENT_NOT_APPROVED,
            Severity.DANGER,
            f"the payment of ceremony {record.public_id} was not made or reviewed on this computer"
            f"{opened}",
            f"compare its txid, then add --txid {record.txid}",
            (f"vault:{record.vault.name}",),
            payment.hex(),
        )
    ]


def check_txid(record: Ceremony, txid: str | None) -> None:
    """Raise UsageError where a person names another transaction than a ceremony has."""
    if txid is not None and txid.strip().lower() != record.txid:
        raise UsageError(
            f"ceremony {record.public_id} is transaction {record.txid}, not {txid}: "
            "nothing was signed"
        )
