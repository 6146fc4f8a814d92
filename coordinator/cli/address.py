"""address: where a vault is paid."""

from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.context import Context
from coordinator.cli.options import Accept, Reach, VaultName
from coordinator.cli.output import columns, counted, sats
from coordinator.cli.result import ExitStatus, Result, looked_document
from coordinator.cli.terminal import can_draw

if TYPE_CHECKING:
    from coordinator.vault.addresses import AddressLine, Owner

NOT_KNOWN = dict.fromkeys(("used", "payments", "received_sats", "held_sats"))
"""What JSON says of an address nobody looked for: null, never 0."""


def new(
    context: Context,
    vault: VaultName,
    amount: Annotated[str | None, typer.Option(help="ask for this much", metavar="AMOUNT")] = None,
    label: Annotated[
        str | None, typer.Option(help="what it is for: kept, and told to who pays")
    ] = None,
    accept: Accept = None,
) -> Result:
    """Issue the next unused address of a vault, to be paid at.

    The URI (BIP 21) holds the address, the amount and the label; other wallets read it, or the
    code drawn of it on a terminal. Only the label is kept here. A vault nobody looked for is
    looked for first where that takes a moment: the address may have been paid before.

    \b
    Example: cardquorum address new family --amount 0.1btc --label "from the sale"
    """
    from coordinator.amounts import parse_amount
    from coordinator.errors import ChainError, NotLooked
    from coordinator.home.settings import OFFLINE
    from coordinator.interop import bip21
    from coordinator.vault import addresses
    from coordinator.wallet import scans

    amount_sats = parse_amount(amount) if amount is not None else None
    with suppress(NotLooked, ChainError):
        context.look_first(vault)
    with context.database.begin() as db:
        fresh = addresses.fresh(db, context.home, vault, label=label, accepted=accept)
        seen = scans.looked_for(db, vault)
    uri = bip21.write(bip21.Request(fresh.address, amount_sats, label))
    lines = [fresh.address, f"address {fresh.index} of {vault}, checksum {fresh.checksum}"]
    if not seen.known and context.home.chain != OFFLINE:
        command = scans.command_for(vault, context.home.chain)
        lines.append(f"nobody looked whether it was paid before: {command}")
    if amount_sats is not None or label:
        lines.append(uri)
    if can_draw() and not context.as_json:
        from coordinator.cli.qr_codes import drawing

        lines = [drawing(uri), *lines]
    asked = {"uri": uri, "amount_sats": amount_sats, "label": label}
    return Result({**asdict(fresh), **asked, "looked": seen.known}, lines)


def list_addresses(
    context: Context,
    vault: VaultName,
    unused: Annotated[bool, typer.Option("--unused", help="only those never paid")] = False,
    accept: Accept = None,
) -> Result:
    """List the addresses issued or used so far, and what came of each.

    \b
    Example: cardquorum address list family
    """
    from coordinator.vault import addresses
    from coordinator.wallet import scans

    context.freshen(vault)
    found = addresses.addresses(
        context.home, context.database, vault, unused=unused, accepted=accept
    )
    with context.database.begin() as db:
        seen = scans.looked_for(db, vault)
    rows = [
        (
            a.address,
            a.keychain,
            a.index,
            _used(a) if seen.known else None,
            sats(a.received_sats) if seen.known else None,
            sats(a.held_sats) if seen.known else None,
            a.label,
        )
        for a in found
    ]
    header = ("address", "keychain", "index", "used", "received", "holds", "label")
    said = f"vault {vault}: {scans.said(vault, seen, context.home.chain)}"
    listed = [vars(a) if seen.known else {**vars(a), **NOT_KNOWN} for a in found]
    document = {"vault": vault, "addresses": listed, **looked_document(seen)}
    return Result(document, [*columns(rows, *header), said])


def _used(line: "AddressLine") -> str:
    if line.payments:
        return counted(line.payments, "payment")
    return "yes" if line.used else "no"


def check(
    context: Context,
    address: Annotated[str, typer.Argument(help="any address")],
    accept: Accept = None,
    reach: Reach = 0,
) -> Result:
    """Say whether an address is ours and was paid; exit 5 if not ours.

    Compared are those a sync looks for; with --reach so many of each keychain.

    \b
    Example: cardquorum address check bcrt1q...
    """
    from coordinator.amounts import script_of
    from coordinator.interop.bip21 import address_in
    from coordinator.vault import addresses
    from coordinator.wallet import scans

    address = address_in(address)
    script = script_of(address, context.home.network)
    context.freshen()
    found = addresses.owner_of(context.home, context.database, script, accepted=accept, reach=reach)
    if found is None:
        compared = addresses.compared(context.database, reach)
        document = {
            "address": address, "ours": False, "script_pubkey": script, "compared": compared,
        }  # fmt: skip
        farther = f"the first {compared} of each keychain were compared; more: --reach N"
        return Result(document, [f"{address} is not ours", farther], ExitStatus.REFUSED)
    with context.database.begin() as db:
        seen = scans.looked_for(db, found.vault)
    looked = seen.known and (seen.reach is None or found.index < seen.reach[found.keychain])
    document = {
        "address": address, "ours": True, "script_pubkey": script, **asdict(found),
        "looked": looked, **looked_document(seen),
    }  # fmt: skip
    lines = [f"ours: {found.keychain} address {found.index} of vault {found.vault}"]
    lines += [f"called: {found.label}"] if found.label else []
    if looked:
        said = f"vault {found.vault}: {scans.said(found.vault, seen, context.home.chain)}"
        return Result(document, [*lines, _came_of_it(found), said])
    command = scans.command_for(found.vault, context.home.chain)
    if seen.known:
        command += f" --reach {found.index + 1}"
    document |= {**NOT_KNOWN, "last_height": None}
    return Result(document, [*lines, f"not looked yet: {command}"])


def _came_of_it(found: "Owner") -> str:
    """Say what a person must know before giving the address out."""
    if not found.used:
        return "never paid so far"
    if not found.payments:
        return "a payment to it was seen once and is gone: give out another one"
    last = "waits for its block" if found.last_height is None else f"in block {found.last_height}"
    paid = f"paid {counted(found.payments, 'time')}, {sats(found.received_sats)}, the last {last}"
    return f"{paid}; it holds {sats(found.held_sats)}: give out another one"


COMMANDS = {"address": {"new": new, "list": list_addresses, "check": check}}
