"""BIP 174's Transaction Extractor."""

from dataclasses import replace

from psbt import codec
from psbt.codec import Psbt, unsigned_transaction
from psbt.errors import PsbtError
from psbt.transaction import NOTHING_PAID, Transaction
from psbt.weight import WEIGHT_MAX


def extract(psbt: Psbt) -> bytes:
    """Return the network serialization of a payment whose inputs are all final."""
    transaction = final_transaction(psbt)
    if transaction.outputs == (NOTHING_PAID,):
        raise PsbtError("this PSBT signs a message (BIP 322): there is nothing to send")
    if transaction.weight > WEIGHT_MAX:
        raise PsbtError(
            f"a weight of {transaction.weight} is above {WEIGHT_MAX}, which nodes relay"
        )
    return transaction.raw


def final_transaction(psbt: Psbt) -> Transaction:
    """Return the transaction of a PSBT whose inputs are all final, whatever it is for."""
    unsigned = unsigned_transaction(psbt)
    inputs = []
    for index, (tx_in, psbt_in) in enumerate(zip(unsigned.inputs, psbt.inputs, strict=True)):
        if not codec.is_final(psbt_in):
            raise PsbtError(f"input {index} is not final")
        script_sig, witness = codec.unlocking(psbt_in)
        inputs.append(tx_in._replace(script_sig=script_sig, witness=witness))
    return replace(unsigned, inputs=tuple(inputs))
