"""What a PSBT spends and pays, as plain values."""

from hashlib import sha256

from psbt.codec import Psbt, unsigned_transaction
from psbt.coins import Outpoint, Payment
from psbt.ownership import own_inputs
from psbt.policy import Policy
from psbt.sighash import spent_outputs


def outpoints(psbt: Psbt) -> list[Outpoint]:
    """Return the coins spent, in input order."""
    return [Outpoint(psbt_in.txid.hex(), psbt_in.vout) for psbt_in in psbt.inputs]


def own_outpoints(psbt: Psbt, policy: Policy) -> list[Outpoint]:
    """Return the coins of the policy that are spent, in input order."""
    every = outpoints(psbt)
    return [every[index] for index in own_inputs(psbt, policy)]


def spent(psbt: Psbt) -> list[tuple[bytes, int]]:
    """Return (script_pubkey, value_sats) of each coin spent, in input order."""
    return [(output.script_pubkey, output.value_sats) for output in spent_outputs(psbt)]


def outputs(psbt: Psbt) -> list[Payment]:
    """Return every output, change too, in order."""
    return [Payment(out.script_pubkey.data, out.value) for out in psbt.outputs]


def commitment(psbt: Psbt) -> bytes:
    """Return 32 bytes that stand for the unsigned transaction and every amount it spends.

    SHA-256 of the transaction's bytes, then 8 bytes (little-endian, sats) for each input.
    """
    hashed = sha256(unsigned_transaction(psbt).stripped)
    for _, value_sats in spent(psbt):
        hashed.update(value_sats.to_bytes(8, "little"))
    return hashed.digest()
