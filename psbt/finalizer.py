"""BIP 174's Input Finalizer for the vault's scripts."""

from collections.abc import Set as AbstractSet

from psbt import codec
from psbt.codec import Psbt
from psbt.errors import PsbtError, SignaturesMissing
from psbt.ownership import own_inputs
from psbt.partial import Verified, valid_signatures
from psbt.policy import Policy
from psbt.signature import partial_from_compact


def finalize(psbt: Psbt, policy: Policy, verified: AbstractSet[Verified] = frozenset()) -> Psbt:
    """Return a copy in which the vault's inputs are unlocked: m signatures, in script order.

    Each is verified; those that the caller verified are not verified again. As BIP 174 wants it,
    only the spent outputs and unknown fields stay beside it. Inputs of others stay as they are.
    """
    if psbt.inputs and all(map(codec.is_final, psbt.inputs)):
        raise PsbtError("input 0 is final already")
    scripts = own_inputs(psbt, policy)
    for index in scripts:
        if codec.is_final(psbt.inputs[index]):
            raise PsbtError(f"input {index} is final already")
    signatures = valid_signatures(psbt, policy, verified)
    have = min(len(held) for held in signatures.values())
    if have < policy.threshold:
        raise SignaturesMissing(have, policy.threshold)
    final = codec.copy(psbt)
    for index, held in signatures.items():
        script = scripts[index]
        chosen = [pubkey for pubkey in script.multisig.pubkeys if pubkey in held]
        ders = [partial_from_compact(held[pubkey]) for pubkey in chosen[: policy.threshold]]
        codec.finish_input(final.inputs[index], *script.unlocked(ders))
    return final
