"""The cards that are offered to a vault, and the person who answers for them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from coordinator.cli.attendant import Terminal
from coordinator.cli.context import Context

if TYPE_CHECKING:
    from coordinator.readers.slots import Slot
    from coordinator.signing.collector import WaitPolicy


class Gathered(NamedTuple):
    """Who is asked, where cards may lie, and how long a reader waits for the next one."""

    attendant: Terminal
    slots: "Sequence[Slot]"
    wait_policy: "WaitPolicy"


def gathered(
    context: Context,
    vault: str,
    readers: Sequence[str] | None,
    emulated: Sequence[str] | None,
    *,
    wait: int | None,
    last_attempt: bool,
    pin_stdin: bool,
    **consent: Any,  # noqa: ANN401 -- what the terminal takes
) -> Gathered:
    """Return the cards of a vault that are offered: those named, else wherever there is one.

    Without `wait` a reader waits as long as a person is patient; only for cards whose PIN was
    given, where PINs come on standard input.
    """
    from coordinator.readers import choice as reader_choice
    from coordinator.signing.collector import WaitPolicy

    with context.database.begin() as db:
        labels, known = reader_choice.labels_of_vault(db, vault), reader_choice.all_labels(db)
    named = reader_choice.places(readers, emulated)
    single = len([*named.readers, *named.emulated] or labels) == 1
    attendant = Terminal(context, known, pin_stdin=pin_stdin, single=single, **consent)
    slots = reader_choice.slots_for(
        context.home, context.database, labels, named, attendant.given()
    )
    wait_policy = WaitPolicy(
        last_attempt=last_attempt,
        wait_seconds=attendant.patience() if wait is None else wait,
        only=attendant.given() if pin_stdin else None,
        typed=attendant.types(),
    )
    return Gathered(attendant, slots, wait_policy)
