"""What is signed: the digests of BIP 143 and 341, linear in the inputs, and those before them."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from psbt.signature import SIGHASH_ALL
from psbt.taproot import tagged_hash
from psbt.transaction import (
    Transaction,
    TransactionOutput,
    double_sha256,
    outpoint_bytes,
    output_bytes,
    sized,
)

LEAF_SPEND = b"\x02"
EPOCH_AND_DEFAULT = b"\x00\x00"
KEY_VERSION_AND_NO_SEPARATOR = b"\x00\xff\xff\xff\xff"


def digests(
    transaction: Transaction, scripts: Sequence[bytes], values: Sequence[int | None]
) -> list[bytes]:
    """Return the digest of each input, by BIP 143; what all inputs share is hashed once.

    Where the value is None the input is no segwit: nothing signs how much it spends.
    """
    outpoints = [outpoint_bytes(tx_in) for tx_in in transaction.inputs]
    sequences = [tx_in.sequence.to_bytes(4, "little") for tx_in in transaction.inputs]
    shared = hashlib.sha256(
        transaction.version.to_bytes(4, "little")
        + double_sha256(b"".join(outpoints))
        + double_sha256(b"".join(sequences))
    )
    end = (
        double_sha256(b"".join(map(output_bytes, transaction.outputs)))
        + transaction.locktime.to_bytes(4, "little")
        + SIGHASH_ALL.to_bytes(4, "little")
    )
    result = []
    for index, own in enumerate(zip(outpoints, scripts, values, sequences, strict=True)):
        outpoint, script, value, sequence = own
        if value is None:
            result.append(_legacy_digest(transaction, index, script))
            continue
        state = shared.copy()
        state.update(outpoint + sized(script) + value.to_bytes(8, "little") + sequence + end)
        result.append(hashlib.sha256(state.digest()).digest())
    return result


def leaf_digests(
    transaction: Transaction, spent: Sequence[TransactionOutput], leaves: Mapping[int, bytes]
) -> dict[int, bytes]:
    """Return the digest of each input that spends by a leaf, for SIGHASH_DEFAULT (BIP 341, 342).

    `leaves` are their hashes by input. Every output spent is signed, those of others too.
    """
    parts = (
        [outpoint_bytes(tx_in) for tx_in in transaction.inputs],
        [output.value_sats.to_bytes(8, "little") for output in spent],
        [sized(output.script_pubkey) for output in spent],
        [tx_in.sequence.to_bytes(4, "little") for tx_in in transaction.inputs],
        [output_bytes(output) for output in transaction.outputs],
    )
    shared = (
        EPOCH_AND_DEFAULT
        + transaction.version.to_bytes(4, "little")
        + transaction.locktime.to_bytes(4, "little")
        + b"".join(hashlib.sha256(b"".join(each)).digest() for each in parts)
        + LEAF_SPEND
    )
    return {
        index: tagged_hash(
            "TapSighash",
            shared + index.to_bytes(4, "little") + leaf + KEY_VERSION_AND_NO_SEPARATOR,
        )
        for index, leaf in leaves.items()
    }


def _legacy_digest(transaction: Transaction, index: int, script: bytes) -> bytes:
    """Hash the transaction with the script in this input and nothing in all others."""
    inputs = [
        tx_in._replace(script_sig=script if at == index else b"", witness=())
        for at, tx_in in enumerate(transaction.inputs)
    ]
    stripped = replace(transaction, inputs=tuple(inputs)).stripped
    return double_sha256(stripped + SIGHASH_ALL.to_bytes(4, "little"))
