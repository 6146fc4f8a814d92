"""What a vault owns: its addresses and coins, kept in step with the chain, and its reviews."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import NamedTuple

from sqlalchemy.orm import Session

from coordinator import clock
from coordinator.chain import (
    Birthday,
    ChainSource,
    ChainUpdate,
    Scanned,
    SeenTransaction,
    Tip,
    Watch,
    check_update,
)
from coordinator.errors import ChainError, CoordinatorError
from coordinator.home.stored import stored_policy
from coordinator.wallet import news, node_rules, rivals
from coordinator.wallet.scans import Look
from psbt import codec, outline
from psbt.address import optional_address
from psbt.coins import Coin, Outpoint, ScriptSize
from psbt.errors import AmountContradicted, PsbtError
from psbt.policy import (
    CHANGE,
    RECEIVE,
    Policy,
    VaultScript,
    derive_scripts,
    format_address,
    policy_checksum,
)
from psbt.review import Context, KnownVault, Review
from psbt.review import review as review_psbt
from psbt.transaction import Transaction, TransactionOutput, check_amounts, parse_transaction
from psbt.witness import signers
from storage import ceremonies as ceremony_book
from storage import chain as chain_book
from storage import scans as scan_book
from storage import succession as succession_book
from storage import vaults as vault_book
from storage.errors import StorageError
from storage.model import Ceremony, Vault

LOOKAHEAD = 100
PROOFS_LOOKED_AT = 100
LATE_MAX = 3
"""How often a sync begins again because another one ended meanwhile."""
COINBASE_MATURITY = 100
RECENT_PAYMENTS = 100


class Balance(NamedTuple):
    """Amounts in satoshis; reserved coins are part of confirmed or pending too."""

    confirmed_sats: int
    pending_sats: int
    immature_sats: int
    reserved_sats: int


@dataclass(frozen=True)
class FreshAddress:
    """An address nobody was given before, with its policy's checksum."""

    vault: str
    address: str
    keychain: str
    index: int
    script_pubkey: bytes
    checksum: str


def keychain(branch: int) -> str:
    """Return what a branch is called."""
    return "receive" if branch == RECEIVE else "change"


def new_address(db: Session, vault: Vault) -> FreshAddress:
    """Issue the next unused receive address of a vault; one no longer in use gives none."""
    refuse_closed(db, vault)
    policy = stored_policy(vault)
    index = chain_book.next_index(db, vault, RECEIVE)
    script = next(derive_scripts(policy, RECEIVE, [index]))
    chain_book.issue_address(db, vault, script, clock.now())
    address = format_address(script.script_pubkey, policy.network)
    return FreshAddress(
        vault.name, address, keychain(RECEIVE), index, script.script_pubkey, policy_checksum(policy)
    )


def refuse_closed(db: Session, vault: Vault) -> None:
    """Raise CoordinatorError for a vault that was retired or replaced."""
    if (closed := _closed(db, vault)) is not None:
        raise CoordinatorError(f"vault {vault.name} must not be paid any more: {closed}")


def watched(
    db: Session, vault: Vault, policy: Policy, least: tuple[int, int] = (0, 0)
) -> dict[bytes, VaultScript]:
    """Return the vault's scripts by script_pubkey: all that were used or issued, and some more.

    At least so many of each branch.
    """
    scripts: dict[bytes, VaultScript] = {}
    for branch, count in zip((RECEIVE, CHANGE), watched_counts(db, vault, least), strict=True):
        scripts |= {s.script_pubkey: s for s in derive_scripts(policy, branch, range(count))}
    return scripts


def watched_counts(db: Session, vault: Vault, least: tuple[int, int] = (0, 0)) -> tuple[int, int]:
    """Return how many scripts of each branch are watched: receive, change."""
    receive, change = (
        max(chain_book.next_index(db, vault, branch) + LOOKAHEAD, least[branch])
        for branch in (RECEIVE, CHANGE)
    )
    return receive, change


def reached(db: Session, vault: Vault, least: int = 0) -> tuple[int, int]:
    """Return how many scripts of each branch were looked for so far, or `least`, if more."""
    scans = scan_book.scans_of(db, vault)
    receive, change = (
        max(least, scans[branch].reach if branch in scans else 0) for branch in (RECEIVE, CHANGE)
    )
    return receive, change


class Following:
    """Bringing a vault in step with the chain, in two steps as often as it takes.

    `ask` says what to ask the chain for, `take` keeps what it answered. Between them no
    transaction need be open: a long look through old blocks keeps nobody from the database.
    """

    def __init__(self, look: Look = Look()) -> None:  # noqa: B008 -- it is a value
        """Keep what a person asks for besides what is new."""
        self.notes: list[str] = []
        self._look = look
        self._least = (look.reach, look.reach)
        self._state: chain_book.SyncedTo | None = None
        self._scripts: dict[bytes, VaultScript] = {}
        self._scanned: Scanned | None = None
        self._anew = False
        self._late = 0

    def ask(self, db: Session, vault: Vault, known: Callable[[], Mapping[str, int]]) -> Watch:
        """Return what the chain is asked for; `known` returns the heights known by then."""
        scans, done = scan_book.scans_of(db, vault), reached(db, vault)
        self._least = (max(self._least[0], done[0]), max(self._least[1], done[1]))
        wanted = watched_counts(db, vault, self._least)
        if wanted != done:
            self._anew = True
        if scans and wanted != done:
            # Old blocks are looked through again: seldom, as it is done for many addresses.
            wanted = wanted[0] + LOOKAHEAD, wanted[1] + LOOKAHEAD
        self._least = wanted
        self._scripts = watched(db, vault, stored_policy(vault), wanted)
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
        if update.reach is not None:
            scripts = watched(db, vault, policy, update.reach)
        _apply(db, vault, update, scripts)
        chain_book.set_sync_state(db, vault, update.tip.height, update.tip.hash, clock.now())
        wider = watched_counts(db, vault, self._least)
        if any(more > done for more, done in zip(wider, _reach(scripts), strict=True)):
            self._look, self._anew = Look(), True
            return False
        self._remember(db, vault, _reach(scripts), update.tip)
        return True

    def _remember(self, db: Session, vault: Vault, reach: tuple[int, int], tip: Tip) -> None:
        """Note from where to where each branch was looked for."""
        before = scan_book.scans_of(db, vault)
        for branch, count in zip((RECEIVE, CHANGE), reach, strict=True):
            scanned, old = self._scanned, before.get(branch)
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
                branch,
                scan_book.Looked(
                    scanned.from_height, count, tip.height, tip.hash, scanned.earlier_unknown
                ),
            )


def sync(db: Session, vault: Vault, chain: ChainSource, look: Look = Look()) -> Tip:  # noqa: B008 -- it is a value
    """Bring a vault's coins and ceremonies in step with the chain; returns the tip.

    The transaction stays open meanwhile: for chains that answer at once.
    """
    following = Following(look)
    while True:
        watch = following.ask(db, vault, partial(chain_book.heights, db, vault))
        update = chain.sync(watch)
        if following.take(db, vault, update):
            return update.tip


def _reach(scripts: Mapping[bytes, VaultScript]) -> tuple[int, int]:
    """Return how many scripts of each branch there are."""
    branches = Counter(script.branch for script in scripts.values())
    return branches[RECEIVE], branches[CHANGE]


def _apply(
    db: Session, vault: Vault, update: ChainUpdate, scripts: dict[bytes, VaultScript]
) -> None:
    lost: dict[str, int] = {}
    if update.reorganised_to is not None:
        lost = chain_book.forget_above(db, vault, update.reorganised_to)
    listed = {seen.txid for seen in update.transactions}
    gone = chain_book.forget_waiting(db, vault, keep=listed)
    news.keep(db, vault, lost, gone, update)
    _take_in(db, vault, update.transactions, scripts)


def learn(db: Session, vault: Vault, told: Sequence[SeenTransaction]) -> None:
    """Take transactions in that somebody brought, where there is no chain to ask."""
    _take_in(db, vault, told, watched(db, vault, stored_policy(vault)))


def _take_in(
    db: Session,
    vault: Vault,
    told: Sequence[SeenTransaction],
    scripts: Mapping[bytes, VaultScript],
) -> None:
    parsed = [(_checked(seen), seen.height) for seen in told]
    chain_book.add_transactions(db, (chain_book.Seen(*seen) for seen in told), clock.now())
    # Coins first, all of them: a transaction may be told before the one whose coin it spends.
    chain_book.add_coins(db, vault, (c for t, h in parsed for c in _own_coins(t, h, scripts)))
    chain_book.spend_coins(db, vault, (s for t, h in parsed for s in _spends(t, h)))
    ceremony_book.confirm(db, vault, clock.now())
    _note_proofs(db, vault, (t for t, h in parsed if h is not None), scripts)


def _note_proofs(
    db: Session,
    vault: Vault,
    confirmed: Iterable[Transaction],
    scripts: Mapping[bytes, VaultScript],
) -> None:
    """Remember which keys signed payments that are in blocks: that proves them for this policy.

    Nothing is looked at once every key is proved, and one input of a payment is enough.
    """
    known = vault_book.latest_verifications(db, vault)
    unproved = {each.position: each.key_id for each in vault.cosigners if each.key_id not in known}
    for transaction in islice(confirmed, PROOFS_LOOKED_AT):
        if not unproved:
            return
        for index, tx_in in enumerate(transaction.inputs):
            coin = chain_book.coin_at(db, *tx_in.outpoint)
            script = scripts.get(coin.script_pubkey) if coin is not None else None
            if coin is None or script is None or not tx_in.witness:
                continue
            signed = signers(transaction, index, script, coin.value_sats)
            found = [p for p, key in enumerate(script.pubkeys) if key in signed and p in unproved]
            keys = [unproved.pop(position) for position in found]
            detail = f"signed transaction {transaction.txid}"
            vault_book.note_proved(db, vault, keys, detail, clock.now())
            break


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


def _spends(transaction: Transaction, height: int | None) -> Iterator[chain_book.Spend]:
    """Yield which coins a transaction spends."""
    for source in transaction.inputs:
        yield chain_book.Spend(*source.outpoint, transaction.txid, height)


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
                branch=script.branch,
                index=script.index,
                script_pubkey=output.script_pubkey,
                height=height,
                coinbase=transaction.is_coinbase,
            )


def script_size(policy: Policy) -> ScriptSize:
    """Return what coin selection must know of a policy's scripts."""
    return ScriptSize(policy.threshold, len(policy.keys))


def scripts_at(policy: Policy, places: Iterable[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
    """Return the script_pubkey of each (branch, index), derived afresh."""
    wanted = sorted(set(places))
    return {
        (script.branch, script.index): script.script_pubkey
        for branch in (RECEIVE, CHANGE)
        for script in derive_scripts(policy, branch, [i for b, i in wanted if b == branch])
    }


def unspent(db: Session, vault: Vault) -> list[chain_book.UnspentCoin]:
    """Return the coins nothing spends, each held against its transaction and its address.

    Raises StorageError or PolicyError where a row says anything else. That the address is the
    policy's is derived where it matters: where a coin is spent, or an address given out.
    """
    # Where keys and descriptor tell different stories nothing of the vault is told.
    stored_policy(vault)
    coins = chain_book.unspent_coins(db, vault)
    places = chain_book.scripts_by_place(db, vault)
    raws = chain_book.raw_transactions(db, {coin.txid for coin in coins})
    made = {txid: _outputs(txid, raw) for txid, raw in raws.items()}
    for coin in coins:
        outputs = made.get(coin.txid, ())
        said = (coin.value_sats, coin.script_pubkey)
        if (
            coin.vout >= len(outputs)
            or outputs[coin.vout] != said
            or places.get((coin.branch, coin.index)) != coin.script_pubkey
        ):
            raise StorageError(
                f"the coin {coin.txid}:{coin.vout} stored for vault {vault.name} is not what the "
                "chain made"
            )
    return coins


def _outputs(txid: str, raw: bytes) -> tuple[TransactionOutput, ...]:
    """Return the outputs of a stored transaction; none where it is another."""
    transaction = parse_transaction(raw)
    return transaction.outputs if transaction.txid == txid else ()


def spendable(db: Session, vault: Vault) -> list[Coin]:
    """Return the unspent mature coins of a vault, reserved ones too."""
    tip = chain_book.sync_state(db, vault)
    height = tip.height if tip else 0
    return [
        Coin(Outpoint(coin.txid, coin.vout), coin.value_sats, coin.branch, coin.index, coin.height)
        for coin in unspent(db, vault)
        if not immature(coin.coinbase, coin.height, height)
    ]


def immature(coinbase: bool, height: int | None, tip: int) -> bool:  # noqa: FBT001 -- a row's field
    """Return whether a coin is newly mined and cannot be spent yet."""
    return coinbase and (height is None or tip - height + 1 < COINBASE_MATURITY)


def balance(db: Session, vault: Vault) -> Balance:
    """Return a vault's amounts as of its last sync."""
    tip = chain_book.sync_state(db, vault)
    height = tip.height if tip else 0
    reserved = {(held.txid, held.vout) for held in ceremony_book.reserved(db, clock.now())}
    confirmed = pending = young = held = 0
    for coin in unspent(db, vault):
        if immature(coin.coinbase, coin.height, height):
            young += coin.value_sats
        elif coin.height is None:
            pending += coin.value_sats
        else:
            confirmed += coin.value_sats
        if (coin.txid, coin.vout) in reserved:
            held += coin.value_sats
    return Balance(confirmed, pending, young, held)


def reviewed(db: Session, vault: Vault, policy: Policy, psbt: codec.Psbt) -> Review:
    """Return what a person must see of a PSBT, in the light of all that is remembered.

    Payments that spend one of its coins are no history: at most one of them comes to be.
    """
    refuse_contradictions(db, psbt)
    spent = outline.outpoints(psbt)
    coins, tip = spendable(db, vault), chain_book.sync_state(db, vault)
    holding = ceremony_book.holding(db, spent)
    earlier = [record for record in ceremony_book.sent(db, vault) if record.id not in holding]
    paid = {output.script_pubkey for output in outline.outputs(psbt)}
    context = Context(
        tip_height=tip.height if tip else None,
        reach=last_looked_at(db, vault),
        own_scripts=places(db, vault, policy, paid),
        vaults=dict(_other_vaults(db, vault, paid)),
        used_scripts=frozenset(chain_book.used_scripts(db, vault)),
        recent_addresses=frozenset(_recent_addresses(earlier, policy)),
        usual_amount_sats=max((record.paid_sats for record in earlier), default=None),
        unconfirmed=frozenset(coin.outpoint for coin in coins if coin.height is None),
        spends_all={coin.outpoint for coin in coins} <= set(spent),
        rivals=tuple(rivals.rivals(db, spent, codec.txid(psbt))),
        node=node_rules.view(db, spent),
    )
    return review_psbt(psbt, policy, context)


def refuse_contradictions(db: Session, psbt: codec.Psbt) -> None:
    """Raise AmountContradicted where a PSBT and the transactions known here disagree."""
    outpoints, spent = outline.outpoints(psbt), outline.spent(psbt)
    raws = chain_book.raw_transactions(db, {outpoint.txid for outpoint in outpoints})
    made = {txid: _outputs(txid, raw) for txid, raw in raws.items()}
    for outpoint, (script, said_sats) in zip(outpoints, spent, strict=True):
        outputs = made.get(outpoint.txid)
        if not outputs:
            continue
        if outpoint.vout >= len(outputs):
            raise PsbtError(f"transaction {outpoint.txid} has no output {outpoint.vout}")
        known = outputs[outpoint.vout]
        if known.value_sats != said_sats:
            raise AmountContradicted("the PSBT", str(outpoint), said_sats, known.value_sats)
        if known.script_pubkey != script:
            raise PsbtError(f"the PSBT names another script for coin {outpoint} than it has")


def last_looked_at(db: Session, vault: Vault) -> dict[int, int]:
    """Return, by branch, the last index that a search for the vault's coins looks at.

    That of a home that knows no more than what was used or given out: on this computer it may have
    looked farther, one that starts from the paper will not.
    """
    counts = watched_counts(db, vault, (0, 0))
    return {branch: count - 1 for branch, count in zip((RECEIVE, CHANGE), counts, strict=True)}


def _other_vaults(
    db: Session, vault: Vault, paid: Collection[bytes]
) -> Iterator[tuple[bytes, KnownVault]]:
    """Yield the scripts paid that are another vault's of this home, each derived afresh."""
    for other in vault_book.all_vaults(db):
        if other.id == vault.id or other.network != vault.network:
            continue
        try:
            policy = stored_policy(other)
        except PsbtError:
            continue  # its own commands say what is wrong with it
        for script, place in places(db, other, policy, paid).items():
            if scripts_at(policy, [place])[place] == script:
                yield script, KnownVault(other.name, _closed(db, other))


def _closed(db: Session, vault: Vault) -> str | None:
    """Return why a vault must not be paid any more; None where it may be."""
    if vault.retired_at is not None:
        return "it is retired"
    succession = succession_book.succession_of(db, vault)
    return None if succession is None else f"it was replaced by {succession.successor.name}"


def places(
    db: Session, vault: Vault, policy: Policy, paid: Collection[bytes]
) -> dict[bytes, tuple[int, int]]:
    """Return where scripts may be the vault's own; who believes it derives them first."""
    found = chain_book.places_of(db, vault, paid)
    counts = watched_counts(db, vault, reached(db, vault))
    for branch, count in zip((RECEIVE, CHANGE), counts, strict=True):
        first = chain_book.next_index(db, vault, branch)
        for script in derive_scripts(policy, branch, range(first, count)):
            if script.script_pubkey in paid:
                found[script.script_pubkey] = (branch, script.index)
    return found


def _recent_addresses(earlier: Sequence[Ceremony], policy: Policy) -> Iterator[str]:
    """Yield the addresses that earlier payments paid, newest first."""
    for record in earlier[:RECENT_PAYMENTS]:
        for output in _stored_outputs(record):
            address = optional_address(output.script_pubkey, policy.network)
            if address is not None:
                yield address


def _stored_outputs(record: Ceremony) -> tuple[TransactionOutput, ...]:
    """Return what an earlier payment paid; nothing where its row cannot be read any more."""
    try:
        return codec.transaction_of(record.psbt).outputs
    except PsbtError:
        return ()
