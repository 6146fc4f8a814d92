"""What is signed: the digests of BIP 143, linear in the number of inputs."""

import hashlib
from collections.abc import Sequence

from psbt.codec import InputScope, Psbt, previous_transaction, unsigned_transaction
from psbt.errors import AmountContradicted, PsbtError
from psbt.signature import SIGHASH_ALL
from psbt.transaction import (
    MAX_MONEY_SATS,
    Transaction,
    TransactionInput,
    TransactionOutput,
    double_sha256,
    sized,
)


def spent_outputs(psbt: Psbt) -> list[TransactionOutput]:
    """Return the output each input spends, checked against the previous transaction if it is there.

    An input without any, or with two that differ, is refused, and so is what no payment can be.
    """
    if not psbt.inputs or not psbt.outputs:
        counts = f"{len(psbt.inputs)} inputs and {len(psbt.outputs)} outputs"
        raise PsbtError(f"a transaction of {counts} is no payment")
    spent = [_spent_output(index, psbt_in) for index, psbt_in in enumerate(psbt.inputs)]
    total = sum(tx_out.value_sats for tx_out in spent)
    if total > MAX_MONEY_SATS:
        raise PsbtError(f"coins of {total} sats are worth more than 21 million bitcoin")
    return spent


def sighashes(psbt: Psbt) -> list[bytes]:
    """Return each input's digest for SIGHASH_ALL, the only type that is signed."""
    spent = spent_outputs(psbt)
    scripts = [
        _script_code(index, psbt_in, tx_out.script_pubkey)
        for index, (psbt_in, tx_out) in enumerate(zip(psbt.inputs, spent, strict=True))
    ]
    transaction = unsigned_transaction(psbt)
    return digests(transaction, scripts, [tx_out.value_sats for tx_out in spent])


def p2wsh(witness_script: bytes) -> bytes:
    """Return the output script that pays to a witness script."""
    return b"\x00\x20" + hashlib.sha256(witness_script).digest()


def digests(
    transaction: Transaction, scripts: Sequence[bytes], values: Sequence[int]
) -> list[bytes]:
    """Return BIP 143's digest of each input; what all inputs share is hashed once."""
    outpoints = [_outpoint(tx_in) for tx_in in transaction.inputs]
    sequences = [tx_in.sequence.to_bytes(4, "little") for tx_in in transaction.inputs]
    shared = hashlib.sha256(
        transaction.version.to_bytes(4, "little")
        + double_sha256(b"".join(outpoints))
        + double_sha256(b"".join(sequences))
    )
    end = (
        _hash_outputs(transaction)
        + transaction.locktime.to_bytes(4, "little")
        + SIGHASH_ALL.to_bytes(4, "little")
    )
    result = []
    for own in zip(outpoints, scripts, values, sequences, strict=True):
        outpoint, script, value, sequence = own
        state = shared.copy()
        state.update(outpoint + sized(script) + value.to_bytes(8, "little") + sequence + end)
        result.append(hashlib.sha256(state.digest()).digest())
    return result


def _outpoint(tx_in: TransactionInput) -> bytes:
    txid, vout = tx_in.outpoint
    return bytes.fromhex(txid)[::-1] + vout.to_bytes(4, "little")


def _hash_outputs(transaction: Transaction) -> bytes:
    return double_sha256(
        b"".join(
            tx_out.value_sats.to_bytes(8, "little") + sized(tx_out.script_pubkey)
            for tx_out in transaction.outputs
        )
    )


def _script_code(index: int, psbt_in: InputScope, script_pubkey: bytes) -> bytes:
    if psbt_in.sighash_type not in (None, SIGHASH_ALL):
        found = psbt_in.sighash_type
        raise PsbtError(f"input {index}: sighash_type is {found}, only ALL is signed")
    if psbt_in.witness_script is None:
        raise PsbtError(f"input {index} has no witness_script")
    if p2wsh(psbt_in.witness_script.data) != script_pubkey:
        raise PsbtError(f"input {index}: witness_script is not that of the output it spends")
    return psbt_in.witness_script.data


def stated_output(index: int, psbt_in: InputScope) -> TransactionOutput | None:
    """Return the output an input says it spends, None where it says nothing.

    Raises PsbtError where it says two things.
    """
    stated = psbt_in.witness_utxo
    said = TransactionOutput(stated.value, stated.script_pubkey.data) if stated else None
    previous = previous_transaction(psbt_in)
    if previous is None:
        return said
    if previous.txid != psbt_in.txid.hex() or psbt_in.vout >= len(previous.outputs):
        raise PsbtError(f"input {index}: non_witness_utxo is not the transaction it spends")
    spent = previous.outputs[psbt_in.vout]
    if said is not None and said.value_sats != spent.value_sats:
        outpoint = f"{psbt_in.txid.hex()}:{psbt_in.vout}"
        where = f"input {index}: witness_utxo"
        raise AmountContradicted(where, outpoint, said.value_sats, spent.value_sats)
    if said is not None and said.script_pubkey != spent.script_pubkey:
        raise PsbtError(f"input {index}: witness_utxo has another script than what it spends")
    return spent


def _spent_output(index: int, psbt_in: InputScope) -> TransactionOutput:
    stated = stated_output(index, psbt_in)
    if stated is None:
        raise PsbtError(f"input {index} says nothing about the output it spends")
    return stated
