"""address: where a vault is paid."""

import sys
from dataclasses import asdict
from typing import Annotated

import typer

from coordinator.cli.desk import Desk
from coordinator.cli.output import ExitStatus, Shown, columns

VaultName = Annotated[str, typer.Argument(help="the vault's name")]


def new(desk: Desk, vault: VaultName) -> Shown:
    """Issue the next unused address of a vault.

    \b
    Example: cardquorum address new family
    """
    from coordinator import overview, wallet
    from storage import vaults as vault_book

    overview.freshen(desk.home, desk.database, lambda: desk.chain, vault)
    with desk.database.begin() as db:
        fresh = wallet.new_address(db, vault_book.vault_named(db, vault))
    lines = [fresh.address, f"address {fresh.index} of {vault}, checksum {fresh.checksum}"]
    if sys.stdout.isatty() and not desk.as_json:
        lines = [_qr(fresh.address), *lines]
    return Shown(asdict(fresh), lines)


def list_addresses(desk: Desk, vault: VaultName) -> Shown:
    """List the addresses issued or used so far.

    \b
    Example: cardquorum address list family
    """
    from coordinator import overview

    overview.freshen(desk.home, desk.database, lambda: desk.chain, vault)
    found = overview.addresses(desk.database, vault)
    rows = [(a.address, a.keychain, a.index, "yes" if a.used else "no") for a in found]
    document = {"vault": vault, "addresses": found}
    return Shown(document, columns(rows, "address", "keychain", "index", "used"))


def check(desk: Desk, address: Annotated[str, typer.Argument(help="any address")]) -> Shown:
    """Say whether an address is ours, and where; exit 5 if not.

    \b
    Example: cardquorum address check bcrt1q...
    """
    from coordinator import overview
    from coordinator.amounts import script_of

    script = script_of(address, desk.home.network)
    overview.freshen(desk.home, desk.database, lambda: desk.chain, None)
    found = overview.owner_of(desk.database, script)
    if found is None:
        document = {"address": address, "ours": False, "script_pubkey": script}
        return Shown(document, [f"{address} is not ours"], ExitStatus.REFUSED)
    document = {"address": address, "ours": True, "script_pubkey": script, **asdict(found)}
    return Shown(document, [f"ours: {found.keychain} address {found.index} of vault {found.vault}"])


def _qr(address: str) -> str:
    import io

    import segno

    drawn = io.StringIO()
    segno.make(f"bitcoin:{address}", error="m").terminal(drawn, compact=True)
    return drawn.getvalue()


COMMANDS = {
    "address": {
        "new": new,
        "list": list_addresses,
        "check": check,
    },
}
