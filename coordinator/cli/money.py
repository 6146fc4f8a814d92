"""sync, balance, coins, history: what the vaults own."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from coordinator.cli.desk import Desk
from coordinator.cli.output import Shown, columns, sats

if TYPE_CHECKING:
    from coordinator.overview import CoinLine

VaultName = Annotated[str, typer.Argument(help="the vault's name")]
OptionalVault = Annotated[str | None, typer.Argument(help="one vault only")]


TARGET_BLOCKS = 6


def sync(desk: Desk, vault: OptionalVault = None) -> Shown:
    """Ask the chain what happened to the vaults.

    \b
    Example: cardquorum sync
    """
    from coordinator import overview

    tip = overview.sync(desk.database, desk.chain, vault)
    balances = overview.balances(desk.database, vault)
    document = {"height": tip.height, "hash": tip.hash, **_balance_document(balances)}
    return Shown(document, [f"block {tip.height}", *_balance_lines(balances)])


def balance(desk: Desk, vault: OptionalVault = None) -> Shown:
    """Show what the vaults own, as of the last sync.

    \b
    Example: cardquorum balance
    """
    from coordinator import overview

    overview.freshen(desk.home, desk.database, lambda: desk.chain, vault)
    balances = overview.balances(desk.database, vault)
    return Shown(_balance_document(balances), _balance_lines(balances))


def coins(desk: Desk, vault: VaultName) -> Shown:
    """List a vault's coins and what holds them.

    \b
    Example: cardquorum coins family
    """
    from coordinator import overview

    overview.freshen(desk.home, desk.database, lambda: desk.chain, vault)
    found = overview.coins(desk.database, vault)
    rows = [(c.outpoint, sats(c.value_sats), c.height, _held(c), c.address, c.label) for c in found]
    header = ("coin", "value", "height", "held", "address", "label")
    return Shown({"coins": found}, columns(rows, *header))


def _held(coin: "CoinLine") -> str | None:
    return "frozen" if coin.frozen else coin.reserved_by


def history(desk: Desk, vault: VaultName) -> Shown:
    """List a vault's transactions, newest first.

    \b
    Example: cardquorum history family
    """
    from coordinator import overview

    overview.freshen(desk.home, desk.database, lambda: desk.chain, vault)
    found = overview.history(desk.database, vault)
    rows = [(t.txid, f"{t.change_sats:+,}".replace(",", " "), t.height, t.ceremony) for t in found]
    document = {"transactions": found}
    return Shown(document, columns(rows, "transaction", "sat", "height", "ceremony"))


def _balance_document(balances: dict[str, Any]) -> dict[str, Any]:
    amounts = ("confirmed_sats", "pending_sats", "immature_sats", "reserved_sats")
    totals = {name: sum(getattr(each, name) for each in balances.values()) for name in amounts}
    vaults = [{"vault": name, **each._asdict()} for name, each in balances.items()]
    return {**totals, "vaults": vaults}


def _balance_lines(balances: dict[str, Any]) -> list[str]:
    rows = [(name, *(sats(amount) for amount in each)) for name, each in balances.items()]
    return columns(rows, "vault", "confirmed", "pending", "immature", "reserved")


def fee_rate(
    desk: Desk, typed: str | None, target: int | None, otherwise: int | None = None
) -> int:
    """Return the fee rate typed, else the chain's for the target, in sat/kvB."""
    from coordinator import overview
    from coordinator.amounts import parse_feerate
    from coordinator.errors import UsageError

    if typed is not None and target is not None:
        raise UsageError("give --feerate or --target, not both")
    if typed is not None:
        return parse_feerate(typed)
    return overview.feerate(desk.home, lambda: desk.chain, target or otherwise or TARGET_BLOCKS)


COMMANDS = {
    "": {
        "sync": sync,
        "balance": balance,
        "coins": coins,
        "history": history,
    },
}
