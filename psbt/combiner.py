"""BIP 174's Combiner for a PSBT that was out of our hands.

It may come back with fewer fields, with more signatures, and with fields that say more; what
contradicts ours is refused by name. What is kept is our own PSBT with what is new in it.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from psbt import codec
from psbt.codec import EmbitBase, InputScope, OutputScope, Psbt
from psbt.errors import NotOnlySignatures, PsbtError, SignatureInvalid
from psbt.ownership import claims_own, own_inputs, scripts_fit
from psbt.partial_signatures import valid_signature
from psbt.policy import Policy, VaultScript
from psbt.sighash import sighashes, spent_outputs
from psbt.signature import Scheme
from psbt.transaction import TransactionOutput

COMPARED_ELSEWHERE: Final = frozenset(
    {
        "inputs",
        "outputs",
        "unknown",
        "partial_sigs",
        "taproot_sigs",
        "sighash_type",
        "final_scriptsig",
        "final_scriptwitness",
    }
)

Own = Mapping[int, VaultScript]
ADDED_MAX: Final = 256 * 1024
SCRIPT_FIELDS: Final = ("redeem_script", "witness_script", "taproot_internal_key")


def combine(psbt: Psbt, other: Psbt, policy: Policy) -> Psbt:
    """Return a copy of `psbt` with the new signatures of `other`, and with what it adds."""
    own = own_inputs(psbt, policy)
    signatures = new_signatures(psbt, other, policy, own=own)
    combined = with_additions(psbt, other, policy, own=own)
    for index, pubkey, signature in signatures:
        script = own[index]
        value = script.scheme.written(signature)
        codec.state_signature(combined.inputs[index], pubkey, value, leaf_hash=script.leaf_hash)
    return combined


def with_additions(psbt: Psbt, other: Psbt, policy: Policy, *, own: Own | None = None) -> Psbt:
    """Return a copy of `psbt` with the fields that only `other` holds, ours to sign left out.

    Unknown and proprietary ones, extended keys, what unlocks the inputs of others, and what is said
    about outputs that are not the vault's. Additions of more than ADDED_MAX bytes are passed over,
    and so is what would make a payment look like change. `own` is what `own_inputs` returns, where
    the caller has it already.
    """
    wider, own = codec.copy(psbt), own_inputs(psbt, policy) if own is None else own
    grown = _add_missing(wider, other, ("unknown", "xpubs"))
    for index, (ours, theirs) in enumerate(zip(wider.inputs, other.inputs, strict=True)):
        grown += _add_missing(ours, theirs, ("unknown", "bip32_derivations"))
        if index not in own and not codec.is_final(ours):
            grown += _add_unlocking(ours, theirs)
    for our_out, their_out in zip(wider.outputs, other.outputs, strict=True):
        grown += _add_missing(our_out, their_out, ("unknown",))
        if not claims_own(their_out, policy):
            grown += _add_missing(our_out, their_out, ("bip32_derivations",))
            grown += _add_scripts(our_out, their_out)
    return wider if grown <= ADDED_MAX else codec.copy(psbt)


def without_excess(own: Psbt, whole: Psbt) -> Psbt:
    """Return `whole`; where it says more than ADDED_MAX bytes beside `own`, just what signs it."""
    if len(codec.to_bytes(whole)) - len(codec.to_bytes(own)) <= ADDED_MAX:
        return whole
    bare = codec.copy(own)
    for ours, theirs in zip(bare.inputs, whole.inputs, strict=True):
        ours.witness_utxo, ours.sighash_type = theirs.witness_utxo, theirs.sighash_type
        ours.final_scriptsig = theirs.final_scriptsig
        ours.final_scriptwitness = theirs.final_scriptwitness
        ours.partial_sigs = dict(theirs.partial_sigs)
        ours.taproot_sigs = dict(theirs.taproot_sigs)
    return bare


def _add_missing(ours: object, theirs: object, names: Iterable[str]) -> int:
    """Add the entries that only they hold; returns about how many bytes they take."""
    grown = 0
    for name in names:
        mine, said = getattr(ours, name), getattr(theirs, name)
        added = {key: value for key, value in said.items() if key not in mine}
        mine.update(added)
        grown += sum(_size(key) + _size(value) for key, value in added.items())
    return grown


def _add_unlocking(ours: InputScope, theirs: InputScope) -> int:
    """Add what others need to unlock their input, or what unlocks it; returns how many bytes."""
    if codec.is_final(theirs):
        script_sig, witness = codec.unlocking(theirs)
        codec.finish_input(ours, script_sig, witness)
        return len(script_sig) + sum(map(len, witness))
    grown = _add_missing(ours, theirs, ("partial_sigs",)) + _add_scripts(ours, theirs)
    if ours.sighash_type is None:
        ours.sighash_type = theirs.sighash_type
    return grown


def _add_scripts(ours: InputScope | OutputScope, theirs: InputScope | OutputScope) -> int:
    """Add the scripts that only they hold; returns how many bytes they take."""
    grown = 0
    for name in ("redeem_script", "witness_script"):
        script = getattr(theirs, name)
        if script is not None and getattr(ours, name) is None:
            setattr(ours, name, script)
            grown += len(script.data)
    return grown


def _size(value: bytes | EmbitBase) -> int:
    return len(value if isinstance(value, bytes) else value.serialize())


def new_signatures(
    psbt: Psbt, other: Psbt, policy: Policy, *, own: Own | None = None
) -> list[tuple[int, bytes, bytes]]:
    """Return (input index, public key, 64 bytes) of each valid signature that `psbt` does not hold.

    `own` is what `own_inputs` returns, where the caller has it already.
    """
    if len(other.inputs) != len(psbt.inputs):
        raise NotOnlySignatures("inputs", f"are {len(other.inputs)}, not {len(psbt.inputs)}")
    if len(other.outputs) != len(psbt.outputs):
        raise NotOnlySignatures("outputs", f"are {len(other.outputs)}, not {len(psbt.outputs)}")
    scripts = own_inputs(psbt, policy) if own is None else own
    _check_transaction(psbt, other, scripts)
    found = []
    for index, digest in sighashes(psbt, scripts).items():
        offered = dict(_offered(index, other.inputs[index], scripts[index], digest=digest))
        for pubkey, signature in offered.items():
            script = scripts[index]
            if valid_signature(psbt.inputs[index], script, pubkey, digest=digest) is not None:
                continue
            if not script.scheme.verifies(pubkey, digest, signature):
                raise SignatureInvalid(index, pubkey)
            found.append((index, pubkey, signature))
    return found


def _check_transaction(psbt: Psbt, other: Psbt, scripts: Own) -> None:
    """Refuse anything but the same transaction, and any field that contradicts ours."""
    _check_fields("", psbt, other)
    spent = spent_outputs(psbt)
    for index, (ours, theirs) in enumerate(zip(psbt.inputs, other.inputs, strict=True)):
        if (theirs.txid, theirs.vout) == (ours.txid, ours.vout):
            _check_spent(f"inputs[{index}].", theirs, spent[index], script=scripts.get(index))
        _check_fields(f"inputs[{index}].", ours, theirs)
    for index, (our_out, their_out) in enumerate(zip(psbt.outputs, other.outputs, strict=True)):
        _check_fields(f"outputs[{index}].", our_out, their_out)
        if not scripts_fit(their_out, tree=codec.tap_tree(our_out)):
            field = next(name for name in SCRIPT_FIELDS if getattr(their_out, name) is not None)
            raise NotOnlySignatures(f"outputs[{index}].{field}", "is not that of the output")


def _check_spent(
    prefix: str, theirs: InputScope, spent: TransactionOutput, *, script: VaultScript | None
) -> None:
    """Refuse what contradicts the output spent, also where our own PSBT is silent about it.

    What the script of somebody else's coin is nobody here can tell.
    """
    stated = theirs.witness_utxo
    if stated is not None and stated.value != spent.value_sats:
        amounts = f"says {stated.value} sats, but the coin has {spent.value_sats} sats"
        raise NotOnlySignatures(f"{prefix}witness_utxo", amounts)
    if stated is not None and stated.script_pubkey.data != spent.script_pubkey:
        raise NotOnlySignatures(f"{prefix}witness_utxo")
    if script is None:
        return
    if theirs.redeem_script is not None and theirs.redeem_script.data != script.redeem_script:
        raise NotOnlySignatures(f"{prefix}redeem_script", "is not that of the output it spends")
    if theirs.witness_script is not None and theirs.witness_script.data != script.witness_script:
        raise NotOnlySignatures(f"{prefix}witness_script")


def _check_fields(prefix: str, ours: object, theirs: object) -> None:
    """Compare two maps; a field that was dropped is fine, and so is what only they hold."""
    expected = vars(ours)
    for field, value in vars(theirs).items():
        mine = expected[field]
        if value is None or value is mine or field in COMPARED_ELSEWHERE:
            continue
        if isinstance(value, dict):
            same = all(mine.get(key, said) == said for key, said in value.items())
        else:
            same = mine is None or value == mine
        if not same:
            raise NotOnlySignatures(prefix + field)


def _offered(
    index: int, theirs: InputScope, script: VaultScript, *, digest: bytes
) -> Iterator[tuple[bytes, bytes]]:
    """Yield the signatures of an input by keys of the policy, not verified yet."""
    where, wanted = f"inputs[{index}]", script.scheme.sighash_type
    if theirs.sighash_type not in (None, wanted):
        name = "ALL" if wanted else "DEFAULT"
        raise NotOnlySignatures(f"{where}.sighash_type", f"is {theirs.sighash_type}, not {name}")
    points = {key if wanted else key[1:]: key for key in script.points}
    name = "partial_sigs" if wanted else "taproot_sigs"
    if codec.signs_by_key_path(theirs):
        raise NotOnlySignatures(f"{where}.taproot_key_sig", "is by a key outside the policy")
    if any(leaf != script.leaf_hash for _, leaf in theirs.taproot_sigs):
        raise NotOnlySignatures(f"{where}.taproot_sigs", "are for another leaf")
    if script.kind == "tr" and theirs.partial_sigs:
        raise NotOnlySignatures(f"{where}.partial_sigs", "are ECDSA, a leaf takes none")
    for key, value in codec.stated_signatures(theirs, script.leaf_hash).items():
        field = f"{where}.{name}[{key.hex()}]"
        if key not in points:
            raise NotOnlySignatures(field, "is by a key outside the policy")
        yield points[key], _compact(field, value, script.scheme)
    if codec.is_final(theirs):
        yield from _of_final(where, theirs, script, digest=digest)


def _of_final(
    where: str, theirs: InputScope, script: VaultScript, *, digest: bytes
) -> Iterator[tuple[bytes, bytes]]:
    """Yield the signatures of a finished input; those of a multisig come in script order."""
    script_sig, witness = codec.unlocking(theirs)
    if script_sig and script.kind != "sh" and script_sig != script.prefix:
        nested = script.kind == "sh-wsh"
        fault = "is not that of the output it spends" if nested else "is not empty"
        raise NotOnlySignatures(f"{where}.final_scriptsig", fault)
    field = f"{where}.{'final_scriptsig' if script.kind == 'sh' else 'final_scriptwitness'}"
    shown = script.shown(script_sig, witness)
    if shown is None:
        raise NotOnlySignatures(field, "does not unlock the script")
    keys = iter(script.multisig.pubkeys) if script.multisig else script.points
    for value in shown:
        signature = _compact(field, value, script.scheme)
        verifies = script.scheme.verifies
        signer = next((key for key in keys if verifies(key, digest, signature)), None)
        if signer is None:
            raise NotOnlySignatures(field, "holds a signature by no key of the policy")
        yield signer, signature


def _compact(field: str, value: bytes, scheme: Scheme) -> bytes:
    try:
        return scheme.read(value)
    except PsbtError as error:
        raise NotOnlySignatures(field, f"cannot be used: {error}") from error
