"""What a person must see before a card is tapped."""

from typing import NamedTuple

from psbt.address import destination, optional_address
from psbt.cautions import (
    Caution,
    Context,
    Facts,
    KnownVault,
    ReviewInput,
    ReviewOutput,
    Severity,
    cautions,
)
from psbt.codec import OutputScope, Psbt, unsigned_transaction
from psbt.coins import Outpoint
from psbt.errors import PsbtError
from psbt.ownership import claims_own, derived_script, input_scripts, output_scripts
from psbt.policy import CHANGE, Policy, VaultScript, format_address
from psbt.relay import sigops_cost
from psbt.sighash import spent_outputs
from psbt.weight import WITNESS_SCALE, input_weight, output_size, transaction_weight, vsize_of

__all__ = [
    "Caution",
    "Context",
    "KnownVault",
    "Review",
    "ReviewInput",
    "ReviewOutput",
    "Severity",
    "review",
]


class Review(NamedTuple):
    """The transaction as a person reads it; sizes are those it will at most have once signed."""

    inputs: tuple[ReviewInput, ...]
    outputs: tuple[ReviewOutput, ...]
    fee_sats: int
    feerate: int
    vsize: int
    warnings: tuple[Caution, ...]


def review(psbt: Psbt, policy: Policy, context: Context) -> Review:
    """Return what the transaction does and every caution about it.

    An input that is not the policy's, or an amount that the previous transaction contradicts,
    is refused at once.
    """
    facts = _facts(psbt, policy, context)
    return Review(
        facts.inputs,
        facts.outputs,
        facts.fee_sats,
        facts.feerate,
        facts.vsize,
        cautions(facts, context),
    )


def _facts(psbt: Psbt, policy: Policy, context: Context) -> Facts:
    inputs = _inputs(psbt, policy)
    outputs = tuple(
        _output(
            psbt.outputs[index],
            own or _known(psbt, index, policy, context=context),
            policy,
            context=context,
        )
        for index, own in enumerate(output_scripts(psbt, policy))
    )
    fee_sats = sum(i.value_sats for i in inputs) - sum(o.value_sats for o in outputs)
    if fee_sats < 0:
        raise PsbtError(f"the outputs are worth {-fee_sats} sats more than the inputs")
    weight, unsigned = _finished_weight(psbt, policy), unsigned_transaction(psbt)
    vsize = vsize_of(weight)
    return Facts(
        inputs=inputs,
        outputs=outputs,
        fee_sats=fee_sats,
        feerate=fee_sats * 1000 // vsize,
        vsize=vsize,
        network=policy.network,
        transaction=unsigned,
        weight=weight,
        sigops_cost=sigops_cost(unsigned, len(inputs) * _checks(policy)),
    )


def _checks(policy: Policy) -> int:
    """Return what the signature checks of one input cost: four times as much without a witness."""
    return len(policy.keys) * (WITNESS_SCALE if policy.script == "sh" else 1)


def _inputs(psbt: Psbt, policy: Policy) -> tuple[ReviewInput, ...]:
    input_scripts(psbt, policy)
    return tuple(
        ReviewInput(
            Outpoint(psbt_in.txid.hex(), psbt_in.vout),
            format_address(spent.script_pubkey, policy.network),
            spent.value_sats,
            proven=psbt_in.non_witness_utxo is not None,
        )
        for psbt_in, spent in zip(psbt.inputs, spent_outputs(psbt), strict=True)
    )


def _output(
    psbt_out: OutputScope, own: VaultScript | None, policy: Policy, *, context: Context
) -> ReviewOutput:
    script_pubkey = psbt_out.script_pubkey.data
    change = own is not None and own.keychain == CHANGE
    vault = None if own is not None else context.vaults.get(script_pubkey)
    return ReviewOutput(
        optional_address(script_pubkey, policy.network),
        psbt_out.value,
        "change" if change else "payment",
        script_pubkey,
        own=own is not None,
        claims_own=claims_own(psbt_out, policy),
        destination=destination(script_pubkey, policy.network),
        keychain=None if own is None else "change" if change else "receive",
        address_index=None if own is None else own.index,
        vault=None if vault is None else vault.name,
        label=context.labels.get(script_pubkey),
    )


def _known(psbt: Psbt, index: int, policy: Policy, *, context: Context) -> VaultScript | None:
    """Look an output up in the vault's history, which is no more believed than the PSBT."""
    script_pubkey = psbt.outputs[index].script_pubkey.data
    place = context.own_scripts.get(script_pubkey)
    script = derived_script(policy, *place) if place else None
    return script if script is not None and script.script_pubkey == script_pubkey else None


def _finished_weight(psbt: Psbt, policy: Policy) -> int:
    """Return the most weight the transaction can have once signed."""
    an_input = input_weight(policy.size)
    outputs = [output_size(psbt_out.script_pubkey.data) for psbt_out in psbt.outputs]
    return transaction_weight(len(psbt.inputs), an_input, len(outputs), outputs_size=sum(outputs))
