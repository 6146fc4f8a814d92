"""A result shown anew whenever it changed, until Ctrl-C."""

import json
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Final

from coordinator import clock
from coordinator.cli import terminal
from coordinator.cli.context import Context
from coordinator.cli.failures import explain
from coordinator.cli.output import plain
from coordinator.cli.result import Result
from coordinator.errors import ChainUnreachable
from storage.changes import Changes
from storage.errors import DatabaseUnreachable

LOOK_SECONDS: Final = 10.0
"""How often it is looked without a hint: blocks come without one."""
PASSING: Final = (DatabaseUnreachable, ChainUnreachable)


def follow(context: Context, look: Callable[[], Result]) -> None:
    """Show a result, and again each time it is another one; a server that is away is said once."""
    with closing(Changes(context.database)) as changes, suppress(KeyboardInterrupt):
        shown: object = None
        while True:
            try:
                result = look()
            except PASSING as failure:
                told = explain(failure)
                lines = [f"error: {told.message}", "this goes on once it is back"]
                result = Result({"error": told.document()}, lines)
            context.close_chain()
            said = plain(result.document)
            if said != shown and not _code(said) == _code(shown) is not None:
                _show(result, said, as_json=context.as_json, again=shown is not None)
                shown = said
            context.deliver()
            changes.wait(LOOK_SECONDS)


def _code(said: object) -> object:
    """Return the code of an error, None of anything else."""
    error = said.get("error") if isinstance(said, dict) else None
    return error.get("code") if isinstance(error, dict) else None


def _show(result: Result, said: object, *, as_json: bool, again: bool) -> None:
    if as_json:
        terminal.put_document(json.dumps(said) + "\n")
    else:
        if again:
            terminal.put(f"---- {clock.text(clock.now())}")
        for line in result.lines:
            terminal.put(line)
