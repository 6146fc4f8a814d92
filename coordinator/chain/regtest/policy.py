"""What a node relays: the rules of its mempool, in the words of Bitcoin Core."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from coordinator.chain import Package
from coordinator.errors import ChainError, TransactionRejected
from psbt.address import script_type
from psbt.transaction import Transaction
from psbt.weight import dust_limit_sats

MIN_RELAY_SATS_PER_KVB = 1_000
MAX_STANDARD_WEIGHT = 400_000
MIN_STRIPPED_SIZE = 65
STANDARD_VERSIONS = (1, 2, 3)
MAX_REPLACED = 100
RBF_SEQUENCE = 0xFFFFFFFD
MAX_WITNESS_SCRIPT_SIZE = 3_600
MAX_WITNESS_ITEM_SIZE = 80
MAX_WITNESS_ITEMS = 100
MAX_SCRIPT_SIG_SIZE = 1_650
OP_RETURN = 0x6A
HIGH_S = "non-mandatory-script-verify-flag (Non-canonical signature: S value is unnecessarily high)"
HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0


class Waiting(NamedTuple):
    """A transaction in the mempool and what it pays."""

    transaction: Transaction
    fee_sats: int


def check_standard(transaction: Transaction) -> None:
    """Refuse a transaction that nodes do not relay whatever it pays."""
    if transaction.is_coinbase:
        raise TransactionRejected("coinbase")
    if transaction.version not in STANDARD_VERSIONS:
        raise TransactionRejected("version")
    if transaction.weight > MAX_STANDARD_WEIGHT:
        raise TransactionRejected("tx-size")
    if len(transaction.stripped) < MIN_STRIPPED_SIZE:
        raise TransactionRejected("tx-size-small")
    if any(len(item.script_sig) > MAX_SCRIPT_SIG_SIZE for item in transaction.inputs):
        raise TransactionRejected("scriptsig-size")
    for output in transaction.outputs:
        _check_output(output.script_pubkey, output.value_sats)


def check_witnesses(transaction: Transaction, scripts: Sequence[bytes]) -> None:
    """Refuse P2WSH witnesses that are too large, or hold a signature with a high S."""
    for item, script_pubkey in zip(transaction.inputs, scripts, strict=True):
        if script_type(script_pubkey) != "p2wsh" or not item.witness:
            continue
        *stack, script = item.witness
        if len(script) > MAX_WITNESS_SCRIPT_SIZE or len(stack) > MAX_WITNESS_ITEMS:
            raise TransactionRejected("bad-witness-nonstandard")
        if any(len(element) > MAX_WITNESS_ITEM_SIZE for element in stack):
            raise TransactionRejected("bad-witness-nonstandard")
        if any(map(_has_high_s, stack)):
            raise TransactionRejected(HIGH_S)


def check_fee(candidate: Waiting) -> None:
    """Refuse less than the minimum relay rate."""
    if candidate.fee_sats * 1_000 < candidate.transaction.vsize * MIN_RELAY_SATS_PER_KVB:
        raise TransactionRejected("min relay fee not met")


def conflicts(transaction: Transaction, pool: Mapping[str, Waiting]) -> dict[str, Waiting]:
    """Return the waiting transactions that spend a coin of this one."""
    spent = {item.outpoint for item in transaction.inputs}
    return {
        txid: waiting
        for txid, waiting in pool.items()
        if any(item.outpoint in spent for item in waiting.transaction.inputs)
    }


def package(txid: str, pool: Mapping[str, Waiting]) -> Package:
    """Return what a waiting transaction and its waiting ancestors weigh and pay."""
    if txid not in pool:
        raise ChainError(f"transaction {txid} does not wait for a block")
    ancestors = {txid}
    # Parents stand before their children: one pass from the end meets every ancestor.
    for child, waiting in reversed(list(pool.items())):
        if child in ancestors:
            spent = {item.outpoint.txid for item in waiting.transaction.inputs}
            ancestors |= spent & pool.keys()
    found = [pool[ancestor] for ancestor in ancestors]
    return Package(
        sum(waiting.transaction.vsize for waiting in found),
        sum(waiting.fee_sats for waiting in found),
    )


def with_descendants(
    roots: Mapping[str, Waiting], pool: Mapping[str, Waiting]
) -> dict[str, Waiting]:
    """Return the roots and what spends from them; the pool lists parents first."""
    family = dict(roots)
    for txid, waiting in pool.items():
        if any(item.outpoint.txid in family for item in waiting.transaction.inputs):
            family[txid] = waiting
    return family


def check_replaceable(direct: Mapping[str, Waiting], evicted: Mapping[str, Waiting]) -> None:
    """Refuse a conflict with what did not ask to be replaced (BIP 125), or with too much."""
    if not all(map(_signals, direct.values())):
        raise TransactionRejected("txn-mempool-conflict")
    if len(evicted) > MAX_REPLACED:
        raise TransactionRejected("too many potential replacements")


def check_replacement(
    candidate: Waiting, direct: Mapping[str, Waiting], evicted: Mapping[str, Waiting]
) -> None:
    """Refuse a replacement that does not pay more than all it pushes out (BIP 125)."""
    if not direct:
        return
    vsize = candidate.transaction.vsize
    least = sum(waiting.fee_sats for waiting in evicted.values())
    least += -(-vsize * MIN_RELAY_SATS_PER_KVB // 1_000)
    outbid = all(
        candidate.fee_sats * waiting.transaction.vsize > waiting.fee_sats * vsize
        for waiting in direct.values()
    )
    if candidate.fee_sats < least or not outbid:
        raise TransactionRejected("insufficient fee")


def _check_output(script_pubkey: bytes, value_sats: int) -> None:
    if script_pubkey[:1] == bytes((OP_RETURN,)):
        return
    if script_type(script_pubkey) == "unknown":
        raise TransactionRejected("scriptpubkey")
    if value_sats < dust_limit_sats(script_pubkey):
        raise TransactionRejected("dust")


def _signals(waiting: Waiting) -> bool:
    return any(item.sequence <= RBF_SEQUENCE for item in waiting.transaction.inputs)


def _has_high_s(element: bytes) -> bool:
    """Tell whether a stack element is a DER signature whose S is above half the order."""
    if len(element) < 9 or element[0] != 0x30:
        return False
    s_start = 6 + element[3]
    return int.from_bytes(element[s_start:-1], "big") > HALF_ORDER
