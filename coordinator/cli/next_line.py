"""The last line of a command at a terminal: what is next."""

import sys
from typing import TYPE_CHECKING, Final

from coordinator.cli import terminal

if TYPE_CHECKING:
    from coordinator.cli.context import Context

SAY_THEMSELVES: Final = frozenset({"status", "guide", "demo", "serve", "open_page"})
"""Commands that say what is next themselves, or have no home."""


def tell_next(context: "Context") -> None:
    """Tell the next step on standard error where that is a terminal; never fails, asks no chain.

    A command that needed no home, or that the guide runs, is not followed by one.
    """
    unseen = context.as_json or context.quiet or not sys.stderr.isatty()
    if unseen or context.attendant is not None or "home" not in vars(context):
        return
    from cards.errors import CardError
    from coordinator.errors import CoordinatorError
    from coordinator.guide.facts import gather
    from coordinator.guide.steps import next_steps
    from psbt.errors import PsbtError
    from storage.database import is_read_only
    from storage.errors import StorageError

    try:
        with context.database.begin() as db:
            writable = not is_read_only(context.database)
            steps = next_steps(gather(context.home, db, writable=writable))
    except (CardError, CoordinatorError, PsbtError, StorageError, OSError):
        return  # what is wrong is said by the command that needs it
    step = next((each for each in steps if each.command), None)
    if step is not None:
        terminal.tell(f"next: {step.command}  ({step.title})")
