"""The vault's wallet on the node: whose it is, what it watches, and which blocks were looked at."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

from coordinator.chain import UNKNOWN, Birthday, ChainUpdate, Watch
from coordinator.chain.core import wallet as core_wallet
from coordinator.chain.opening import open_chain
from coordinator.chain.regtest import RegtestChain
from coordinator.errors import ChainError
from psbt import consensus
from psbt.network import Network
from psbt.policy import format_descriptor, parse_descriptor, vault_script
from tests.psbt.soft_vault import soft_vault
from tests.sampled import further
from tests.servers import daemon as daemons
from tests.servers.chains import mature_chain
from tests.servers.client import ask
from tests.servers.daemon import Daemon, serve
from tests.servers.rpc import RpcError

NAME = "cardquorum-"
OURS = format_descriptor(soft_vault(2, 3).policy)
FOREIGN = format_descriptor(soft_vault(1, 2).policy)
POLICY = parse_descriptor(OURS, Network.REGTEST)
WALLET = NAME + OURS[-8:]
SECOND = f"{WALLET}-2"
Real = Callable[[], object]
Answer = Callable[[Real, dict[str, Any]], object]


def script(index: int, keychain: int = 0) -> bytes:
    return vault_script(POLICY, keychain, index).script_pubkey


def watch(
    reach: int = 100,
    birthday: Birthday = UNKNOWN,
    rescan: Birthday | None = None,
    known: dict[str, int] | None = None,
) -> Watch:
    return Watch(frozenset(), None, OURS, (reach, reach), birthday, lambda: known or {}, rescan)


@pytest.fixture
def clock() -> list[datetime]:
    return [datetime(2026, 1, 1, tzinfo=UTC)]


@pytest.fixture
def chain(tmp_path: Path, clock: list[datetime]) -> RegtestChain:
    if not consensus.engine_available():
        pytest.skip("libbitcoinkernel is not installed")
    return mature_chain(tmp_path / "chain", now=lambda: clock[0])


@pytest.fixture
def daemon(chain: RegtestChain, tmp_path: Path) -> Iterator[Daemon]:
    with serve(chain, tmp_path / "core") as daemon:
        yield daemon


@pytest.fixture
def paid(chain: RegtestChain, clock: list[datetime]) -> str:
    """Pay the vault in a block that is a day old by the time anybody looks."""
    (txid,) = chain.fund(script(0), 70_000)
    chain.mine(1)
    clock[0] += timedelta(days=1)
    chain.mine(12)
    return txid


class Node:
    """The source as a home opens it each time, and what was asked of its wallets."""

    def __init__(self, daemon: Daemon, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.daemon = daemon
        self.folder = folder
        self.rescans: list[tuple[int, int]] = []
        self.imports = 0
        self._patch = monkeypatch
        self.instead("rescanblockchain", self._rescanned)
        self.instead("importdescriptors", self._imported)

    def sync(self, wanted: Watch | None = None) -> ChainUpdate:
        port = self.daemon.url.rpartition(":")[2]
        url = f"bitcoind+http://127.0.0.1:{port}?cookie={self.daemon.cookie}"
        return open_chain(url, self.folder, "regtest").sync(wanted or watch())

    def instead(self, method: str, answer: Answer, patch: pytest.MonkeyPatch | None = None) -> None:
        """Have the node answer a call of its wallets differently: `answer` may ask the real one."""
        real = daemons.WALLET_CALLS[method]

        @wraps(real)
        def answered(**asked: Any) -> object:  # noqa: ANN401 -- any call
            return answer(lambda: real(**asked), asked)

        (patch or self._patch).setitem(daemons.WALLET_CALLS, method, answered)

    def make(self, name: str, descriptor: str, timestamp: object = "now") -> None:
        ask(self.daemon, "createwallet", name, True, True, "", False, True, True)
        self.give(name, descriptor, timestamp)

    def give(self, name: str, descriptor: str, timestamp: object = "now") -> None:
        request = {"desc": descriptor, "timestamp": timestamp, "active": True, "range": [0, 1_200]}
        (told,) = ask(self.daemon, "importdescriptors", [request], path=f"/wallet/{name}")
        assert told["success"]

    def remove(self, name: str) -> None:
        ask(self.daemon, "unloadwallet", name)
        self.daemon.wallet_file(name).unlink()
        self.daemon.wallet_file(name).parent.rmdir()

    def _rescanned(self, real: Real, asked: dict[str, Any]) -> object:
        self.rescans.append((asked.get("start_height", 0), asked["stop_height"]))
        return real()

    def _imported(self, real: Real, _: dict[str, Any]) -> object:
        self.imports += 1
        return real()


@pytest.fixture
def node(daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    return Node(daemon, tmp_path / "client", monkeypatch)


def found(update: ChainUpdate) -> set[str]:
    return {seen.txid for seen in update.transactions}


def test_a_vault_of_unknown_age_is_looked_for_from_the_first_block(node: Node, paid: str) -> None:
    update = node.sync()
    assert found(update) == {paid}
    assert update.scanned == (0, False)
    assert node.rescans == [(0, node.daemon.chain.tip().height)]


def test_old_blocks_are_looked_through_once(node: Node, paid: str) -> None:
    node.sync()
    done = list(node.rescans)
    assert found(node.sync()) == {paid}
    assert (node.rescans, node.imports) == (done, 1)


def test_a_birthday_saves_the_blocks_before_it(node: Node, paid: str) -> None:
    height = node.daemon.chain.tip().height
    update = node.sync(watch(birthday=Birthday(height=height)))
    assert (found(update), update.scanned) == (set(), (height, False))
    update = node.sync(watch(birthday=Birthday(height=height - 50)))
    assert (found(update), update.scanned) == ({paid}, (height - 50, False))


def test_a_coin_known_from_elsewhere_is_looked_for_though_it_is_older(
    node: Node, paid: str
) -> None:
    height = node.daemon.chain.tip().height
    late = Birthday(height=height)
    update = node.sync(watch(birthday=late, known={paid: height - 12}))
    assert (found(update), update.scanned) == ({paid}, (height - 12, False))
    assert node.sync(watch(birthday=late, known={paid: height - 12})).scanned == update.scanned


def test_a_birthday_by_a_clock_that_was_ahead_is_unknown(node: Node, paid: str) -> None:
    update = node.sync(watch(birthday=Birthday(datetime(2031, 1, 1, tzinfo=UTC))))
    assert (found(update), update.scanned) == ({paid}, (0, False))


def test_a_birthday_is_a_block_a_day_earlier(
    node: Node, chain: RegtestChain, clock: list[datetime]
) -> None:
    for _ in range(40):
        clock[0] += timedelta(hours=6)
        chain.mine(1)
    update = node.sync(watch(birthday=Birthday(datetime(2026, 1, 9, tzinfo=UTC))))
    assert update.scanned is not None
    first = chain.blocks()[update.scanned.from_height - 1][1].header.time
    assert datetime(2026, 1, 7, tzinfo=UTC).timestamp() < first
    assert first <= datetime(2026, 1, 10, tzinfo=UTC).timestamp()


def test_a_birthday_that_is_not_mined_yet_is_said(node: Node) -> None:
    with pytest.raises(ChainError, match="birthday, block 500, is not on the chain yet"):
        node.sync(watch(birthday=Birthday(height=500)))


def test_addresses_used_in_order_are_found_beyond_the_first_hundred(
    node: Node, chain: RegtestChain
) -> None:
    node.daemon.keypool = 20
    paid = set()
    for index in range(0, 106, 5):
        paid |= set(chain.fund(script(index), 10_000))
        chain.mine(1)
    update = node.sync()
    assert found(update) == paid
    assert update.reach is not None
    assert update.reach[0] > 105


@pytest.mark.parametrize("index", further(105, 101, 1_500))
def test_the_ranges_of_the_wallet_never_shrink(node: Node, chain: RegtestChain, index: int) -> None:
    node.sync()
    chain.fund(script(min(index, 1_000)), 10_000)
    chain.mine(1)
    node.sync()
    (watched, _) = ask(node.daemon, "listdescriptors", path=f"/wallet/{WALLET}")["descriptors"]
    (node.folder / f"{WALLET}.scanned").unlink()
    node.sync(watch(reach=index + 100))
    node.sync(watch(reach=5_000))
    (wider, _) = ask(node.daemon, "listdescriptors", path=f"/wallet/{WALLET}")["descriptors"]
    assert wider["range"][1] >= max(watched["range"][1], 4_999)


def test_a_wider_reach_is_looked_for_in_old_blocks(node: Node, chain: RegtestChain) -> None:
    (far,) = chain.fund(script(2_500), 10_000)
    chain.mine(1)
    assert found(node.sync()) == set()
    update = node.sync(watch(reach=3_000))
    assert (found(update), update.reach) == ({far}, (3_000, 3_000))


@pytest.mark.parametrize("timestamp", ["now", 0])
def test_a_wallet_of_our_name_with_other_descriptors_is_left_alone(
    node: Node, paid: str, timestamp: object
) -> None:
    node.make(WALLET, FOREIGN, timestamp)
    update = node.sync()
    assert found(update) == {paid}
    (said,) = update.notes
    assert f"wallet {WALLET} on Bitcoin Core" in said
    assert "not this vault's" in said
    assert set(node.daemon.loaded) == {WALLET, SECOND}
    listed = ask(node.daemon, "listdescriptors", path=f"/wallet/{WALLET}")["descriptors"]
    assert len(listed) == 2


def test_a_wallet_of_ours_with_one_descriptor_more_is_left_alone(node: Node, paid: str) -> None:
    node.sync()
    node.give(WALLET, FOREIGN)
    update = node.sync()
    assert found(update) == {paid}
    assert len(update.notes) == 2
    assert SECOND in node.daemon.loaded
    assert node.sync().notes == ()


def test_a_wallet_put_in_place_of_ours_is_scanned_again(node: Node, paid: str) -> None:
    node.sync()
    node.remove(WALLET)
    node.make(WALLET, FOREIGN)
    update = node.sync()
    assert found(update) == {paid}
    assert update.notes


@pytest.mark.parametrize("blocks", [0, 2])
def test_a_wallet_that_saw_less_than_ours_is_scanned_again(
    node: Node, chain: RegtestChain, paid: str, blocks: int
) -> None:
    node.sync()
    chain.mine(blocks)
    node.remove(WALLET)
    node.make(WALLET, OURS)
    update = node.sync()
    assert found(update) == {paid}
    assert "is not the one that was scanned before" in update.notes[0]


@pytest.mark.parametrize("descriptor", [None, OURS])
def test_a_wallet_somebody_else_made_for_the_vault_is_not_believed(
    node: Node, paid: str, descriptor: str | None
) -> None:
    if descriptor:
        node.make(WALLET, descriptor)
    else:
        ask(node.daemon, "createwallet", WALLET, True, True, "", False, True, True)
    assert found(node.sync()) == {paid}
    assert set(node.daemon.loaded) == {WALLET}


def test_a_lost_or_torn_note_is_no_scan(node: Node, paid: str) -> None:
    node.sync()
    note = node.folder / f"{WALLET}.scanned"
    for torn in (b"", OURS.encode(), note.read_bytes()[:60], b'{"wallet": 1}', b"[" * 100_000):
        note.write_bytes(torn)
        update = node.sync()
        assert (found(update), update.scanned) == ({paid}, (0, False))
    note.unlink()
    assert found(node.sync()) == {paid}
    assert len(node.rescans) == 7


def test_a_scan_that_was_cut_off_goes_on_where_it_stopped(
    node: Node, chain: RegtestChain, paid: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core_wallet, "STEP_BLOCKS", 20)

    def stopped(real: Real, asked: dict[str, Any]) -> object:
        if asked.get("start_height", 0) >= 60:
            raise RpcError(-1, "Rescan aborted.")
        return real()

    with monkeypatch.context() as patched:
        node.instead("rescanblockchain", stopped, patched)
        for _ in range(2):
            with pytest.raises(ChainError, match=r"Rescan aborted"):
                node.sync()
    assert node.rescans == [(0, 19), (20, 39), (40, 59)]
    assert found(node.sync()) == {paid}
    assert node.rescans[3:] == [(60, 79), (80, 99), (100, chain.tip().height)]


def test_a_scan_whose_node_stops_is_no_scan(node: Node, paid: str) -> None:
    node.daemon.scan_seconds = 3
    stopping = threading.Timer(1.0, node.daemon.stop)
    stopping.start()
    with pytest.raises(ChainError):
        node.sync()
    stopping.join()
    node.daemon.scan_seconds = 0
    node.daemon.start()
    assert found(node.sync()) == {paid}


@pytest.mark.parametrize(
    "answer",
    [
        [],
        [{"success": True}],
        [{"success": True}] * 3,
        [{}, {}],
        [{"success": 1}, {"success": 1}],
        [{"success": False, "error": {"code": -1, "message": "no"}}] * 2,
        [{"success": True}] * 2,
        None,
        {"success": True},
    ],
)
def test_an_import_the_node_does_not_show_is_none(
    node: Node, paid: str, answer: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        node.instead("importdescriptors", lambda *_: answer, patched)
        with pytest.raises(ChainError):
            node.sync()
    assert found(node.sync()) == {paid}


@pytest.mark.parametrize(
    "answer",
    [
        None, [], {}, {"start_height": 0}, {"start_height": 0, "stop_height": 5},
        {"start_height": 3, "stop_height": 104}, {"start_height": "0", "stop_height": True},
    ],
)  # fmt: skip
def test_a_scan_the_node_does_not_confirm_is_none(
    node: Node, paid: str, answer: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        node.instead("rescanblockchain", lambda *_: answer, patched)
        for _ in range(2):
            with pytest.raises(ChainError):
                node.sync()
    assert found(node.sync()) == {paid}


def test_a_wider_scan_that_was_cut_off_is_made_again(
    node: Node, chain: RegtestChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    (far,) = chain.fund(script(2_500), 10_000)
    chain.mine(1)
    node.sync()
    with monkeypatch.context() as patched:
        node.instead("rescanblockchain", lambda *_: None, patched)
        with pytest.raises(ChainError):
            node.sync(watch(reach=3_000))
    assert found(node.sync(watch(reach=3_000))) == {far}


def test_a_pruned_node_is_scanned_from_its_first_block(
    node: Node, chain: RegtestChain, paid: str
) -> None:
    node.daemon.pruned_below = 60
    update = node.sync()
    assert (found(update), update.scanned) == ({paid}, (60, True))
    done = list(node.rescans)
    assert node.sync().scanned == (60, True)
    assert node.rescans == done
    born = node.sync(watch(birthday=Birthday(height=80)))
    assert born.scanned is not None
    (late,) = chain.fund(script(1), 5_000)
    assert found(node.sync()) == {paid, late}


def test_a_birthday_after_what_was_pruned_lacks_nothing(node: Node, paid: str) -> None:
    node.daemon.pruned_below = 60
    update = node.sync(watch(birthday=Birthday(height=80)))
    assert (found(update), update.scanned) == ({paid}, (80, False))


def test_what_was_looked_through_before_it_was_pruned_still_counts(node: Node, paid: str) -> None:
    node.sync()
    node.daemon.pruned_below = 60
    update = node.sync()
    assert (found(update), update.scanned) == ({paid}, (0, False))


def test_a_wallet_behind_what_was_pruned_is_left_alone(
    node: Node, chain: RegtestChain, paid: str
) -> None:
    node.sync()
    ask(node.daemon, "unloadwallet", WALLET)
    chain.mine(30)
    node.daemon.pruned_below = 120
    update = node.sync()
    assert update.scanned == (120, True)
    assert "behind what the node pruned" in update.notes[0]
    assert SECOND in node.daemon.loaded
    assert paid not in found(update)


def test_a_rescan_is_asked_for(node: Node, paid: str) -> None:
    node.sync()
    update = node.sync(watch(rescan=Birthday(height=50)))
    assert (found(update), update.scanned) == ({paid}, (0, False))
    assert node.rescans[-1] == (50, node.daemon.chain.tip().height)


def test_a_node_without_wallets_is_named(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    for method in ("listwallets", "loadwallet", "createwallet"):
        monkeypatch.delitem(daemons.NODE_CALLS, method)
    with pytest.raises(ChainError, match="has no wallets: it runs with -disablewallet"):
        node.sync()


def test_a_wallet_with_keys_is_left_alone(node: Node, paid: str) -> None:
    ask(node.daemon, "createwallet", WALLET, True, True, "", False, True, True)

    def keyed(real: Real, asked: dict[str, Any]) -> object:
        told = real()
        assert isinstance(told, dict)
        return {**told, "private_keys_enabled": asked["wallet"].name == WALLET}

    node.instead("getwalletinfo", keyed)
    update = node.sync()
    assert found(update) == {paid}
    assert "not a watch-only wallet" in update.notes[0]


def test_each_key_keeps_its_own_keychains() -> None:
    policy = replace(POLICY, keychains=((0, 1), (5, 4), (0, 1)))
    receive, change = core_wallet.keychain_descriptors(format_descriptor(policy))
    assert [receive.count(f"/{step}/*") for step in (0, 1, 4, 5)] == [2, 0, 0, 1]
    assert [change.count(f"/{step}/*") for step in (0, 1, 4, 5)] == [0, 2, 1, 0]
