"""A vault's wallet of BDK reads the embedded chain from the peer: BDK judges every message."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from coordinator.chain.regtest import RegtestChain
from tests.coordinator.chain.purse import Purse
from tests.judges import judge
from tests.patience import SECONDS
from tests.servers.peer import Peer, serve

bdk = judge("bdkpython")

PATH = "48h/1h/0h/2h"
SILENCE_MS = 1_000


def descriptor() -> object:
    path = bdk.DerivationPath(f"m/{PATH}")
    seeds = [bdk.Mnemonic.from_entropy(bytes([number]) * 16) for number in range(3)]
    roots = [bdk.DescriptorSecretKey(bdk.NetworkKind.TEST, seed, None) for seed in seeds]
    keys = ",".join(f"{root.derive(path).as_public()}/<0;1>/*" for root in roots)
    return bdk.Descriptor(f"wsh(sortedmulti(2,{keys}))", bdk.NetworkKind.TEST)


class Vault:
    """A 2-of-3 wallet in a file, opened afresh for every synchronisation."""

    def __init__(self, folder: Path) -> None:
        self._file = str(folder / "wallet.sqlite")
        self._descriptor = descriptor()
        self._persister = bdk.Persister.new_sqlite(self._file)
        self.wallet = bdk.Wallet.create_from_two_path_descriptor(
            self._descriptor, bdk.Network.REGTEST, self._persister
        )
        self.wallet.persist(self._persister)

    def script(self, index: int) -> bytes:
        address = self.wallet.peek_address(bdk.KeychainKind.EXTERNAL, index).address
        return bytes(address.script_pubkey().to_bytes())

    def reload(self) -> None:
        self._persister = bdk.Persister.new_sqlite(self._file)
        self.wallet = bdk.Wallet.load_from_two_path_descriptor(self._descriptor, self._persister)

    def client(self, peer: Peer, scan: object = None) -> bdk.CbfClient:
        address = bdk.IpAddress.from_ipv4(127, 0, 0, 1)
        builder = bdk.CbfBuilder().only_configured_peers().connections(1)
        builder = builder.configure_timeout_millis(SILENCE_MS, SILENCE_MS)
        builder = builder.peers([bdk.Peer(address=address, port=peer.port, v2_transport=False)])
        parts = builder.scan_type(scan or bdk.ScanType.SYNC()).build(self.wallet)
        parts.node.run()
        return parts.client

    async def follow(self, client: bdk.CbfClient) -> None:
        update = await asyncio.wait_for(client.update(), SECONDS)
        self.wallet.apply_update(update)
        self.wallet.persist(self._persister)

    def sync(self, peer: Peer, scan: object = None) -> None:
        talk(self.client(peer, scan), self.follow)

    @property
    def height(self) -> int:
        return int(self.wallet.latest_checkpoint().height)

    @property
    def confirmed_sats(self) -> int:
        return int(self.wallet.balance().confirmed.to_sat())

    @property
    def waiting_sats(self) -> int:
        return int(self.wallet.balance().untrusted_pending.to_sat())


def talk(
    client: bdk.CbfClient, *acts: Callable[[bdk.CbfClient], Coroutine[object, object, object]]
) -> None:
    async def talking() -> None:
        try:
            for act in acts:
                await act(client)
        finally:
            with suppress(bdk.CbfError):
                client.shutdown()

    asyncio.run(talking())


async def warnings(client: bdk.CbfClient) -> list[str]:
    told: list[str] = []
    with suppress(bdk.CbfError):
        while True:
            told.append(str(await asyncio.wait_for(client.next_warning(), SECONDS)))
    return told


@pytest.fixture
def chain(tmp_path: Path) -> RegtestChain:
    return RegtestChain(tmp_path / "chain")


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path)


@pytest.fixture
def peer(chain: RegtestChain, vault: Vault) -> Iterator[Peer]:
    """The peer of a chain that has paid the vault 100,000 sats in its newest block."""
    chain.fund(vault.script(0), 100_000)
    chain.mine(1)
    with serve(chain) as serving:
        yield serving


def test_the_first_scan_finds_a_confirmed_payment(
    peer: Peer, vault: Vault, chain: RegtestChain
) -> None:
    vault.sync(peer)
    assert (vault.confirmed_sats, vault.height) == (100_000, chain.tip().height)
    assert str(vault.wallet.latest_checkpoint().hash) == chain.tip().hash
    assert {"getheaders", "getcfheaders", "getcfilters", "getdata"} <= set(peer.heard)


def test_a_wallet_from_its_file_asks_only_for_what_is_new(
    peer: Peer, vault: Vault, chain: RegtestChain
) -> None:
    vault.sync(peer)
    chain.fund(vault.script(1), 50_000)
    chain.mine(20)
    vault.reload()
    before = len(peer.asked)
    vault.sync(peer)
    assert (vault.confirmed_sats, vault.height) == (150_000, chain.tip().height)
    assert [asked.start for asked in peer.asked[before:]] == [chain.tip().height - 20 - 6]


def test_a_wallet_that_knows_the_tip_is_told_so(peer: Peer, vault: Vault) -> None:
    vault.sync(peer)
    vault.reload()
    vault.sync(peer)
    assert vault.confirmed_sats == 100_000


def test_new_blocks_and_a_reorganisation_reach_a_client_that_stays(
    peer: Peer, vault: Vault, chain: RegtestChain
) -> None:
    paid = chain.tip().height
    acts = [
        lambda: chain.mine(1),
        lambda: chain.reorganise(paid - 1),
        lambda: chain.mine(1),
    ]
    seen: list[tuple[int, int, int]] = []

    async def watch(client: bdk.CbfClient) -> None:
        for act in acts:
            act()
            await vault.follow(client)
            seen.append((vault.confirmed_sats, vault.waiting_sats, vault.height - paid))

    talk(vault.client(peer), vault.follow, watch)
    assert seen == [(100_000, 0, 1), (0, 100_000, 2), (100_000, 0, 3)]


def test_a_reorganisation_between_two_runs_is_noticed(
    peer: Peer, vault: Vault, chain: RegtestChain
) -> None:
    vault.sync(peer)
    chain.reorganise(chain.tip().height - 1)
    vault.reload()
    vault.sync(peer)
    assert (vault.confirmed_sats, vault.waiting_sats) == (0, 100_000)
    chain.mine(1)
    vault.reload()
    vault.sync(peer)
    assert (vault.confirmed_sats, vault.height) == (100_000, chain.tip().height)


def test_a_deep_reorganisation_needs_a_recovery(
    peer: Peer, vault: Vault, chain: RegtestChain
) -> None:
    chain.mine(10)
    vault.sync(peer)
    chain.reorganise(chain.tip().height - 11)
    client = vault.client(peer)
    told: list[str] = []

    async def listen(client: bdk.CbfClient) -> None:
        with pytest.raises(bdk.CbfError.NodeStopped):
            await vault.follow(client)
        told.extend(await warnings(client))

    talk(client, listen)
    assert any("does not connect" in warning for warning in told)
    genesis = bdk.RecoveryPoint.GENESIS_BLOCK()
    vault.sync(peer, bdk.ScanType.RECOVERY(used_script_index=25, checkpoint=genesis))
    assert (vault.confirmed_sats, vault.waiting_sats) == (0, 100_000)
    assert vault.height == chain.tip().height


def test_a_broadcast_reaches_the_mempool(peer: Peer, vault: Vault, chain: RegtestChain) -> None:
    purse = Purse("payer")
    (txid,) = chain.fund(purse.script_pubkey, 50_000, 2)
    chain.mine(1)
    coins = purse.coins(chain.transaction(txid) or b"")
    good = purse.spend(coins[:1], to=vault.script(1))
    cheap = purse.spend(coins[1:], fee_sats=1, to=vault.script(1))

    async def send(client: bdk.CbfClient) -> None:
        for transaction in (cheap, good):
            sending = client.broadcast(bdk.Transaction(transaction.raw))
            sent = await asyncio.wait_for(sending, SECONDS)
            assert str(sent) == transaction.wtxid
        while good.txid not in chain.mempool():  # noqa: ASYNC110 -- another process' file
            await asyncio.sleep(0.01)

    talk(vault.client(peer), vault.follow, send)
    assert chain.mempool() == [good.txid]


def test_it_comes_back_on_the_same_port(peer: Peer, vault: Vault) -> None:
    port = peer.port
    peer.stop()
    peer.stop()
    with pytest.raises(bdk.CbfError.NodeStopped):
        vault.sync(peer)
    peer.start()
    vault.sync(peer)
    assert (peer.port, vault.confirmed_sats) == (port, 100_000)


@pytest.mark.parametrize("command", ["version", "getheaders", "getcfheaders", "getcfilters"])
def test_silence_ends_a_client(peer: Peer, vault: Vault, command: str) -> None:
    peer.silent_on = frozenset({command})
    client = vault.client(peer)
    told: list[str] = []

    async def listen(client: bdk.CbfClient) -> None:
        with pytest.raises(bdk.CbfError.NodeStopped):
            await vault.follow(client)
        told.extend(await warnings(client))

    talk(client, listen)
    assert "Warning.PEER_TIMED_OUT()" in told


def test_a_connection_cut_in_the_middle_ends_a_client(peer: Peer, vault: Vault) -> None:
    peer.cut_after(8)
    with pytest.raises(bdk.CbfError.NodeStopped):
        vault.sync(peer)
    peer.cut_after(None)
    vault.sync(peer)
    assert vault.confirmed_sats == 100_000


def test_filters_that_differ_from_their_headers_are_caught(peer: Peer, vault: Vault) -> None:
    peer.lie_about_filters = True
    with pytest.raises(bdk.CbfError.NodeStopped):
        vault.sync(peer)


def test_one_peer_that_lies_throughout_hides_a_payment(
    peer: Peer, vault: Vault, chain: RegtestChain
) -> None:
    peer.lie_about_headers = True
    vault.sync(peer)
    assert (vault.confirmed_sats, vault.height) == (0, chain.tip().height)
