"""BIP 174's Transaction Extractor."""

from dataclasses import replace

from psbt import codec
from psbt.codec import Psbt, unsigned_transaction
from psbt.errors import PsbtError
from psbt.transaction import NOTHING_PAID, Transaction, TransactionInput, parse_transaction
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
    inputs = tuple(_unlocked(index, tx_in, psbt) for index, tx_in in enumerate(unsigned.inputs))
    return replace(unsigned, inputs=inputs)


def weight(raw: bytes) -> int:
    """Return a transaction's weight in weight units."""
    return parse_transaction(raw).weight


def vsize(raw: bytes) -> int:
    """Return a transaction's size in virtual bytes, rounded up."""
    return parse_transaction(raw).vsize


def transaction_id(raw: bytes) -> str:
    """Return a transaction's id as display hex."""
    return parse_transaction(raw).txid


def _unlocked(index: int, tx_in: TransactionInput, psbt: Psbt) -> TransactionInput:
    psbt_in = psbt.inputs[index]
    if not codec.is_final(psbt_in):
        raise PsbtError(f"input {index} is not final")
    script_sig = psbt_in.final_scriptsig.data if psbt_in.final_scriptsig else b""
    witness = tuple(psbt_in.final_scriptwitness.items) if psbt_in.final_scriptwitness else ()
    return tx_in._replace(script_sig=script_sig, witness=witness)
