"""sync, balance, coins, history, fees: what the vaults own, and what paying costs."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.context import Context
from coordinator.cli.options import Reach, VaultName
from coordinator.cli.output import columns, counted, danger_lines, look_twice, sat_per_vbyte, sats
from coordinator.cli.result import ExitStatus, Result, as_document, looked_document, owned_document

if TYPE_CHECKING:
    from coordinator.wallet.balance import Owned
    from coordinator.wallet.branches import Ripening
    from coordinator.wallet.coin_list import CoinLine
    from coordinator.wallet.history import HistoryLine

OptionalVault = Annotated[str | None, typer.Argument(help="one vault only")]
AMOUNTS = ("confirmed_sats", "pending_sats", "immature_sats", "reserved_sats")


def sync(
    context: Context,
    vault: OptionalVault = None,
    rescan: Annotated[
        str | None,
        typer.Option(help="look through the blocks again, from here on", metavar="DATE|HEIGHT"),
    ] = None,
    reach: Reach = 0,
) -> Result:
    """Ask the chain what happened to the vaults.

    A vault never looked for is looked for from its birthday on, from the first block where none
    is known. A look that is cut off goes on with the next sync. What the chain takes back is
    told: a payment whose block is no more, or that vanished. Exits 5 where a vault's rows
    contradict one another; the others are brought in step all the same.

    \b
    Example: cardquorum sync
    """
    from coordinator.wallet import overview, scans
    from coordinator.wallet.balance import balances

    chain = context.chain
    start = None
    if rescan is not None:
        # A peer's newest block is not known before it was asked for its filters.
        tip = chain.tip()
        start = scans.parse_birthday(rescan, tip if tip.height else None, context.home.network)
    done = overview.sync(
        context.home,
        context.database,
        chain,
        vault=vault,
        look=scans.Look(start, reach),
        say=context.say,
    )
    owned = _owned(balances(context.database, vault), context.home.chain)
    more = {"news": done.news, "notes": done.notes, "tip": done.tip}
    lines = [f"block {done.tip.height}", *(f"note: {note}" for note in done.notes)]
    lines += [*look_twice(done.news), *owned.lines]
    return Result(as_document(done.tip, owned.document, **more), lines, owned.status)


def balance(context: Context, vault: OptionalVault = None) -> Result:
    """Show what the vaults own, as of the last sync.

    And from which block to which was looked for it. Exits 5 where a vault's rows contradict one
    another; what the others own is shown all the same.

    \b
    Example: cardquorum balance
    """
    from coordinator.wallet.balance import balances

    context.freshen(vault)
    return _owned(balances(context.database, vault), context.home.chain)


def coins(context: Context, vault: VaultName) -> Result:
    """List a vault's coins and what holds them.

    \b
    Example: cardquorum coins family
    """
    from coordinator.wallet import coin_list

    context.freshen(vault)
    found = coin_list.coins(context.database, vault)
    rows = [
        (
            c.outpoint,
            sats(c.value_sats),
            c.confirmations,
            _held(c),
            c.address,
            c.label or c.address_label,
            *map(_ripens, c.ripens),
        )
        for c in found
    ]
    later = [each.branch for each in found[0].ripens] if found else []
    header = ("coin", "value", "confirmations", "held", "address", "label", *later)
    return _with_looked(context, vault, {"coins": found}, lines=columns(rows, *header))


def _with_looked(context: Context, vault: str, found: object, *, lines: list[str]) -> Result:
    """Return a result with from where to where its vault was looked for.

    People are told where that is not from the beginning.
    """
    from coordinator.wallet import scans

    with context.database.begin() as db:
        seen = scans.looked_for(db, vault)
    said = f"vault {vault}: {scans.said(vault, seen, context.home.chain)}"
    if not seen.known:
        lines = [said]
    elif not seen.whole:
        lines = [*lines, said]
    return Result(as_document(found, looked_document(seen)), lines)


def _ripens(each: "Ripening") -> str:
    """Say from when on a branch can spend a coin."""
    if each.ripe:
        return "open now"
    if each.height is None:
        return "waits for its block"
    about = f", about {each.date:%Y-%m-%d}" if each.date else ""
    return f"block {each.height}{about}"


def _held(coin: "CoinLine") -> str | None:
    if coin.frozen:
        return "frozen"
    if coin.reserved_until is None:
        return None
    where = f" on {coin.reserved_owner}" if coin.reserved_owner else ""
    return f"{coin.reserved_by}{where} until {coin.reserved_until:%Y-%m-%d}"


def history(context: Context, vault: VaultName) -> Result:
    """List a vault's transactions, newest first, with the balance.

    A payment is final with 6 confirmations. What the chain took back is told below.

    \b
    Example: cardquorum history family
    """
    from coordinator.wallet import history as past

    context.freshen(vault)
    found = past.history(context.database, vault)
    header = ("date", "what", "sat", "balance", "fee", "block", "transaction", "ceremony", "label")
    lines = columns((_history_row(line) for line in found.transactions), *header)
    lines += [f"LOOK TWICE: {line.news}" for line in found.transactions if line.news]
    lines += look_twice(replace(each, remedy="") for each in found.vanished)
    return _with_looked(context, vault, found, lines=lines)


def _history_row(line: "HistoryLine") -> tuple[object, ...]:
    when = line.time or line.first_seen
    names = dict.fromkeys(name for name in (line.label, *line.address_labels) if name)
    return (
        f"{when:%Y-%m-%d}",
        line.kind,
        f"{line.change_sats:+,}".replace(",", " "),
        f"{line.balance_sats:,}".replace(",", " "),
        line.fee_sats,
        "waits" if line.height is None else line.height,
        line.txid,
        line.ceremony,
        ", ".join(names) or None,
    )


def fees(context: Context) -> Result:
    """Show what a payment costs now, by how soon it shall confirm.

    Where the chain gives no estimate, 10 sat/vB are taken, and it is said.

    \b
    Example: cardquorum fees
    """
    from coordinator.wallet import fees as rates

    found = rates.estimates(context.home, lambda: context.chain)
    rows = [(counted(e.target, "block"), sat_per_vbyte(e.feerate), e.source) for e in found]
    return Result({"fees": found}, columns(rows, "within", "sat/vB", "source"))


def _owned(balances: "dict[str, Owned]", chain: str) -> Result:
    """Return what the vaults own; a check failed where the rows of one contradict one another.

    An amount is null, never 0, where nobody looked, and in a sum over such a vault.
    """
    from coordinator.wallet import scans

    vaults = [as_document({"vault": name}, owned_document(each)) for name, each in balances.items()]
    over_all = scans.together(each.looked for each in balances.values())
    document = looked_document(over_all)
    del document["reach"]  # of each vault its own
    totals = {
        name: sum(getattr(each.balance, name) for each in balances.values())
        if over_all.known
        else None
        for name in AMOUNTS
    }
    rows = [
        (name, *(sats(amount) if each.looked.known else None for amount in each.balance))
        for name, each in balances.items()
    ]
    lines = columns(rows, "vault", "confirmed", "pending", "immature", "reserved")
    status = ExitStatus.DONE
    for name, each in balances.items():
        if each.fault is None:
            lines.append(f"{name}: {scans.said(name, each.looked, chain)}")
        else:
            from coordinator.audit.dangers import altered

            lines += danger_lines(name, [altered(name, each.fault)])
            status = ExitStatus.REFUSED
    return Result({**totals, **document, "vaults": vaults}, lines, status)


COMMANDS = {
    "": {"sync": sync, "balance": balance, "coins": coins, "history": history, "fees": fees},
}
