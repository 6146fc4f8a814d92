"""A BDK wallet that watches a 2-of-3 vault, for servers to prove themselves on."""

from dataclasses import dataclass

from tests.judges import judge
from tests.servers.vault import DESCRIPTOR

bdk = judge("bdkpython")

GAP, BATCH = 20, 10


@dataclass(frozen=True)
class Watched:
    """A transaction as the wallet sees it: its id, and its block's height or None."""

    txid: str
    height: int | None


class Watcher:
    """The wallet; a client of either kind brings it up to date."""

    def __init__(self) -> None:
        descriptor = bdk.Descriptor(DESCRIPTOR, bdk.NetworkKind.TEST)
        persister = bdk.Persister.new_in_memory()
        self.wallet = bdk.Wallet.create_from_two_path_descriptor(
            descriptor, bdk.Network.REGTEST, persister
        )

    def full_scan(self, client: object) -> None:
        request = self.wallet.start_full_scan().build()
        extra = (False,) if isinstance(client, bdk.ElectrumClient) else ()
        self.wallet.apply_update(client.full_scan(request, GAP, BATCH, *extra))

    def sync(self, client: object) -> None:
        request = self.wallet.start_sync_with_revealed_spks().build()
        extra = (False,) if isinstance(client, bdk.ElectrumClient) else ()
        self.wallet.apply_update(client.sync(request, BATCH, *extra))

    @property
    def seen(self) -> set[Watched]:
        return {
            Watched(str(item.transaction.compute_txid()), _height(item))
            for item in self.wallet.transactions()
        }

    @property
    def balance_sats(self) -> int:
        return self.wallet.balance().total.to_sat()

    @property
    def tip_height(self) -> int:
        return self.wallet.latest_checkpoint().height


def _height(item: object) -> int | None:
    position = item.chain_position
    if position.is_confirmed():
        return position.confirmation_block_time.block_id.height
    return None
