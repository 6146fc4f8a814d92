"""What a vault's transaction weighs once signed, what that costs, and which outputs are dust."""

from typing import Final, NamedTuple

from psbt.bech32 import PROGRAM_SIZES
from psbt.multisig import OP_1, OP_16, OP_RETURN, leaf_size, multisig_size, pushed

WITNESS_SCALE: Final = 4
WEIGHT_MAX: Final = 400_000
NESTED_SCRIPT_SIG: Final = 35
CONTROL_BLOCK: Final = 33
P2SH_SIZE: Final = 23
WITNESS_PROGRAM_SIZE: Final = 34
"""The size of an output script of P2WSH and of taproot."""
PROGRAMS: Final = frozenset({"wsh", "tr"})

OUTPOINT_SEQUENCE_AND_SCRIPT_SIG: Final = 32 + 4 + 4 + 1
VERSION_AND_LOCKTIME: Final = 4 + 4
MARKER_AND_FLAG: Final = 2
TAPROOT_SIGNATURE_SIZE: Final = 64  # of SIGHASH_DEFAULT, the only type that is signed
SIGNATURE_SIZE_MAX: Final = 72  # DER with low S takes 71 bytes at most, the sighash type one

DUST_FEERATE: Final = 3_000
SPENDING_SIZE: Final = 148
SPENDING_SIZE_SEGWIT: Final = 67
SCRIPT_SIZE_MAX: Final = 10_000
OP_0: Final = 0x00


class ScriptSize(NamedTuple):
    """What decides how large an input is: signatures needed, keys, and the script.

    `witness` is how many bytes the items of a branch take in the witness at most; None is a plain
    multisig.
    """

    threshold: int
    total: int
    script: str = "wsh"
    witness: int | None = None

    @property
    def output(self) -> int:
        """Return how many bytes an output to such a vault takes."""
        return 8 + 1 + (WITNESS_PROGRAM_SIZE if self.script in PROGRAMS else P2SH_SIZE)

    @property
    def dust_sats(self) -> int:
        """Return the least amount that nodes relay in an output to such a vault."""
        spending = SPENDING_SIZE_SEGWIT if self.script in PROGRAMS else SPENDING_SIZE
        return fee_at(DUST_FEERATE, self.output + spending)


def input_weight(size: ScriptSize) -> int:
    """Return the weight of a signed input, with the longest signatures there can be."""
    if size.witness is not None:
        return OUTPOINT_SEQUENCE_AND_SCRIPT_SIG * WITNESS_SCALE + 1 + size.witness
    if size.script == "tr":
        return OUTPOINT_SEQUENCE_AND_SCRIPT_SIG * WITNESS_SCALE + _leaf_witness(size)
    script = multisig_size(size.total)
    signatures = size.threshold * (1 + SIGNATURE_SIZE_MAX)
    if size.script == "sh":
        script_sig = 1 + signatures + len(pushed(bytes(script)))
        extra = script_sig + compact_size_length(script_sig) - 1
        return (OUTPOINT_SEQUENCE_AND_SCRIPT_SIG + extra) * WITNESS_SCALE
    witness = 1 + 1 + signatures + compact_size_length(script) + script
    nested = NESTED_SCRIPT_SIG if size.script == "sh-wsh" else 0
    return (OUTPOINT_SEQUENCE_AND_SCRIPT_SIG + nested) * WITNESS_SCALE + witness


def _leaf_witness(size: ScriptSize) -> int:
    """Return the bytes of a witness that spends by a leaf: an item for each key, all of one size.

    Who does not sign gives an empty one; the leaf and its control block follow.
    """
    script = leaf_size(size.total)
    answers = size.total + size.threshold * TAPROOT_SIGNATURE_SIZE
    return 1 + answers + compact_size_length(script) + script + 1 + CONTROL_BLOCK


def output_size(script_pubkey: bytes) -> int:
    """Return how many bytes an output takes."""
    return 8 + compact_size_length(len(script_pubkey)) + len(script_pubkey)


def transaction_weight(inputs: int, input_weight: int, outputs: int, *, outputs_size: int) -> int:
    """Return the weight of a transaction whose inputs all weigh the same."""
    counts = compact_size_length(inputs) + compact_size_length(outputs)
    stripped = VERSION_AND_LOCKTIME + counts + outputs_size
    return stripped * WITNESS_SCALE + MARKER_AND_FLAG + inputs * input_weight


def vsize_of(weight: int) -> int:
    """Return the virtual bytes of a weight, rounded up."""
    return -(-weight // WITNESS_SCALE)


def fee_at(feerate: int, vsize: int) -> int:
    """Return the smallest fee in satoshis that is not below the fee rate (sat/kvB)."""
    return -(-vsize * feerate // 1_000)


def dust_limit_sats(script_pubkey: bytes) -> int:
    """Return the least amount that nodes relay in an output with this script."""
    if script_pubkey[:1] == bytes((OP_RETURN,)) or len(script_pubkey) > SCRIPT_SIZE_MAX:
        return 0
    spending = SPENDING_SIZE_SEGWIT if _is_witness_program(script_pubkey) else SPENDING_SIZE
    return fee_at(DUST_FEERATE, output_size(script_pubkey) + spending)


def compact_size_length(value: int) -> int:
    """Return how many bytes a count or length is written in."""
    if value < 0xFD:
        return 1
    return 3 if value <= 0xFFFF else 5


def _is_witness_program(script: bytes) -> bool:
    size = len(script) - 2
    if size not in PROGRAM_SIZES or script[1] != size:
        return False
    return script[0] == OP_0 or OP_1 <= script[0] <= OP_16
