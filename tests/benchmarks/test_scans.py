"""What following a vault costs over the client alone: through ElectrumX, in one run."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from coordinator.chain.core.rpc import call
from coordinator.chain.core.source import CoreChain
from psbt.policy import RECEIVE, derive_scripts
from tests.contracts.books import Book
from tests.contracts.worlds import World, make
from tests.judges import judge

bdk = judge("bdkpython")
pytestmark = pytest.mark.bench
ADDRESSES, COINS_EACH, GAP, BATCH, ROUNDS = 100, 20, 100, 100, 3


class Bare:
    """BDK's client and wallet, with nothing of ours around them."""

    def __init__(self, world: World, file: Path, descriptor: str) -> None:
        self.client = bdk.ElectrumClient(world.url.replace("electrum+", ""))
        self.descriptor = bdk.Descriptor(descriptor, bdk.NetworkKind.TEST)
        self.file = file

    def first(self) -> None:
        persister = bdk.Persister.new_sqlite(str(self.file))
        wallet = bdk.Wallet.create_from_two_path_descriptor(
            self.descriptor, bdk.Network.REGTEST, persister
        )
        request = wallet.start_full_scan().build()
        wallet.apply_update(self.client.full_scan(request, GAP, BATCH, False))
        for kind in (bdk.KeychainKind.EXTERNAL, bdk.KeychainKind.INTERNAL):
            last = wallet.derivation_index(kind) or 0
            wallet.reveal_addresses_to(kind, last + GAP)
        wallet.persist(persister)

    def again(self) -> None:
        persister = bdk.Persister.new_sqlite(str(self.file))
        wallet = bdk.Wallet.load_from_two_path_descriptor(self.descriptor, persister)
        request = wallet.start_sync_with_revealed_spks().build()
        wallet.apply_update(self.client.sync(request, BATCH, False))
        wallet.persist(persister)


def taken(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def test_following_costs_little_more_than_the_client(tmp_path: Path) -> None:
    with make("electrum", tmp_path) as world:
        book = Book(tmp_path / "home")
        policy = book.add().policy
        for script in derive_scripts(policy, RECEIVE, range(ADDRESSES)):
            world.chain.fund(script.script_pubkey, 5_000, COINS_EACH)
        world.mine()
        with book.database.begin() as db:
            descriptor = book.vault(db).descriptor
        source = world.open()
        source.tip()
        firsts, bare_firsts, agains, bare_agains = [], [], [], []
        for number in range(ROUNDS):
            bare = Bare(world, tmp_path / f"bare-{number}.sqlite", descriptor)
            bare_firsts.append(taken(bare.first))
            fresh = Book(tmp_path / f"home-{number}")
            fresh.add()
            for cache in (tmp_path / "client").glob("*.sqlite*"):
                cache.unlink()
            firsts.append(taken(lambda: fresh.sync(source)))  # noqa: B023 -- run at once
            assert fresh.balance().confirmed_sats == ADDRESSES * COINS_EACH * 5_000
            bare_agains.append(taken(bare.again))
            agains.append(taken(lambda: fresh.sync(source)))  # noqa: B023 -- as above
            fresh.close()
        source.close()
        book.close()
    first, again = min(firsts) / min(bare_firsts), min(agains) / min(bare_agains)
    print(f"\nfirst scan {first:.2f}, no news {again:.2f} x BDK alone")  # noqa: T201 -- the figures
    assert first <= 1.3
    assert again <= 2


def test_a_node_without_news_costs_half_more_than_its_bare_list(tmp_path: Path) -> None:
    with make("bitcoind", tmp_path) as world:
        book = Book(tmp_path / "home")
        book.add()
        for index in range(20):
            world.pay(book.script(index))
        world.mine()
        source = world.open()
        assert isinstance(source, CoreChain)
        tip = book.sync(source)
        watch = book.watch(tip)
        (name,) = call(source.node, "listwallets").items(10)
        since = (tip.hash, 1, True, True, True)
        bare, again = [], []
        for _ in range(10 * ROUNDS):
            bare.append(
                taken(lambda: call(source.node, "listsinceblock", *since, wallet=name.text()))
            )
            again.append(taken(lambda: source.sync(watch)))
        book.close()
    ratio = min(again) / min(bare)
    print(f"\nno news {ratio:.2f} x listsinceblock alone")  # noqa: T201 -- the figure
    assert ratio <= 1.5
