"""Where a ceremony stands, counted from the signatures kept that verify."""

from typing import NamedTuple

from coordinator import clock
from coordinator.home.stored_policies import stored_policy
from psbt import codec, outline, signer
from psbt.errors import PsbtError
from psbt.ownership import own_inputs
from psbt.partial_signatures import Verified, standing
from psbt.policy import PRIMARY, Policy
from psbt.signer import SigningRequest
from psbt.transaction import parse_transaction
from storage.model import Ceremony


class Progress(NamedTuple):
    """Where a ceremony stands; `have` counts cosigners that signed every input of the vault.

    `others_missing` is how many inputs of others are not final yet.
    """

    ceremony: str
    vault: str
    state: str
    have: int
    need: int
    signed_by: list[str]
    missing: list[str]
    psbt: str
    txid: str
    fee_sats: int
    expires: str
    branch: str = PRIMARY
    others_missing: int = 0

    @property
    def complete(self) -> bool:
        """Return whether the quorum is there."""
        return self.have >= self.need


def signed_psbt(record: Ceremony) -> codec.Psbt:
    """Return the ceremony's PSBT with every signature kept so far, each verified again.

    Raises PsbtError where the rows contradict one another.
    """
    return with_kept_signatures(record, stored_psbt(record))


def with_kept_signatures(record: Ceremony, psbt: codec.Psbt) -> codec.Psbt:
    """Return the PSBT that a ceremony opened with every signature kept so far, each verified."""
    answers = [
        (SigningRequest(kept.input_index, kept.pubkey, (), b""), kept.signature)
        for kept in record.signatures
    ]
    return signer.with_signatures(psbt, answers)


def stored_psbt(record: Ceremony) -> codec.Psbt:
    """Return the PSBT that a ceremony opened; raises PsbtError where the row is not that one."""
    psbt = codec.parse(record.psbt)
    spent = sum(value_sats for _, value_sats in outline.spent(psbt))
    fee_sats = spent - sum(payment.value_sats for payment in outline.outputs(psbt))
    if record.fee_sats != fee_sats or not _is_its_transaction(record, psbt):
        raise PsbtError(f"the PSBT stored for ceremony {record.public_id} is not the one it opened")
    return psbt


def final_transaction(record: Ceremony, psbt: codec.Psbt) -> bytes | None:
    """Return a ceremony's final transaction, None before there is one.

    `psbt` is what it opened. Raises PsbtError where what is stored is another payment's.
    """
    raw = record.final_tx
    if raw is not None and parse_transaction(raw).unsigned != codec.unsigned_transaction(psbt):
        raise PsbtError(f"the transaction stored for ceremony {record.public_id} is not its own")
    return raw


def _is_its_transaction(record: Ceremony, psbt: codec.Psbt) -> bool:
    """Tell whether a PSBT is for the transaction that a ceremony names.

    One that is unlocked by script_sigs (P2SH before segwit) gets another id when it is final.
    """
    if codec.txid(psbt) == record.txid:
        return True
    if record.final_tx is None or parse_transaction(record.final_tx).txid != record.txid:
        return False
    return parse_transaction(record.final_tx).unsigned == codec.unsigned_transaction(psbt)


def progress(record: Ceremony) -> Progress:
    """Return where the ceremony stands, counted from signatures that verify."""
    return progress_with(record, stored_policy(record.vault), signed_psbt(record))


def kept_signatures(record: Ceremony) -> set[Verified]:
    """Return the signatures kept, which `signed_psbt` verified."""
    return {Verified(kept.input_index, kept.pubkey, kept.signature) for kept in record.signatures}


def progress_with(record: Ceremony, policy: Policy, psbt: codec.Psbt) -> Progress:
    """Return where the ceremony stands; `psbt` holds every signature kept, verified."""
    counts, have, need, inputs = standing(
        psbt, policy, kept_signatures(record), branch=record.branch
    )
    labels = {place.position: place.label for place in record.vault.keys_of(record.branch)}
    signed = [labels[i] for i in sorted(labels) if counts.get(i, 0) == inputs]
    return Progress(
        ceremony=record.public_id,
        vault=record.vault.name,
        state=record.state,
        have=have,
        need=need,
        signed_by=signed,
        missing=[label for label in labels.values() if label not in signed],
        psbt=codec.to_base64(psbt),
        txid=record.txid,
        fee_sats=record.fee_sats,
        expires=clock.text(record.expires_at),
        branch=record.branch,
        others_missing=others_missing(psbt, policy) if inputs < len(psbt.inputs) else 0,
    )


def others_missing(psbt: codec.Psbt, policy: Policy) -> int:
    """Return how many inputs of others are not final yet."""
    own = own_inputs(psbt, policy)
    return sum(
        index not in own and not codec.is_final(psbt_in)
        for index, psbt_in in enumerate(psbt.inputs)
    )
