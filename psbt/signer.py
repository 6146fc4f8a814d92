"""BIP 174's Signer, cut in two: what a key has to sign, and a copy with what came back."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from psbt import codec
from psbt.codec import Psbt
from psbt.errors import PolicyError, PsbtError, SignatureInvalid
from psbt.forms import KeyUse, same_key
from psbt.keys import KeyExpression, Path
from psbt.ownership import own_inputs
from psbt.partial_signatures import valid_signature
from psbt.policy import PRIMARY, Policy
from psbt.sighash import script_code, sighashes, spent_outputs
from psbt.signature import ECDSA, Scheme


class SigningRequest(NamedTuple):
    """One digest, one key, one path, one input, and the scheme to sign by."""

    input_index: int
    pubkey: bytes
    path: Path
    digest: bytes
    scheme: Scheme = ECDSA


def signing_requests(
    psbt: Psbt,
    policy: Policy,
    key: KeyExpression,
    *,
    verified: AbstractSet[tuple[int, bytes]] = frozenset(),
    branch: str = PRIMARY,
) -> list[SigningRequest]:
    """List what the holder of the account key has yet to sign for a branch, in input order.

    Inputs of others are nothing to sign.
    Of what the caller verified already, by input and public key, no signature is verified again.
    """
    place, use = _place(policy, key, branch)
    requests = []
    scripts = own_inputs(psbt, policy)
    for index, digest in sighashes(psbt, scripts).items():
        script = scripts[index]
        pubkey = script.keys_of(branch)[place]
        if (index, pubkey) in verified:
            continue
        if valid_signature(psbt.inputs[index], script, pubkey, digest=digest) is None:
            path = use.path(script.keychain, script.index)
            requests.append(SigningRequest(index, pubkey, path, digest, script.scheme))
    return requests


def signature_valid(request: SigningRequest, signature: bytes) -> bool:
    """Tell whether 64 bytes answer the request; by ECDSA they are r‖s with low S."""
    return request.scheme.verifies(request.pubkey, request.digest, signature)


def with_signatures(psbt: Psbt, answers: Iterable[tuple[SigningRequest, bytes]]) -> Psbt:
    """Return a copy with the signatures, each verified against this very PSBT first.

    By which scheme they sign it decides, not the requests.
    """
    given = list(answers)
    spent = spent_outputs(psbt)
    for request, _ in given:
        if not 0 <= request.input_index < len(spent):
            raise PsbtError(f"a signature is for input {request.input_index} of {len(spent)}")
    answered = {request.input_index for request, _ in given}
    digests = sighashes(psbt, answered)
    scripts = {
        index: script_code(index, psbt.inputs[index], spent[index].script_pubkey)
        for index in answered
    }
    signed = codec.copy(psbt)
    for request, signature in given:
        index, pubkey = request.input_index, request.pubkey
        script = scripts[index]
        if not script.names(pubkey):
            raise PsbtError(f"input {index} is not for the key {pubkey.hex()}")
        if not script.scheme.verifies(pubkey, digests[index], signature):
            raise SignatureInvalid(index, pubkey)
        value = script.scheme.written(signature)
        codec.state_signature(signed.inputs[index], pubkey, value, leaf_hash=script.leaf_hash)
    return signed


def _place(policy: Policy, key: KeyExpression, branch: str) -> tuple[int, KeyUse]:
    """Find the key in the branch by the whole of it: a fingerprint is only a hint."""
    for place, use in enumerate(policy.branch(branch).keys):
        if same_key(use, key):
            return place, use
    where = f"the {branch} branch's" if policy.recoveries else "the policy's"
    raise PolicyError(f"the key {key.fingerprint.hex()} is not one of {where}")
