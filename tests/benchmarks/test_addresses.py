"""10,000 addresses of a 2-of-3, of each script: against libwally and BDK's `peek_address`."""

from collections.abc import Callable

import pytest

from psbt.policy import RECEIVE, Policy, addresses, format_descriptor
from tests.benchmarks.clock import cpu
from tests.judges import judge
from tests.psbt.soft_vault import soft_vault

pytestmark = pytest.mark.bench

COUNT, CHUNK, ROUNDS = 10_000, 500, 3
Addresses = Callable[[range], list[str]]


@pytest.fixture(scope="module", params=["wsh", "sh-wsh", "sh"])
def policy(request: pytest.FixtureRequest) -> Policy:
    return soft_vault(2, 3, request.param).policy


def our_way(policy: Policy) -> Addresses:
    return lambda indexes: list(addresses(policy, RECEIVE, indexes))


def wally_way(policy: Policy) -> Addresses:
    wally = judge("wallycore")
    network = wally.WALLY_NETWORK_BITCOIN_REGTEST
    parsed = wally.descriptor_parse(format_descriptor(policy), None, network, 0)
    return lambda indexes: [wally.descriptor_to_address(parsed, 0, 0, n, 0) for n in indexes]


def bdk_way(policy: Policy) -> Addresses:
    bdk = judge("bdkpython")
    both = bdk.Descriptor(format_descriptor(policy), bdk.NetworkKind.TEST)
    wallet = bdk.Wallet(
        *both.to_single_descriptors(), bdk.Network.REGTEST, bdk.Persister.new_in_memory()
    )
    keychain = bdk.KeychainKind.EXTERNAL
    return lambda indexes: [str(wallet.peek_address(keychain, n).address) for n in indexes]


def compared(ours: Addresses, theirs: Addresses) -> float:
    """Return our time on the processor over theirs, of each chunk the best; both take turns."""
    spent = {ours: 0.0, theirs: 0.0}
    for start in range(0, COUNT, CHUNK):
        indexes = range(start, start + CHUNK)
        times: dict[Addresses, list[float]] = {ours: [], theirs: []}
        results = []
        for run in (ours, theirs) * ROUNDS:
            begun = cpu()
            results.append(run(indexes))
            times[run].append(cpu() - begun)
        assert all(result == results[0] for result in results)
        for run, taken in times.items():
            spent[run] += min(taken)
    return spent[ours] / spent[theirs]


def test_less_than_half_of_libwally(policy: Policy) -> None:
    assert compared(our_way(policy), wally_way(policy)) <= 0.45


def test_half_of_bdk(policy: Policy) -> None:
    assert compared(our_way(policy), bdk_way(policy)) <= 0.5
