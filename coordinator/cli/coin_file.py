"""coin export and import, spend import: coins and payments by file."""

from pathlib import Path
from typing import Annotated

import typer

from coordinator.cli.context import Context
from coordinator.cli.options import Accept
from coordinator.cli.output import Result, counted

VaultName = Annotated[str, typer.Argument(help="the vault's name")]


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
    from coordinator.wallet import overview
    from storage import vaults as vault_book

    overview.look_first(context.home, context.database, lambda: context.chain, vault)
    with context.database.begin() as db:
        lines = payment_files.lines(db, vault_book.vault_named(db, vault))
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
    from storage import vaults as vault_book

    data = read_named(file)
    with context.database.begin() as db:
        count = payment_files.take(context.home, db, vault_book.vault_named(db, vault), data)
    return Result({"vault": vault, "coins": count}, [f"{counted(count, 'new coin')}"])


def import_payment(
    context: Context,
    vault: VaultName,
    file: Annotated[str, typer.Argument(help="a PSBT made elsewhere, or - for stdin")],
    accept: Accept = None,
) -> Result:
    """Open a ceremony for a PSBT that was built elsewhere.

    Every input must be a coin of the vault that is free, or spent by a payment that still waits:
    then this one replaces it. What the PSBT leaves out about the vault's own coins is filled in;
    valid signatures in it are kept.

    \b
    Example: cardquorum spend import family payment.psbt
    """
    from coordinator.cli.spend import created_shown
    from coordinator.files import read_named
    from coordinator.payment import payment_files
    from coordinator.wallet import overview
    from storage import vaults as vault_book

    data = read_named(file)
    overview.freshen(context.home, context.database, lambda: context.chain, vault)
    with context.database.begin() as db:
        record = vault_book.vault_named(db, vault)
        made = payment_files.open_payment(context.home, db, record, data, accept)
    shown = created_shown(made.created, None)
    newest = made.replaces[-1] if made.replaces else None
    document = {
        **shown.document,
        "signatures": made.signatures,
        "replaces": newest,
        "all_replaced": made.replaces,
        "replaced_txids": made.replaced_txids,
    }
    told = [f"{counted(made.signatures, 'signature')} came with it"]
    told += [
        f"replaces ceremony {old}: whichever gets into a block ends the other"
        for old in made.replaces
    ]
    told += [f"replaces the waiting payment {txid}" for txid in made.replaced_txids]
    return Result(document, [*shown.lines, *told])
