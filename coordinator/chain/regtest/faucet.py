"""The faucet: coins anyone may spend, so that the embedded chain can pay without a key."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from coordinator.chain.regtest.blocks import MATURITY_BLOCKS, subsidy
from coordinator.chain.regtest.ledger import LedgerCoin
from coordinator.errors import ChainError
from psbt.coins import Outpoint
from psbt.transaction import Transaction, TransactionInput, TransactionOutput

WITNESS_SCRIPT = b"\x51"
SCRIPT_PUBKEY = b"\x00\x20" + hashlib.sha256(WITNESS_SCRIPT).digest()
LAST_HEIGHT = 1_500
"""The engine slows down with every block; the faucet mines no further than this."""
COINS_PER_TRANSACTION = 1_000
# Twice the minimum relay rate: half a satoshi per weight unit.
INPUT_FEE_SATS = 84
OUTPUT_FEE_SATS = 86
BASE_FEE_SATS = 120
LEAST_CHANGE_SATS = 1_000


class Wanted(NamedTuple):
    """What is to be paid: the same amount in so many coins."""

    script_pubkey: bytes
    value_sats: int
    coins: int

    @property
    def cost_sats(self) -> int:
        """Return the sum of all coins and the fee of everything but the inputs."""
        per_coin = self.value_sats + OUTPUT_FEE_SATS
        return self.coins * per_coin + (1 + self.coins // COINS_PER_TRANSACTION) * BASE_FEE_SATS

    def portions(self) -> Iterator["Wanted"]:
        """Yield what each transaction pays."""
        for start in range(0, self.coins, COINS_PER_TRANSACTION):
            yield self._replace(coins=min(COINS_PER_TRANSACTION, self.coins - start))


def blocks_to_mine(wanted: Wanted, coins: Mapping[Outpoint, LedgerCoin], height: int) -> int:
    """Return how many blocks must follow this height until the faucet can pay."""
    gifts = [(_ripe(coin) - height, _gain(coin)) for coin in coins.values() if _usable(coin)]
    future = range(height + 1, LAST_HEIGHT)
    gifts += [(h + MATURITY_BLOCKS - 1 - height, subsidy(h) - INPUT_FEE_SATS) for h in future]
    total = 0
    for blocks, gain in sorted(gifts):
        if height + max(blocks, 0) > LAST_HEIGHT:
            break
        total += gain
        if total >= wanted.cost_sats:
            return max(blocks, 0)
    raise ChainError(
        f"the faucet can pay {total} sats by block {LAST_HEIGHT}, not {wanted.cost_sats}"
    )


def pay(wanted: Wanted, coins: Mapping[Outpoint, LedgerCoin], height: int) -> Transaction:
    """Return a transaction that pays from the largest faucet coins ripe at this height."""
    ripe = [item for item in coins.items() if _usable(item[1]) and _ripe(item[1]) <= height]
    inputs, change = list[TransactionInput](), -wanted.cost_sats
    for outpoint, coin in sorted(ripe, key=lambda item: (-item[1].value_sats, item[0])):
        if change >= 0:
            break
        inputs.append(TransactionInput(outpoint, witness=(WITNESS_SCRIPT,)))
        change += _gain(coin)
    outputs = [TransactionOutput(wanted.value_sats, wanted.script_pubkey)] * wanted.coins
    if change >= LEAST_CHANGE_SATS:
        outputs.append(TransactionOutput(change, SCRIPT_PUBKEY))
    return Transaction(tuple(inputs), tuple(outputs))


def spends_for_anyone(transaction: Transaction, spent: Sequence[LedgerCoin]) -> bool:
    """Tell whether every input is a faucet coin, spent as anyone may."""
    free = all(item.witness == (WITNESS_SCRIPT,) for item in transaction.inputs)
    return free and all(coin.script_pubkey == SCRIPT_PUBKEY for coin in spent)


def _usable(coin: LedgerCoin) -> bool:
    return coin.script_pubkey == SCRIPT_PUBKEY and _gain(coin) > 0


def _gain(coin: LedgerCoin) -> int:
    return coin.value_sats - INPUT_FEE_SATS


def _ripe(coin: LedgerCoin) -> int:
    return coin.height + MATURITY_BLOCKS - 1 if coin.coinbase else 0
