"""spend bump, cancel, accelerate: a payment that waits too long, or was a mistake."""

from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.context import Context
from coordinator.cli.money import chosen_rate
from coordinator.cli.options import Accept, lower_case
from coordinator.cli.output import Result, sats
from coordinator.cli.spend_options import Coins, FeerateTyped, Target

if TYPE_CHECKING:
    from coordinator.payment.fee_bump import BumpedPayment

Ceremony = Annotated[str, typer.Argument(metavar="ID", help="the ceremony", parser=lower_case)]


def bump(
    context: Context,
    ceremony: Ceremony,
    feerate: FeerateTyped = None,
    target: Target = None,
    shrink: Annotated[
        bool, typer.Option("--shrink", help="the one who is paid bears the fee")
    ] = False,
    accept: Accept = None,
) -> Result:
    """Replace a payment by the same at a higher fee.

    The new ceremony is signed like any other and takes over the coins; whichever of the two gets
    into a block ends the other. The change pays the fee; where it cannot, further confirmed coins
    do, or with --shrink the one who is paid gets less.

    \b
    Example: cardquorum spend bump abcd2345 --feerate 20
    """
    import random

    from coordinator.payment import fee_bump
    from coordinator.wallet import overview

    overview.freshen(context.home, context.database, lambda: context.chain, None)
    rate = chosen_rate(context, feerate, target).feerate
    with context.database.begin() as db:
        made = fee_bump.bump(
            context.home, db, ceremony, rate, random.SystemRandom(), shrink=shrink, accepted=accept
        )
    return _shown(made)


def cancel(
    context: Context,
    ceremony: Ceremony,
    feerate: FeerateTyped = None,
    target: Target = None,
    accept: Accept = None,
) -> Result:
    """Take a payment back by paying its coins to yourself.

    Signatures that are about stay valid: only this, once in a block, makes them worthless.

    \b
    Example: cardquorum spend cancel abcd2345 --feerate 20
    """
    import random

    from coordinator.payment import fee_bump
    from coordinator.wallet import overview

    overview.freshen(context.home, context.database, lambda: context.chain, None)
    rate = chosen_rate(context, feerate, target).feerate
    with context.database.begin() as db:
        made = fee_bump.cancel(
            context.home, db, ceremony, rate, random.SystemRandom(), accepted=accept
        )
    return _shown(made)


def accelerate(
    context: Context,
    txid: Annotated[str, typer.Argument(metavar="TXID", help="a transaction that waits")],
    feerate: FeerateTyped = None,
    target: Target = None,
    coin: Coins = None,
    accept: Accept = None,
) -> Result:
    """Acceleration a waiting transaction by spending what it paid you.

    A child pays so much that it, its parent and whatever else waits before them pay the rate
    together. Your own payment is better bumped: that is cheaper.

    \b
    Example: cardquorum spend accelerate TXID --feerate 20
    """
    import random

    from coordinator.amounts import parse_coin, parse_txid
    from coordinator.payment import fee_bump
    from coordinator.wallet import overview

    name = parse_txid(txid)
    overview.freshen(context.home, context.database, lambda: context.chain, None)
    rate = chosen_rate(context, feerate, target).feerate
    wanted = fee_bump.Acceleration(name, rate, tuple(parse_coin(text) for text in coin or ()))
    with context.database.begin() as db:
        made = fee_bump.accelerate(
            context.home, db, wanted, context.chain, random.SystemRandom(), accepted=accept
        )
    return _shown(made)


def _shown(made: "BumpedPayment") -> Result:
    from coordinator.cli.spend import created_shown

    shown = created_shown(made.created, None)
    document = {
        **shown.document,
        "replaces": made.replaces,
        "old_fee_sats": made.old_fee_sats,
        "package_feerate": made.package_feerate,
    }
    fee = made.created.review.fee_sats
    told = f"the fee is {sats(fee)}; what waits pays {sats(made.old_fee_sats)}"
    if made.replaces:
        told = f"replaces ceremony {made.replaces}: fee {sats(made.old_fee_sats)} -> {sats(fee)}"
    return Result(document, [*shown.lines, told])


COMMANDS = {
    "bump": bump,
    "cancel": cancel,
    "accelerate": accelerate,
}
