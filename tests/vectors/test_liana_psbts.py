"""Liana's PSBTs, beside the descriptors of the same tests: whose they are, and who signed.

What is told of each is what Liana's own tests say of it (its `descriptors/mod.rs`).
"""

import json
from pathlib import Path
from typing import NamedTuple

import pytest

from coordinator.interop.recognition import read_text
from coordinator.interop.wallet_file import policy_of
from coordinator.payment import psbt_file
from psbt import consensus
from psbt.errors import PsbtError
from psbt.extractor import final_transaction
from psbt.finalizer import finalize
from psbt.network import Network
from psbt.ownership import own_inputs
from psbt.partial_signatures import valid_signatures
from psbt.policy import PRIMARY, Policy
from psbt.sighash import spent_outputs
from psbt.timelocks import psbt_branches

FILE = Path(__file__).parents[3] / "shared" / "vectors" / "interop" / "liana" / "descriptors.json"
TEXTS: dict[int, str] = (
    {each["id"]: each["text"] for each in json.loads(FILE.read_text())} if FILE.is_file() else {}
)
HERE = Network.TESTNET4
BOTH = (PRIMARY, "recovery")
pytestmark = pytest.mark.skipif(not TEXTS, reason="no shared vectors here")


class Told(NamedTuple):
    """A descriptor, the inputs that are its own, the branches allowed, inputs signed validly."""

    descriptor: int
    inputs: int
    branches: tuple[str, ...]
    signed: int


TOLD = {
    31: Told(30, 1, (PRIMARY,), 0),
    32: Told(30, 1, (PRIMARY,), 0),  # it holds a signature, which is none of this payment
    33: Told(30, 6, (PRIMARY,), 6),
    40: Told(39, 1, (PRIMARY,), 0),
    41: Told(39, 1, (PRIMARY,), 0),  # 40 with the keys of the primary alone
    42: Told(39, 1, BOTH, 0),
    43: Told(39, 1, BOTH, 0),  # 42 with the keys of the later branch alone
}


def policy(number: int) -> Policy:
    return policy_of(read_text(TEXTS[number], HERE), HERE)


@pytest.mark.parametrize("number", TOLD)
def test_whose_a_payment_is_and_who_signed_is_told_as_liana_does(number: int) -> None:
    told, psbt = TOLD[number], psbt_file.read_psbt(TEXTS[number].encode())
    meant = policy(told.descriptor)
    assert len(own_inputs(psbt, meant)) == told.inputs == len(psbt.inputs)
    assert psbt_branches(psbt, meant) == told.branches
    signatures = valid_signatures(psbt, meant)
    assert sum(map(len, signatures.values())) == told.signed
    if told.signed == told.inputs:
        final = final_transaction(finalize(psbt, meant))
        assert consensus.judge(final, spent_outputs(psbt)) == "accepted"
        with pytest.raises(PsbtError, match="cannot be made by the recovery branch"):
            finalize(psbt, meant, branch="recovery")


def test_a_payment_of_another_wallet_is_none_of_ours() -> None:
    """36 is of a wallet whose keys are of two networks, which is refused."""
    psbt = psbt_file.read_psbt(TEXTS[36].encode())
    for number in (30, 35, 39):
        with pytest.raises(PsbtError, match=r"spends? a coin of this policy"):
            own_inputs(psbt, policy(number))
    with pytest.raises(PsbtError, match="mixes keys of two networks"):
        policy(34)
