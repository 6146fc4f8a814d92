"""A ceremony for people: its review, what was made, where it stands, what came of each card."""

from typing import TYPE_CHECKING, Final

from coordinator.cli.output import counted, look_twice, notice_lines, sentences
from coordinator.cli.result import ExitStatus, Result, as_document
from coordinator.notices import of_review
from coordinator.shown_text import in_both_units

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coordinator.cli.failures import Failure
    from coordinator.payment.batch import Batch
    from coordinator.payment.creation import Created
    from coordinator.payment.progress import Progress
    from coordinator.signing.collector import Outcome
    from psbt.review import Review


AMOUNT: Final = 18
"""How wide an amount is at least, so that they stand below one another."""


def review_lines(review: "Review") -> list[str]:
    """Return what a person must see before a card is asked, line by line.

    Each amount stands in the unit that was typed, and in brackets in the other one.
    """
    unit = review.unit
    own = [entry for entry in review.inputs if entry.own]
    others = [entry for entry in review.inputs if not entry.own]
    inputs = sum(entry.value_sats for entry in own)
    lines = [f"spends {counted(len(own), 'coin')} worth {in_both_units(inputs, unit)}"]
    for entry in others:
        amount = in_both_units(entry.value_sats, unit, AMOUNT)
        whose = f"vault {entry.vault}" if entry.vault else "not this vault's"
        lines.append(f"  beside   {amount}  {entry.address}  {whose}")
    for output in review.outputs:
        amount = in_both_units(output.value_sats, unit, AMOUNT)
        vault = f"  vault {output.vault}" if output.vault else ""
        label = f'  "{output.label}"' if output.label else ""
        lines.append(f"  {output.kind:8} {amount}  {output.destination}{vault}{label}")
    fee = in_both_units(review.fee_sats, unit, AMOUNT)
    shared = "" if review.fee_proven else "  as the PSBT says"
    lines.append(f"  fee      {fee}  {review.feerate / 1000:.1f} sat/vB{shared}")
    if others:
        does = "receives" if review.net_sats < 0 else "pays"
        lines.append(f"  this vault {does} {in_both_units(abs(review.net_sats), unit)} in all")
    return [*lines, *(f"  {line}" for line in notice_lines(of_review(review.warnings)))]


def review_document(review: "Review") -> dict[str, object]:
    """Return the same for programs, each coin as txid:n."""
    inputs = [as_document(spent, outpoint=str(spent.outpoint)) for spent in review.inputs]
    document = as_document(review, inputs=inputs)
    del document["unit"]  # here all amounts are satoshis
    return document


def created(made: "Created", rows: "Batch | None" = None) -> Result:
    """Return a new ceremony as it is shown, with the table it came from."""
    review = made.review
    left = made.left and {
        "coins": made.left.coins, "sats": made.left.sats,
        "held": made.left.held, "others": made.left.others,
    }  # fmt: skip
    document = as_document(made, review=review_document(review), left=left)
    stays = [] if made.left is None else made.left.sentences()
    lines = [*review_lines(review), *(f"LOOK TWICE: it stays: {sentence}" for sentence in stays)]
    ceremony = f"ceremony {made.ceremony or '(dry run)'}"
    if rows is None:
        return Result(document, [ceremony, *lines])
    count, total = len(rows.rows), rows.total_sats
    told = {"payments": count, "total_sats": total, "notices": sentences(rows.notices)}
    table = f"{counted(count, 'payment')} of {in_both_units(total, review.unit)}"
    lines = [ceremony, table, *lines, *look_twice(rows.notices)]
    return Result({**document, "batch": told}, lines)


def progress_document(seen: "Progress") -> dict[str, object]:
    """Return where a ceremony stands."""
    return as_document(seen, complete=seen.complete)


def progress_lines(seen: "Progress") -> list[str]:
    """Return the same for people."""
    vault = seen.vault if seen.branch == "primary" else f"{seen.vault}, branch {seen.branch}"
    return [
        f"ceremony {seen.ceremony} of {vault}: {seen.state}, {seen.have} of {seen.need}",
        f"signed by: {', '.join(seen.signed_by) or 'nobody yet'}",
        f"missing: {', '.join(seen.missing) or 'nobody'}",
        *([f"inputs of others not signed yet: {seen.others_missing}"] * bool(seen.others_missing)),
    ]


def outcome_document(outcome: "Outcome") -> dict[str, object]:
    """Return what came of one card."""
    failure = _failure(outcome)
    return as_document(outcome, error=failure and failure.document())


def _failure(outcome: "Outcome") -> "Failure | None":
    """Return why a card did not sign; what is to be done names it where it is known which it is."""
    from coordinator.cli.failures import explain

    if outcome.error is None:
        return None
    return explain(outcome.error).about({"card": outcome.label} if outcome.identified else {})


def outcome_line(outcome: "Outcome") -> str:
    """Return the same for people."""
    count = counted(outcome.signatures, "signature")
    line = f"card {outcome.label}: {count} in {outcome.seconds:.1f} s"
    if outcome.not_needed:
        line = f"card {outcome.label}: not needed, the other cards made the quorum"
    failure = _failure(outcome)
    return f"{line}; {failure.message} ({failure.hint})" if failure else line


def worst(outcomes: "Sequence[Outcome]") -> ExitStatus:
    """Return the worst of 4, 3 and 5, in this order, or 0."""
    from coordinator.cli.failures import explain

    met = {explain(outcome.error).status for outcome in outcomes if outcome.error is not None}
    first = (status for status in (ExitStatus.PIN, ExitStatus.CARD) if status in met)
    return next(first, ExitStatus.REFUSED if met else ExitStatus.DONE)
