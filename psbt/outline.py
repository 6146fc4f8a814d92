"""What a PSBT spends and pays, as plain values."""

from psbt.codec import Psbt
from psbt.coins import Outpoint, Payment
from psbt.sighash import spent_outputs


def outpoints(psbt: Psbt) -> list[Outpoint]:
    """Return the coins spent, in input order."""
    return [Outpoint(psbt_in.txid.hex(), psbt_in.vout) for psbt_in in psbt.inputs]


def spent(psbt: Psbt) -> list[tuple[bytes, int]]:
    """Return (script_pubkey, value_sats) of each coin spent, in input order."""
    return [(output.script_pubkey, output.value_sats) for output in spent_outputs(psbt)]


def outputs(psbt: Psbt) -> list[Payment]:
    """Return every output, change too, in order."""
    return [Payment(out.script_pubkey.data, out.value) for out in psbt.outputs]
