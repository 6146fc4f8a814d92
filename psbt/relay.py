"""What nodes relay: the standardness, fees, locks and packages of Bitcoin Core 30.

A review asks here before the first card, the embedded chain when a transaction is sent; each
refusal has Core's own reason, a code for the review, and a sentence.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final, NamedTuple

from psbt.address import is_public_key, pays_to_key, script_type
from psbt.coins import Outpoint
from psbt.multisig import OP_1, OP_16, OP_CHECKMULTISIG, OP_CHECKSIG, OP_RETURN
from psbt.transaction import (
    FINAL_SEQUENCE,
    FIRST_TIME_LOCK,
    SEQUENCE_IS_TIME,
    SEQUENCE_MASK,
    SEQUENCE_NO_LOCK,
    SEQUENCE_SECONDS,
    Transaction,
)
from psbt.weight import WEIGHT_MAX, WITNESS_SCALE, dust_limit_sats, fee_at, vsize_of

VERSIONS: Final = (1, 2, 3)
TRUC_VERSION: Final = 3
TRUC_VSIZE_MAX: Final = 10_000
TRUC_CHILD_VSIZE_MAX: Final = 1_000
STRIPPED_SIZE_MIN: Final = 65
SIGOPS_COST_MAX: Final = 16_000
WEIGHT_PER_SIGOP: Final = 20
SENDING_FEERATE_MAX: Final = 10_000_000
"""What a node sends on request without being told otherwise, in sat/kvB (`-maxfeerate`)."""
COINBASE_MATURITY: Final = 100
BLOCK_SECONDS: Final = 600
GENESIS_TIME: Final = 1_231_006_505
MINED_FASTER: Final = 106
"""How many blocks came in the time of a hundred, up to now."""

OP_3, OP_CHECKSIGVERIFY, OP_CHECKMULTISIGVERIFY = 0x53, 0xAD, 0xAF
PUSHDATA: Final = {0x4C: 1, 0x4D: 2, 0x4E: 4}
MULTISIG_KEYS_MAX: Final = 20


class RelayRules(NamedTuple):
    """What a node may decide for itself: fee rates in sat/kvB, sizes in bytes, packages."""

    minimum: int = 100
    replacement_step: int = 100
    datacarrier_size: int = 100_000
    bare_multisig: bool = True
    package_count: int = 25
    package_vsize: int = 101_000


CORE_30: Final = RelayRules()


class Refusal(NamedTuple):
    """Why a node would not take a transaction: Core's reason, a code, and a sentence."""

    reason: str
    code: str
    message: str


class CoinAge(NamedTuple):
    """The block a coin came with; `since` is the median time before it, None where unknown."""

    height: int | None
    since: int | None = None
    coinbase: bool = False


class WaitingTransaction(NamedTuple):
    """A transaction that waits for a block: its version and size, and what it spends."""

    version: int
    vsize: int
    parents: frozenset[str]


class NodeView(NamedTuple):
    """What a chain source holds a transaction against, as far as it was told.

    `median_time` is the newest block's (BIP 113); `coins` and `waiting` are those spent, and all
    that waits before them.
    """

    rules: RelayRules = CORE_30
    median_time: int | None = None
    coins: Mapping[Outpoint, CoinAge] = MappingProxyType({})
    waiting: Mapping[str, WaitingTransaction] = MappingProxyType({})


def form_refusals(
    transaction: Transaction, weight: int, rules: RelayRules = CORE_30
) -> Iterator[Refusal]:
    """Yield what no fee makes good: version, size, and what the outputs are.

    The weight is given: that of a transaction which is yet to be signed is an estimate.
    """
    version = _signed(transaction.version)
    if version not in VERSIONS:
        message = f"nodes relay transactions of version 1, 2 or 3, not {version}"
        yield Refusal("version", "nonstandard_version", message)
    if weight > WEIGHT_MAX:
        message = f"{vsize_of(weight)} vbytes are more than the {WEIGHT_MAX // 4} that nodes relay"
        yield Refusal("tx-size", "too_heavy", message)
    yield from _output_refusals(transaction, rules)
    if len(transaction.stripped) < STRIPPED_SIZE_MIN:
        message = f"{len(transaction.stripped)} bytes are less than nodes relay"
        yield Refusal("tx-size-small", "too_small", message)
    if version == TRUC_VERSION and vsize_of(weight) > TRUC_VSIZE_MAX:
        message = f"{vsize_of(weight)} vbytes are more than version 3 allows, {TRUC_VSIZE_MAX}"
        yield Refusal("TRUC-violation", "version_3_rules", message)


def _output_refusals(transaction: Transaction, rules: RelayRules) -> Iterator[Refusal]:
    data_left = rules.datacarrier_size
    for number, output in enumerate(transaction.outputs):
        script = output.script_pubkey
        kind = output_kind(script)
        if kind == "data":
            data_left -= len(script)
            if data_left < 0:
                message = f"nodes relay at most {rules.datacarrier_size} bytes of data (OP_RETURN)"
                yield Refusal("datacarrier", "too_much_data", message)
                data_left = rules.datacarrier_size
        elif kind == "nonstandard":
            message = f"output {number} has a script of no kind that nodes relay"
            yield Refusal("scriptpubkey", "nonstandard_output", message)
        elif kind == "multisig" and not rules.bare_multisig:
            message = f"output {number} is a bare multisig script, which this node does not relay"
            yield Refusal("bare-multisig", "nonstandard_output", message)
    for number, output in enumerate(transaction.outputs):
        limit = dust_limit_sats(output.script_pubkey)
        if output.value_sats < limit:
            message = (
                f"{output.value_sats} sats in output {number} are dust: nodes relay {limit} or more"
            )
            yield Refusal("dust", "dust", message)


def sigops_refusals(cost: int) -> Iterator[Refusal]:
    """Yield what is wrong with so many signature checks."""
    if cost > SIGOPS_COST_MAX:
        message = f"signature checks that cost {cost} are more than nodes relay, {SIGOPS_COST_MAX}"
        yield Refusal("bad-txns-too-many-sigops", "too_many_checks", message)


def fee_refusals(fee_sats: int, vsize: int, rules: RelayRules = CORE_30) -> Iterator[Refusal]:
    """Yield what is wrong with a fee; the size is the one that nodes reckon with."""
    least = fee_at(rules.minimum, vsize)
    if fee_sats < least:
        message = (
            f"a fee of {fee_sats} sats is below what the chain source relays:"
            f" {least} sats, {per_vbyte(rules.minimum)} sat/vB"
        )
        yield Refusal("min relay fee not met", "below_relay_minimum", message)
    if fee_sats > fee_at(SENDING_FEERATE_MAX, vsize):
        message = (
            f"a fee of {fee_sats} sats is more than nodes send:"
            f" {per_vbyte(SENDING_FEERATE_MAX)} sat/vB at most"
        )
        yield Refusal("max-fee-exceeded", "absurd_fee", message)


def lock_refusals(
    transaction: Transaction, tip_height: int | None, view: NodeView
) -> Iterator[Refusal]:
    """Yield what keeps a transaction out of the next block, and until when.

    Where no chain was asked every lock is named.
    """
    yield from _absolute_lock(transaction, tip_height, view.median_time)
    for item in transaction.inputs:
        age = view.coins.get(item.outpoint)
        if age is not None and age.coinbase and tip_height is not None:
            ripe = COINBASE_MATURITY + (tip_height + 1 if age.height is None else age.height)
            if tip_height + 1 < ripe:
                message = f"the newly mined coin {item.outpoint} can be spent from block {ripe} on"
                reason = "bad-txns-premature-spend-of-coinbase"
                yield Refusal(reason, "immature_coin", message)
        if transaction.version > 1 and not item.sequence & SEQUENCE_NO_LOCK:
            yield from _relative_lock(item.outpoint, item.sequence, tip_height, view=view)


def package_refusals(transaction: Transaction, vsize: int, view: NodeView) -> Iterator[Refusal]:
    """Yield what is wrong with a transaction among those that wait before it."""
    parents = {item.outpoint.txid for item in transaction.inputs} & view.waiting.keys()
    ancestors = ancestors_of(parents, view.waiting)
    together = vsize + sum(view.waiting[txid].vsize for txid in ancestors)
    rules = view.rules
    if len(ancestors) >= rules.package_count or together > rules.package_vsize:
        message = (
            f"{len(ancestors)} transactions of {together - vsize} vbytes wait before it: nodes take"
            f" {rules.package_count - 1}, and {rules.package_vsize} vbytes together"
        )
        yield Refusal("too-long-mempool-chain", "long_chain", message)
    of_three = _signed(transaction.version) == TRUC_VERSION
    if any((view.waiting[txid].version == TRUC_VERSION) != of_three for txid in parents):
        message = (
            "version 3 builds only on version 3 while that waits, and other versions on others"
        )
        yield Refusal("TRUC-violation", "version_3_rules", message)
    elif of_three and ancestors and (len(ancestors) > 1 or vsize > TRUC_CHILD_VSIZE_MAX):
        message = (
            f"of version 3 nodes take one waiting transaction with one of at most"
            f" {TRUC_CHILD_VSIZE_MAX} vbytes that builds on it"
        )
        yield Refusal("TRUC-violation", "version_3_rules", message)


def ancestors_of(parents: set[str], waiting: Mapping[str, WaitingTransaction]) -> set[str]:
    """Return these waiting transactions and all that wait before them."""
    found, ahead = set[str](), list(parents)
    while ahead:
        txid = ahead.pop()
        if txid in waiting and txid not in found:
            found.add(txid)
            ahead += waiting[txid].parents
    return found


def output_kind(script: bytes) -> str:
    """Name what Core takes an output script for; `nonstandard` is relayed by nobody."""
    if script[:1] == bytes((OP_RETURN,)):
        return "data" if pushes_only(script[1:]) else "nonstandard"
    known = script_type(script)
    if known != "unknown":
        return known
    if pays_to_key(script):
        return "p2pk"
    return "multisig" if _is_bare_multisig(script) else "nonstandard"


def sigops_cost(transaction: Transaction, witness_sigops: int) -> int:
    """Return what a transaction's signature checks cost (BIP 141); `witness_sigops` its inputs'."""
    scripts = [output.script_pubkey for output in transaction.outputs]
    scripts += [item.script_sig for item in transaction.inputs]
    return witness_sigops + WITNESS_SCALE * sum(map(sigops, scripts))


def relay_vsize(weight: int, sigops: int) -> int:
    """Return the virtual bytes that nodes reckon a fee with: many signature checks count too."""
    return vsize_of(max(weight, sigops * WEIGHT_PER_SIGOP))


def sigops(script: bytes, *, accurate: bool = False) -> int:
    """Count a script's signature checks as Core does; what cannot be read ends the count."""
    count, last = 0, 0
    for opcode, _ in _operations(script):
        if opcode in {OP_CHECKSIG, OP_CHECKSIGVERIFY}:
            count += 1
        elif opcode in {OP_CHECKMULTISIG, OP_CHECKMULTISIGVERIFY}:
            known = accurate and OP_1 <= last <= OP_16
            count += last - OP_1 + 1 if known else MULTISIG_KEYS_MAX
        last = opcode
    return count


def pushes_only(script: bytes) -> bool:
    """Tell whether a script only pushes data."""
    read = list(_operations(script))
    return all(opcode <= OP_16 for opcode, _ in read) and _length(read) == len(script)


def pushed_last(script: bytes) -> bytes:
    """Return the last that a script pushes: of a P2SH spend the redeem script."""
    *_, (_, data) = (0, b""), *_operations(script)
    return data


def _absolute_lock(
    transaction: Transaction, tip_height: int | None, median_time: int | None
) -> Iterator[Refusal]:
    lock = transaction.locktime
    if not lock or all(item.sequence == FINAL_SEQUENCE for item in transaction.inputs):
        return
    if lock >= FIRST_TIME_LOCK:
        if median_time is None or lock >= median_time:
            message = f"it is locked until {_date(lock)}, by the time of blocks"
            yield Refusal("non-final", "locked", message)
    elif tip_height is None and lock <= _mined_by(median_time):
        return  # as wallets lock every payment against fee sniping: nothing to stop at
    elif tip_height is None or lock > tip_height:
        when = _about(lock - tip_height, median_time) if tip_height is not None else ""
        yield Refusal("non-final", "locked", f"it is locked until block {lock + 1}{when}")


def _mined_by(median_time: int | None) -> int:
    """Return a height that the chain has about reached at a moment; 0 where none is known.

    Blocks came a little faster than every ten minutes so far; a test network has fewer.
    """
    if median_time is None:
        return 0
    return max(0, median_time - GENESIS_TIME) * MINED_FASTER // (BLOCK_SECONDS * 100)


def _relative_lock(
    outpoint: Outpoint, sequence: int, tip_height: int | None, *, view: NodeView
) -> Iterator[Refusal]:
    """Yield the refusal of a coin that must have lain so long (BIP 68)."""
    units, age = sequence & SEQUENCE_MASK, view.coins.get(outpoint)
    if not units:
        return
    height = age.height if age else None
    if sequence & SEQUENCE_IS_TIME:
        opens = age.since + units * SEQUENCE_SECONDS if age and age.since is not None else None
        if opens is not None and view.median_time is not None and opens <= view.median_time:
            return
        when = f"until {_date(opens)}" if opens is not None else "its own block begins it"
        length = f"{units * SEQUENCE_SECONDS} seconds"
    else:
        opens = None if height is None else height + units
        if opens is not None and tip_height is not None and opens <= tip_height + 1:
            return
        length = f"{units} blocks"
        when = "its own block begins it"
        if opens is not None:
            away = "" if tip_height is None else _about(opens - tip_height - 1, view.median_time)
            when = f"until block {opens}{away}"
    message = f"the coin {outpoint} is locked for {length}: {when}"
    yield Refusal("non-BIP68-final", "coin_locked", message)


def _about(blocks: int, median_time: int | None) -> str:
    return (
        "" if median_time is None else f", about {_date(median_time + blocks * BLOCK_SECONDS)[:10]}"
    )


def _date(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


def per_vbyte(feerate: int) -> str:
    """Return a fee rate in sat/kvB as people type it, in sat/vB."""
    whole, part = divmod(feerate, 1_000)
    return f"{whole}.{part:03d}".rstrip("0").rstrip(".")


def _signed(version: int) -> int:
    return version - (1 << 32) if version >> 31 else version


def _is_bare_multisig(script: bytes) -> bool:
    """Tell whether a script asks for m of at most three keys."""
    if len(script) < 3 or script[-1] != OP_CHECKMULTISIG:
        return False
    first, last = script[0], script[-2]
    pushed = list(_operations(script[1:-2]))
    whole = _length(pushed) == len(script) - 3 and all(is_public_key(data) for _, data in pushed)
    return whole and OP_1 <= first <= last <= OP_3 and len(pushed) == last - OP_1 + 1


def _length(operations: Sequence[tuple[int, bytes]]) -> int:
    return sum(1 + PUSHDATA.get(opcode, 0) + len(data) for opcode, data in operations)


def _operations(script: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield each opcode with what it pushes; the first that is cut off ends it."""
    at = 0
    while at < len(script):
        opcode, at = script[at], at + 1
        size = opcode if opcode < min(PUSHDATA) else 0
        if width := PUSHDATA.get(opcode):
            size = int.from_bytes(script[at : at + width], "little")
            at += width
        if at + size > len(script):
            return
        yield opcode, script[at : at + size]
        at += size
