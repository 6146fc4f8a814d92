"""init, status, backup, restore: the folder that remembers everything."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.context import Context
from coordinator.cli.result import ExitStatus, Result

if TYPE_CHECKING:
    from coordinator.home.settings import Home


def init(
    context: Context,
    network: Annotated[str, typer.Option(help="regtest, signet, testnet4 or mainnet")],
    chain: Annotated[
        str | None, typer.Option(help="where the chain is asked", metavar="URL")
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(help="a PostgreSQL database that several share", metavar="URL"),
    ] = None,
) -> Result:
    """Create the home, the folder that remembers everything.

    With --database what is remembered lies on a PostgreSQL server, for several computers; cards,
    pairings, approvals and settings stay in this folder. The URL holds no password: it comes from
    libpq's pgpass or service file, or is asked for.

    \b
    Example: cardquorum init --network regtest
    """
    from coordinator.home.settings import create_home
    from storage import vaults as vault_book
    from storage.database import open_database

    def fill(home: "Home") -> None:
        opened = open_database(home.database_url, password=context.server_password)
        try:
            if home.server is not None:
                with opened.begin() as db:
                    vault_book.require_network(db, home.network)
        finally:
            opened.kw["bind"].dispose()

    home = create_home(context.folder, network, chain, server=database, fill=fill)
    context.home = home
    where = home.server or str(home.database_url.database)
    document = {
        "home": home.folder,
        "network": home.network,
        "chain": home.chain,
        "database": where,
    }
    lines = [f"home {home.folder} for {home.network}, chain {home.chain}"]
    lines += [f"its memory is on {where}"] if home.server else []
    return Result(document, lines)


def status(
    context: Context,
    follow: Annotated[
        bool, typer.Option("--follow", help="show it anew whenever it changed, until Ctrl-C")
    ] = False,
) -> Result:
    """Show what is there, what waits for whom, and what to do next.

    Open it first. Payments are followed until they are final (6 confirmations); what the chain
    took back is told on top. In a sealed home the passphrase is asked for where a card is wanted:
    without it places show as location.1 and so on. With --follow what others sign shows at once;
    --json then prints one document a line. Exits 5 where a vault's rows contradict one another.

    \b
    Example: cardquorum status
    """
    if not follow:
        return _status(context)
    from coordinator.cli.following import follow as shown_anew

    shown_anew(context, lambda: _status(context))
    return Result({}, shown=False)


def _status(context: Context) -> Result:
    from coordinator import clock
    from coordinator.cli.status_screen import screen, status_document
    from coordinator.guide import status as standing

    context.freshen()
    book = context.book if standing.waits_for_cards(context.database) else context.database
    seen = standing.status(context.home, book, lambda: context.chain)
    altered = any(owned.fault is not None for _, owned in seen.vaults)
    shown = Result(
        status_document(seen),
        screen(seen, context.home.chain, clock.now()),
        ExitStatus.REFUSED if altered else ExitStatus.DONE,
    )
    return shown.also(delivered=context.delivered)


def backup(
    context: Context,
    out: Annotated[Path, typer.Option(help="the file to write", metavar="FILE")],
    with_approvals: Annotated[
        bool, typer.Option("--with-approvals", help="keep what you approved here, too")
    ] = False,
) -> Result:
    """Copy the home into one file while it is in use.

    The file holds no PIN; it does hold your xpubs, so keep it private. Without --with-approvals
    each vault is compared with its paper once more after a restore.

    \b
    Example: cardquorum backup --out home.cardquorum
    """
    from coordinator.home import backups

    home = context.home
    served = context.database if home.server else None
    written = backups.write(home, out, with_approvals=with_approvals, served=served)
    document = {
        **written._asdict(),
        "with_approvals": with_approvals,
        "database": home.server or str(home.database_url.database),
    }
    lines = [f"wrote {written.file} (SHA-256 {written.sha256})"]
    if served:
        lines.append("what the server has is in it as a file: restored, the home remembers alone")
    return Result(document, lines)


def restore(
    context: Context, file: Annotated[Path, typer.Argument(help="a file made by backup")]
) -> Result:
    """Make a home from a backup; an existing home is never touched.

    \b
    Example: cardquorum restore home.cardquorum --home NEWDIR
    """
    from coordinator.home import backups

    restored = backups.restore(file, context.folder)
    with context.database.begin() as db:
        commands = backups.to_approve(context.home, db)
    lines = [f"restored {restored.file} into {context.folder}"]
    if commands:
        lines += ["nothing of it was approved on this computer yet; compare it with the paper:"]
        lines += [f"  {command}" for command in commands]
    return Result({**restored._asdict(), "to_approve": commands}, lines)


COMMANDS = {
    "": {
        "init": init,
        "status": status,
        "backup": backup,
        "restore": restore,
    },
}
