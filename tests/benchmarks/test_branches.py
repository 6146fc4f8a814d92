"""A recovery of 300 coins finalized, and addresses of a policy with branches: against BDK."""

import gc
from collections.abc import Callable

import pytest

from psbt import codec
from psbt.extractor import extract
from psbt.finalizer import finalize
from psbt.policy import RECEIVE, addresses, format_descriptor
from psbt.signature import verifies
from tests.benchmarks.clock import cpu
from tests.judges import judge
from tests.psbt.branch_vaults import branch_vault, last_keys, signed_by_branch, spend_by

pytestmark = pytest.mark.bench

COINS, ADDRESSES, ROUNDS = 300, 3_000, 3


def best_time(run: Callable[[], object]) -> float:
    """Time the best of some runs; none remembers what an earlier one verified."""
    times = []
    for _ in range(ROUNDS):
        verifies.cache_clear()
        gc.collect()
        start = cpu()
        run()
        times.append(cpu() - start)
    return min(times)


@pytest.mark.parametrize("name", ["several later keys", "Liana, thresh", "decaying"])
def test_a_recovery_is_finalized_faster_than_by_bdk(name: str) -> None:
    bdk = judge("bdkpython")
    vault, branch = branch_vault(name), "recovery"
    psbt = spend_by(vault, branch, [10_000] * COINS)
    signed = signed_by_branch(vault, psbt, branch, *last_keys(vault, branch))
    theirs = bdk.Psbt(codec.to_base64(signed))

    def ours() -> bytes:
        return extract(finalize(signed, vault.policy, branch=branch))

    def bdks() -> bytes:
        return bytes(theirs.finalize().psbt.extract_tx().serialize())

    assert ours() == bdks()
    assert best_time(ours) <= 0.8 * best_time(bdks)


def test_addresses_take_no_longer_than_bdks() -> None:
    bdk = judge("bdkpython")
    policy = branch_vault("several later keys").policy
    both = bdk.Descriptor(format_descriptor(policy), bdk.NetworkKind.TEST)
    receive, change = both.to_single_descriptors()
    wallet = bdk.Wallet(receive, change, bdk.Network.REGTEST, bdk.Persister.new_in_memory())
    kind = bdk.KeychainKind.EXTERNAL
    theirs = best_time(lambda: [wallet.peek_address(kind, n) for n in range(ADDRESSES)])
    assert best_time(lambda: list(addresses(policy, RECEIVE, range(ADDRESSES)))) <= theirs
