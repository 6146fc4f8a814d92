"""address: where a vault is paid."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.desk import Desk
from coordinator.cli.options import Accept
from coordinator.cli.output import ExitStatus, Shown, columns, counted, sats
from coordinator.cli.terminal import Drawn, can_draw

if TYPE_CHECKING:
    from coordinator.addresses import AddressLine, Owner

VaultName = Annotated[str, typer.Argument(help="the vault's name")]


def new(
    desk: Desk,
    vault: VaultName,
    amount: Annotated[str | None, typer.Option(help="ask for this much", metavar="AMOUNT")] = None,
    label: Annotated[
        str | None, typer.Option(help="what it is for: kept, and told to who pays")
    ] = None,
    accept: Accept = None,
) -> Shown:
    """Issue the next unused address of a vault, to be paid at.

    The URI (BIP 21) holds the address, the amount and the label; other wallets read it, or the
    code drawn of it on a terminal. Only the label is kept here.

    \b
    Example: cardquorum address new family --amount 0.1btc --label "from the sale"
    """
    from coordinator import addresses, overview
    from coordinator.amounts import parse_amount

    amount_sats = parse_amount(amount) if amount is not None else None
    overview.freshen(desk.home, desk.database, lambda: desk.chain, vault)
    with desk.database.begin() as db:
        fresh = addresses.fresh(db, desk.home, vault, label, accept)
    uri = addresses.payment_uri(fresh.address, amount_sats, label)
    lines = [fresh.address, f"address {fresh.index} of {vault}, checksum {fresh.checksum}"]
    if amount_sats is not None or label:
        lines.append(uri)
    if can_draw() and not desk.as_json:
        lines = [_qr(uri), *lines]
    document = {**asdict(fresh), "uri": uri, "amount_sats": amount_sats, "label": label}
    return Shown(document, lines)


def list_addresses(
    desk: Desk,
    vault: VaultName,
    unused: Annotated[bool, typer.Option("--unused", help="only those never paid")] = False,
    accept: Accept = None,
) -> Shown:
    """List the addresses issued or used so far, and what came of each.

    \b
    Example: cardquorum address list family
    """
    from coordinator import addresses, overview

    overview.freshen(desk.home, desk.database, lambda: desk.chain, vault)
    found = addresses.addresses(desk.home, desk.database, vault, unused=unused, accepted=accept)
    rows = [
        (
            a.address,
            a.keychain,
            a.index,
            _used(a),
            sats(a.received_sats),
            sats(a.held_sats),
            a.label,
        )
        for a in found
    ]
    header = ("address", "keychain", "index", "used", "received", "holds", "label")
    return Shown({"vault": vault, "addresses": found}, columns(rows, *header))


def _used(line: "AddressLine") -> str:
    if line.payments:
        return counted(line.payments, "payment")
    return "yes" if line.used else "no"


def check(
    desk: Desk,
    address: Annotated[str, typer.Argument(help="any address")],
    accept: Accept = None,
) -> Shown:
    """Say whether an address is ours and was paid; exit 5 if not ours.

    \b
    Example: cardquorum address check bcrt1q...
    """
    from coordinator import addresses, overview
    from coordinator.amounts import script_of
    from coordinator.payees import address_in

    address = address_in(address)
    script = script_of(address, desk.home.network)
    overview.freshen(desk.home, desk.database, lambda: desk.chain, None)
    found = addresses.owner_of(desk.home, desk.database, script, accept)
    if found is None:
        document = {"address": address, "ours": False, "script_pubkey": script}
        return Shown(document, [f"{address} is not ours"], ExitStatus.REFUSED)
    document = {"address": address, "ours": True, "script_pubkey": script, **asdict(found)}
    where = f"ours: {found.keychain} address {found.index} of vault {found.vault}"
    return Shown(document, [where, *_came_of_it(found)])


def _came_of_it(found: "Owner") -> list[str]:
    """Return what a person must know before giving the address out."""
    called = [f"called: {found.label}"] if found.label else []
    if not found.used:
        return [*called, "never paid so far"]
    if not found.payments:
        return [*called, "a payment to it was seen once and is gone: give out another one"]
    last = "waits for its block" if found.last_height is None else f"in block {found.last_height}"
    paid = f"paid {counted(found.payments, 'time')}, {sats(found.received_sats)}, the last {last}"
    return [*called, f"{paid}; it holds {sats(found.held_sats)}: give out another one"]


def _qr(text: str) -> Drawn:
    import io

    import segno

    drawn = io.StringIO()
    segno.make(text, error="m").terminal(drawn, compact=True)
    return Drawn(drawn.getvalue())


COMMANDS = {
    "address": {
        "new": new,
        "list": list_addresses,
        "check": check,
    },
}
