"""regtest: the embedded chain of a regtest home."""

from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.context import Context
from coordinator.cli.output import sats
from coordinator.cli.result import Result

if TYPE_CHECKING:
    from coordinator.chain.regtest import RegtestChain


def mine(
    context: Context,
    count: Annotated[int, typer.Argument(min=1, max=1000, help="how many blocks")] = 1,
    to: Annotated[str | None, typer.Option(help="who is paid", metavar="ADDRESS")] = None,
) -> Result:
    """Mine blocks; waiting transactions are confirmed.

    \b
    Example: cardquorum regtest mine 6
    """
    from coordinator.payment.payees import parse_address

    script = parse_address(to, context.home.network) if to else None
    chain = _chain(context)
    blocks = chain.mine(count, script)
    tip = chain.tip()
    return Result(
        {"blocks": blocks, "height": tip.height, "hash": tip.hash}, [f"block {tip.height}"]
    )


def fund(
    context: Context,
    address: Annotated[str, typer.Argument(help="who is paid")],
    amount: Annotated[str, typer.Argument(help="sats, or as 0.5btc")],
    coins: Annotated[int, typer.Option(min=1, max=2000, help="in how many coins")] = 1,
) -> Result:
    """Pay an address from the chain's own faucet.

    The amount is paid once per coin; the payment confirms with the next block.

    \b
    Example: cardquorum regtest fund bcrt1q... 0.5btc --coins 3
    """
    from coordinator.amounts import parse_amount
    from coordinator.payment.payees import parse_address

    value = parse_amount(amount)
    txids = _chain(context).fund(parse_address(address, context.home.network), value, coins)
    document = {"txids": txids, "address": address, "value_sats": value, "coins": coins}
    return Result(document, [f"paid {coins} x {sats(value)} to {address}", *txids])


def show(context: Context) -> Result:
    """Show the chain's tip and what waits for a block.

    \b
    Example: cardquorum regtest show
    """
    chain = _chain(context)
    tip, waiting = chain.tip(), chain.mempool()
    document = {"height": tip.height, "hash": tip.hash, "mempool": waiting}
    return Result(
        document, [f"block {tip.height} {tip.hash}", *(f"waiting: {txid}" for txid in waiting)]
    )


def _chain(context: Context) -> "RegtestChain":
    from coordinator.chain.regtest import RegtestChain
    from coordinator.errors import UsageError

    if not isinstance(context.chain, RegtestChain):
        raise UsageError(f"this home asks {context.home.chain}; only {'regtest:'} can be mined")
    return context.chain


COMMANDS = {"regtest": {"mine": mine, "fund": fund, "show": show}}
