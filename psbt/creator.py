"""BIP 174's Creator: an unsigned transaction in random order, and all its signers need to know."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from psbt import codec, fields
from psbt.codec import Psbt
from psbt.coins import Coin, Payment
from psbt.errors import PsbtError
from psbt.fields import Fields, Maps
from psbt.policy import PRIMARY, Policy, VaultScript, Wait, vault_script
from psbt.transaction import (
    Transaction,
    TransactionInput,
    TransactionOutput,
    parse_transaction,
)
from psbt.updater import change_fields, global_fields, input_fields

SEQUENCE_RBF: Final = 0xFFFFFFFD
LAST_LOCKTIME: Final = 0xFFFFFFFF


@dataclass(frozen=True)
class Creation:
    """What is spent, to whom, and what comes back; the fee is what is left.

    The branch decides the sequence of each input, and the least lock time.
    """

    policy: Policy
    coins: tuple[Coin, ...]
    payments: tuple[Payment, ...]
    change: tuple[VaultScript, int] | None
    locktime: int
    order: random.Random
    branch: str = PRIMARY

    def __post_init__(self) -> None:
        """Refuse what cannot be a transaction."""
        if not self.coins or len({coin.outpoint for coin in self.coins}) != len(self.coins):
            raise PsbtError(f"{len(self.coins)} coins are named, none or some of them twice")
        if not self.payments and self.change is None:
            raise PsbtError("a transaction needs an output")
        if not 0 <= self.locktime <= LAST_LOCKTIME:
            raise PsbtError(f"the lock time {self.locktime} does not fit into 4 bytes")
        paid = [payment.value_sats for payment in self.payments]
        paid += [self.change[1]] if self.change else []
        if min(paid) < 0:
            raise PsbtError(f"an output of {min(paid)} sats cannot be")
        spent = sum(coin.value_sats for coin in self.coins)
        if sum(paid) > spent:
            raise PsbtError(f"the outputs are worth {sum(paid)} sats, the coins {spent}")


def create(creation: Creation, previous: Mapping[str, bytes]) -> Psbt:
    """Return the PSBT; `previous` holds the raw transaction of each coin by its id."""
    coins = creation.order.sample(creation.coins, len(creation.coins))
    outputs: list[tuple[TransactionOutput, Fields]] = [
        (TransactionOutput(payment.value_sats, payment.script_pubkey), {})
        for payment in creation.payments
    ]
    if creation.change is not None:
        script, value_sats = creation.change
        output = TransactionOutput(value_sats, script.script_pubkey)
        outputs.append((output, change_fields(creation.policy, script)))
    outputs = creation.order.sample(outputs, len(outputs))
    wait = creation.policy.branch(creation.branch).wait or Wait()
    transaction = Transaction(
        tuple(
            TransactionInput(coin.outpoint, sequence=wait.blocks or SEQUENCE_RBF) for coin in coins
        ),
        tuple(output for output, _ in outputs),
        locktime=max(creation.locktime, wait.height or 0),
    )
    transactions = {txid: _previous(txid, previous) for txid in {c.outpoint.txid for c in coins}}
    own = {
        fields.GLOBAL_UNSIGNED_TX: transaction.stripped,
        **global_fields(creation.policy),
    }
    inputs = tuple(
        _input(creation.policy, coin, transactions[coin.outpoint.txid]) for coin in coins
    )
    return codec.assemble(Maps(own, inputs, tuple(output_fields for _, output_fields in outputs)))


def _previous(txid: str, previous: Mapping[str, bytes]) -> Transaction:
    if txid not in previous:
        raise PsbtError(f"the transaction {txid} that made a coin is missing")
    transaction = parse_transaction(previous[txid])
    if transaction.txid != txid:
        raise PsbtError(f"the transaction given for {txid} is {transaction.txid}")
    return transaction


def _input(policy: Policy, coin: Coin, transaction: Transaction) -> Fields:
    """Describe one coin after holding it against the transaction that made it."""
    txid, vout = coin.outpoint
    if vout >= len(transaction.outputs):
        raise PsbtError(f"the transaction {txid} has no output {vout}")
    spent = transaction.outputs[vout]
    if spent.value_sats != coin.value_sats:
        raise PsbtError(
            f"the coin {txid}:{vout} has {spent.value_sats} sats, not {coin.value_sats}"
        )
    script = vault_script(policy, coin.keychain, coin.index)
    if spent.script_pubkey != script.script_pubkey:
        raise PsbtError(
            f"the coin {txid}:{vout} is not at {coin.keychain}/{coin.index} of the policy"
        )
    return input_fields(policy, script, spent, previous=transaction.raw)
