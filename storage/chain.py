"""What the block chain told about a vault: addresses, transactions, coins."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import NamedTuple, Protocol, TypedDict

from sqlalchemy import Update, bindparam, delete, func, select, update
from sqlalchemy.orm import InstrumentedAttribute as Column
from sqlalchemy.orm import Session

from storage.bulk import insert_rows
from storage.lookup import absent, batches
from storage.model import Address, ChainTransaction, Coin, Record, SyncState, Vault


class Script(Protocol):
    """A script of a vault and where it was derived."""

    @property
    def keychain(self) -> int:
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
    keychain: int
    index: int
    script_pubkey: bytes
    height: int | None
    coinbase: bool


class Seen(NamedTuple):
    """A transaction as the chain has it; without a height it waits. `time` is in seconds."""

    txid: str
    raw: bytes
    height: int | None
    block_hash: str | None
    time: int | None


class Spend(NamedTuple):
    """That a transaction spends a coin; without a height it waits."""

    txid: str
    vout: int
    by: str
    height: int | None


@dataclass(slots=True)
class UnspentCoin:
    """A coin that no transaction known here spends."""

    txid: str
    vout: int
    value_sats: int
    keychain: int
    index: int
    script_pubkey: bytes
    height: int | None
    coinbase: bool


PLACE = ("height", "block_hash", "block_time")
UNSPENT = tuple(field.name for field in fields(UnspentCoin))


class SyncedTo(NamedTuple):
    """The block up to which a vault's coins are known."""

    height: int
    block_hash: str


class LastSync(NamedTuple):
    """Up to which block a vault was synced, when, and how the source named what it held then.

    `chain_state` is None of a source that names nothing.
    """

    to: SyncedTo
    at: datetime
    chain_state: str | None


class Gone(NamedTuple):
    """A transaction that no longer waits: its bytes, and what it had changed for the vault."""

    raw: bytes
    change_sats: int


def next_index(db: Session, vault: Vault, keychain: int) -> int:
    """Return the first index of a keychain after every one that was issued or used."""
    highest = select(func.max(Address.index)).where(
        Address.vault_id == vault.id, Address.keychain == keychain
    )
    found = db.scalar(highest)
    return 0 if found is None else found + 1


def issue_address(db: Session, vault: Vault, script: Script, *, now: datetime) -> None:
    """Remember that an address was given out; raises AlreadyExists if it was before."""
    wanted = (
        Address.vault_id == vault.id,
        Address.keychain == script.keychain,
        Address.index == script.index,
    )
    known = db.scalars(select(Address).where(*wanted)).one_or_none()
    absent(known, "address", f"{vault.name}/{script.keychain}/{script.index}")
    given = {
        "vault_id": vault.id,
        "keychain": script.keychain,
        "index": script.index,
        "script_pubkey": script.script_pubkey,
        "issued_at": now,
        "used": False,
    }
    _insert(db, Address, [given])


def addresses_of(db: Session, vault: Vault) -> Sequence[Address]:
    """Return what was issued or used, by keychain and index."""
    own = select(Address).where(Address.vault_id == vault.id)
    return db.scalars(own.order_by(Address.keychain, Address.index)).all()


def address_with(db: Session, vault: Vault, script_pubkey: bytes) -> Address | None:
    """Return the address of this script, where it was issued or used."""
    found = select(Address).where(Address.script_pubkey == script_pubkey)
    return next((each for each in db.scalars(found) if each.vault_id == vault.id), None)


def scripts_by_place(db: Session, vault: Vault) -> dict[tuple[int, int], bytes]:
    """Return the scripts that were issued or used, by (keychain, index)."""
    own = select(Address.keychain, Address.index, Address.script_pubkey)
    found = db.execute(own.where(Address.vault_id == vault.id))
    return {(keychain, index): script for keychain, index, script in found}


def places_of(
    db: Session, vault: Vault, scripts: Collection[bytes]
) -> dict[bytes, tuple[int, int]]:
    """Return the (keychain, index) of those scripts that were issued or used."""
    own = select(Address.script_pubkey, Address.keychain, Address.index)
    found = db.execute(own.where(Address.vault_id == vault.id, Address.script_pubkey.in_(scripts)))
    return {script: (keychain, index) for script, keychain, index in found}


def used_scripts(db: Session, vault: Vault) -> set[bytes]:
    """Return the scripts that were ever paid."""
    paid = (Address.vault_id == vault.id) & Address.used
    return set(db.scalars(select(Address.script_pubkey).where(paid)))


def add_transactions(db: Session, seen: Iterable[Seen], now: datetime) -> None:
    """Remember transactions; of those known already the place is brought to date."""
    rows = {
        each.txid: {
            "txid": each.txid,
            "raw": each.raw,
            "height": each.height,
            "block_hash": each.block_hash,
            "block_time": None if each.time is None else datetime.fromtimestamp(each.time, UTC),
        }
        for each in seen
    }
    known: set[str] = set()
    for batch in batches(rows):
        found = select(ChainTransaction.txid).where(ChainTransaction.txid.in_(batch))
        known.update(db.scalars(found))
    new = [{**row, "first_seen": now} for txid, row in rows.items() if txid not in known]
    _insert(db, ChainTransaction, new)
    placed = [
        {"known": txid, **{name: rows[txid][name] for name in PLACE}} for txid in sorted(known)
    ]
    if placed:
        table = Record.metadata.tables[ChainTransaction.__tablename__]
        there = update(table).where(table.c.txid == bindparam("known"))
        _update(db, there.values({name: bindparam(name) for name in PLACE}), placed)


def heights(db: Session, vault: Vault) -> dict[str, int]:
    """Return the heights of the transactions in blocks that pay or spend a vault's coins."""
    mine = Coin.vault_id == vault.id
    paid = select(Coin.txid, Coin.height).where(mine, Coin.height.is_not(None))
    spent = select(Coin.spent_by, Coin.spent_height).where(mine, Coin.spent_height.is_not(None))
    rows = (*db.execute(paid.distinct()), *db.execute(spent.distinct()))
    return {txid: height for txid, height in rows if txid is not None and height is not None}


def transactions(db: Session, txids: Iterable[str]) -> list[ChainTransaction]:
    """Return those of the transactions that are known."""
    return [
        found
        for batch in batches(txids)
        for found in db.scalars(select(ChainTransaction).where(ChainTransaction.txid.in_(batch)))
    ]


def seen_before(db: Session, txid: str, moment: datetime) -> bool:
    """Tell whether a transaction was known before a moment."""
    known = select(ChainTransaction.txid).where(
        ChainTransaction.txid == txid, ChainTransaction.first_seen < moment
    )
    return db.scalar(known) is not None


def raw_transactions(db: Session, txids: Iterable[str]) -> dict[str, bytes]:
    """Return the bytes of those of the transactions that are known, by txid."""
    return {found.txid: found.raw for found in transactions(db, txids)}


def add_coins(db: Session, vault: Vault, found: Iterable[FoundCoin]) -> None:
    """Remember outputs of a vault; of those known already the height is brought to date.

    Of one that is told several times the last counts.
    """
    told = {(coin["txid"], coin["vout"]): coin for coin in found}
    known: dict[tuple[str, int], int] = {}
    for batch in batches(told):
        known |= _ids(db, vault, batch)
    _insert(
        db,
        Coin,
        [{**coin, "vault_id": vault.id} for place, coin in told.items() if place not in known],
    )
    moved: dict[int | None, list[int]] = defaultdict(list)
    for place, row in known.items():
        moved[told[place]["height"]].append(row)
    for height, rows in moved.items():
        for some in batches(rows):
            db.execute(update(Coin).where(Coin.id.in_(some)).values(height=height))
    _mark_used(db, vault, {coin["script_pubkey"]: coin for coin in told.values()})


def spend_coins(db: Session, vault: Vault, spends: Iterable[Spend]) -> None:
    """Mark coins as spent, those of them that are the vault's.

    A waiting transaction never takes a coin from one that is in a block.
    """
    table = Record.metadata.tables[Coin.__tablename__]
    here = (table.c.txid == bindparam("at"), table.c.vout == bindparam("number"))
    mine = update(table).where(*here, table.c.vault_id == vault.id)
    mine = mine.values({"spent_by": bindparam("by"), "spent_height": bindparam("since")})
    for batch in batches(spends):
        rows = [
            {"at": each.txid, "number": each.vout, "by": each.by, "since": each.height}
            for each in batch
        ]
        for statement, given in (
            (mine, [row for row in rows if row["since"] is not None]),
            (mine.where(table.c.spent_height.is_(None)), [r for r in rows if r["since"] is None]),
        ):
            if given:
                _update(db, statement, given)


def unspent_coins(db: Session, vault: Vault) -> list[UnspentCoin]:
    """Return the coins of a vault that nothing spends, oldest first."""
    coin = Record.metadata.tables[Coin.__tablename__].c
    # Columns of the table, not of the noun: there may be a hundred thousand.
    unspent = select(*(coin[name] for name in UNSPENT)).where(
        coin.vault_id == vault.id, coin.spent_by.is_(None)
    )
    return [UnspentCoin(*row) for row in db.execute(unspent.order_by(coin.id)).all()]


def heights_of_coins(db: Session, vault: Vault) -> list[int]:
    """Return the block of each coin of a vault that no block spends; a payment may spend it."""
    heights = select(Coin.height).where(
        Coin.vault_id == vault.id, Coin.height.is_not(None), Coin.spent_height.is_(None)
    )
    return [height for height in db.scalars(heights) if height is not None]


def money_seen(db: Session) -> dict[int, bool]:
    """Return of every vault that was ever paid whether a block spent a coin of it, by its id."""
    seen = select(Coin.vault_id, func.max(Coin.spent_height)).group_by(Coin.vault_id)
    return {vault_id: spent is not None for vault_id, spent in db.execute(seen)}


def unpaid_address(db: Session, vault: Vault) -> Address | None:
    """Return the first address of a vault that was given out and never paid."""
    waiting = select(Address).where(
        Address.vault_id == vault.id,
        Address.keychain == 0,
        Address.issued_at.is_not(None),
        Address.used.is_(False),
    )
    return db.scalars(waiting.order_by(Address.index).limit(1)).one_or_none()


def has_coins(db: Session, vault: Vault) -> bool:
    """Tell whether anybody ever told of a coin of a vault, spent or not."""
    return db.scalar(select(Coin.id).where(Coin.vault_id == vault.id).limit(1)) is not None


def coin_at(db: Session, txid: str, vout: int) -> Coin | None:
    """Return a coin, spent or not."""
    at = select(Coin).where(Coin.txid == txid, Coin.vout == vout)
    return db.scalars(at.limit(1)).one_or_none()


def waiting_takers(db: Session, outpoints: Collection[tuple[str, int]]) -> set[str]:
    """Return the transactions that wait and spend one of these coins."""
    wanted = {(txid, vout) for txid, vout in outpoints}
    found: set[str] = set()
    for batch in batches({txid for txid, _ in wanted}):
        waits = (Coin.spent_by.is_not(None), Coin.spent_height.is_(None), Coin.txid.in_(batch))
        for txid, vout, taker in db.execute(
            select(Coin.txid, Coin.vout, Coin.spent_by).where(*waits)
        ):
            if (txid, vout) in wanted:
                found.add(str(taker))
    return found


def waiting_children(db: Session, txid: str) -> set[str]:
    """Return the waiting transactions that spend what a transaction made for a vault."""
    made = (Coin.txid == txid) & Coin.spent_by.is_not(None) & Coin.spent_height.is_(None)
    return {child for child in db.scalars(select(Coin.spent_by).where(made)) if child}


def last_sync(db: Session, vault: Vault) -> LastSync | None:
    """Return how a vault was last brought in step with a chain; None where it never was."""
    state = db.get(SyncState, vault.id)
    if state is None:
        return None
    return LastSync(SyncedTo(state.height, state.block_hash), state.synced_at, state.chain_state)


def sync_state(db: Session, vault: Vault) -> SyncedTo | None:
    """Return how far the vault is known; None before its first sync."""
    last = last_sync(db, vault)
    return last.to if last else None


def newest_sync(db: Session) -> tuple[SyncedTo, datetime] | None:
    """Return the newest block that any vault is known up to, and when it was; None before."""
    state = db.scalars(select(SyncState).order_by(SyncState.height.desc()).limit(1)).one_or_none()
    return (SyncedTo(state.height, state.block_hash), state.synced_at) if state else None


def set_sync_state(
    db: Session,
    vault: Vault,
    height: int,
    *,
    block_hash: str,
    now: datetime,
    chain_state: str | None = None,
) -> None:
    """Remember how far the vault is known, and how the chain source names what it held then."""
    db.merge(
        SyncState(
            vault_id=vault.id,
            height=height,
            block_hash=block_hash,
            synced_at=now,
            chain_state=chain_state,
        )
    )
    db.flush()


def forget_above(db: Session, vault: Vault, height: int) -> dict[str, int]:
    """Treat what is in blocks above a height as waiting: those blocks are no longer the chain.

    Returns the vault's transactions this concerns, and the height each was at.
    """
    mine = Coin.vault_id == vault.id
    made = select(Coin.txid, Coin.height).where(mine, Coin.height > height)
    spent = select(Coin.spent_by, Coin.spent_height).where(mine, Coin.spent_height > height)
    lost = {txid: at for rows in (made, spent) for txid, at in db.execute(rows) if txid and at}
    db.execute(update(Coin).where(mine, Coin.height > height).values(height=None))
    db.execute(update(Coin).where(mine, Coin.spent_height > height).values(spent_height=None))
    nowhere = {"height": None, "block_hash": None, "block_time": None}
    above = ChainTransaction.height > height
    db.execute(update(ChainTransaction).where(above).values(nowhere))
    return lost


def forget_waiting(db: Session, vault: Vault, keep: Collection[str]) -> dict[str, Gone]:
    """Forget waiting transactions of a vault, and what they paid or spent, unless kept.

    Returns those that are forgotten.
    """
    unpaid = _stale(db, vault, keep, column=Coin.txid, height=Coin.height)
    unspent = _stale(db, vault, keep, column=Coin.spent_by, height=Coin.spent_height)
    gone = _gone(db, unpaid, unspent)
    for batch in batches(unpaid):
        db.execute(delete(Coin).where(Coin.id.in_(batch)))
    for batch in batches(unspent):
        db.execute(update(Coin).where(Coin.id.in_(batch)).values(spent_by=None))
    needed = (Coin.txid == ChainTransaction.txid) | (Coin.spent_by == ChainTransaction.txid)
    for txids in batches({*unpaid.values(), *unspent.values()}):
        unneeded = ChainTransaction.txid.in_(txids) & ~select(Coin.id).where(needed).exists()
        db.execute(delete(ChainTransaction).where(unneeded))
    return gone


def _gone(db: Session, unpaid: Mapping[int, str], unspent: Mapping[int, str]) -> dict[str, Gone]:
    """Return what the vault had of transactions, by what of it they made and spent."""
    worth: Counter[str] = Counter()
    for sign, rows in ((1, unpaid), (-1, unspent)):
        for batch in batches(rows):
            values = select(Coin.id, Coin.value_sats).where(Coin.id.in_(batch))
            for row, value_sats in db.execute(values):
                worth[rows[row]] += sign * value_sats
    raws = raw_transactions(db, worth)
    return {txid: Gone(raws.get(txid, b""), sats) for txid, sats in worth.items()}


def _stale(
    db: Session,
    vault: Vault,
    keep: Collection[str],
    *,
    column: Column[str | None] | Column[str],
    height: Column[int | None],
) -> dict[int, str]:
    """Return the coins that wait for a transaction in this column which is not kept."""
    waiting = select(Coin.id, column).where(
        Coin.vault_id == vault.id, column.is_not(None), height.is_(None)
    )
    return {row: txid for row, txid in db.execute(waiting) if txid and txid not in keep}


def _ids(
    db: Session, vault: Vault, outpoints: Iterable[tuple[str, int]]
) -> dict[tuple[str, int], int]:
    """Return the rows of those outpoints that are the vault's."""
    wanted = {(txid, vout) for txid, vout in outpoints}
    # The vault is compared here: in the statement it would make SQLite read the whole vault.
    found = select(Coin.id, Coin.txid, Coin.vout, Coin.vault_id).where(
        Coin.txid.in_({txid for txid, _ in wanted})
    )
    return {
        (txid, vout): row
        for row, txid, vout, owner in db.execute(found)
        if owner == vault.id and (txid, vout) in wanted
    }


def _update(db: Session, statement: Update, rows: Sequence[Mapping[str, object]]) -> None:
    """Update by the table, many rows in one call; objects of these rows are read anew."""
    db.flush()
    db.connection().execute(statement, rows)
    db.expire_all()


def _insert(db: Session, model: type[Record], rows: Sequence[Mapping[str, object]]) -> None:
    """Insert by the table: no object is made for a row."""
    insert_rows(db.connection(), Record.metadata.tables[model.__tablename__], rows)


def _mark_used(db: Session, vault: Vault, paid: Mapping[bytes, FoundCoin]) -> None:
    """Note that addresses were paid, also such as were never issued here."""
    known: dict[bytes, Address] = {}
    for batch in batches(paid):
        found = db.scalars(select(Address).where(Address.script_pubkey.in_(batch)))
        known |= {each.script_pubkey: each for each in found if each.vault_id == vault.id}
    for address in known.values():
        address.used = True
    db.flush()
    unknown = [
        {
            "vault_id": vault.id,
            "keychain": coin["keychain"],
            "index": coin["index"],
            "script_pubkey": script,
            "used": True,
        }
        for script, coin in paid.items()
        if script not in known
    ]
    _insert(db, Address, unknown)
