"""carrier: things besides cards that bring a key back."""

from collections.abc import Sequence
from typing import Annotated

import typer

from coordinator.cli.context import Context
from coordinator.cli.output import columns
from coordinator.cli.result import Result


def add(
    context: Context,
    of: Annotated[str, typer.Argument(help="the card or key it brings back")],
    kind: Annotated[str, typer.Argument(help="plate, words, backup-file or backup-key")],
    label: Annotated[str, typer.Argument(help="a name for it")],
) -> Result:
    """Add a thing besides a card that brings a key back.

    A backup file and its key count together only: the file opens with the key, or not at all.

    \b
    Example: cardquorum carrier add blue backup-key blue-digits
    """
    from coordinator.custody import carriers

    with context.book.begin() as db:
        found = carriers.add(db, context.home.network, of, kind=kind, label=label)
    where = f"cardquorum custody record {found.carrier} placed --at LOCATION"
    lines = [f"{found.carrier} carries key {found.key}", f"say where it lies: {where}"]
    return Result(found, lines)


def list_carriers(context: Context) -> Result:
    """List the things besides cards that bring a key back.

    \b
    Example: cardquorum carrier list
    """
    from coordinator.custody import carriers

    with context.book.begin() as db:
        found = carriers.listed(db)
    rows = [(f.carrier, f.key, f.location, f.gone) for f in found]
    return Result({"carriers": found}, columns(rows, "carrier", "key", "place", "gone"))


def edit(
    context: Context,
    carrier: Annotated[str, typer.Argument(help="its name, as words:blue-words")],
    new: Annotated[str, typer.Option("--name", help="its right name")],
) -> Result:
    """Correct the name of a thing that brings a key back.

    \b
    Example: cardquorum carrier edit words:bleu-words --name blue-words
    """
    from coordinator.custody.carriers import KINDS

    return renamed(context, KINDS, carrier, noun="carrier", new=new)


def remove(
    context: Context,
    carrier: Annotated[str, typer.Argument(help="its name, as words:blue-words")],
) -> Result:
    """Take back that a thing exists that was noted by mistake.

    What was lost, stolen or destroyed is recorded as that, with custody record.

    \b
    Example: cardquorum carrier remove plate:blue-plate
    """
    from coordinator.custody.carriers import KINDS

    return removed(context, KINDS, carrier, noun="carrier")


def renamed(context: Context, kinds: Sequence[str], name: str, *, noun: str, new: str) -> Result:
    """Correct the name of a thing of these kinds."""
    from coordinator.custody import corrections

    with context.book.begin() as db:
        found = corrections.edit_thing(db, kinds, name, new=new)
    return Result({noun: found}, [f"{name} is called {found} now"])


def removed(context: Context, kinds: Sequence[str], name: str, *, noun: str) -> Result:
    """Take back that a thing of these kinds exists."""
    from coordinator.custody import corrections

    with context.book.begin() as db:
        found = corrections.remove_thing(db, kinds, name)
    return Result({noun: found}, [f"{found} is removed"])


COMMANDS = {
    "carrier": {
        "add": add,
        "edit": edit,
        "remove": remove,
        "list": list_carriers,
    },
}
