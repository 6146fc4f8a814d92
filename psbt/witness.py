"""What a finished input proves: which keys of the policy signed it (BIP 141, BIP 143, BIP 341)."""

from collections.abc import Mapping

from psbt.digests import digests, leaf_digests
from psbt.policy import VaultScript
from psbt.taproot import leaf_hash
from psbt.transaction import Transaction, TransactionOutput


def signers(
    transaction: Transaction,
    index: int,
    script: VaultScript,
    *,
    spent: Mapping[int, TransactionOutput],
) -> frozenset[bytes]:
    """Return the public keys of a script whose signatures in an input's witness verify.

    `spent` is, by input, what is spent as far as it is known; none where that is not enough, or the
    witness is for another script.
    """
    spending = transaction.inputs[index]
    signatures = script.shown(spending.script_sig, spending.witness)
    digest = script_digest(transaction, index, script, spent=spent)
    if signatures is None or digest is None:
        return frozenset()
    return frozenset(
        key
        for key in script.points
        for value in signatures
        if script.scheme.verified(value, key, digest) is not None
    )


def script_digest(
    transaction: Transaction,
    index: int,
    script: VaultScript,
    *,
    spent: Mapping[int, TransactionOutput],
) -> bytes | None:
    """Return what an input that spends a script signs; None where too little is known for it.

    That is the output spent, and in taproot every output that the transaction spends.
    """
    count = len(transaction.inputs)
    if script.kind == "tr":
        outputs = [spent[at] for at in range(count) if at in spent]
        if len(outputs) < count:
            return None
        return leaf_digests(transaction, outputs, {index: leaf_hash(script.code)})[index]
    if index not in spent:
        return None
    scripts: list[bytes] = [b""] * count
    values: list[int | None] = [0] * count
    scripts[index] = script.code
    values[index] = spent[index].value_sats if script.amount_signed else None
    return digests(transaction, scripts, values)[index]
