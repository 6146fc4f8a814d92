"""What a finished input proves: which keys of the policy signed it (BIP 141, BIP 143)."""

from psbt.digests import digests
from psbt.errors import PsbtError
from psbt.policy import VaultScript
from psbt.signature import compact_from_partial, verifies
from psbt.transaction import Transaction


def signers(
    transaction: Transaction, index: int, script: VaultScript, *, value_sats: int
) -> frozenset[bytes]:
    """Return the public keys of a script whose signatures in an input's witness verify.

    The input spends a coin of that script and amount; none where the witness is for another script.
    """
    spending = transaction.inputs[index]
    signatures = script.shown(spending.script_sig, spending.witness)
    if signatures is None:
        return frozenset()
    others = len(transaction.inputs)
    scripts: list[bytes] = [b""] * others
    values: list[int | None] = [0] * others
    scripts[index], values[index] = script.code, value_sats if script.amount_signed else None
    digest = digests(transaction, scripts, values)[index]
    found: set[bytes] = set()
    for value in signatures:
        try:
            signature = compact_from_partial(value)
        except PsbtError:
            continue
        found.update(key for key in script.points if verifies(key, digest, signature))
    return frozenset(found)
