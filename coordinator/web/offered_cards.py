"""The cards of a vault as a task offers them: wherever one lies just now."""

from collections.abc import Callable, Sequence

from coordinator.errors import CoordinatorError
from coordinator.readers import choice, emulated
from coordinator.readers.choice import ReaderChoice
from coordinator.readers.slots import Slot
from coordinator.signing.collector import Outcome, WaitPolicy
from coordinator.web.attendant import PageAttendant
from coordinator.web.context import Context
from coordinator.web.tasks import Failure


class NoCardKnown(CoordinatorError):
    """No card of a vault was ever shown to this home."""

    def __init__(self, vault: str) -> None:
        super().__init__(f"no card of vault {vault} is known here yet")


def slots_of(context: Context, vault: str, branch: str | None = None) -> list[Slot]:
    """Return where cards of the vault, or of a branch, lie: practice cards only if on a reader."""
    with context.database.begin() as db:
        labels = choice.labels_of_vault(db, vault, branch)
    if not labels:
        raise NoCardKnown(vault)
    slots = choice.slots_for(context.home, context.database, labels, named=ReaderChoice())
    there = [
        slot for slot in slots if not slot.emulated or emulated.present(context.home, slot.name)
    ]
    return there or slots


def patiently(person: PageAttendant, *, last_attempt: bool = False) -> WaitPolicy:
    """Return that a reader waits for the next card as long as a person is patient."""
    return WaitPolicy(last_attempt=last_attempt, wait_seconds=person.patience(), typed=True)


def told(outcomes: Sequence[Outcome], explain: Callable[[BaseException], Failure]) -> list[str]:
    """Say what came of each card."""
    lines = []
    for each in outcomes:
        if each.not_needed:
            lines.append(f"card {each.label} was not needed: the others were enough")
        elif each.error is None:
            lines.append(f"card {each.label} signed")
        else:
            failure = explain(each.error)
            lines.append(f"card {each.label}: {failure.message}; {failure.hint}")
    return lines
