"""What the block chain told about a vault: addresses, transactions, coins."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol, TypedDict, Unpack

from sqlalchemy import ColumnElement, delete, func, insert, select, tuple_, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from storage.lookup import absent, batches
from storage.model import Address, ChainTransaction, Coin, SyncState, Vault


class Script(Protocol):
    """A script of a vault and where it was derived."""

    @property
    def branch(self) -> int:
        """Return 0 for receiving, 1 for change."""
        ...

    @property
    def index(self) -> int:
        """Return the last step of the derivation."""
        ...

    @property
    def script_pubkey(self) -> bytes:
        """Return the script itself."""
        ...


class FoundCoin(TypedDict):
    """An output of a vault as the chain has it; without a height it waits."""

    txid: str
    vout: int
    value_sats: int
    branch: int
    index: int
    script_pubkey: bytes
    height: int | None
    coinbase: bool


@dataclass(frozen=True, slots=True)
class UnspentCoin:
    """A coin that no transaction known here spends."""

    txid: str
    vout: int
    value_sats: int
    branch: int
    index: int
    script_pubkey: bytes
    height: int | None
    coinbase: bool


UNSPENT = tuple(field.name for field in fields(UnspentCoin))


class SyncedTo(NamedTuple):
    """The block up to which a vault's coins are known."""

    height: int
    block_hash: str


def next_index(db: Session, vault: Vault, branch: int) -> int:
    """Return the first index of a branch after every one that was issued or used."""
    highest = select(func.max(Address.index)).where(
        Address.vault_id == vault.id, Address.branch == branch
    )
    found = db.scalar(highest)
    return 0 if found is None else found + 1


def issue_address(db: Session, vault: Vault, script: Script, now: datetime) -> Address:
    """Remember that an address was given out; raises AlreadyExists if it was before."""
    wanted = (
        Address.vault_id == vault.id,
        Address.branch == script.branch,
        Address.index == script.index,
    )
    known = db.scalars(select(Address).where(*wanted)).one_or_none()
    absent(known, "address", f"{vault.name}/{script.branch}/{script.index}")
    address = Address(
        vault_id=vault.id,
        branch=script.branch,
        index=script.index,
        script_pubkey=script.script_pubkey,
        issued_at=now,
        used=False,
    )
    db.add(address)
    db.flush()
    return address


def addresses_of(db: Session, vault: Vault) -> Sequence[Address]:
    """Return what was issued or used, by branch and index."""
    own = select(Address).where(Address.vault_id == vault.id)
    return db.scalars(own.order_by(Address.branch, Address.index)).all()


def used_scripts(db: Session, vault: Vault) -> set[bytes]:
    """Return the scripts that were ever paid."""
    paid = (Address.vault_id == vault.id) & Address.used
    return set(db.scalars(select(Address.script_pubkey).where(paid)))


def add_transaction(db: Session, seen: Mapping[str, Any], now: datetime) -> None:
    """Remember a transaction: txid, raw, and height, block_hash and time where it is in a block."""
    seconds = seen["time"]
    place = {
        "height": seen["height"],
        "block_hash": seen["block_hash"],
        "block_time": None if seconds is None else datetime.fromtimestamp(seconds, UTC),
    }
    known = select(ChainTransaction.id).where(ChainTransaction.txid == seen["txid"])
    if (row := db.scalar(known)) is not None:
        db.execute(update(ChainTransaction).where(ChainTransaction.id == row).values(place))
        return
    new = {"txid": seen["txid"], "raw": seen["raw"], "first_seen": now, **place}
    db.execute(insert(ChainTransaction).values(new))


def transactions(db: Session, txids: Iterable[str]) -> list[ChainTransaction]:
    """Return those of the transactions that are known."""
    return [
        found
        for batch in batches(txids)
        for found in db.scalars(select(ChainTransaction).where(ChainTransaction.txid.in_(batch)))
    ]


def raw_transactions(db: Session, txids: Iterable[str]) -> dict[str, bytes]:
    """Return the bytes of those of the transactions that are known, by txid."""
    return {found.txid: found.raw for found in transactions(db, txids)}


def add_coin(db: Session, vault: Vault, **found: Unpack[FoundCoin]) -> None:
    """Remember one output of a vault."""
    add_coins(db, vault, [found])


def add_coins(db: Session, vault: Vault, found: Sequence[FoundCoin]) -> None:
    """Remember outputs of a vault; of those known already the height is brought to date."""
    for batch in batches(found):
        known = _outpoints(db, vault, [(coin["txid"], coin["vout"]) for coin in batch])
        new = [coin for coin in batch if (coin["txid"], coin["vout"]) not in known]
        if new:
            db.execute(insert(Coin), [{**coin, "vault_id": vault.id} for coin in new])
        _move(db, vault, [coin for coin in batch if (coin["txid"], coin["vout"]) in known])
        _mark_used(db, vault, {coin["script_pubkey"]: coin for coin in batch})


def spend_coins(
    db: Session,
    vault: Vault,
    outpoints: Iterable[tuple[str, int]],
    txid: str,
    height: int | None,
) -> None:
    """Mark those of the outpoints that are the vault's as spent by a transaction.

    A waiting transaction never takes a coin from one that is in a block.
    """
    for batch in batches(outpoints):
        mine = [Coin.vault_id == vault.id, _outpoint().in_([tuple(each) for each in batch])]
        if height is None:
            mine.append(Coin.spent_height.is_(None))
        db.execute(update(Coin).where(*mine).values(spent_by=txid, spent_height=height))


def unspent_coins(db: Session, vault: Vault) -> list[UnspentCoin]:
    """Return the coins of a vault that nothing spends, oldest first."""
    columns = [getattr(Coin, name) for name in UNSPENT]
    unspent = select(*columns).where(Coin.vault_id == vault.id, Coin.spent_by.is_(None))
    return [UnspentCoin(*row) for row in db.execute(unspent.order_by(Coin.id))]


def coin_at(db: Session, txid: str, vout: int) -> Coin | None:
    """Return a coin, spent or not."""
    at = select(Coin).where(Coin.txid == txid, Coin.vout == vout)
    return db.scalars(at.limit(1)).one_or_none()


def changes(db: Session, vault: Vault) -> dict[str, int]:
    """Return by how many satoshis each transaction changed what the vault owns."""
    total: Counter[str] = Counter(_sums(db, vault, Coin.txid))
    total.subtract(_sums(db, vault, Coin.spent_by))
    return dict(total)


def sync_state(db: Session, vault: Vault) -> SyncedTo | None:
    """Return how far the vault is known; None before its first sync."""
    state = db.get(SyncState, vault.id)
    return SyncedTo(state.height, state.block_hash) if state else None


def set_sync_state(db: Session, vault: Vault, height: int, block_hash: str, now: datetime) -> None:
    """Remember how far the vault is known."""
    db.merge(SyncState(vault_id=vault.id, height=height, block_hash=block_hash, synced_at=now))
    db.flush()


def forget_above(db: Session, vault: Vault, height: int) -> None:
    """Treat what is in blocks above a height as waiting: those blocks are no longer the chain."""
    mine = Coin.vault_id == vault.id
    db.execute(update(Coin).where(mine, Coin.height > height).values(height=None))
    db.execute(update(Coin).where(mine, Coin.spent_height > height).values(spent_height=None))
    nowhere = {"height": None, "block_hash": None, "block_time": None}
    above = ChainTransaction.height > height
    db.execute(update(ChainTransaction).where(above).values(nowhere))


def forget_waiting(db: Session, vault: Vault, keep: Collection[str]) -> None:
    """Forget waiting transactions of a vault, and what they paid or spent, unless kept."""
    mine = Coin.vault_id == vault.id
    unpaid = _stale(db, Coin.txid, (mine, Coin.height.is_(None)), keep)
    unspent = _stale(
        db, Coin.spent_by, (mine, Coin.spent_by.is_not(None), Coin.spent_height.is_(None)), keep
    )
    for batch in batches(unpaid):
        db.execute(delete(Coin).where(mine, Coin.txid.in_(batch)))
    for batch in batches(unspent):
        db.execute(update(Coin).where(mine, Coin.spent_by.in_(batch)).values(spent_by=None))
    for batch in batches(unpaid | unspent):
        needed = select(Coin.id).where(
            (Coin.txid == ChainTransaction.txid) | (Coin.spent_by == ChainTransaction.txid)
        )
        gone = ChainTransaction.txid.in_(batch) & ~needed.exists()
        db.execute(delete(ChainTransaction).where(gone))


def _stale(
    db: Session,
    column: InstrumentedAttribute[str] | InstrumentedAttribute[str | None],
    waiting: Iterable[ColumnElement[bool]],
    keep: Collection[str],
) -> set[str]:
    found: Iterator[str | None] = iter(db.scalars(select(column).where(*waiting)))
    return {txid for txid in found if txid is not None and txid not in keep}


def _outpoint() -> Any:  # noqa: ANN401 -- a tuple of columns has no type
    return tuple_(Coin.txid, Coin.vout)


def _outpoints(
    db: Session, vault: Vault, wanted: Sequence[tuple[str, int]]
) -> set[tuple[str, int]]:
    known = select(Coin.txid, Coin.vout).where(
        Coin.vault_id == vault.id, tuple_(Coin.txid, Coin.vout).in_(wanted)
    )
    return {(txid, vout) for txid, vout in db.execute(known)}


def _move(db: Session, vault: Vault, found: Iterable[FoundCoin]) -> None:
    at: dict[int | None, list[tuple[str, int]]] = defaultdict(list)
    for coin in found:
        at[coin["height"]].append((coin["txid"], coin["vout"]))
    for height, outpoints in at.items():
        mine = (Coin.vault_id == vault.id) & tuple_(Coin.txid, Coin.vout).in_(outpoints)
        db.execute(update(Coin).where(mine).values(height=height))


def _mark_used(db: Session, vault: Vault, paid: Mapping[bytes, FoundCoin]) -> None:
    """Note that addresses were paid, also such as were never issued here."""
    mine = (Address.vault_id == vault.id) & Address.script_pubkey.in_(list(paid))
    db.execute(update(Address).where(mine, ~Address.used).values(used=True))
    known = set(db.scalars(select(Address.script_pubkey).where(mine)))
    unknown = [
        {
            "vault_id": vault.id,
            "branch": coin["branch"],
            "index": coin["index"],
            "script_pubkey": script,
            "used": True,
        }
        for script, coin in paid.items()
        if script not in known
    ]
    if unknown:
        db.execute(insert(Address), unknown)


def _sums(
    db: Session,
    vault: Vault,
    column: InstrumentedAttribute[str] | InstrumentedAttribute[str | None],
) -> dict[str, int]:
    summed = (
        select(column, func.sum(Coin.value_sats))
        .where(Coin.vault_id == vault.id, column.is_not(None))
        .group_by(column)
    )
    return {txid: int(total) for txid, total in db.execute(summed) if txid is not None}
