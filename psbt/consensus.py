"""The finished transaction against Bitcoin's rules, before anybody else sees it.

With libbitcoinkernel the verdict on the scripts is Bitcoin Core's own; without it every script
and signature is checked here. Both say nothing about what nodes relay.
"""

import importlib
import importlib.util
from collections.abc import Sequence
from typing import Final

from psbt.errors import ConsensusRejected, PsbtError
from psbt.multisig import Multisig, read_multisig
from psbt.sighash import digests, p2wsh
from psbt.signature import compact_from_partial, verifies
from psbt.transaction import (
    MAX_MONEY_SATS,
    Transaction,
    TransactionInput,
    TransactionOutput,
    parse_transaction,
)

ACCEPTED: Final = "accepted"
OWN_CHECK: Final = "own-check"

Spent = tuple[bytes, int]


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
    """Say who found a transaction of any kind valid; None where only the engine could tell."""
    pairs = [(output.script_pubkey, output.value_sats) for output in spent]
    witnesses = [tx_in.witness for tx_in in transaction.inputs]
    ours = all(witness and read_multisig(witness[-1]) for witness in witnesses)
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
    pairs = zip(transaction.inputs, spent, strict=True)
    asked = [_multisig(index, tx_in, script) for index, (tx_in, (script, _)) in enumerate(pairs)]
    scripts = [tx_in.witness[-1] for tx_in in transaction.inputs]
    signed = digests(transaction, scripts, [value for _, value in spent])
    for index, (tx_in, multisig, digest) in enumerate(
        zip(transaction.inputs, asked, signed, strict=True)
    ):
        if not _signatures_verify(tx_in.witness[1:-1], multisig, digest):
            raise ConsensusRejected(index, "a signature is by no key of the script, in its order")


def _multisig(index: int, tx_in: TransactionInput, script_pubkey: bytes) -> Multisig:
    """Return what the input's witness script asks for, everything but signatures checked."""
    witness = tx_in.witness
    if tx_in.script_sig or not witness or p2wsh(witness[-1]) != script_pubkey:
        raise ConsensusRejected(index, "its witness is not for the script it spends")
    multisig = read_multisig(witness[-1])
    if multisig is None:
        raise ConsensusRejected(index, "its script is not a plain multisig")
    if witness[0] or len(witness) != multisig.threshold + 2:
        raise ConsensusRejected(index, f"its witness has {len(witness)} items")
    return multisig


def _signatures_verify(values: Sequence[bytes], multisig: Multisig, digest: bytes) -> bool:
    """Walk through the keys once, as OP_CHECKMULTISIG does."""
    try:
        signatures = [compact_from_partial(value) for value in values]
    except PsbtError:
        return False
    keys = iter(multisig.pubkeys)
    return all(any(verifies(key, digest, signature) for key in keys) for signature in signatures)
