"""The signatures a PSBT already holds; none counts unless it verifies."""

from collections.abc import Set as AbstractSet
from typing import NamedTuple

from psbt.codec import InputScope, Psbt
from psbt.errors import PsbtError
from psbt.ownership import own_inputs
from psbt.policy import PRIMARY, Policy, VaultScript
from psbt.sighash import sighashes
from psbt.signature import compact_from_partial, verifies


def valid_signature(psbt_in: InputScope, pubkey: bytes, digest: bytes) -> bytes | None:
    """Return the key's signature of the input as r‖s, if there is one and it verifies."""
    for key, value in psbt_in.partial_sigs.items():
        if key.sec() == pubkey:
            return _verified(value, pubkey, digest)
    return None


class Verified(NamedTuple):
    """A signature of an input that its caller verified against this very PSBT: r‖s."""

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
) -> dict[int, dict[bytes, bytes]]:
    """Return, for each input of the vault, the valid signatures by a branch's keys.

    They are r‖s by public key. Those that the caller verified are not verified again.
    """
    signed = _signed_inputs(psbt, policy, verified, branch=branch)
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
    signed = _signed_inputs(psbt, policy, verified, branch=branch).values()
    for script, held in signed:
        for place, pubkey in enumerate(script.keys_of(branch)):
            counts[place] += pubkey in held
    have = min(len(held) for _, held in signed)
    return Standing(counts, have, asked.threshold, len(signed))


def signed_by(psbt: Psbt, policy: Policy, branch: str = PRIMARY) -> dict[int, int]:
    """Return how many inputs each key has validly signed, by its place in the branch."""
    return standing(psbt, policy, branch=branch).counts


def quorum(psbt: Psbt, policy: Policy, branch: str = PRIMARY) -> tuple[int, int]:
    """Return (have, need): the valid signatures of the poorest input, and the threshold."""
    found = standing(psbt, policy, branch=branch)
    return found.have, found.need


def _signed_inputs(
    psbt: Psbt, policy: Policy, verified: AbstractSet[Verified], *, branch: str
) -> dict[int, tuple[VaultScript, dict[bytes, bytes]]]:
    found = {}
    scripts = own_inputs(psbt, policy)
    for index, digest in sighashes(psbt, scripts).items():
        script = scripts[index]
        held = {key.sec(): value for key, value in psbt.inputs[index].partial_sigs.items()}
        checked = {
            pubkey: _checked(held[pubkey], index, pubkey, digest=digest, verified=verified)
            for pubkey in script.keys_of(branch)
            if pubkey in held
        }
        found[index] = script, {key: sig for key, sig in checked.items() if sig is not None}
    return found


def _checked(
    value: bytes, index: int, pubkey: bytes, *, digest: bytes, verified: AbstractSet[Verified]
) -> bytes | None:
    try:
        signature = compact_from_partial(value)
    except PsbtError:
        return None
    known = Verified(index, pubkey, signature) in verified
    return signature if known or verifies(pubkey, digest, signature) else None


def _verified(value: bytes, pubkey: bytes, digest: bytes) -> bytes | None:
    try:
        signature = compact_from_partial(value)
    except PsbtError:
        return None
    return signature if verifies(pubkey, digest, signature) else None
