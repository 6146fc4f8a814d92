"""BIP 174's Input Finalizer for the vault's scripts."""

from collections.abc import Set as AbstractSet

from psbt import codec
from psbt.codec import Psbt
from psbt.errors import PsbtError, SignaturesMissing
from psbt.ownership import own_inputs
from psbt.partial_signatures import Verified, valid_signatures
from psbt.policy import PRIMARY, Policy
from psbt.timelocks import require_branch


def finalize(
    psbt: Psbt,
    policy: Policy,
    verified: AbstractSet[Verified] = frozenset(),
    *,
    branch: str = PRIMARY,
) -> Psbt:
    """Return a copy in which the vault's inputs are unlocked by a branch, in script order.

    There are as many signatures as it needs, by its own keys, each verified;
    those that the caller verified are not verified again. As BIP 174 wants it, only the spent
    outputs and unknown fields stay beside it. Inputs of others stay as they are.
    """
    if psbt.inputs and all(map(codec.is_final, psbt.inputs)):
        raise PsbtError("input 0 is final already")
    scripts = own_inputs(psbt, policy)
    for index in scripts:
        if codec.is_final(psbt.inputs[index]):
            raise PsbtError(f"input {index} is final already")
    require_branch(psbt, policy, branch)
    signatures = valid_signatures(psbt, policy, verified, branch=branch, own=scripts)
    have, need = min(map(len, signatures.values())), policy.branch(branch).threshold
    final = codec.copy(psbt)
    for index, held in signatures.items():
        script = scripts[index]
        written = {key: script.scheme.written(signature) for key, signature in held.items()}
        unlocked = script.unlocked(written, branch)
        if unlocked is None:
            raise SignaturesMissing(have, need)
        codec.finish_input(final.inputs[index], *unlocked)
    return final
