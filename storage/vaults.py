"""Vaults, their cosigners, and the proofs of their keys."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from hashlib import sha256
from typing import NamedTuple, NotRequired, TypedDict, Unpack

from sqlalchemy import func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from storage import row_statements
from storage.authors import state
from storage.bulk import insert_rows
from storage.errors import StorageError
from storage.lookup import absent, present
from storage.model import BranchKey, Cosigner, Key, Record, Vault, VaultBranch, Verification


class NewBranch(NamedTuple):
    """A branch that opens later, its keys in their order; either `blocks` or `height` is set."""

    name: str
    threshold: int
    keys: Sequence[Key]
    blocks: int | None = None
    height: int | None = None


class NewVault(TypedDict):
    """A policy to be remembered, its keys and later branches in their order."""

    name: str
    network: str
    script: NotRequired[str]
    threshold: int
    descriptor: str
    checksum: str
    keys: Sequence[Key]
    recoveries: NotRequired[Sequence[NewBranch]]
    birthday: datetime | None
    birthday_height: int | None


class Proof(TypedDict):
    """What came of asking a card to prove a key."""

    key_id: int
    card_id: int | None
    matched: bool
    detail: str


def add_vault(db: Session, *, now: datetime, **given: Unpack[NewVault]) -> Vault:
    """Remember a vault; raises AlreadyExists for its name, or naming the vault it already is."""
    absent(_vault_where(db, Vault.name, given["name"]), "vault", given["name"])
    twin = _vault_where(db, Vault.descriptor, given["descriptor"])
    absent(twin, "vault", twin.name if twin else "")
    columns = {name: value for name, value in given.items() if name not in {"keys", "recoveries"}}
    recoveries = []
    for place, branch in enumerate(given.get("recoveries", ()), 1):
        keys = [
            BranchKey(position=position, key=key, label=key.label)
            for position, key in enumerate(branch.keys)
        ]
        recoveries.append(VaultBranch(**{**branch._asdict(), "position": place, "keys": keys}))
    vault = Vault(
        **{"script": "wsh", **columns},
        created_at=now,
        cosigners=[
            Cosigner(position=position, key=key, label=key.label)
            for position, key in enumerate(given["keys"])
        ],
        recoveries=recoveries,
    )
    db.add(vault)
    db.flush()
    state(db, "vault", vault.name, digest=policy_digest(vault), now=now, vault=vault.checksum)
    return vault


def state_approved(db: Session, vault: Vault) -> None:
    """State that this session's author compared a vault with its paper."""
    state(db, "approved", vault.checksum, digest=policy_digest(vault), vault=vault.checksum)


def vault_named(db: Session, name: str) -> Vault:
    """Return the vault of this name; raises NotFound."""
    return present(_vault_where(db, Vault.name, name), "vault", name)


def all_vaults(db: Session) -> Sequence[Vault]:
    """Return every vault by name, retired ones too."""
    return db.scalars(select(Vault).order_by(Vault.name)).all()


def vaults_with(db: Session, keys: Iterable[Key]) -> list[Vault]:
    """Return the vaults that have one of these keys."""
    ids = {key.id for key in keys}
    return [v for v in all_vaults(db) if any(place.key_id in ids for place in v.every_key)]


def vaults_named(db: Session, name: str | None) -> Sequence[Vault]:
    """Return the vault of this name, or all where none is named; raises NotFound."""
    return all_vaults(db) if name is None else [vault_named(db, name)]


def retire(db: Session, vault: Vault, now: datetime) -> datetime:
    """Mark a vault as no longer in use; returns since when, which the first time decides."""
    vault.retired_at = vault.retired_at or now
    db.flush()
    return vault.retired_at


def add_verification(db: Session, vault: Vault, *, now: datetime, **proof: Unpack[Proof]) -> None:
    """Remember what came of a proof of one of the vault's keys, for its policy of now."""
    given = {**proof, "vault_id": vault.id, "at": now, "policy_digest": policy_digest(vault)}
    insert_rows(db.connection(), Record.metadata.tables[Verification.__tablename__], [given])
    row_statements.note(db, Verification.__tablename__, given)


def note_proved(
    db: Session, vault: Vault, key_ids: Iterable[int], *, detail: str, now: datetime
) -> None:
    """Remember that keys of a vault signed for its policy, as `detail` says; once each."""
    known = latest_verifications(db, vault)
    for key_id in key_ids:
        if key_id not in known or not known[key_id].matched:
            add_verification(
                db, vault, key_id=key_id, card_id=None, matched=True, detail=detail, now=now
            )


def policy_digest(vault: Vault) -> bytes:
    """Return the SHA-256 of the vault's descriptor: what proofs of its keys are bound to."""
    return sha256(vault.descriptor.encode()).digest()


def latest_verifications(db: Session, vault: Vault) -> dict[int, Verification]:
    """Return the newest verification of each key under the vault's policy of now, by key id."""
    own = (Verification.vault_id == vault.id, Verification.policy_digest == policy_digest(vault))
    newest = select(func.max(Verification.id)).where(*own).group_by(Verification.key_id)
    found = db.scalars(select(Verification).where(Verification.id.in_(newest)))
    return {verification.key_id: verification for verification in found}


def _vault_where(db: Session, column: InstrumentedAttribute[str], value: str) -> Vault | None:
    return db.scalars(select(Vault).where(column == value)).one_or_none()


def require_network(db: Session, network: str) -> None:
    """Raise StorageError where a database remembers keys of another network."""
    other = db.scalar(select(Key.network).where(Key.network != network).limit(1))
    if other is not None:
        raise StorageError(f"the database remembers keys of {other}, this home is for {network}")
