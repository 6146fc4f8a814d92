"""What the inputs of a PSBT spend, and the digest each of them has signed."""

from collections.abc import Collection

from psbt.address import p2sh, p2wsh, script_type
from psbt.codec import InputScope, Psbt, previous_transaction, unsigned_transaction
from psbt.digests import digests
from psbt.errors import AmountContradicted, PsbtError
from psbt.signature import SIGHASH_ALL
from psbt.transaction import (
    MAX_MONEY_SATS,
    TransactionOutput,
)


def spent_outputs(psbt: Psbt) -> list[TransactionOutput]:
    """Return the output each input spends, checked against the previous transaction if it is there.

    An input without any, or with two that differ, is refused, and so is what no payment can be.
    """
    if not psbt.inputs or not psbt.outputs:
        counts = f"{len(psbt.inputs)} inputs and {len(psbt.outputs)} outputs"
        raise PsbtError(f"a transaction of {counts} is no payment")
    spent = [_spent_output(index, psbt_in) for index, psbt_in in enumerate(psbt.inputs)]
    total = sum(tx_out.value_sats for tx_out in spent)
    if total > MAX_MONEY_SATS:
        raise PsbtError(f"coins of {total} sats are worth more than 21 million bitcoin")
    return spent


def sighashes(psbt: Psbt, own: Collection[int] | None = None) -> dict[int, bytes]:
    """Return the digest of these inputs, or of all, for SIGHASH_ALL: the only type that is signed.

    What the inputs of others say beside what they spend is not asked: it is in no such digest.
    """
    if own is None:
        own = range(len(psbt.inputs))
    scripts: list[bytes] = []
    values: list[int | None] = []
    for index, (psbt_in, spent) in enumerate(zip(psbt.inputs, spent_outputs(psbt), strict=True)):
        if index not in own:
            scripts.append(b"")
            values.append(0)
            continue
        if psbt_in.sighash_type not in (None, SIGHASH_ALL):
            found = psbt_in.sighash_type
            raise PsbtError(f"input {index}: sighash_type is {found}, only ALL is signed")
        code, amount_signed = script_code(index, psbt_in, spent.script_pubkey)
        if not amount_signed and psbt_in.non_witness_utxo is None:
            raise PsbtError(
                f"input {index} is no segwit and lacks its previous transaction:"
                " a signature would not cover its amount"
            )
        scripts.append(code)
        values.append(spent.value_sats if amount_signed else None)
    every = digests(unsigned_transaction(psbt), scripts, values)
    return {index: every[index] for index in sorted(own)}


def script_code(index: int, psbt_in: InputScope, script_pubkey: bytes) -> tuple[bytes, bool]:
    """Return the script that an input's signatures are for, and whether they sign its amount.

    Raises PsbtError where the scripts stated are not those of the output it spends.
    """
    redeem, witness = psbt_in.redeem_script, psbt_in.witness_script
    expected = script_pubkey
    if script_type(script_pubkey) == "p2sh":
        if redeem is None:
            raise PsbtError(f"input {index} has no redeem_script")
        expected = redeem.data
    if redeem is not None and p2sh(redeem.data) != script_pubkey:
        raise PsbtError(f"input {index}: redeem_script is not that of the output it spends")
    if script_type(expected) != "p2wsh" and redeem is not None and witness is None:
        return redeem.data, False
    if witness is None:
        raise PsbtError(f"input {index} has no witness_script")
    if p2wsh(witness.data) != expected:
        raise PsbtError(f"input {index}: witness_script is not that of the output it spends")
    return witness.data, True


def stated_output(index: int, psbt_in: InputScope) -> TransactionOutput | None:
    """Return the output an input says it spends, None where it says nothing.

    Raises PsbtError where it says two things.
    """
    stated = psbt_in.witness_utxo
    said = TransactionOutput(stated.value, stated.script_pubkey.data) if stated else None
    previous = previous_transaction(psbt_in)
    if previous is None:
        return said
    if previous.txid != psbt_in.txid.hex() or psbt_in.vout >= len(previous.outputs):
        raise PsbtError(f"input {index}: non_witness_utxo is not the transaction it spends")
    spent = previous.outputs[psbt_in.vout]
    if said is not None and said.value_sats != spent.value_sats:
        outpoint = f"{psbt_in.txid.hex()}:{psbt_in.vout}"
        where = f"input {index}: witness_utxo"
        raise AmountContradicted(where, outpoint, said.value_sats, known_sats=spent.value_sats)
    if said is not None and said.script_pubkey != spent.script_pubkey:
        raise PsbtError(f"input {index}: witness_utxo has another script than what it spends")
    return spent


def _spent_output(index: int, psbt_in: InputScope) -> TransactionOutput:
    stated = stated_output(index, psbt_in)
    if stated is None:
        raise PsbtError(
            f"input {index} says nothing about the output it spends:"
            " it has no witness_utxo and no non_witness_utxo"
        )
    return stated
