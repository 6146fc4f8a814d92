"""coin, label: freeze and thaw coins, carry them by file, and what they and others are called."""

from pathlib import Path
from typing import Annotated

import typer

from coordinator.cli import input_files
from coordinator.cli.context import Context
from coordinator.cli.options import VaultName
from coordinator.cli.output import counted
from coordinator.cli.result import Result

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
    from coordinator.wallet import labels

    context.freshen()
    with context.database.begin() as db:
        found = labels.freeze(db, outpoint, frozen=frozen)
    state = "frozen: no payment takes it" if frozen else "free to be spent"
    return Result(found, [f"coin {found.outpoint} is {state}"])


def export_coins(
    context: Context,
    vault: VaultName,
    file: Annotated[Path, typer.Argument(help="the file to write")],
) -> Result:
    """Write a vault's coins down for a home without a chain.

    The file holds the transactions that made them, one a line, with height and block. It tells
    whoever reads it what the vault owns.

    \b
    Example: cardquorum coin export family coins.txt
    """
    from coordinator.files import write_private
    from coordinator.payment import payment_files

    context.look_first(vault)
    with context.vault(vault) as (db, record):
        lines = payment_files.lines(db, record)
    write_private(file, "".join(f"{line}\n" for line in lines).encode())
    document = {"vault": vault, "file": file, "transactions": len(lines)}
    return Result(document, [f"wrote {counted(len(lines), 'transaction')} to {file}"])


def import_coins(
    context: Context,
    vault: VaultName,
    file: Annotated[str, typer.Argument(help="transactions or a PSBT; - for stdin")],
) -> Result:
    """Learn a vault's coins from a file, where no chain is asked.

    What `coin export` wrote, or a PSBT that carries the transactions its coins came in. Nobody
    vouches that they are unspent.

    \b
    Example: cardquorum coin import family coins.txt
    """
    from coordinator.files import read_named
    from coordinator.payment import payment_files

    payment_files.require_no_chain(context.home)
    data = read_named(file)
    with context.vault(vault) as (db, record), input_files.named([file]):
        count = payment_files.take(context.home, db, record, data=data)
    return Result({"vault": vault, "coins": count}, [f"{counted(count, 'new coin')}"])


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


def export_labels(
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


COMMANDS = {
    "coin": {"freeze": freeze, "thaw": thaw, "export": export_coins, "import": import_coins},
    "label": {"set": set_label, "export": export_labels, "import": import_labels},
}
