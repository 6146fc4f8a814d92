"""Bringing a vault's coins and payments in step with the chain."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial

from sqlalchemy.orm import Session

from coordinator import clock
from coordinator.chain import (
    Birthday,
    ChainSource,
    ChainUpdate,
    Scanned,
    SeenTransaction,
    StatedSource,
    Tip,
    Watch,
    check_update,
)
from coordinator.errors import ChainError
from coordinator.home.stored_policies import stored_policy
from coordinator.wallet import news
from coordinator.wallet.scans import Look
from coordinator.wallet.scripts import (
    LOOKAHEAD,
    Counts,
    WatchedScripts,
    reached,
    watched,
    watched_counts,
)
from psbt import fields
from psbt.consensus import LEFT_TO_NODE
from psbt.errors import PsbtError
from psbt.policy import CHANGE, PRIMARY, RECEIVE, VaultScript
from psbt.transaction import Transaction, TransactionOutput, check_amounts, parse_transaction
from storage import ceremonies as ceremony_book
from storage import chain as chain_book
from storage import scans as scan_book
from storage import vaults as vault_book
from storage.model import Vault

PROOFS_LOOKED_AT = 100
LATE_MAX = 3
"""How often a sync begins again because another one ended meanwhile."""


def tip(db: Session, chain: ChainSource, vaults: Iterable[Vault]) -> Tip:
    """Return the newest block; as a vault's sync found it, where the chain has no news since.

    Raises ChainUnreachable.
    """
    if isinstance(chain, StatedSource):
        now = chain.state()
        for vault in vaults:
            last = chain_book.last_sync(db, vault)
            if last is not None and last.chain_state == now:
                return Tip(*last.to)
    return chain.tip()


class Following:
    """Bringing a vault in step with the chain, in two steps as often as it takes.

    `ask` says what to ask the chain for, `take` keeps what it answered. Between them no
    transaction need be open: a long look through old blocks keeps nobody from the database.
    Where `standing` tells a tip, there is nothing to ask.
    """

    def __init__(self, chain: ChainSource, look: Look = Look()) -> None:  # noqa: B008 -- it is a value
        self.notes: list[str] = []
        # Read before the chain is asked: what comes meanwhile is news to the next sync.
        self._chain_state = chain.state() if isinstance(chain, StatedSource) else None
        self._look = look
        self._least = Counts(look.reach, look.reach)
        self._state: chain_book.SyncedTo | None = None
        self._scripts: WatchedScripts | None = None
        self._scanned: Scanned | None = None
        self._anew = False
        self._late = 0

    def standing(self, db: Session, vault: Vault) -> Tip | None:
        """Return the tip where chain and mempool hold just what the vault was synced to.

        Payments are brought in step even then: one may have been imported since. Raises PolicyError
        where the vault's rows tell different stories.
        """
        tip = self.synced(db, vault)
        if tip is not None:
            ceremony_book.confirm(db, vault, clock.now())
        return tip

    def synced(self, db: Session, vault: Vault) -> Tip | None:
        """Return, reading alone, what `standing` does; payments may be behind. Raises as that."""
        last = chain_book.last_sync(db, vault)
        if (
            self._chain_state is None
            or last is None
            or last.chain_state != self._chain_state
            or self._look != Look()
            or watched_counts(db, vault, done := reached(db, vault)) != done
        ):
            return None
        stored_policy(vault)
        return Tip(*last.to)

    def ask(self, db: Session, vault: Vault, known: Callable[[], Mapping[str, int]]) -> Watch:
        """Return what the chain is asked for; `known` returns the heights known by then."""
        scans, done = scan_book.scans_of(db, vault), reached(db, vault)
        self._least = Counts(*map(max, self._least, done))
        wanted = watched_counts(db, vault, self._least)
        if wanted != done:
            self._anew = True
        if scans and wanted != done:
            # Old blocks are looked through again: seldom, as it is done for many addresses.
            wanted = Counts(wanted.receive + LOOKAHEAD, wanted.change + LOOKAHEAD)
        self._least = wanted
        self._scripts = watched(db, vault, stored_policy(vault), least=wanted)
        self._state = chain_book.sync_state(db, vault)
        return Watch(
            self._scripts.keys(),
            Tip(*self._state) if self._state else None,
            vault.descriptor,
            wanted,
            Birthday(vault.birthday, vault.birthday_height),
            known,
            rescan=self._look.rescan,
            widened=self._anew,
        )

    def take(self, db: Session, vault: Vault, update: ChainUpdate) -> bool:
        """Keep what the chain answered; False where it is to be asked again.

        Where addresses beyond those watched turn out to be used, more of them are looked for.
        """
        check_update(update)
        if chain_book.sync_state(db, vault) != self._state and self._late < LATE_MAX:
            # Somebody else was faster: what was answered is older than what is known.
            self._late += 1
            return False
        self.notes += update.notes
        self._scanned = update.scanned or self._scanned
        policy, scripts = stored_policy(vault), self._scripts
        if update.reach is not None or scripts is None:
            wanted = self._least if update.reach is None else Counts(*update.reach)
            scripts = watched(db, vault, policy, least=wanted)
        _apply(db, vault, update, scripts=scripts)
        chain_book.set_sync_state(
            db,
            vault,
            update.tip.height,
            block_hash=update.tip.hash,
            now=clock.now(),
            chain_state=self._chain_state,
        )
        wider = watched_counts(db, vault, self._least)
        if any(more > done for more, done in zip(wider, scripts.reach, strict=True)):
            self._look, self._anew = Look(), True
            return False
        self._remember(db, vault, scripts.reach, tip=update.tip)
        return True

    def _remember(self, db: Session, vault: Vault, reach: Counts, *, tip: Tip) -> None:
        """Note from where to where each keychain was looked for."""
        before = scan_book.scans_of(db, vault)
        for keychain, count in zip((RECEIVE, CHANGE), reach, strict=True):
            scanned, old = self._scanned, before.get(keychain)
            if scanned is None:
                if old is None:
                    continue
                scanned = Scanned(old.from_height, old.earlier_unknown)
            if old is not None and count <= old.reach and not scanned.earlier_unknown:
                # What an earlier look covered for the same addresses still is known.
                scanned = min(scanned, Scanned(old.from_height, old.earlier_unknown))
            scan_book.set_scan(
                db,
                vault,
                keychain,
                looked=scan_book.Looked(
                    scanned.from_height, count, tip.height, tip.hash, scanned.earlier_unknown
                ),
            )


def sync(db: Session, vault: Vault, chain: ChainSource, *, look: Look = Look()) -> Tip:  # noqa: B008 -- it is a value
    """Bring a vault's coins and ceremonies in step with the chain; returns the tip.

    The transaction stays open meanwhile: for chains that answer at once.
    """
    following = Following(chain, look)
    if (standing := following.standing(db, vault)) is not None:
        return standing
    while True:
        watch = following.ask(db, vault, partial(chain_book.heights, db, vault))
        update = chain.sync(watch)
        if following.take(db, vault, update):
            return update.tip


def _apply(
    db: Session, vault: Vault, update: ChainUpdate, *, scripts: Mapping[bytes, VaultScript]
) -> None:
    lost: dict[str, int] = {}
    if update.reorganised_to is not None:
        lost = chain_book.forget_above(db, vault, update.reorganised_to)
    listed = {seen.txid for seen in update.transactions}
    gone = chain_book.forget_waiting(db, vault, keep=listed)
    news.keep(db, vault, lost, gone=gone, now=update)
    _take_in(db, vault, update.transactions, scripts=scripts)


def learn(db: Session, vault: Vault, told: Sequence[SeenTransaction]) -> None:
    """Take transactions in that somebody brought, where there is no chain to ask."""
    _take_in(db, vault, told, scripts=watched(db, vault, stored_policy(vault)))


def _take_in(
    db: Session,
    vault: Vault,
    told: Sequence[SeenTransaction],
    *,
    scripts: Mapping[bytes, VaultScript],
) -> None:
    parsed = [(_checked(seen), seen.height) for seen in told]
    chain_book.add_transactions(db, (chain_book.Seen(*seen) for seen in told), clock.now())
    # Coins first, all of them: a transaction may be told before the one whose coin it spends.
    chain_book.add_coins(db, vault, (c for t, h in parsed for c in _own_coins(t, h, scripts)))
    spends = (chain_book.Spend(*i.outpoint, t.txid, h) for t, h in parsed for i in t.inputs)
    chain_book.spend_coins(db, vault, spends)
    _note_ids(db, vault, [transaction for transaction, _ in parsed])
    ceremony_book.confirm(db, vault, clock.now())
    _note_proofs(db, vault, [t for t, h in parsed if h is not None], scripts=scripts)


def _note_ids(db: Session, vault: Vault, seen: Sequence[Transaction]) -> None:
    """Note the id of each payment that was seen, where signatures are part of the id.

    They are in the legacy inputs of a vault, or of others who spend beside it. Whoever finished it
    elsewhere: it is the same payment by its unsigned transaction.
    """
    by_payment = {
        transaction.unsigned: transaction
        for transaction in seen
        if any(tx_in.script_sig for tx_in in transaction.inputs)
    }
    for record in ceremony_book.ceremonies_of(db, vault) if by_payment else ():
        if record.state == "confirmed":
            continue
        try:
            transaction = by_payment.get(fields.read_transaction(record.psbt))
        except PsbtError:
            continue  # whoever asks for that ceremony is told
        if transaction is not None and transaction.txid != record.txid:
            record.txid, record.final_tx = transaction.txid, transaction.raw
            record.consensus = record.consensus or LEFT_TO_NODE
    db.flush()


def _note_proofs(
    db: Session,
    vault: Vault,
    confirmed: Sequence[Transaction],
    *,
    scripts: Mapping[bytes, VaultScript],
) -> None:
    """Remember which keys signed payments that are in blocks: that proves them for this policy.

    Nothing is looked at once every key is proved, and one input of a payment is enough.
    """
    if not confirmed:
        return
    from psbt.witness import signers  # noqa: PLC0415 -- costs 5 ms where nothing is new

    known = vault_book.latest_verifications(db, vault)
    unproved = {place.key_id for place in vault.every_key} - known.keys()
    branches = (PRIMARY, *(branch.name for branch in vault.recoveries))
    for transaction in confirmed[:PROOFS_LOOKED_AT]:
        if not unproved:
            return
        for index, tx_in in enumerate(transaction.inputs):
            coin = chain_book.coin_at(db, *tx_in.outpoint)
            script = scripts.get(coin.script_pubkey) if coin is not None else None
            if coin is None or script is None or not (tx_in.witness or tx_in.script_sig):
                continue
            spent = _spent(db, transaction, (index,) if script.kind != "tr" else None)
            signed = signers(transaction, index, script, spent=spent)
            keys = {
                place.key_id
                for branch in branches
                for place, point in zip(vault.keys_of(branch), script.keys_of(branch), strict=True)
                if point in signed and place.key_id in unproved
            }
            unproved -= keys
            detail = f"signed transaction {transaction.txid}"
            vault_book.note_proved(db, vault, keys, detail=detail, now=clock.now())
            break


def _spent(
    db: Session, transaction: Transaction, wanted: Collection[int] | None
) -> dict[int, TransactionOutput]:
    """Return what these inputs spend, or all, as far as they are coins that are known here."""
    found = {}
    for index in range(len(transaction.inputs)) if wanted is None else wanted:
        coin = chain_book.coin_at(db, *transaction.inputs[index].outpoint)
        if coin is not None:
            found[index] = TransactionOutput(coin.value_sats, coin.script_pubkey)
    return found


def _checked(seen: SeenTransaction) -> Transaction:
    """Read a transaction; raises ChainError where it is not the one it is said to be."""
    try:
        transaction = parse_transaction(seen.raw)
        check_amounts(transaction)
    except PsbtError as failure:
        raise ChainError(f"the chain gave no transaction for {seen.txid}: {failure}") from failure
    if transaction.txid != seen.txid:
        raise ChainError(f"the chain gave transaction {transaction.txid} for {seen.txid}")
    return transaction


def _own_coins(
    transaction: Transaction, height: int | None, scripts: Mapping[bytes, VaultScript]
) -> Iterator[chain_book.FoundCoin]:
    """Yield the outputs of a transaction that are the vault's."""
    for vout, output in enumerate(transaction.outputs):
        script = scripts.get(output.script_pubkey)
        if script is not None:
            yield chain_book.FoundCoin(
                txid=transaction.txid,
                vout=vout,
                value_sats=output.value_sats,
                keychain=script.keychain,
                index=script.index,
                script_pubkey=output.script_pubkey,
                height=height,
                coinbase=transaction.is_coinbase,
            )
