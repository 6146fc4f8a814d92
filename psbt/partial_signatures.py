"""The signatures a PSBT already holds; none counts unless it verifies."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from psbt import codec
from psbt.codec import InputScope, Psbt
from psbt.errors import PsbtError
from psbt.ownership import own_inputs
from psbt.policy import PRIMARY, Policy, VaultScript
from psbt.sighash import sighashes


def held(psbt_in: InputScope, script: VaultScript) -> dict[bytes, bytes]:
    """Return the signatures an input states by keys of its script, unverified, as it has them."""
    leaf_hash = script.leaf_hash
    stated = codec.stated_signatures(psbt_in, leaf_hash)
    names = {key: key[1:] if leaf_hash else key for key in script.points}
    return {key: stated[name] for key, name in names.items() if name in stated}


def valid_signature(
    psbt_in: InputScope, script: VaultScript, pubkey: bytes, *, digest: bytes
) -> bytes | None:
    """Return the key's 64 bytes for the input, if there is a signature and it verifies."""
    value = held(psbt_in, script).get(pubkey)
    return None if value is None else script.scheme.verified(value, pubkey, digest)


class Verified(NamedTuple):
    """A signature of an input that its caller verified against this very PSBT: 64 bytes."""

    input_index: int
    pubkey: bytes
    signature: bytes


class Standing(NamedTuple):
    """How many inputs each key validly signed, by its place in the branch, and the quorum.

    `have` are the valid signatures of the poorest input, `need` is the threshold; `inputs` are
    those of the vault, and only they count.
    """

    counts: dict[int, int]
    have: int
    need: int
    inputs: int


def valid_signatures(
    psbt: Psbt,
    policy: Policy,
    verified: AbstractSet[Verified] = frozenset(),
    *,
    branch: str = PRIMARY,
    own: Mapping[int, VaultScript] | None = None,
) -> dict[int, dict[bytes, bytes]]:
    """Return, for each input of the vault, the valid signatures by a branch's keys.

    They are 64 bytes by public key. Those that the caller verified are not verified again; `own`
    is what `own_inputs` returns, where the caller has it already.
    """
    scripts = own_inputs(psbt, policy) if own is None else own
    signed = _signed_inputs(psbt, scripts, verified, branch=branch)
    return {index: held for index, (_, held) in signed.items()}


def standing(
    psbt: Psbt,
    policy: Policy,
    verified: AbstractSet[Verified] = frozenset(),
    *,
    branch: str = PRIMARY,
) -> Standing:
    """Return who signed what for a branch, and its quorum; each signature is verified once.

    Those that the caller verified are not verified again.
    """
    asked = policy.branch(branch)
    counts = dict.fromkeys(range(len(asked.keys)), 0)
    signed = _signed_inputs(psbt, own_inputs(psbt, policy), verified, branch=branch).values()
    for script, held in signed:
        for place, pubkey in enumerate(script.keys_of(branch)):
            counts[place] += pubkey in held
    have = min(len(held) for _, held in signed)
    return Standing(counts, have, asked.threshold, len(signed))


def _signed_inputs(
    psbt: Psbt,
    scripts: Mapping[int, VaultScript],
    verified: AbstractSet[Verified],
    *,
    branch: str,
) -> dict[int, tuple[VaultScript, dict[bytes, bytes]]]:
    found = {}
    for index, digest in sighashes(psbt, scripts).items():
        script = scripts[index]
        stated, valid = held(psbt.inputs[index], script), dict[bytes, bytes]()
        for pubkey in script.keys_of(branch):
            if pubkey not in stated:
                continue
            try:
                signature = script.scheme.read(stated[pubkey])
            except PsbtError:
                continue
            known = Verified(index, pubkey, signature) in verified
            if known or script.scheme.verifies(pubkey, digest, signature):
                valid[pubkey] = signature
        found[index] = script, valid
    return found
