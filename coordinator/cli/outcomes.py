"""What came of each card that was asked to sign, as documents, lines and an exit status."""

from typing import TYPE_CHECKING, Any

from coordinator.cli.output import ExitStatus, counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coordinator.signing.collector import Outcome


def outcome_document(outcome: "Outcome") -> dict[str, Any]:
    """Return the fields of `cards[]`."""
    from coordinator.cli.failures import explain

    error = None if outcome.error is None else explain(outcome.error).document()
    return {**outcome._asdict(), "error": error}


def outcome_line(card: dict[str, Any]) -> str:
    """Return the same for people."""
    count = counted(card["signatures"], "signature")
    line = f"card {card['label']}: {count} in {card['seconds']:.1f} s"
    error = card["error"]
    return f"{line}; {error['message']} ({error['hint']})" if error else line


def worst(outcomes: "Sequence[Outcome]") -> ExitStatus:
    """Return the worst of 4, 3 and 5, in this order, or 0."""
    from coordinator.cli.failures import explain

    met = {explain(outcome.error).status for outcome in outcomes if outcome.error is not None}
    first = (status for status in (ExitStatus.PIN, ExitStatus.CARD) if status in met)
    return next(first, ExitStatus.REFUSED if met else ExitStatus.DONE)
