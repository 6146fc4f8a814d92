"""A message signed under BIP 322 cannot be sent, even by somebody who tries."""

from dataclasses import replace

import pytest

from coordinator.chain.regtest import RegtestChain
from coordinator.errors import TransactionRejected
from psbt.message import to_sign, to_spend
from tests.coordinator.chain.purse import Purse


def test_no_chain_takes_a_signed_message(chain: RegtestChain, purse: Purse) -> None:
    signed = purse.sign(to_sign("hello", purse.script_pubkey), [0])
    made = to_spend("hello", purse.script_pubkey)
    witnessed = replace(made, inputs=(made.inputs[0]._replace(witness=(b"",)),))
    for transaction in (signed, made, witnessed):
        with pytest.raises(TransactionRejected):
            chain.broadcast(transaction.raw)
    assert chain.mempool() == []
