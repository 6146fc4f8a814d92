"""What a node relays: the rules of its mempool, in the words of Bitcoin Core."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from coordinator.chain import Package
from coordinator.errors import ChainError, TransactionRejected
from psbt.relay import (
    CORE_30,
    TRUC_VERSION,
    NodeView,
    Refusal,
    WaitingTransaction,
    ancestors_of,
    form_refusals,
    output_kind,
    package_refusals,
    pushed_last,
    pushes_only,
    relay_vsize,
    sigops,
    sigops_cost,
    sigops_refusals,
)
from psbt.transaction import Transaction, TransactionInput
from psbt.weight import WITNESS_SCALE, fee_at

MAX_REPLACED = 100
MAX_WITNESS_SCRIPT_SIZE = 3_600
MAX_WITNESS_ITEM_SIZE = 80
MAX_WITNESS_ITEMS = 100
MAX_TAPSCRIPT_ITEM_SIZE = 80
MAX_SCRIPT_SIG_SIZE = 1_650
MAX_P2SH_SIGOPS = 15
EXTRA_DESCENDANT_VSIZE = 10_000
ANCHOR = bytes.fromhex("51024e73")
TAPROOT_ANNEX = 0x50
TAPSCRIPT_LEAF = 0xC0
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
    for item in transaction.inputs:
        if len(item.script_sig) > MAX_SCRIPT_SIG_SIZE:
            raise TransactionRejected("scriptsig-size")
        if not pushes_only(item.script_sig):
            raise TransactionRejected("scriptsig-not-pushonly")
    _refuse(form_refusals(transaction, transaction.weight))


def check_inputs(transaction: Transaction, scripts: Sequence[bytes]) -> None:
    """Refuse to spend what nodes do not let be spent, or with witnesses they do not relay."""
    for item, script_pubkey in zip(transaction.inputs, scripts, strict=True):
        kind = output_kind(script_pubkey)
        unknown = kind == "witness" and script_pubkey != ANCHOR
        if unknown or kind in {"nonstandard", "data"}:
            raise TransactionRejected("bad-txns-nonstandard-inputs")
        if kind == "p2sh" and sigops(pushed_last(item.script_sig), accurate=True) > MAX_P2SH_SIGOPS:
            raise TransactionRejected("bad-txns-nonstandard-inputs")
        if item.witness and not _is_standard_witness(item, kind):
            raise TransactionRejected("bad-witness-nonstandard")
        if kind == "p2wsh" and any(map(_has_high_s, item.witness[:-1])):
            raise TransactionRejected(HIGH_S)


def check_fee(candidate: Waiting, scripts: Sequence[bytes]) -> None:
    """Refuse less than the minimum relay rate, or more signature checks than are relayed."""
    transaction = candidate.transaction
    cost = sigops_cost(transaction, _input_sigops(transaction, scripts))
    _refuse(sigops_refusals(cost))
    least = CORE_30.minimum
    if candidate.fee_sats < fee_at(least, relay_vsize(transaction.weight, cost)):
        raise TransactionRejected("min relay fee not met")


def check_package(candidate: Waiting, pool: Mapping[str, Waiting]) -> None:
    """Refuse too long a line of waiting transactions, and what version 3 forbids (BIP 431)."""
    transaction, vsize = candidate.transaction, candidate.transaction.vsize
    waiting = _as_relayed(pool)
    _refuse(package_refusals(transaction, vsize, NodeView(waiting=waiting)))
    parents = _parents(transaction, pool)
    ancestors = ancestors_of(set(parents), waiting)
    # A small transaction with a single parent may be one too many (the carve-out of CPFP).
    extra = vsize <= EXTRA_DESCENDANT_VSIZE and len(ancestors) == 1
    for txid in ancestors:
        family = with_descendants({txid: pool[txid]}, pool)
        if transaction.version == TRUC_VERSION and len(family) > 1:
            raise TransactionRejected("TRUC-violation")
        together = vsize + sum(each.transaction.vsize for each in family.values())
        room = CORE_30.package_vsize + (EXTRA_DESCENDANT_VSIZE if extra else 0)
        if len(family) + 1 > CORE_30.package_count + extra or together > room:
            raise TransactionRejected("too-long-mempool-chain")


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
    found = [pool[each] for each in ancestors_of({txid}, _as_relayed(pool))]
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


def check_replaceable(
    transaction: Transaction, direct: Mapping[str, Waiting], pool: Mapping[str, Waiting]
) -> None:
    """Refuse to push out too much, or to build on what waits and was not built on before."""
    if not direct:
        return
    if len(with_descendants(direct, pool)) > MAX_REPLACED:
        raise TransactionRejected("too many potential replacements")
    before = {each for waiting in direct.values() for each in _parents(waiting.transaction, pool)}
    if not _parents(transaction, pool) - direct.keys() <= before:
        raise TransactionRejected("replacement-adds-unconfirmed")


def check_replacement(
    candidate: Waiting, direct: Mapping[str, Waiting], evicted: Mapping[str, Waiting]
) -> None:
    """Refuse a replacement that does not pay more than all it pushes out (BIP 125)."""
    if not direct:
        return
    vsize = candidate.transaction.vsize
    least = sum(waiting.fee_sats for waiting in evicted.values())
    least += fee_at(CORE_30.replacement_step, vsize)
    outbid = all(
        candidate.fee_sats * waiting.transaction.vsize > waiting.fee_sats * vsize
        for waiting in direct.values()
    )
    if candidate.fee_sats < least or not outbid:
        raise TransactionRejected("insufficient fee")


def _refuse(refusals: Iterable[Refusal]) -> None:
    """Raise the first of them."""
    for refusal in refusals:
        raise TransactionRejected(refusal.reason)


def _parents(transaction: Transaction, pool: Mapping[str, Waiting]) -> frozenset[str]:
    return frozenset({item.outpoint.txid for item in transaction.inputs} & pool.keys())


def _as_relayed(pool: Mapping[str, Waiting]) -> dict[str, WaitingTransaction]:
    """Return what nodes weigh of what waits."""
    transactions = {txid: waiting.transaction for txid, waiting in pool.items()}
    return {
        txid: WaitingTransaction(each.version, each.vsize, _parents(each, pool))
        for txid, each in transactions.items()
    }


def _is_standard_witness(item: TransactionInput, kind: str) -> bool:
    *stack, last = item.witness
    if kind == "p2wsh":
        small = all(len(element) <= MAX_WITNESS_ITEM_SIZE for element in stack)
        return len(last) <= MAX_WITNESS_SCRIPT_SIZE and len(stack) <= MAX_WITNESS_ITEMS and small
    if kind == "p2tr":
        if len(item.witness) > 1 and last[:1] == bytes((TAPROOT_ANNEX,)):
            return False
        tapscript = len(item.witness) > 1 and last and last[0] & 0xFE == TAPSCRIPT_LEAF
        return not tapscript or all(len(each) <= MAX_TAPSCRIPT_ITEM_SIZE for each in stack[:-1])
    # An anchor takes no witness; what is no witness program takes none either.
    return kind in {"p2wpkh", "p2sh"}


def _input_sigops(transaction: Transaction, scripts: Sequence[bytes]) -> int:
    """Return what the signature checks of the inputs cost beyond their scriptSigs (BIP 141)."""
    cost = 0
    for item, script_pubkey in zip(transaction.inputs, scripts, strict=True):
        program = script_pubkey
        if output_kind(script_pubkey) == "p2sh":
            program = pushed_last(item.script_sig)
            cost += WITNESS_SCALE * sigops(program, accurate=True)
        kind = output_kind(program)
        if kind == "p2wpkh":
            cost += 1
        elif kind == "p2wsh" and item.witness:
            cost += sigops(item.witness[-1], accurate=True)
    return cost


def _has_high_s(element: bytes) -> bool:
    """Tell whether a stack element is a DER signature whose S is above half the order."""
    if len(element) < 9 or element[0] != 0x30:
        return False
    s_start = 6 + element[3]
    return int.from_bytes(element[s_start:-1], "big") > HALF_ORDER
