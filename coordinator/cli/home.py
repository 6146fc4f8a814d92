"""init, status, backup, restore: the folder that remembers everything."""

from pathlib import Path
from typing import Annotated

import typer

from coordinator.cli.desk import Desk
from coordinator.cli.output import Shown, sats


def init(
    desk: Desk,
    network: Annotated[str, typer.Option(help="regtest, signet, testnet4 or mainnet")],
    chain: Annotated[
        str | None, typer.Option(help="where the chain is asked", metavar="URL")
    ] = None,
) -> Shown:
    """Create the home, the folder that remembers everything.

    \b
    Example: cardquorum init --network regtest
    """
    from coordinator.settings import create_home
    from storage.database import open_database

    home = create_home(desk.folder, network, chain)
    open_database(home.database_url).kw["bind"].dispose()
    document = {"home": home.folder, "network": home.network, "chain": home.chain}
    return Shown(document, [f"home {home.folder} for {home.network}, chain {home.chain}"])


def status(desk: Desk) -> Shown:
    """Show vaults, balances, open ceremonies and the chain.

    \b
    Example: cardquorum status
    """
    from coordinator import overview

    seen = overview.status(desk.home, desk.database, lambda: desk.chain)
    height = seen.tip.height if seen.tip else "unknown"
    lines = [
        f"{seen.network}, chain {desk.home.chain}, block {height}",
        *(f"vault {name}: {sats(owned.confirmed_sats)}" for name, owned in seen.vaults),
        *(f"ceremony {c.id} of {c.vault}: {c.state}" for c in seen.ceremonies),
        *(f"due: {line}" for line in seen.due),
    ]
    return Shown(seen.document(), lines)


def backup(
    desk: Desk, out: Annotated[Path, typer.Option(help="the file to write", metavar="FILE")]
) -> Shown:
    """Copy the home into one file while it is in use.

    The file holds no PIN; it does hold your xpubs, so keep it private.

    \b
    Example: cardquorum backup --out home.cardquorum
    """
    from coordinator import backups

    written = backups.write(desk.home, out)
    return Shown(written._asdict(), [f"wrote {written.file} (SHA-256 {written.sha256})"])


def restore(
    desk: Desk, file: Annotated[Path, typer.Argument(help="a file made by backup")]
) -> Shown:
    """Make a home from a backup; an existing home is never touched.

    \b
    Example: cardquorum restore home.cardquorum --home NEWDIR
    """
    from coordinator import backups

    restored = backups.restore(file, desk.folder)
    return Shown(restored._asdict(), [f"restored {restored.file} into {desk.folder}"])


COMMANDS = {
    "": {
        "init": init,
        "status": status,
        "backup": backup,
        "restore": restore,
    },
}
