"""The vault that the servers are tried with: its scripts, and payments from it."""

import random

from coordinator.chain.regtest import RegtestChain
from psbt.coins import Coin, Outpoint, Payment
from psbt.creator import Creation, create
from psbt.extractor import extract
from psbt.finalizer import finalize
from psbt.policy import CHANGE, RECEIVE, format_descriptor, vault_script
from psbt.transaction import parse_transaction
from tests.psbt.soft_vault import PAYEE, soft_vault

VAULT = soft_vault(2, 3)
DESCRIPTOR = format_descriptor(VAULT.policy)


def receive_script(index: int) -> bytes:
    return vault_script(VAULT.policy, RECEIVE, index).script_pubkey


def change_script(index: int) -> bytes:
    return vault_script(VAULT.policy, CHANGE, index).script_pubkey


def spend(chain: RegtestChain, txid: str, pay_sats: int, fee_sats: int) -> bytes:
    """Pay from what a transaction gave the first address; the rest is change."""
    raw = chain.transaction(txid)
    assert raw is not None
    outputs = enumerate(parse_transaction(raw).outputs)
    vout, output = next(item for item in outputs if item[1].script_pubkey == receive_script(0))
    coin = Coin(Outpoint(txid, vout), output.value_sats, RECEIVE, 0, 100)
    change = (vault_script(VAULT.policy, CHANGE, 0), output.value_sats - pay_sats - fee_sats)
    payments = (Payment(PAYEE, pay_sats),)
    plan = Creation(VAULT.policy, (coin,), payments, change, 0, random.Random(1))
    psbt = create(plan, {txid: raw})
    for cosigner in (0, 2):
        psbt = VAULT.sign(psbt, cosigner)
    return extract(finalize(psbt, VAULT.policy))
