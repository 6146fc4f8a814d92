"""database: a home's memory carried to a server, or back into a file."""

from typing import Annotated

import typer

from coordinator.cli.context import Context
from coordinator.cli.result import Result

SIDE = "a home's folder, or the URL of a server's database"


def copy(
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
    document = {
        "from": given.shown,
        "to": taken.shown,
        "rows": copied.rows,
        "custody_head": copied.head.hex(),
        "used": use,
    }
    lines = [f"copied {rows} rows to {taken.shown}, the custody book whole: {copied.head.hex()}"]
    if use and given.home:
        lines.append(
            f"{given.home.folder} remembers there now; its file is kept as {databases.LEFT}"
        )
    return Result(document, lines)


def roles(
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


COMMANDS = {"database": {"copy": copy, "roles": roles}}
