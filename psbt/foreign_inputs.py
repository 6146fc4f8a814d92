"""Inputs of others beside the vault's: what each will weigh once it is unlocked, as far as told."""

from typing import Final

from psbt import codec
from psbt.address import script_type
from psbt.codec import InputScope
from psbt.multisig import Multisig, read_multisig
from psbt.transaction import sized, vector
from psbt.weight import (
    OUTPOINT_SEQUENCE_AND_SCRIPT_SIG,
    WITNESS_SCALE,
    ScriptSize,
    compact_size_length,
    input_weight,
)

KEY_AND_SIGNATURE: Final = 1 + 72 + 1 + 33
UNLOCKING: Final = {
    "p2wpkh": (0, 1 + KEY_AND_SIGNATURE),
    "p2sh-p2wpkh": (23, 1 + KEY_AND_SIGNATURE),
    "p2tr": (0, 1 + 1 + 65),
    "p2pkh": (KEY_AND_SIGNATURE, 1),
}
"""By kind, the bytes of script_sig and witness that one key unlocks a coin with."""
USUAL: Final = Multisig(2, (b"",) * 3)
"""What a script that is not shown is taken for."""


def foreign_weight(psbt_in: InputScope, script_pubkey: bytes) -> int:
    """Return what an input of somebody else weighs: once final to the unit, before as is usual."""
    if codec.is_final(psbt_in):
        script_sig, witness = codec.unlocking(psbt_in)
        return _weight(len(script_sig), len(vector(witness, sized)))
    kind, asked = _kind(psbt_in, script_pubkey)
    if kind in UNLOCKING:
        return _weight(*UNLOCKING[kind])
    return input_weight(ScriptSize(asked.threshold, len(asked.pubkeys), kind))


def foreign_checks(psbt_in: InputScope, script_pubkey: bytes) -> int:
    """Return what its signature checks cost: four times as much without a witness (BIP 141)."""
    kind, asked = _kind(psbt_in, script_pubkey)
    if kind in UNLOCKING:
        return kind.endswith("p2wpkh")
    return len(asked.pubkeys) * (WITNESS_SCALE if kind == "sh" else 1)


def _kind(psbt_in: InputScope, script_pubkey: bytes) -> tuple[str, Multisig]:
    """Return how a coin is unlocked: by one key, or by a multisig in `wsh`, `sh-wsh` or `sh`."""
    redeem = psbt_in.redeem_script.data if psbt_in.redeem_script else b""
    witness = psbt_in.witness_script.data if psbt_in.witness_script else b""
    kind = script_type(script_pubkey)
    if kind == "p2sh" and script_type(redeem) == "p2wpkh":
        kind = "p2sh-p2wpkh"
    if kind in UNLOCKING:
        return kind, USUAL
    nested = bool(witness) or script_type(redeem) == "p2wsh"
    script = {True: "sh-wsh", False: "sh"}[nested] if kind == "p2sh" else "wsh"
    return script, read_multisig(witness or redeem) or USUAL


def _weight(script_sig: int, witness: int) -> int:
    bare = OUTPOINT_SEQUENCE_AND_SCRIPT_SIG - 1 + compact_size_length(script_sig) + script_sig
    return bare * WITNESS_SCALE + witness
