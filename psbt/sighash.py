"""What the inputs of a PSBT spend, and the digest each of them has signed."""

from collections.abc import Collection
from typing import NamedTuple

from psbt import codec, taproot
from psbt.address import p2sh, p2tr, p2wsh, script_type
from psbt.codec import InputScope, Psbt, previous_transaction, unsigned_transaction
from psbt.coins import MAX_MONEY_SATS
from psbt.digests import digests, leaf_digests
from psbt.errors import AmountContradicted, PsbtError
from psbt.miniscript import names_key
from psbt.signature import BIP340, ECDSA, Scheme
from psbt.transaction import TransactionOutput


class SignedScript(NamedTuple):
    """The script an input's signatures are for, whether they sign its amount, and how they do."""

    code: bytes
    amount_signed: bool
    scheme: Scheme = ECDSA

    @property
    def leaf_hash(self) -> bytes | None:
        """Return the hash of the script where it is a leaf of taproot."""
        return taproot.leaf_hash(self.code) if self.scheme is BIP340 else None

    def names(self, pubkey: bytes) -> bool:
        """Tell whether it asks for a signature by a compressed key."""
        known = taproot.names_x if self.scheme is BIP340 else names_key
        return known(self.code, pubkey)


def spent_outputs(psbt: Psbt) -> list[TransactionOutput]:
    """Return the output each input spends, checked against the previous transaction if it is there.

    An input without any, or with two that differ, is refused, and so is what no payment can be.
    """
    if not psbt.inputs or not psbt.outputs:
        counts = f"{len(psbt.inputs)} inputs and {len(psbt.outputs)} outputs"
        raise PsbtError(f"a transaction of {counts} is no payment")
    spent = []
    for index, psbt_in in enumerate(psbt.inputs):
        stated = stated_output(index, psbt_in)
        if stated is None:
            raise PsbtError(
                f"input {index} says nothing about the output it spends:"
                " it has no witness_utxo and no non_witness_utxo"
            )
        spent.append(stated)
    total = sum(tx_out.value_sats for tx_out in spent)
    if total > MAX_MONEY_SATS:
        raise PsbtError(f"coins of {total} sats are worth more than 21 million bitcoin")
    return spent


def sighashes(psbt: Psbt, own: Collection[int] | None = None) -> dict[int, bytes]:
    """Return the digest of these inputs, or of all, for SIGHASH_ALL: the only type that is signed.

    In taproot that is SIGHASH_DEFAULT. What the inputs of others say beside what they spend is not
    asked: it is in no such digest.
    """
    if own is None:
        own = range(len(psbt.inputs))
    spent = spent_outputs(psbt)
    signed = {index: _signed(index, psbt.inputs[index], spent[index]) for index in own}
    leaves = {i: leaf for i, each in signed.items() if (leaf := each.leaf_hash) is not None}
    transaction = unsigned_transaction(psbt)
    found = leaf_digests(transaction, spent, leaves) if leaves else {}
    if len(leaves) < len(signed):
        plain = [None if at in leaves else signed.get(at) for at in range(len(spent))]
        every = digests(
            transaction,
            [each.code if each else b"" for each in plain],
            [
                None if each and not each.amount_signed else output.value_sats
                for each, output in zip(plain, spent, strict=True)
            ],
        )
        found |= {index: every[index] for index in signed.keys() - leaves.keys()}
    return {index: found[index] for index in sorted(found)}


def _signed(index: int, psbt_in: InputScope, spent: TransactionOutput) -> SignedScript:
    """Return what an input signs; raises PsbtError where it asks for another type, or hides it."""
    signed = script_code(index, psbt_in, spent.script_pubkey)
    wanted = signed.scheme.sighash_type
    if psbt_in.sighash_type not in (None, wanted):
        name = "ALL" if wanted else "DEFAULT"
        raise PsbtError(
            f"input {index}: sighash_type is {psbt_in.sighash_type}, only {name} is signed"
        )
    if not signed.amount_signed and psbt_in.non_witness_utxo is None:
        raise PsbtError(
            f"input {index} is no segwit and lacks its previous transaction:"
            " a signature would not cover its amount"
        )
    return signed


def script_code(index: int, psbt_in: InputScope, script_pubkey: bytes) -> SignedScript:
    """Return the script that an input's signatures are for, and how they sign.

    Raises PsbtError where the scripts stated are not those of the output it spends.
    """
    if script_type(script_pubkey) == "p2tr":
        return SignedScript(_leaf(index, psbt_in, script_pubkey), True, BIP340)
    redeem, witness = psbt_in.redeem_script, psbt_in.witness_script
    expected = script_pubkey
    if script_type(script_pubkey) == "p2sh":
        if redeem is None:
            raise PsbtError(f"input {index} has no redeem_script")
        expected = redeem.data
    if redeem is not None and p2sh(redeem.data) != script_pubkey:
        raise PsbtError(f"input {index}: redeem_script is not that of the output it spends")
    if script_type(expected) != "p2wsh" and redeem is not None and witness is None:
        return SignedScript(redeem.data, amount_signed=False)
    if witness is None:
        raise PsbtError(f"input {index} has no witness_script")
    if p2wsh(witness.data) != expected:
        raise PsbtError(f"input {index}: witness_script is not that of the output it spends")
    return SignedScript(witness.data, amount_signed=True)


def _leaf(index: int, psbt_in: InputScope, script_pubkey: bytes) -> bytes:
    """Return the one leaf that an input spends by; what else it says of it must agree (BIP 371)."""
    for name in ("redeem_script", "witness_script"):
        if getattr(psbt_in, name) is not None:
            raise PsbtError(f"input {index}: {name} is not that of the output it spends")
    stated = codec.leaf_scripts(psbt_in)
    if len(stated) != 1:
        raise PsbtError(f"input {index} has {len(stated)} taproot leaf scripts, not one")
    ((control, script),) = stated.items()
    key = taproot.committed_key(control, script)
    if key is None or p2tr(key) != script_pubkey:
        raise PsbtError(
            f"input {index}: its taproot leaf script is not that of the output it spends"
        )
    above = control[1 : taproot.CONTROL_SIZE]
    contradicted = {
        "internal key": codec.internal_key(psbt_in) not in (None, above),
        "Merkle root": psbt_in.taproot_merkle_root not in (None, taproot.leaf_hash(script)),
        "key path signature": codec.signs_by_key_path(psbt_in),
        "signature": any(leaf != taproot.leaf_hash(script) for _, leaf in psbt_in.taproot_sigs),
    }
    wrong = [name for name, found in contradicted.items() if found]
    if wrong:
        raise PsbtError(f"input {index}: its taproot {wrong[0]} is not for the leaf it spends by")
    return script


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
