"""From 955 inputs and two signatures each to the transaction: against a tenth of it and BDK."""

import gc
from collections.abc import Callable
from typing import NamedTuple

import pytest

from psbt import codec
from psbt.codec import Psbt
from psbt.combiner import combine
from psbt.extractor import extract
from psbt.finalizer import finalize
from psbt.policy import Policy
from psbt.sighash import sighashes
from psbt.signature import verifies
from tests.benchmarks.clock import cpu
from tests.judges import judge
from tests.psbt.soft_vault import soft_vault

pytestmark = pytest.mark.bench

MANY, FEW, ROUNDS = 955, 95, 3


class Job(NamedTuple):
    policy: Policy
    unsigned: Psbt
    signed: list[Psbt]


def job(inputs: int) -> Job:
    vault = soft_vault(2, 3)
    psbt = vault.spend([10_000] * inputs, 5_000 * inputs, 4_000 * inputs)
    returned = (codec.to_bytes(vault.sign(psbt, cosigner)) for cosigner in (0, 2))
    return Job(vault.policy, psbt, [codec.parse(data) for data in returned])


@pytest.fixture(scope="module")
def jobs() -> dict[int, Job]:
    return {inputs: job(inputs) for inputs in (FEW, MANY)}


def our_way(work: Job) -> bytes:
    psbt = work.unsigned
    assert len(sighashes(psbt)) == len(psbt.inputs)
    for other in work.signed:
        psbt = combine(psbt, other, work.policy)
    return extract(finalize(psbt, work.policy))


def bdk_way(work: Job) -> Callable[[], bytes]:
    bdk = judge("bdkpython")
    unsigned = bdk.Psbt(codec.to_base64(work.unsigned))
    signed = [bdk.Psbt(codec.to_base64(other)) for other in work.signed]

    def run() -> bytes:
        psbt = unsigned
        for other in signed:
            psbt = psbt.combine(other)
        return bytes(psbt.finalize().psbt.extract_tx().serialize())

    return run


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


def test_time_grows_with_the_inputs_only(jobs: dict[int, Job]) -> None:
    many, few = (best_time(lambda work=jobs[n]: our_way(work)) for n in (MANY, FEW))
    assert many / few <= 1.5 * MANY / FEW


def test_a_quarter_of_bdk(jobs: dict[int, Job]) -> None:
    theirs = bdk_way(jobs[MANY])
    assert our_way(jobs[MANY]) == theirs()
    assert best_time(lambda: our_way(jobs[MANY])) <= 0.25 * best_time(theirs)


def test_version_2_is_taken_as_fast_as_version_0(jobs: dict[int, Job]) -> None:
    work = jobs[MANY]
    written = {
        version: [codec.to_bytes(other, version) for other in work.signed] for version in (0, 2)
    }

    def parsed_and_combined(version: int) -> Psbt:
        psbt = work.unsigned
        for data in written[version]:
            psbt = combine(psbt, codec.parse(data), work.policy)
        return psbt

    assert codec.to_bytes(parsed_and_combined(2)) == codec.to_bytes(parsed_and_combined(0))
    times = {version: best_time(lambda v=version: parsed_and_combined(v)) for version in (0, 2)}
    assert times[2] <= 1.2 * times[0]
