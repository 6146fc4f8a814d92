"""replace: a card is gone, and a vault without its key takes the old one's place."""

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.context import Context
from coordinator.cli.options import Accept, Feerate, Target
from coordinator.cli.result import Result, as_document
from coordinator.workspace.opened_home import TARGET_BLOCKS

if TYPE_CHECKING:
    from coordinator.incident.replacement import Replacing

Vault = Annotated[str, typer.Argument(help="the vault, or its successor")]
Gone = Annotated[str, typer.Option("--card", help="the card that is gone", metavar="LABEL")]


def plan(context: Context, vault: Vault, card: Gone) -> Result:
    """Say what replacing a card takes; nothing is changed.

    \b
    Example: cardquorum replace plan family --card blue
    """
    from coordinator.incident import replacement

    with context.book.begin() as db:
        return _shown(replacement.plan(db, vault, card))


def start(
    context: Context,
    vault: Vault,
    card: Gone,
    new: Annotated[str, typer.Option("--with", help="the new card", metavar="LABEL")],
    feerate: Feerate = None,
    target: Target = None,
    accept: Accept = None,
) -> Result:
    """Make the successor vault and a payment of all coins to it.

    The new card is set up and enrolled before. The payment is a ceremony like any other: the
    cards that are left sign it. The old vault is only watched from then on.

    \b
    Example: cardquorum replace start family --card blue --with green
    """
    from coordinator.errors import ChainError, NotLooked
    from coordinator.incident import replacement

    with suppress(NotLooked, ChainError):
        # The successor is made in any case; what the old vault holds is swept once it is known.
        context.look_first(vault)
    with context.vault(vault) as (db, record):
        urgent = replacement.is_urgent(db, record)
    rate = context.fee_rate(feerate, target, blocks=1 if urgent else TARGET_BLOCKS).feerate
    with context.database.begin() as db:
        return _shown(
            replacement.start(
                context.home, db, vault, gone=card, new=new, feerate=rate, accepted=accept
            )
        )


def sweep(
    context: Context,
    vault: Vault,
    feerate: Feerate = None,
    target: Target = None,
    accept: Accept = None,
) -> Result:
    """Pay what came to a replaced vault to its successor.

    \b
    Example: cardquorum replace sweep family
    """
    from coordinator.incident import replacement

    with context.database.begin() as db:
        old = replacement.show(db, vault).vault
    context.look_first(old)
    rate = context.fee_rate(feerate, target).feerate
    with context.database.begin() as db:
        return _shown(replacement.sweep(context.home, db, vault, feerate=rate, accepted=accept))


def show(context: Context, vault: Vault) -> Result:
    """Show what is done of a replacement and what is not.

    \b
    Example: cardquorum replace show family
    """
    from coordinator.incident import replacement

    context.freshen()
    with context.book.begin() as db:
        return _shown(replacement.show(db, vault))


def done(
    context: Context, item: Annotated[str, typer.Argument(help="as copy:bank, plate:red")]
) -> Result:
    """Record that a copy or plate was taken back and destroyed.

    \b
    Example: cardquorum replace done copy:bank
    """
    from coordinator.incident import replacement

    context.freshen()
    with context.database.begin() as db:
        event = replacement.withdrawn(db, item)
    return Result({"event": event}, [f"{event.item} is taken back"])


def _shown(found: "Replacing") -> Result:
    lines = []
    if found.urgent:
        lines.append("URGENT: a thief may have a quorum of this vault; the coins come first")
    if found.successor:
        without = f"without card {found.card}"
        lines.append(f"vault {found.vault} is replaced by {found.successor}, {without}")
    for number, step in enumerate(found.steps, 1):
        lines.append(f"{number}. [{step.state}] {step.title}")
        lines += [f"   {step.command}"] if step.command else []
    steps = [
        {"what": step.title, "state": step.state, "command": step.command, "item": step.item}
        for step in found.steps
    ]
    return Result(as_document(found, steps=steps), lines)


COMMANDS = {"replace": {"plan": plan, "start": start, "sweep": sweep, "show": show, "done": done}}
