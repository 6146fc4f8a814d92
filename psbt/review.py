"""What a person must see before a card is tapped."""

from collections.abc import Collection
from typing import Final, Literal, NamedTuple

from psbt.address import destination, optional_address
from psbt.codec import OutputScope, Psbt, unsigned_transaction
from psbt.coins import Outpoint
from psbt.errors import PsbtError
from psbt.foreign_inputs import foreign_checks, foreign_weight
from psbt.ownership import (
    claims_own,
    derived_script,
    names_cosigner,
    output_scripts,
    own_inputs,
)
from psbt.policy import CHANGE, PRIMARY, Policy, VaultScript
from psbt.relay import sigops_cost
from psbt.review_warnings import (
    Caution,
    Context,
    Facts,
    KnownVault,
    ReviewInput,
    ReviewOutput,
    Severity,
    cautions,
)
from psbt.sighash import spent_outputs
from psbt.timelocks import require_branch
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


CHECK_COSTS: Final = {"sh": WITNESS_SCALE, "tr": 0}
"""What a signature check of a script costs: four times as much without a witness.

Those of a taproot leaf pay by their weight and count nothing; all others cost 1.
"""


class Review(NamedTuple):
    """The transaction as a person reads it; sizes are those it will at most have once signed.

    An input of somebody else counts as is usual for its kind until it is final. `net_sats` is what
    the vault pays in all, its share of the fee in it. The fee is `fee_proven` where the
    transactions that made them prove every amount. `unit` is the one that a person typed what is
    paid in.
    """

    inputs: tuple[ReviewInput, ...]
    outputs: tuple[ReviewOutput, ...]
    fee_sats: int
    feerate: int
    vsize: int
    warnings: tuple[Caution, ...]
    net_sats: int
    fee_proven: bool
    unit: Literal["sat", "btc"] = "sat"


def review(psbt: Psbt, policy: Policy, context: Context, *, branch: str = PRIMARY) -> Review:
    """Return what the transaction does and every caution about it, spent by a branch.

    An amount that the previous transaction contradicts is refused at once, and so is a payment
    without an input of the policy, or with one that hides that it is.
    """
    facts = _facts(psbt, policy, context, branch=branch)
    return Review(
        facts.inputs,
        facts.outputs,
        facts.fee_sats,
        facts.feerate,
        facts.vsize,
        cautions(facts, context),
        facts.net_sats,
        all(coin.proven for coin in facts.inputs),
    )


def _facts(psbt: Psbt, policy: Policy, context: Context, *, branch: str) -> Facts:
    own = own_inputs(psbt, policy)
    inputs = _inputs(psbt, policy, own, context=context)
    outputs = tuple(
        _output(
            psbt_out,
            script or _derived(policy, psbt_out.script_pubkey.data, context=context),
            policy,
            context=context,
        )
        for psbt_out, script in zip(psbt.outputs, output_scripts(psbt, policy), strict=True)
    )
    fee_sats = sum(i.value_sats for i in inputs) - sum(o.value_sats for o in outputs)
    if fee_sats < 0:
        raise PsbtError(f"the outputs are worth {-fee_sats} sats more than the inputs")
    require_branch(psbt, policy, branch)
    others = [
        (psbt_in, spent.script_pubkey)
        for index, (psbt_in, spent) in enumerate(zip(psbt.inputs, spent_outputs(psbt), strict=True))
        if index not in own
    ]
    sizes = [output_size(psbt_out.script_pubkey.data) for psbt_out in psbt.outputs]
    weight = transaction_weight(len(psbt.inputs), 0, len(sizes), outputs_size=sum(sizes))
    weight += len(own) * input_weight(policy.size_of(branch))
    weight += sum(foreign_weight(*other) for other in others)
    checks = len(own) * len(policy.places) * CHECK_COSTS.get(policy.script, 1)
    checks += sum(foreign_checks(*other) for other in others)
    unsigned, vsize = unsigned_transaction(psbt), vsize_of(weight)
    return Facts(
        inputs=inputs,
        outputs=outputs,
        fee_sats=fee_sats,
        feerate=fee_sats * 1000 // vsize,
        vsize=vsize,
        network=policy.network,
        transaction=unsigned,
        weight=weight,
        sigops_cost=sigops_cost(unsigned, checks),
        branch=policy.branch(branch),
    )


def _inputs(
    psbt: Psbt, policy: Policy, own: Collection[int], *, context: Context
) -> tuple[ReviewInput, ...]:
    found = []
    for index, (psbt_in, spent) in enumerate(zip(psbt.inputs, spent_outputs(psbt), strict=True)):
        outpoint = Outpoint(psbt_in.txid.hex(), psbt_in.vout)
        if index not in own and _derived(policy, spent.script_pubkey, context=context):
            raise PsbtError(
                f"input {index} spends {outpoint}, a coin of the vault, but its"
                " bip32_derivations do not say so"
            )
        found.append(
            ReviewInput(
                outpoint,
                destination(spent.script_pubkey, policy.network),
                spent.value_sats,
                proven=psbt_in.non_witness_utxo is not None,
                own=index in own,
                vault=None if index in own else context.coin_vaults.get(outpoint),
                claims_own=index not in own and names_cosigner(psbt_in, policy),
            )
        )
    return tuple(found)


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


def _derived(policy: Policy, script_pubkey: bytes, *, context: Context) -> VaultScript | None:
    """Look a script up in the vault's history, which is no more believed than the PSBT."""
    place = context.own_scripts.get(script_pubkey)
    script = derived_script(policy, *place) if place else None
    return script if script is not None and script.script_pubkey == script_pubkey else None
