"""The signatures a PSBT already holds; none counts unless it verifies."""

from psbt.codec import InputScope, Psbt
from psbt.errors import PsbtError
from psbt.ownership import input_scripts
from psbt.policy import Policy
from psbt.sighash import sighashes
from psbt.signature import compact_from_partial, verifies


def valid_signature(psbt_in: InputScope, pubkey: bytes, digest: bytes) -> bytes | None:
    """Return the key's signature of the input as r‖s, if there is one and it verifies."""
    for key, value in psbt_in.partial_sigs.items():
        if key.sec() == pubkey:
            return _verified(value, pubkey, digest)
    return None


def valid_signatures(psbt: Psbt, policy: Policy) -> list[dict[bytes, bytes]]:
    """Return, for each input, the valid signatures by keys of the policy: public key → r‖s."""
    found = []
    vault_inputs = zip(psbt.inputs, input_scripts(psbt, policy), sighashes(psbt), strict=True)
    for psbt_in, script, digest in vault_inputs:
        held = {key.sec(): value for key, value in psbt_in.partial_sigs.items()}
        checked = {
            pubkey: _verified(held[pubkey], pubkey, digest)
            for pubkey in script.pubkeys
            if pubkey in held
        }
        found.append({pubkey: sig for pubkey, sig in checked.items() if sig is not None})
    return found


def signed_by(psbt: Psbt, policy: Policy) -> dict[int, int]:
    """Return how many inputs each cosigner has validly signed, by its place in the policy."""
    counts = dict.fromkeys(range(len(policy.keys)), 0)
    signatures = valid_signatures(psbt, policy)
    for script, held in zip(input_scripts(psbt, policy), signatures, strict=True):
        for place, pubkey in enumerate(script.pubkeys):
            counts[place] += pubkey in held
    return counts


def quorum(psbt: Psbt, policy: Policy) -> tuple[int, int]:
    """Return (have, need): the valid signatures of the poorest input, and the threshold."""
    have = min((len(held) for held in valid_signatures(psbt, policy)), default=0)
    return have, policy.threshold


def _verified(value: bytes, pubkey: bytes, digest: bytes) -> bytes | None:
    try:
        signature = compact_from_partial(value)
    except PsbtError:
        return None
    return signature if verifies(pubkey, digest, signature) else None
