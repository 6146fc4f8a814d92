"""Ceremonies, the signatures they collect one by one, and the coins they hold meanwhile."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple, NotRequired, TypedDict, Unpack

from sqlalchemy import ColumnElement, Select, func, select, update
from sqlalchemy.orm import Session, aliased

from storage import row_statements
from storage.authors import Last, state
from storage.book_heads import STATEMENTS, newest
from storage.bulk import insert_rows
from storage.errors import CoinTaken
from storage.lookup import absent, batches, present
from storage.model import (
    Ceremony,
    ChainTransaction,
    Coin,
    Record,
    Reservation,
    Signature,
    SyncState,
    Vault,
)
from storage.model.vaults import PRIMARY

SENT = ("broadcast", "confirmed")
GIVEN_UP = ("abandoned", "replaced")
ENDED = ("confirmed", *GIVEN_UP)


class NewCeremony(TypedDict):
    """A payment to be signed; `paid_sats` is what leaves the vault, the fee not counted."""

    public_id: str
    psbt: bytes
    txid: str
    fee_sats: int
    paid_sats: int
    created_at: datetime
    expires_at: datetime
    opened_on: NotRequired[str]
    branch: NotRequired[str]
    unit: NotRequired[str]


class Held(NamedTuple):
    """A coin, the public id of the ceremony that holds it, until when, and where it was opened."""

    txid: str
    vout: int
    ceremony: str
    until: datetime
    opened_on: str | None


def add_ceremony(db: Session, vault: Vault, **given: Unpack[NewCeremony]) -> Ceremony:
    """Open a ceremony; it holds no coins yet. Raises AlreadyExists."""
    absent(_ceremony(db, given["public_id"]), "ceremony", given["public_id"])
    lifetime = given["expires_at"] - given["created_at"]
    ceremony = Ceremony(
        **{"branch": PRIMARY, **given},
        vault=vault,
        state="collecting",
        lifetime_seconds=int(lifetime.total_seconds()),
        signatures=[],
    )
    db.add(ceremony)
    db.flush()
    return ceremony


def ceremony_named(db: Session, public_id: str) -> Ceremony:
    """Return the ceremony of this public id, in any case; raises NotFound."""
    return present(_ceremony(db, public_id.lower()), "ceremony", public_id)


def all_ceremonies(db: Session) -> Sequence[Ceremony]:
    """Return every ceremony, newest first."""
    return db.scalars(select(Ceremony).order_by(Ceremony.id.desc())).all()


def going_on(db: Session, depth: int) -> Sequence[Ceremony]:
    """Return the ceremonies not given up that have fewer confirmations than `depth`, newest first.

    Counted from the block up to which each one's vault is known.
    """
    final = func.coalesce(SyncState.height, 0) - depth + 1
    found = (
        select(Ceremony)
        .outerjoin(SyncState, SyncState.vault_id == Ceremony.vault_id)
        .where(Ceremony.state.not_in(GIVEN_UP))
        .where(Ceremony.confirmed_height.is_(None) | (Ceremony.confirmed_height > final))
    )
    return db.scalars(found.order_by(Ceremony.id.desc())).all()


def any_collects(db: Session) -> bool:
    """Tell whether a ceremony still collects signatures."""
    collecting = select(Ceremony.id).where(Ceremony.state == "collecting")
    return db.scalar(collecting.limit(1)) is not None


def ids_by_txid(db: Session, txids: Iterable[str], vault: Vault | None = None) -> dict[str, str]:
    """Return the public id of the newest ceremony of each transaction that was made here.

    Of a vault's alone where it is named: two vaults may pay together.
    """
    found: dict[str, str] = {}
    for batch in batches(set(txids)):
        made = select(Ceremony.txid, Ceremony.public_id).where(Ceremony.txid.in_(batch))
        if vault is not None:
            made = made.where(Ceremony.vault_id == vault.id)
        found.update(db.execute(made.order_by(Ceremony.id)).all())
    return found


def ceremonies_of(db: Session, vault: Vault) -> Sequence[Ceremony]:
    """Return a vault's ceremonies, newest first."""
    return _of_vault(db, vault)


def sent(db: Session, vault: Vault) -> Sequence[Ceremony]:
    """Return a vault's payments that were broadcast, newest first."""
    return _of_vault(db, vault, Ceremony.state.in_(SENT))


class NewSignature(NamedTuple):
    """A verified signature (r‖s) of an input, its key, and its card where one is known."""

    input_index: int
    pubkey: bytes
    signature: bytes
    card_id: int | None = None


def keep_signatures(
    db: Session, ceremony_id: int, given: Sequence[NewSignature], *, now: datetime
) -> None:
    """Keep verified signatures of a ceremony. The first of a key and input stays.

    All it has to know is asked in one question, however many they are.
    """
    named = {each.input_index for each in given}
    own = (Signature.ceremony_id == Ceremony.id) & Signature.input_index.in_(named)
    asked = select(
        Ceremony.public_id,
        Vault.checksum,
        *newest(STATEMENTS),
        Signature.input_index,
        Signature.pubkey,
    )
    about = asked.join(Vault).outerjoin(Signature, own).where(Ceremony.id == ceremony_id)
    found = db.execute(about).all()
    public_id, checksum, number, head, *_ = present(
        found[0] if found else None, "ceremony", str(ceremony_id)
    )
    kept = {(index, pubkey) for *_, index, pubkey in found}
    rows: list[NewSignature] = []
    for each in given:
        if (each.input_index, each.pubkey) not in kept:
            kept.add((each.input_index, each.pubkey))
            rows.append(each)
    table = Record.metadata.tables[Signature.__tablename__]
    also = {"ceremony_id": ceremony_id, "received_at": now}
    new = [{**each._asdict(), **also} for each in rows]
    insert_rows(db.connection(), table, new)
    row_statements.note(db, table.name, *new)
    last: Last | None = Last(number, head)
    for each in rows:
        digest = signature_digest(each.input_index, each.pubkey, each.signature)
        last = state(db, "signed", public_id, digest=digest, now=now, vault=checksum, last=last)


def signature_digest(input_index: int, pubkey: bytes, signature: bytes) -> bytes:
    """Return the digest under which a signature of an input is stated."""
    return sha256(input_index.to_bytes(8, "big", signed=True) + pubkey + signature).digest()


def state_payment(
    db: Session, act: str, ceremony: Ceremony, *, payment: bytes, now: datetime
) -> None:
    """State that this session's author opened or approved a payment; `payment` is its digest."""
    state(db, act, ceremony.public_id, digest=payment, now=now, vault=ceremony.vault.checksum)


def abandon(db: Session, ceremony: Ceremony, now: datetime) -> None:
    """Give a ceremony up and let go of its coins."""
    release(db, ceremony, now)
    ceremony.state = "abandoned"
    db.flush()
    state_payment(db, "abandoned", ceremony, payment=bytes.fromhex(ceremony.txid), now=now)


def reserve(
    db: Session,
    ceremony: Ceremony,
    outpoints: Iterable[tuple[str, int]],
    *,
    expires: datetime,
    now: datetime,
) -> None:
    """Hold coins for a ceremony until `expires`, afresh if it held them before.

    Raises CoinTaken where another ceremony holds one.
    """
    wanted = list(outpoints)
    # Asked of reservations alone, before any changes: a server's are here already.
    others = select(Reservation.txid, Reservation.vout).where(
        *_live(now), Reservation.ceremony_id != ceremony.id
    )
    if taken := {(txid, vout) for txid, vout in db.execute(others)}.intersection(wanted):
        raise CoinTaken(
            **next(each for each in reserved(db, now) if (each.txid, each.vout) in taken)._asdict()
        )
    expire(db, now)
    release(db, ceremony, now)
    row = {"ceremony_id": ceremony.id, "expires_at": expires}
    held = [{"txid": txid, "vout": vout, **row} for txid, vout in wanted]
    ceremony.expires_at = expires
    db.flush()
    insert_rows(db.connection(), Record.metadata.tables[Reservation.__tablename__], held)
    row_statements.note(db, Reservation.__tablename__, *held)


def reserved(db: Session, now: datetime) -> list[Held]:
    """Return the coins that ceremonies hold at a moment."""
    live = (
        select(
            Reservation.txid,
            Reservation.vout,
            Ceremony.public_id,
            Reservation.expires_at,
            Ceremony.opened_on,
        )
        .join(Ceremony, Ceremony.id == Reservation.ceremony_id)
        .where(*_live(now))
    )
    return [Held(*row) for row in db.execute(live.order_by(Reservation.id))]


def _live(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return Reservation.released_at.is_(None), Reservation.expires_at > now


def expire(db: Session, now: datetime) -> None:
    """Let go of every coin whose time is over; the signatures stay."""
    over = (Reservation.released_at.is_(None)) & (Reservation.expires_at <= now)
    db.execute(update(Reservation).where(over).values(released_at=now))


def release(db: Session, ceremony: Ceremony, now: datetime) -> None:
    """Let go of the ceremony's coins."""
    own = (Reservation.ceremony_id == ceremony.id) & Reservation.released_at.is_(None)
    db.execute(update(Reservation).where(own).values(released_at=now))


def fees_of(db: Session, txids: Iterable[str]) -> list[int]:
    """Return the fees in satoshis of those transactions that ceremonies made."""
    return list(db.scalars(select(Ceremony.fee_sats).where(Ceremony.txid.in_(list(txids)))))


def opened_before(db: Session, ceremony: Ceremony, txid: str) -> bool:
    """Tell whether a transaction is that of a ceremony opened before this one."""
    earlier = select(Ceremony.id).where(Ceremony.txid == txid, Ceremony.id < ceremony.id)
    return db.scalar(earlier.limit(1)) is not None


def holding(db: Session, outpoints: Iterable[tuple[str, int]]) -> set[int]:
    """Return the ceremonies (by row) that hold one of the coins, or ever held it."""
    found: set[int] = set()
    for txid, vout in outpoints:
        here = (Reservation.txid == txid) & (Reservation.vout == vout)
        found.update(db.scalars(select(Reservation.ceremony_id).where(here)))
    return found


def outspent(db: Session, vault: Vault, above: int) -> dict[str, tuple[Ceremony, str]]:
    """Return the replaced ceremonies that lost coins above a height, each with the taker's txid."""
    lost = _losing(vault, Ceremony, Coin.spent_by).where(
        Ceremony.state == "replaced", Coin.spent_height > above
    )
    return {ceremony.public_id: (ceremony, taker) for ceremony, taker in db.execute(lost)}


def replacements(db: Session, vault: Vault) -> dict[str, str]:
    """Return which payment of a vault took the coins of which one sent before it, by txid."""
    earlier, later = aliased(Ceremony), aliased(Ceremony)
    first, second = aliased(Reservation), aliased(Reservation)
    same_coin = (first.txid == second.txid) & (first.vout == second.vout)
    pairs = (
        select(later.txid, earlier.txid)
        .join(second, second.ceremony_id == later.id)
        .join(first, same_coin)
        .join(earlier, earlier.id == first.ceremony_id)
        .where(later.vault_id == vault.id, earlier.vault_id == vault.id)
        .where(earlier.id < later.id, earlier.txid != later.txid)
        .where(earlier.broadcast_at.is_not(None), later.broadcast_at.is_not(None))
    )
    return dict(db.execute(pairs.order_by(earlier.id)).all())


def confirm(db: Session, vault: Vault, now: datetime) -> None:
    """Bring a vault's ceremonies in step with what the chain told.

    In a block: confirmed. Seen waiting, or fallen out of a block: broadcast. Where another
    transaction in a block spent one of its coins: replaced. What was abandoned stays
    so, unless its transaction is in a block.
    """
    for ceremony, standing, height in _told(db, vault):
        ceremony.state, ceremony.confirmed_height = standing, height
        if standing in SENT:
            ceremony.broadcast_at = ceremony.broadcast_at or now
        if standing in ENDED:
            release(db, ceremony, now)
    db.flush()


def is_confirmed(db: Session, vault: Vault) -> bool:
    """Tell whether a vault's ceremonies are in step already: `confirm` would change nothing."""
    return all(
        (ceremony.state, ceremony.confirmed_height) == (standing, height)
        and (standing not in SENT or ceremony.broadcast_at is not None)
        for ceremony, standing, height in _told(db, vault)
    )


def _told(db: Session, vault: Vault) -> list[tuple[Ceremony, str, int | None]]:
    """Return each ceremony that may change, with the state and the height that the chain told."""
    unsettled = _unsettled(db, vault)
    if not unsettled:
        return []
    outspent = {row for (row,) in db.execute(_losing(vault, Ceremony.id))}
    found = []
    for ceremony, seen in unsettled:
        height, now = seen.height if seen else None, ceremony.state
        if height is not None:
            now = "confirmed"
        elif ceremony.id in outspent:
            now = "replaced"
        elif seen or now == "confirmed":
            now = "broadcast"
        found.append((ceremony, now, height))
    return found


def _unsettled(db: Session, vault: Vault) -> list[tuple[Ceremony, ChainTransaction | None]]:
    """Return the ceremonies whose state may have to change, each with its transaction."""
    moved = Ceremony.confirmed_height.is_distinct_from(ChainTransaction.height)
    found = (
        select(Ceremony, ChainTransaction)
        .outerjoin(ChainTransaction, ChainTransaction.txid == Ceremony.txid)
        .where(Ceremony.vault_id == vault.id, moved | Ceremony.state.not_in(ENDED))
    )
    return [(ceremony, seen) for ceremony, seen in db.execute(found)]


def _losing(vault: Vault, *columns: Any) -> Select[Any]:  # noqa: ANN401 -- whatever is selected
    """Return what selects from ceremonies that lost a coin to another transaction in a block."""
    return (
        select(*columns)
        .join(Reservation, Ceremony.id == Reservation.ceremony_id)
        .join(Coin, (Coin.txid == Reservation.txid) & (Coin.vout == Reservation.vout))
        .where(Coin.vault_id == vault.id, Coin.spent_height.is_not(None))
        .where(Coin.spent_by != Ceremony.txid)
    )


def _ceremony(db: Session, public_id: str) -> Ceremony | None:
    return db.scalars(select(Ceremony).where(Ceremony.public_id == public_id)).one_or_none()


def _of_vault(db: Session, vault: Vault, *also: ColumnElement[bool]) -> Sequence[Ceremony]:
    own = select(Ceremony).where(Ceremony.vault_id == vault.id, *also)
    return db.scalars(own.order_by(Ceremony.id.desc())).all()
