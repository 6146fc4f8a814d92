"""copy: copies of a vault's descriptor, and the version each holds."""

from typing import Annotated

import typer

from coordinator.cli.carrier import removed, renamed
from coordinator.cli.context import Context
from coordinator.cli.options import VaultName
from coordinator.cli.output import columns
from coordinator.cli.result import Result, as_document

Name = Annotated[str, typer.Argument(help="its name, as copy:family-kit")]


def add(
    context: Context,
    vault: VaultName,
    label: Annotated[str, typer.Argument(help="a name for the copy")],
    location: Annotated[
        str | None, typer.Option(help="where it will lie", metavar="LOCATION")
    ] = None,
) -> Result:
    """Note a copy of a vault's descriptor that you made yourself.

    \b
    Example: cardquorum copy add family steel-plate --location friend
    """
    from coordinator.custody import descriptor_copies

    with context.book.begin() as db:
        found = descriptor_copies.add(db, vault, label, location=location)
    return Result(found, [f"{found.copy} holds version {found.version} of vault {vault}"])


def edit(
    context: Context,
    copy: Name,
    new: Annotated[str, typer.Option("--name", help="its right name")],
) -> Result:
    """Correct the name of a copy of a vault's descriptor.

    \b
    Example: cardquorum copy edit copy:family-kit --name kit-bank
    """
    from coordinator.custody.descriptor_copies import KIND

    return renamed(context, (KIND,), copy, noun="copy", new=new)


def remove(
    context: Context,
    copy: Name,
) -> Result:
    """Take back that a copy exists that was noted by mistake.

    One that was lost, stolen or destroyed is recorded as that, with custody record.

    \b
    Example: cardquorum copy remove copy:family-kit-2
    """
    from coordinator.custody.descriptor_copies import KIND

    return removed(context, (KIND,), copy, noun="copy")


def list_copies(context: Context, vault: VaultName) -> Result:
    """List the copies of a vault's descriptor.

    \b
    Example: cardquorum copy list family
    """
    from coordinator.custody import descriptor_copies
    from coordinator.recovery.letter_dates import stale_letters
    from storage import vaults as vault_book

    context.freshen(vault)
    with context.book.begin() as db:
        found = descriptor_copies.listed(db, vault)
        old = stale_letters(db, vault_book.vault_named(db, vault))
    rows = [
        (
            f.copy,
            f.version,
            f.location,
            f.gone,
            "stale" if f.stale else "letter stale" if f.copy in old else "current",
        )
        for f in found
    ]
    copies = [as_document(f, letter_stale=f.copy in old) for f in found]
    return Result({"copies": copies}, columns(rows, "copy", "version", "place", "gone", "state"))


COMMANDS = {"copy": {"add": add, "edit": edit, "remove": remove, "list": list_copies}}
