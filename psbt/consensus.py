"""The finished transaction against Bitcoin's rules, before anybody else sees it.

With libbitcoinkernel the verdict on the scripts is Bitcoin Core's own; without it every script
and signature is checked here. Both say nothing about what nodes relay.
"""

import importlib
import importlib.util
from collections.abc import Collection, Sequence
from typing import Final

from psbt import interpreter, taproot
from psbt.address import UNKNOWN, p2sh, p2tr, p2wsh, script_type
from psbt.coins import MAX_MONEY_SATS
from psbt.digests import digests, leaf_digests
from psbt.errors import ConsensusRejected, PsbtError
from psbt.multisig import Multisig, read_multisig, read_pushes
from psbt.signature import BIP340, compact_from_partial, verifies
from psbt.transaction import (
    Transaction,
    TransactionInput,
    TransactionOutput,
    parse_transaction,
)

ACCEPTED: Final = "accepted"
OWN_CHECK: Final = "own-check"
LEFT_TO_NODE: Final = "left to the node"

Spent = tuple[bytes, int]
LEAF_ITEMS: Final = 2
"""What stands behind the answers to a leaf: the leaf itself and its control block."""


def engine_available() -> bool:
    """Tell whether libbitcoinkernel is installed."""
    return importlib.util.find_spec("pbk") is not None


def check(transaction: bytes, spent: Sequence[Spent]) -> str:
    """Say who found the transaction valid: `accepted` by the engine, or our `own-check`.

    `spent` is the script and the value in satoshis of what each input spends, in order.
    """
    try:
        parsed = parse_transaction(transaction)
    except PsbtError as error:
        raise ConsensusRejected(None, str(error)) from error
    _check_amounts(parsed, spent)
    if engine_available():
        _ask_engine(transaction, spent)
        return ACCEPTED
    _check_scripts(parsed, spent)
    return OWN_CHECK


def judge(transaction: Transaction, spent: Sequence[TransactionOutput]) -> str | None:
    """Say who found a transaction of any kind valid; None where only an engine could tell."""
    pairs = [(output.script_pubkey, output.value_sats) for output in spent]
    last = [tx_in.witness or read_pushes(tx_in.script_sig) for tx_in in transaction.inputs]
    ours = all(
        stack
        and (
            _is_leaf(stack)
            or read_multisig(stack[-1])
            or (tx_in.witness and interpreter.instructions(stack[-1]))
        )
        for stack, tx_in in zip(last, transaction.inputs, strict=True)
    )
    if ours or engine_available():
        return check(transaction.raw, pairs)
    _check_amounts(transaction, pairs)
    return None


def _check_amounts(transaction: Transaction, spent: Sequence[Spent]) -> None:
    """Check what the engine's script verification takes for granted, or aborts on."""
    if len(spent) != len(transaction.inputs):
        counts = f"{len(transaction.inputs)} inputs spend {len(spent)} outputs"
        raise ConsensusRejected(None, counts)
    if len({tx_in.outpoint for tx_in in transaction.inputs}) != len(spent):
        raise ConsensusRejected(None, "an output is spent twice")
    if not transaction.outputs:
        raise ConsensusRejected(None, "it has no output")
    paid = sum(tx_out.value_sats for tx_out in transaction.outputs)
    available = sum(value for _, value in spent)
    if not paid <= available <= MAX_MONEY_SATS:
        raise ConsensusRejected(None, f"{paid} sats come from {available}")


def _ask_engine(transaction: bytes, spent: Sequence[Spent]) -> None:
    pbk = importlib.import_module("pbk")
    script = importlib.import_module("pbk.script")
    outputs = [pbk.TransactionOutput(pbk.ScriptPubkey(key), value) for key, value in spent]
    spending = pbk.Transaction(transaction)
    precomputed = script.PrecomputedTransactionData(spending, outputs)
    flags = pbk.ScriptVerificationFlags.ALL
    for index, (script_pubkey, value) in enumerate(spent):
        output = pbk.ScriptPubkey(script_pubkey)
        try:
            valid = output.verify(value, spending, precomputed, index, flags)
        except pbk.ScriptVerifyException as error:
            raise ConsensusRejected(index, str(error)) from error
        if not valid:
            raise ConsensusRejected(index)


def _check_scripts(transaction: Transaction, spent: Sequence[Spent]) -> None:
    leaves = {index for index, (script, _) in enumerate(spent) if script_type(script) == "p2tr"}
    _check_leaves(transaction, spent, leaves)
    stacks = [
        (b"",) if index in leaves else _unlocking(index, tx_in, script)
        for index, (tx_in, (script, _)) in enumerate(zip(transaction.inputs, spent, strict=True))
    ]
    values = [
        value if tx_in.witness else None
        for tx_in, (_, value) in zip(transaction.inputs, spent, strict=True)
    ]
    signed = digests(transaction, [stack[-1] for stack in stacks], values)
    for index, (stack, digest) in enumerate(zip(stacks, signed, strict=True)):
        if index in leaves:
            continue
        multisig = _multisig(index, stack, segwit=bool(transaction.inputs[index].witness))
        if multisig is None:
            spending = interpreter.Spending(transaction, index, digest)
            reason = interpreter.refusal(stack[-1], stack[:-1], spending)
            if reason is not None:
                raise ConsensusRejected(index, reason)
        elif not _signatures_verify(stack[1:-1], multisig, digest):
            raise ConsensusRejected(index, "a signature is by no key of the script, in its order")


def _is_leaf(stack: Sequence[bytes]) -> bool:
    """Tell whether a witness shows a quorum in a leaf of taproot before its control block."""
    return len(stack) > LEAF_ITEMS and taproot.read_leaf(stack[-2]) is not None


def _check_leaves(transaction: Transaction, spent: Sequence[Spent], own: Collection[int]) -> None:
    """Check the inputs that spend taproot: a quorum in a leaf is all that is known here."""
    found: dict[int, Sequence[bytes]] = {}
    for index in own:
        tx_in, (script_pubkey, _) = transaction.inputs[index], spent[index]
        stack = tx_in.witness
        key = taproot.committed_key(stack[-1], stack[-2]) if _is_leaf(stack) else None
        if tx_in.script_sig or key is None or p2tr(key) != script_pubkey:
            raise ConsensusRejected(index, "its witness is for no taproot leaf known here")
        found[index] = stack
    outputs = [TransactionOutput(value, script) for script, value in spent]
    leaves = {index: taproot.leaf_hash(stack[-2]) for index, stack in found.items()}
    signed = leaf_digests(transaction, outputs, leaves) if leaves else {}
    for index, digest in signed.items():
        reason = _leaf_refusal(found[index], digest)
        if reason is not None:
            raise ConsensusRejected(index, reason)


def _leaf_refusal(stack: Sequence[bytes], digest: bytes) -> str | None:
    """Say why the answers of a witness do not make the quorum of its leaf, None where they do."""
    asked, answers = taproot.read_leaf(stack[-2]), stack[:-2]
    if asked is None or len(answers) != len(asked.pubkeys):
        return f"its witness has {len(stack)} items"
    given = len([*filter(None, answers)])
    if given != asked.threshold:
        return f"{given} signatures are there, its leaf wants exactly {asked.threshold}"
    for key, answer in zip(reversed(asked.pubkeys), answers, strict=True):
        if answer and BIP340.verified(answer, taproot.EVEN + key, digest) is None:
            return "a signature is not by its key of the leaf"
    return None


def _unlocking(index: int, tx_in: TransactionInput, script_pubkey: bytes) -> Sequence[bytes]:
    """Return what an input shows for the script it spends, which comes last."""
    pushes = read_pushes(tx_in.script_sig)
    if script_type(script_pubkey) == "p2sh" and pushes and p2sh(pushes[-1]) == script_pubkey:
        if not tx_in.witness and script_type(pushes[-1]) == UNKNOWN:
            return pushes
        if len(pushes) == 1 and tx_in.witness and p2wsh(tx_in.witness[-1]) == pushes[0]:
            return tx_in.witness
    elif not tx_in.script_sig and tx_in.witness and p2wsh(tx_in.witness[-1]) == script_pubkey:
        return tx_in.witness
    raise ConsensusRejected(index, "its witness is not for the script it spends")


def _multisig(index: int, stack: Sequence[bytes], *, segwit: bool) -> Multisig | None:
    """Return what a multisig asks for, all but its signatures checked; None for other forms."""
    multisig = read_multisig(stack[-1])
    if multisig is None:
        if not segwit or interpreter.instructions(stack[-1]) is None:
            raise ConsensusRejected(index, "its script is of no form known here")
        return None
    if stack[0] or len(stack) != multisig.threshold + 2:
        raise ConsensusRejected(index, f"its witness has {len(stack)} items")
    return multisig


def _signatures_verify(values: Sequence[bytes], multisig: Multisig, digest: bytes) -> bool:
    """Walk through the keys once, as OP_CHECKMULTISIG does."""
    try:
        signatures = [compact_from_partial(value) for value in values]
    except PsbtError:
        return False
    keys = iter(multisig.pubkeys)
    return all(any(verifies(key, digest, signature) for key in keys) for signature in signatures)
