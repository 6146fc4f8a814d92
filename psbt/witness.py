"""What a finished input proves: which keys of the policy signed it (BIP 141, BIP 143)."""

from psbt.errors import PsbtError
from psbt.policy import VaultScript
from psbt.sighash import digests
from psbt.signature import compact_from_partial, verifies
from psbt.transaction import Transaction


def signers(
    transaction: Transaction, index: int, script: VaultScript, value_sats: int
) -> frozenset[bytes]:
    """Return the public keys of a script whose signatures in an input's witness verify.

    The input spends a coin of that script and amount; none where the witness is for another script.
    """
    items = transaction.inputs[index].witness
    if len(items) <= 2 or items[-1] != script.witness_script:
        return frozenset()
    others = len(transaction.inputs)
    scripts, values = [b""] * others, [0] * others
    scripts[index], values[index] = script.witness_script, value_sats
    digest = digests(transaction, scripts, values)[index]
    found: set[bytes] = set()
    for value in items[1:-1]:
        try:
            signature = compact_from_partial(value)
        except PsbtError:
            continue
        found.update(key for key in script.pubkeys if verifies(key, digest, signature))
    return frozenset(found)
