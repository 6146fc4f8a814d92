"""label and coin: what things are called, and which coins must stay."""

from pathlib import Path
from typing import Annotated

import typer

from coordinator.cli.coin_file import export_coins, import_coins
from coordinator.cli.context import Context
from coordinator.cli.output import Result, counted

Outpoint = Annotated[str, typer.Argument(help="the coin, as txid:n")]


def freeze(context: Context, outpoint: Outpoint) -> Result:
    """Keep a coin from being spent.

    \b
    Example: cardquorum coin freeze TXID:0
    """
    return _set(context, outpoint, frozen=True)


def thaw(context: Context, outpoint: Outpoint) -> Result:
    """Let a frozen coin be spent again.

    \b
    Example: cardquorum coin thaw TXID:0
    """
    return _set(context, outpoint, frozen=False)


def _set(context: Context, outpoint: str, *, frozen: bool) -> Result:
    from coordinator.wallet import labels, overview

    overview.freshen(context.home, context.database, lambda: context.chain, None)
    with context.database.begin() as db:
        found = labels.freeze(db, outpoint, frozen=frozen)
    state = "frozen: no payment takes it" if frozen else "free to be spent"
    return Result(found, [f"coin {found['outpoint']} is {state}"])


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
        found = labels.set_label(context.home, db, ref, text)
    return Result(found, [f"{found['type']} {found['ref']}: {found['label'] or 'no label'}"])


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
    with context.database.begin() as db:
        found = labels.import_text(db, text)
    lines = [f"{counted(found.labels, 'label')} read, {found.changed} new or changed"]
    if found.unknown:
        lines.append(f"{found.unknown} of a type that is not known here left out")
    return Result(found._asdict(), lines)


COMMANDS = {
    "coin": {
        "freeze": freeze,
        "thaw": thaw,
        "export": export_coins,
        "import": import_coins,
    },
    "label": {
        "set": set_label,
        "export": export,
        "import": import_labels,
    },
}
