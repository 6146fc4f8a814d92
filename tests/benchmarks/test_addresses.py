"""10,000 addresses of a 2-of-3, of each script: against libwally and BDK's `peek_address`."""

import time
from collections.abc import Callable

import pytest

from psbt.policy import RECEIVE, Policy, addresses, format_descriptor
from tests.judges import judge
from tests.psbt.soft_vault import soft_vault

pytestmark = pytest.mark.bench

COUNT, ROUNDS = 10_000, 3
Addresses = Callable[[], list[str]]


@pytest.fixture(scope="module", params=["wsh", "sh-wsh", "sh"])
def policy(request: pytest.FixtureRequest) -> Policy:
    return soft_vault(2, 3, request.param).policy


def our_way(policy: Policy) -> Addresses:
    return lambda: list(addresses(policy, RECEIVE, range(COUNT)))


def wally_way(policy: Policy) -> Addresses:
    wally = judge("wallycore")
    network = wally.WALLY_NETWORK_BITCOIN_REGTEST
    parsed = wally.descriptor_parse(format_descriptor(policy), None, network, 0)
    return lambda: [wally.descriptor_to_address(parsed, 0, 0, n, 0) for n in range(COUNT)]


def bdk_way(policy: Policy) -> Addresses:
    bdk = judge("bdkpython")
    both = bdk.Descriptor(format_descriptor(policy), bdk.NetworkKind.TEST)
    wallet = bdk.Wallet(
        *both.to_single_descriptors(), bdk.Network.REGTEST, bdk.Persister.new_in_memory()
    )
    keychain = bdk.KeychainKind.EXTERNAL
    return lambda: [str(wallet.peek_address(keychain, n).address) for n in range(COUNT)]


def compared(ours: Addresses, theirs: Addresses) -> float:
    """Return our best time over theirs, the runs of both taking turns."""
    times: dict[Addresses, list[float]] = {ours: [], theirs: []}
    results = []
    for run in (ours, theirs) * ROUNDS:
        start = time.perf_counter()
        results.append(run())
        times[run].append(time.perf_counter() - start)
    assert all(result == results[0] for result in results)
    return min(times[ours]) / min(times[theirs])


def test_six_tenths_of_libwally(policy: Policy) -> None:
    assert compared(our_way(policy), wally_way(policy)) <= 0.6


def test_half_of_bdk(policy: Policy) -> None:
    assert compared(our_way(policy), bdk_way(policy)) <= 0.5
