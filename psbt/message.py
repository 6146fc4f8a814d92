"""BIP 322: proofs that a key, or a quorum of a vault, can sign; no coin can ever move by them.

What is signed is a transaction that spends an output nobody can have made, and pays nothing.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from psbt import codec, consensus, extractor, fields
from psbt.address import script_type
from psbt.codec import Psbt
from psbt.coins import Outpoint
from psbt.errors import PsbtError
from psbt.fields import Maps
from psbt.finalizer import finalize
from psbt.interpreter import instructions
from psbt.multisig import read_multisig, read_pushes
from psbt.policy import PRIMARY, Policy, VaultScript, Wait
from psbt.signature import SIGHASH_ALL, compact_from_partial, partial_from_compact
from psbt.taproot import read_leaf, tagged_hash
from psbt.timelocks import RELATIVE_VERSION
from psbt.transaction import (
    NOTHING_PAID,
    NULL_OUTPOINT,
    ByteReader,
    Transaction,
    TransactionInput,
    TransactionOutput,
    parse_transaction,
    sized,
    vector,
)
from psbt.updater import global_fields, input_fields
from psbt.witness import script_digest

OP_0_PUSH_32: Final = b"\x00\x20"
SIMPLE: Final = "smp"
FULL: Final = "ful"
FULL_VERSIONS: Final = (0, 2)
PUBLIC_KEY_SIZE: Final = 33
LEAF_ITEMS: Final = 3  # at least an answer, the leaf and its control block
ANNEX: Final = b"\x50"
SIMPLE_SCRIPTS: Final = frozenset({"wsh", "tr"})
SCHNORR_SIZE: Final = 64


def message_hash(message: str) -> bytes:
    """Return the tagged hash of a message."""
    return tagged_hash("BIP0322-signed-message", _encoded(message))


def to_spend(message: str, script_pubkey: bytes) -> Transaction:
    """Return the transaction that cannot be: out of nothing it makes an output of 0 sats."""
    nothing = TransactionInput(NULL_OUTPOINT, OP_0_PUSH_32 + message_hash(message), sequence=0)
    return Transaction((nothing,), (TransactionOutput(0, script_pubkey),), version=0)


def to_sign(message: str, script_pubkey: bytes, wait: Wait | None = None) -> Transaction:
    """Return the transaction that is signed, still without its witness.

    A wait stands in it as it would in a payment; BIP 322 then asks for version 2.
    """
    blocks, height = wait or Wait()
    outpoint = Outpoint(to_spend(message, script_pubkey).txid, 0)
    challenge = TransactionInput(outpoint, sequence=blocks or 0)
    version = RELATIVE_VERSION if wait else 0
    return Transaction((challenge,), (NOTHING_PAID,), locktime=height or 0, version=version)


def signs_message(transaction: Transaction) -> bool:
    """Tell whether a transaction only signs a message: it pays nobody."""
    return transaction.outputs == (NOTHING_PAID,)


def message_psbt(
    message: str, policy: Policy, script: VaultScript, *, branch: str = PRIMARY
) -> Psbt:
    """Return what a branch's keys are asked to sign for one of the policy's addresses."""
    wait = policy.branch(branch).wait
    challenge = to_spend(message, script.script_pubkey)
    own = {
        fields.GLOBAL_UNSIGNED_TX: to_sign(message, script.script_pubkey, wait).stripped,
        fields.GLOBAL_SIGNED_MESSAGE: _encoded(message),
        **global_fields(policy),
    }
    asked = input_fields(policy, script, challenge.outputs[0], previous=challenge.raw)
    return codec.assemble(Maps(own, (asked,), ({},)))


def key_proved(
    message: str, script: VaultScript, pubkey: bytes, *, signature: bytes, branch: str = PRIMARY
) -> bool:
    """Tell whether 64 bytes are a signature of the message by one of a branch's keys."""
    unsigned = to_sign(message, script.script_pubkey, script.policy.branch(branch).wait)
    nothing = {0: TransactionOutput(0, script.script_pubkey)}
    digest = script_digest(unsigned, 0, script, spent=nothing) or b""
    return pubkey in script.keys_of(branch) and script.scheme.verifies(pubkey, digest, signature)


def simple_proof(psbt: Psbt, policy: Policy) -> str:
    """Return the proof of the vault, once a quorum has signed a message's PSBT.

    Raises SignaturesMissing before; only valid signatures count.
    """
    _require_message(psbt)
    witness = finalize(psbt, policy).inputs[0].final_scriptwitness
    items = witness.items if witness else []
    return SIMPLE + base64.b64encode(vector(items, sized)).decode()


def vault_proof(psbt: Psbt, policy: Policy, *, branch: str = PRIMARY) -> str:
    """Return the proof of a branch: a simple one, a full one where a script_sig or a wait is in it.

    Raises SignaturesMissing before its quorum has signed.
    """
    if policy.script in SIMPLE_SCRIPTS and policy.branch(branch).wait is None:
        return simple_proof(psbt, policy)
    _require_message(psbt)
    signed = extractor.final_transaction(finalize(psbt, policy, branch=branch))
    return FULL + base64.b64encode(signed.raw).decode()


def _require_message(psbt: Psbt) -> None:
    if len(psbt.inputs) != 1 or not signs_message(codec.unsigned_transaction(psbt)):
        raise PsbtError("this PSBT is a payment, not a message to sign")


def verify_proof(proof: str, message: str, script_pubkey: bytes) -> str:
    """Say who found a simple or full proof valid: consensus' `accepted`, or `own-check`.

    Raises ConsensusRejected where it is not valid, and PsbtError where it cannot be read, breaks
    BIP 322's own rules, or is for a script that cannot be judged here.
    """
    if proof.startswith(FULL):
        return _verify_full(proof.removeprefix(FULL), message, script_pubkey)
    witness = _witness(proof)
    kind = script_type(script_pubkey)
    if kind not in {"p2wpkh", "p2wsh", "p2tr"}:
        raise PsbtError(f"a simple proof is for a segwit address, not for {kind}")
    own = kind == "p2wsh" or (kind == "p2tr" and _is_leaf(witness))
    if not own and not consensus.engine_available():
        raise PsbtError(f"a proof for {kind} cannot be judged without libbitcoinkernel")
    unsigned = to_sign(message, script_pubkey)
    signed = replace(unsigned, inputs=(unsigned.inputs[0]._replace(witness=witness),))
    verdict = consensus.check(signed.raw, [(script_pubkey, 0)])
    for signature in _signatures(kind, witness):
        _check_signature(kind, signature)
    return verdict


def _verify_full(proof: str, message: str, script_pubkey: bytes) -> str:
    """Judge a whole transaction: to_sign, whatever its locks are.

    A multisig knows none: they prove nothing and take nothing away. Of another script they tell
    when it can be unlocked so.
    """
    try:
        signed = parse_transaction(base64.b64decode(proof, validate=True))
    except (binascii.Error, ValueError) as error:
        raise PsbtError("a full proof is not the base64 of a transaction") from error
    spent = [tx_in.outpoint for tx_in in signed.inputs]
    asked = [tx_in.outpoint for tx_in in to_sign(message, script_pubkey).inputs]
    if spent != asked or not signs_message(signed) or signed.version not in FULL_VERSIONS:
        raise PsbtError("the transaction in the proof does not sign this message for this address")
    verdict = consensus.check(signed.raw, [(script_pubkey, 0)])
    unlocking = signed.inputs[0]
    stack = unlocking.witness or read_pushes(unlocking.script_sig) or ()
    if not stack:
        raise PsbtError("a full proof that shows no script cannot be judged here")
    for signature in _script_signatures("full", stack):
        _check_signature("p2wsh", signature)
    return verdict


def _encoded(message: str) -> bytes:
    try:
        return message.encode()
    except UnicodeEncodeError as error:
        raise PsbtError("the message holds half a character") from error


def _witness(proof: str) -> tuple[bytes, ...]:
    """Read a witness; a proof from before the prefixes has none."""
    prefix, rest = proof[:3], proof[3:]
    if prefix == "pof":
        raise PsbtError(f"a proof that starts with {prefix} is not read here: {SIMPLE} or {FULL}")
    try:
        data = base64.b64decode(rest if prefix == SIMPLE else proof, validate=True)
    except (binascii.Error, ValueError) as error:
        raise PsbtError("the proof is neither smp nor base64") from error
    reader = ByteReader(data)
    witness = reader.vector(ByteReader.sized)
    reader.end()
    return witness


def _signatures(kind: str, witness: Sequence[bytes]) -> Sequence[bytes]:
    """Return a valid witness's signatures; a script that could hide one is not judged."""
    if kind == "p2wsh":
        return _script_signatures(kind, witness)
    if (kind == "p2tr" and len(witness) == 1) or kind == "p2wpkh":
        return witness[:1]
    if kind == "p2tr" and _is_leaf(witness):
        return tuple(filter(None, witness[:-2]))
    raise PsbtError(f"a {kind} proof by a script of its own kind cannot be judged here")


def _is_leaf(witness: Sequence[bytes]) -> bool:
    """Tell whether a taproot witness shows a quorum in a leaf, and no annex behind it."""
    if len(witness) < LEAF_ITEMS or witness[-1].startswith(ANNEX):
        return False
    return read_leaf(witness[-2]) is not None


def _script_signatures(kind: str, stack: Sequence[bytes]) -> Sequence[bytes]:
    """Return the signatures that unlock a script of a form that is known here."""
    if read_multisig(stack[-1]):
        return stack[1:-1]
    found = [item for item in stack[:-1] if len(item) > 1 and len(item) != PUBLIC_KEY_SIZE]
    if instructions(stack[-1]) is None or not found:
        raise PsbtError(f"a {kind} proof by a script of its own kind cannot be judged here")
    return found


def _check_signature(kind: str, value: bytes) -> None:
    """Refuse what consensus allows: another type than ALL, a high S."""
    if kind == "p2tr":
        if value[SCHNORR_SIZE:] not in (b"", bytes([SIGHASH_ALL])):
            raise PsbtError("a signature's sighash type is not that of ALL")
    elif partial_from_compact(compact_from_partial(value)) != value:
        raise PsbtError("a signature has a high S")
