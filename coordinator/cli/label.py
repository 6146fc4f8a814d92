"""label: what coins, payments, addresses and keys are called."""

from pathlib import Path
from typing import Annotated

import typer

from coordinator.cli import input_files
from coordinator.cli.context import Context
from coordinator.cli.output import counted
from coordinator.cli.result import Result


def set_label(
    context: Context,
    ref: Annotated[str, typer.Argument(help="a txid, coin, address or xpub")],
    text: Annotated[str, typer.Argument(help="what to call it; '' takes the label away")],
) -> Result:
    """Call a transaction, coin, address or key something.

    \b
    Example: cardquorum label set TXID:0 "from the sale of the boat"
    """
    from coordinator.wallet import labels

    with context.database.begin() as db:
        found = labels.set_label(context.home, db, ref, text=text)
    return Result(found, [f"{found.type} {found.ref}: {found.label or 'no label'}"])


def export(
    context: Context, file: Annotated[Path, typer.Argument(help="the file to write (BIP 329)")]
) -> Result:
    """Write all labels and frozen coins for other wallets.

    \b
    Example: cardquorum label export labels.jsonl
    """
    from coordinator.files import write_private
    from coordinator.wallet import labels

    with context.database.begin() as db:
        text = labels.exported(db)
    write_private(file, text.encode())
    count = text.count("\n")
    return Result({"file": file, "labels": count}, [f"wrote {counted(count, 'label')} to {file}"])


def import_labels(
    context: Context, file: Annotated[str, typer.Argument(help="a BIP 329 file, or - for stdin")]
) -> Result:
    """Take labels and frozen coins from another wallet's file.

    All of it is taken or nothing; a label that a line leaves out stays as it is.

    \b
    Example: cardquorum label import labels.jsonl
    """
    from coordinator.files import read_text
    from coordinator.wallet import labels

    text = read_text(file)
    with context.database.begin() as db, input_files.named([file]):
        found = labels.import_text(db, text)
    lines = [f"{counted(found.labels, 'label')} read, {found.changed} new or changed"]
    if found.unknown:
        lines.append(f"{found.unknown} of a type that is not known here left out")
    return Result(found._asdict(), lines)


COMMANDS = {"label": {"set": set_label, "export": export, "import": import_labels}}
