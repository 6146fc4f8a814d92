"""A chain source on BDK: one wallet per vault, kept in a SQLite file of its own."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import bdkpython as bdk

from coordinator import clock
from coordinator.chain import ChainUpdate, Package, Tip, Watch
from coordinator.chain.bdk.client import NETWORKS, Client, PackageClient, Scan
from coordinator.chain.bdk.words import seen
from coordinator.errors import ChainError, TransactionRejected

BRANCHES = (bdk.KeychainKind.EXTERNAL, bdk.KeychainKind.INTERNAL)


class BdkChain:
    """What a client tells, gone through BDK's wallet: safe against reorganisations."""

    def __init__(self, client: Client, folder: Path, network: str) -> None:
        """Keep the client and where the wallets lie."""
        self._client = client
        self._folder = folder
        self._network = network

    def tip(self) -> Tip:
        """Return the newest block."""
        return self._client.tip()

    def sync(self, watch: Watch) -> ChainUpdate:
        """Return what happened since the watch's tip; all of it where BDK knew another tip."""
        with _understanding(), self._wallet(watch.descriptor) as wallet:
            before = wallet.checkpoints()
            new = wallet.latest_checkpoint().height == 0
            widened = self._reveal(wallet, watch.reach)
            scan = Scan(wallet, full=new or widened)
            events = wallet.apply_update_events(self._client.update(scan))
            now = int(clock.now().timestamp())
            # The later one of two that spend the same coin is the one that counts.
            sent = enumerate(self._client.sent(), now)
            waiting = [bdk.UnconfirmedTx(tx=each, last_seen=when) for when, each in sent]
            wallet.apply_unconfirmed_txs(waiting)
            newest = wallet.latest_checkpoint()
            fork, found = _told(wallet, watch, before, events)
            told = tuple(seen(each) for each in found if self._counts(each))
            tip = Tip(newest.height, str(newest.hash))
            return ChainUpdate(tip, fork, told, self._reach(scan, watch))

    def feerate(self, blocks: int) -> int:
        """Return an estimate in sat/kvB."""
        if blocks < 1:
            raise ChainError(f"no transaction confirms within {blocks} blocks")
        return self._client.feerate(blocks)

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
        for branch, count in zip(BRANCHES, reach, strict=True):
            if count > _revealed(wallet, branch):
                wallet.reveal_addresses_to(branch, count - 1 + self._client.ahead)
                widened = self._client.ahead > 0
        return widened

    def _reach(self, scan: Scan, watch: Watch) -> tuple[int, int]:
        """Return how many scripts of each branch were looked at."""
        beyond = self._client.gap if scan.full else 0
        receive, change = (_revealed(scan.wallet, branch) for branch in BRANCHES)
        return max(receive + beyond, watch.reach[0]), max(change + beyond, watch.reach[1])

    @contextmanager
    def _wallet(self, descriptor: str) -> Iterator[bdk.Wallet]:
        """Lend a vault's wallet; what it learned is kept if all went well."""
        self._folder.mkdir(parents=True, exist_ok=True)
        file = self._folder / f"bdk-{descriptor[-8:]}.sqlite"
        kind = bdk.NetworkKind.MAIN if self._network == "mainnet" else bdk.NetworkKind.TEST
        parsed = bdk.Descriptor(descriptor, kind)
        try:
            wallet, persister = _load(parsed, file)
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
        return self._package(txid)


def _revealed(wallet: bdk.Wallet, branch: bdk.KeychainKind) -> int:
    """Return how many scripts of a branch the wallet looks at."""
    last = wallet.derivation_index(branch)
    return 0 if last is None else last + 1


def _load(descriptor: bdk.Descriptor, file: Path) -> tuple[bdk.Wallet, bdk.Persister]:
    persister = bdk.Persister.new_sqlite(str(file))
    return bdk.Wallet.load_from_two_path_descriptor(descriptor, persister), persister


def _create(
    descriptor: bdk.Descriptor, file: Path, network: bdk.Network
) -> tuple[bdk.Wallet, bdk.Persister]:
    persister = bdk.Persister.new_sqlite(str(file))
    return bdk.Wallet.create_from_two_path_descriptor(descriptor, network, persister), persister


def _told(
    wallet: bdk.Wallet, watch: Watch, before: Sequence[bdk.BlockId], events: Iterable[object]
) -> tuple[int | None, list[bdk.CanonicalTx]]:
    """Return up to which height earlier knowledge holds, and what is told of the rest."""
    after = {str(block.hash): block.height for block in wallet.checkpoints()}
    if watch.since is None:
        return None, wallet.transactions()
    if str(before[0].hash) != watch.since.hash:
        return 0, wallet.transactions()
    if watch.since.hash in after:
        return None, list(_news(wallet, watch, events))
    fork = max(after[str(block.hash)] for block in before if str(block.hash) in after)
    return fork, [each for each in wallet.transactions() if _above(each, fork)]


def _news(wallet: bdk.Wallet, watch: Watch, events: Iterable[object]) -> Iterator[bdk.CanonicalTx]:
    """Yield what the events are about, and what still waits of that which did."""
    named = {str(txid) for event in events if (txid := getattr(event, "txid", None))}
    for txid in sorted(named | watch.waiting):
        found = wallet.get_tx(bdk.Txid.from_string(txid))
        if found is not None:
            yield found


def _above(transaction: bdk.CanonicalTx, height: int) -> bool:
    position = transaction.chain_position
    if isinstance(position, bdk.ChainPosition.CONFIRMED):
        return position.confirmation_block_time.block_id.height > height
    return True


@contextmanager
def _understanding() -> Iterator[None]:
    """Translate what BDK's wallet refuses."""
    try:
        yield
    except (bdk.DescriptorError, bdk.PersistenceError, bdk.CannotConnectError) as failure:
        raise ChainError(f"BDK refuses what it was given: {failure}") from failure
    except bdk.InternalError as failure:
        raise ChainError(f"BDK fails: {failure}") from failure
