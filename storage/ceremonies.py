"""Ceremonies, the signatures they collect one by one, and the coins they hold meanwhile."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple, TypedDict, Unpack

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from storage.errors import CoinTaken
from storage.lookup import absent, present
from storage.model import Ceremony, ChainTransaction, Coin, Reservation, Signature, Vault

SENT = ("broadcast", "confirmed")
ENDED = ("confirmed", "abandoned", "replaced")


class NewCeremony(TypedDict):
    """A payment to be signed; `paid_sats` is what leaves the vault, the fee not counted."""

    public_id: str
    psbt: bytes
    txid: str
    fee_sats: int
    paid_sats: int
    created_at: datetime
    expires_at: datetime


class Held(NamedTuple):
    """A coin and the public id of the ceremony that holds it."""

    txid: str
    vout: int
    ceremony: str


def add_ceremony(db: Session, vault: Vault, **given: Unpack[NewCeremony]) -> Ceremony:
    """Open a ceremony; it holds no coins yet. Raises AlreadyExists."""
    absent(_ceremony(db, given["public_id"]), "ceremony", given["public_id"])
    lifetime = given["expires_at"] - given["created_at"]
    ceremony = Ceremony(
        **given,
        vault=vault,
        state="collecting",
        lifetime_seconds=int(lifetime.total_seconds()),
        signatures=[],
    )
    db.add(ceremony)
    db.flush()
    return ceremony


def ceremony_named(db: Session, public_id: str) -> Ceremony:
    """Return the ceremony of this public id; raises NotFound."""
    return present(_ceremony(db, public_id), "ceremony", public_id)


def all_ceremonies(db: Session) -> Sequence[Ceremony]:
    """Return every ceremony, newest first."""
    return db.scalars(select(Ceremony).order_by(Ceremony.id.desc())).all()


def ceremonies_of(db: Session, vault: Vault) -> Sequence[Ceremony]:
    """Return a vault's ceremonies, newest first."""
    return _of_vault(db, vault)


def sent(db: Session, vault: Vault) -> Sequence[Ceremony]:
    """Return a vault's payments that were broadcast, newest first."""
    return _of_vault(db, vault, Ceremony.state.in_(SENT))


def keep_signature(
    db: Session,
    ceremony_id: int,
    given: tuple[int, bytes, bytes],
    now: datetime,
    card_id: int | None = None,
) -> None:
    """Keep a verified signature: input index, public key, r‖s. The first of a key stays."""
    input_index, pubkey, signature = given
    known = select(Signature.id).where(
        Signature.ceremony_id == ceremony_id,
        Signature.input_index == input_index,
        Signature.pubkey == pubkey,
    )
    if db.scalar(known) is None:
        db.add(
            Signature(
                ceremony_id=ceremony_id,
                input_index=input_index,
                pubkey=pubkey,
                signature=signature,
                card_id=card_id,
                received_at=now,
            )
        )
        db.flush()


def reserve(
    db: Session,
    ceremony: Ceremony,
    outpoints: Iterable[tuple[str, int]],
    expires: datetime,
    now: datetime,
) -> None:
    """Hold coins for a ceremony until `expires`, afresh if it held them before.

    Raises CoinTaken where another ceremony holds one.
    """
    expire(db, now)
    release(db, ceremony, now)
    holders = {(held.txid, held.vout): held.ceremony for held in reserved(db, now)}
    for txid, vout in outpoints:
        if (txid, vout) in holders:
            raise CoinTaken(txid, vout, holders[txid, vout])
        db.add(Reservation(ceremony_id=ceremony.id, txid=txid, vout=vout, expires_at=expires))
    ceremony.expires_at = expires
    db.flush()


def reserved(db: Session, now: datetime) -> list[Held]:
    """Return the coins that ceremonies hold at a moment."""
    live = (
        select(Reservation.txid, Reservation.vout, Ceremony.public_id)
        .join(Ceremony, Ceremony.id == Reservation.ceremony_id)
        .where(Reservation.released_at.is_(None), Reservation.expires_at > now)
    )
    return [Held(*row) for row in db.execute(live.order_by(Reservation.id))]


def expire(db: Session, now: datetime) -> None:
    """Let go of every coin whose time is over; the signatures stay."""
    over = (Reservation.released_at.is_(None)) & (Reservation.expires_at <= now)
    db.execute(update(Reservation).where(over).values(released_at=now))


def release(db: Session, ceremony: Ceremony, now: datetime) -> None:
    """Let go of the ceremony's coins."""
    own = (Reservation.ceremony_id == ceremony.id) & Reservation.released_at.is_(None)
    db.execute(update(Reservation).where(own).values(released_at=now))


def confirm(db: Session, vault: Vault, now: datetime) -> None:
    """Bring a vault's ceremonies in step with what the chain told.

    In a block: confirmed. Seen waiting, or fallen out of a block: broadcast. Where another
    transaction in a block spent one of its coins: replaced. What was abandoned stays
    so, unless its transaction is in a block.
    """
    outspent = _outspent(db, vault)
    for ceremony, seen in _unsettled(db, vault):
        ceremony.confirmed_height = seen.height if seen else None
        if ceremony.confirmed_height is not None:
            ceremony.state = "confirmed"
        elif ceremony.id in outspent:
            ceremony.state = "replaced"
        elif seen or ceremony.state == "confirmed":
            ceremony.state = "broadcast"
        if ceremony.state in SENT:
            ceremony.broadcast_at = ceremony.broadcast_at or now
        if ceremony.state in ENDED:
            release(db, ceremony, now)
    db.flush()


def _unsettled(db: Session, vault: Vault) -> list[tuple[Ceremony, ChainTransaction | None]]:
    """Return the ceremonies whose state may have to change, each with its transaction."""
    moved = Ceremony.confirmed_height.is_distinct_from(ChainTransaction.height)
    found = (
        select(Ceremony, ChainTransaction)
        .outerjoin(ChainTransaction, ChainTransaction.txid == Ceremony.txid)
        .where(Ceremony.vault_id == vault.id, moved | Ceremony.state.not_in(ENDED))
    )
    return [(ceremony, seen) for ceremony, seen in db.execute(found)]


def _outspent(db: Session, vault: Vault) -> set[int]:
    """Return the ceremonies that lost a coin to another transaction in a block."""
    lost = (
        select(Reservation.ceremony_id)
        .join(Ceremony, Ceremony.id == Reservation.ceremony_id)
        .join(Coin, (Coin.txid == Reservation.txid) & (Coin.vout == Reservation.vout))
        .where(Coin.vault_id == vault.id, Coin.spent_height.is_not(None))
        .where(Coin.spent_by != Ceremony.txid)
    )
    return set(db.scalars(lost))


def _ceremony(db: Session, public_id: str) -> Ceremony | None:
    return db.scalars(select(Ceremony).where(Ceremony.public_id == public_id)).one_or_none()


def _of_vault(db: Session, vault: Vault, *also: ColumnElement[bool]) -> Sequence[Ceremony]:
    own = select(Ceremony).where(Ceremony.vault_id == vault.id, *also)
    return db.scalars(own.order_by(Ceremony.id.desc())).all()
