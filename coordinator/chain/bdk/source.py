"""A chain source on BDK: one wallet per vault, kept in a SQLite file of its own."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import bdkpython as bdk

from coordinator import clock
from coordinator.chain import (
    ChainUpdate,
    Package,
    Relay,
    Scanned,
    SeenTransaction,
    Tip,
    Watch,
    check_tip,
    first_block,
)
from coordinator.chain.bdk.client import NETWORKS, Client, PackageClient, Scan
from coordinator.chain.bdk.conversions import seen
from coordinator.chain.bdk.descriptors import is_sorted_leaf, merged, spelled
from coordinator.chain.bdk.histories import HistoryClient, updated
from coordinator.errors import ChainError, TransactionRejected
from psbt.coins import MAX_MONEY_SATS

SIZE_MAX = 100_000_000
KEYCHAINS = (bdk.KeychainKind.EXTERNAL, bdk.KeychainKind.INTERNAL)


class BdkChain:
    """What a client tells, gone through BDK's wallet: safe against reorganisations."""

    def __init__(self, client: Client, folder: Path, network: str) -> None:
        """Keep the client and where the wallets lie."""
        self._client = client
        self._folder = folder
        self._network = network

    def tip(self) -> Tip:
        """Return the newest block."""
        return check_tip(self._client.tip())

    def sync(self, watch: Watch) -> ChainUpdate:
        """Return what happened since the watch's tip; all of it where BDK knew another tip."""
        if is_sorted_leaf(watch.descriptor) and isinstance(self._client, HistoryClient):
            return updated(self._client, watch, self._network)
        spellings = [watch._replace(descriptor=each) for each in spelled(watch.descriptor)]
        updates = [self._synced(each) for each in spellings]
        forks = [each.reorganised_to for each in updates if each.reorganised_to is not None]
        if len(updates) > 1 and forks:
            # What one wallet says is to be told again, each of them has to tell.
            anew = [each._replace(since=None, known=dict) for each in spellings]
            updates = [self._synced(each) for each in anew]
        return merged(updates)._replace(reorganised_to=min(forks, default=None))

    def _synced(self, watch: Watch) -> ChainUpdate:
        with _understanding(), self._wallet(watch.descriptor) as wallet:
            before = wallet.checkpoints()
            new = wallet.latest_checkpoint().height == 0
            widened = self._reveal(wallet, watch.reach)
            first = first_block(self._network, watch.descriptor)
            scan = Scan(wallet, new or widened or watch.rescan is not None, first)
            wallet.apply_update(self._client.update(scan))
            # Of two that spend a coin the one sent later counts.
            sent = enumerate(self._client.sent(), int(clock.now().timestamp()))
            waiting = [bdk.UnconfirmedTx(tx=each, last_seen=when) for when, each in sent]
            wallet.apply_unconfirmed_txs(waiting)
            newest = wallet.latest_checkpoint()
            tip, fork = Tip(newest.height, str(newest.hash)), _fork(wallet, watch.since, before)
            self._client.synced(tip)
            told = self._told(wallet, watch, fork)
            # Each script's whole history is asked for, or every filter there is.
            scanned = Scanned(first)
            return ChainUpdate(tip, fork, told, self._reach(scan, watch), scanned)

    def feerate(self, blocks: int) -> int:
        """Return an estimate in sat/kvB."""
        if blocks < 1:
            raise ChainError(f"no transaction confirms within {blocks} blocks")
        return self._client.feerate(blocks)

    def relay(self) -> Relay:
        """Return what is relayed, as far as it is told."""
        return self._client.relay()

    def broadcast(self, transaction: bytes) -> str:
        """Send a transaction and return its txid; one already known is no error."""
        try:
            parsed = bdk.Transaction(transaction)
        except bdk.TransactionError as failure:
            raise TransactionRejected("TX decode failed") from failure
        self._client.broadcast(parsed)
        return str(parsed.compute_txid())

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()

    def _told(
        self, wallet: bdk.Wallet, watch: Watch, fork: int | None
    ) -> tuple[SeenTransaction, ...]:
        """Return what waits, and what is elsewhere than it is known to be."""
        known = watch.known()
        holds = max(known.values(), default=0) if fork is None else fork
        told = [seen(each) for each in wallet.transactions() if self._counts(each)]
        return tuple(
            each
            for each in told
            if each.height is None or each.height > holds or known.get(each.txid) != each.height
        )

    def _counts(self, transaction: bdk.CanonicalTx) -> bool:
        """Tell whether a transaction is in a block or known to wait for one.

        BDK holds on to what fell out of a block, though nobody saw it wait since.
        """
        position = transaction.chain_position
        if isinstance(position, bdk.ChainPosition.UNCONFIRMED) and self._client.sees_waiting:
            return position.timestamp is not None
        return True

    def _reveal(self, wallet: bdk.Wallet, reach: Iterable[int]) -> bool:
        """Have the wallet look at so many scripts; True where that takes a new scan."""
        widened = False
        for keychain, count in zip(KEYCHAINS, reach, strict=True):
            if count > _revealed(wallet, keychain):
                wallet.reveal_addresses_to(keychain, count - 1 + self._client.ahead)
                widened = self._client.ahead > 0
        return widened

    def _reach(self, scan: Scan, watch: Watch) -> tuple[int, int]:
        """Return how many scripts of each keychain were looked at."""
        beyond = self._client.gap if scan.full else 0
        receive, change = (_revealed(scan.wallet, keychain) for keychain in KEYCHAINS)
        return max(receive + beyond, watch.reach[0]), max(change + beyond, watch.reach[1])

    @contextmanager
    def _wallet(self, descriptor: str) -> Iterator[bdk.Wallet]:
        """Lend a vault's wallet; what it learned is kept if all went well."""
        self._folder.mkdir(parents=True, exist_ok=True)
        file = self._folder / f"bdk-{descriptor[-8:]}.sqlite"
        kind = bdk.NetworkKind.MAIN if self._network == "mainnet" else bdk.NetworkKind.TEST
        parsed = bdk.Descriptor(descriptor, kind)
        try:
            persister = bdk.Persister.new_sqlite(str(file))
            wallet = bdk.Wallet.load_from_two_path_descriptor(parsed, persister)
        except bdk.LoadWithPersistError.CouldNotLoad:
            wallet, persister = _create(parsed, file, NETWORKS[self._network])
        except (bdk.LoadWithPersistError, bdk.PersistenceError):
            # It is a cache: a damaged one is scanned anew.
            file.unlink(missing_ok=True)
            wallet, persister = _create(parsed, file, NETWORKS[self._network])
        yield wallet
        wallet.persist(persister)


class PackageChain(BdkChain):
    """The same, of a client that knows what waiting transactions pay."""

    def __init__(self, client: PackageClient, folder: Path, network: str) -> None:
        """Keep the client and where the wallets lie."""
        super().__init__(client, folder, network)
        self._package = client.package

    def package(self, txid: str) -> Package:
        """Return what a waiting transaction and its waiting ancestors weigh and pay."""
        package = self._package(txid)
        if not 0 < package.vsize <= SIZE_MAX or not 0 <= package.fee_sats <= MAX_MONEY_SATS:
            raise ChainError(f"the server tells what transaction {txid} cannot weigh or pay")
        return package


def _revealed(wallet: bdk.Wallet, keychain: bdk.KeychainKind) -> int:
    """Return how many scripts of a keychain the wallet looks at."""
    last = wallet.derivation_index(keychain)
    return 0 if last is None else last + 1


def _create(
    descriptor: bdk.Descriptor, file: Path, network: bdk.Network
) -> tuple[bdk.Wallet, bdk.Persister]:
    persister = bdk.Persister.new_sqlite(str(file))
    return bdk.Wallet.create_from_two_path_descriptor(descriptor, network, persister), persister


def _fork(wallet: bdk.Wallet, since: Tip | None, before: Sequence[bdk.BlockId]) -> int | None:
    """Return up to which height earlier knowledge holds; None where all of it does."""
    after = {str(block.hash): block.height for block in wallet.checkpoints()}
    if since is None or since.hash in after:
        return None
    if str(before[0].hash) != since.hash:
        return 0
    return max(after[str(block.hash)] for block in before if str(block.hash) in after)


@contextmanager
def _understanding() -> Iterator[None]:
    """Translate what BDK's wallet refuses."""
    try:
        yield
    except (bdk.DescriptorError, bdk.PersistenceError, bdk.CannotConnectError) as failure:
        raise ChainError(f"BDK refuses what it was given: {failure}") from failure
    except bdk.InternalError as failure:
        raise ChainError(f"BDK fails: {failure}") from failure
