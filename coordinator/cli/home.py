"""init, status, backup, restore, database: a home, the folder that remembers everything."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.context import Context
from coordinator.cli.result import ExitStatus, Result, as_document

if TYPE_CHECKING:
    from coordinator.home.settings import Home

SIDE = "a home's folder, or the URL of a server's database"


def init(
    context: Context,
    network: Annotated[str, typer.Option(help="regtest, signet, testnet4 or mainnet")],
    chain: Annotated[
        str | None, typer.Option(help="where the chain is asked", metavar="URL")
    ] = None,
    database: Annotated[
        str | None, typer.Option(help="a PostgreSQL database that several share", metavar="URL")
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
    document = {"home": home.folder, "network": home.network, "chain": home.chain}
    lines = [f"home {home.folder} for {home.network}, chain {home.chain}"]
    lines += [f"its memory is on {where}"] if home.server else []
    return Result({**document, "database": where}, lines)


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
    document = {**status_document(seen), "delivered": context.delivered}
    altered = any(owned.fault is not None for _, owned in seen.vaults)
    status = ExitStatus.REFUSED if altered else ExitStatus.DONE
    return Result(document, screen(seen, context.home.chain, clock.now()), status)


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
    database = home.server or str(home.database_url.database)
    document = as_document(written, with_approvals=with_approvals, database=database)
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
    return Result(as_document(restored, to_approve=commands), lines)


def copy_database(
    context: Context,
    source: Annotated[str, typer.Argument(metavar="FROM", help=SIDE)],
    target: Annotated[str, typer.Argument(metavar="TO", help=f"{SIDE}; it has to be empty")],
    use: Annotated[
        bool, typer.Option("--use", help="the home FROM remembers there from now on")
    ] = False,
) -> Result:
    """Copy all that a home remembers into an empty database: a server's, or another home's file.

    What arrived is counted and the custody book's chain of hashes is checked on both sides.
    Cards, pairings, approvals and settings are not in the database: they stay where they are.

    \b
    Example: cardquorum database copy ~/vault postgresql+psycopg://anna@db.example.org/vault --use
    """
    from coordinator.home import databases

    given, taken = databases.side(source), databases.side(target)
    copied = databases.copy(given, taken, password=context.server_password, use=use)
    rows = sum(copied.rows.values())
    head = copied.head.hex()
    document = {"from": given.shown, "to": taken.shown, "rows": copied.rows}
    lines = [f"copied {rows} rows to {taken.shown}, the custody book whole: {head}"]
    if use and given.home:
        lines.append(
            f"{given.home.folder} remembers there now; its file is kept as {databases.LEFT}"
        )
    return Result({**document, "custody_head": head, "used": use}, lines)


def database_roles(
    context: Context,  # noqa: ARG001 -- every command has one
    operator: Annotated[
        list[str] | None, typer.Option(help="an account that signs and records", metavar="NAME")
    ] = None,
    auditor: Annotated[
        list[str] | None, typer.Option(help="an account that only reads", metavar="NAME")
    ] = None,
) -> Result:
    """Print the SQL that gives PostgreSQL accounts no more than they need.

    The owner of the tables runs it, once more after each new version. An operator adds rows, and
    changes what the program changes; an auditor reads. The accounts have to exist.

    \b
    Example: cardquorum database roles --operator ben --auditor carla | psql vault
    """
    from storage.roles import roles_sql

    sql = roles_sql(operator or (), auditor or ())
    return Result({"sql": sql}, sql.splitlines())


COMMANDS = {
    "": {"init": init, "status": status, "backup": backup, "restore": restore},
    "database": {"copy": copy_database, "roles": database_roles},
}
