"""BIP 174's Input Finalizer for the vault's scripts."""

from collections.abc import Set as AbstractSet

from psbt import codec
from psbt.codec import Psbt
from psbt.errors import PsbtError, SignaturesMissing
from psbt.ownership import input_scripts
from psbt.partial import Verified, valid_signatures
from psbt.policy import Policy
from psbt.signature import partial_from_compact


def finalize(psbt: Psbt, policy: Policy, verified: AbstractSet[Verified] = frozenset()) -> Psbt:
    """Return a copy in which each input is unlocked: m signatures, verified, in script order.

    Those that the caller verified are not verified again. As BIP 174 wants it, only the spent
    outputs and unknown fields stay beside it.
    """
    for index, psbt_in in enumerate(psbt.inputs):
        if codec.is_final(psbt_in):
            raise PsbtError(f"input {index} is final already")
    signatures = valid_signatures(psbt, policy, verified)
    have = min(len(held) for held in signatures)
    if have < policy.threshold:
        raise SignaturesMissing(have, policy.threshold)
    final = codec.copy(psbt)
    scripts = input_scripts(psbt, policy)
    for psbt_in, held, script in zip(final.inputs, signatures, scripts, strict=True):
        chosen = [pubkey for pubkey in script.multisig.pubkeys if pubkey in held]
        ders = [partial_from_compact(held[pubkey]) for pubkey in chosen[: policy.threshold]]
        codec.finish_input(psbt_in, *script.unlocked(ders))
    return final
