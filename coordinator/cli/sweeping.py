"""Payments that move whole coins: merged into one, or swept by a branch that has opened."""

from typing import Annotated

import typer

from coordinator.cli.ceremony import created
from coordinator.cli.context import Context
from coordinator.cli.options import PRIMARY, Accept, Branch, Coins, Feerate, Target, VaultName
from coordinator.cli.output import look_twice, sats, sentences
from coordinator.cli.result import Result


def consolidate(
    context: Context,
    vault: Annotated[str, typer.Argument(help="the vault whose coins are merged")],
    below: Annotated[
        str | None, typer.Option(help="only coins below this", metavar="AMOUNT")
    ] = None,
    feerate: Feerate = None,
    target: Target = None,
    branch: Branch = PRIMARY,
    accept: Accept = None,
) -> Result:
    """Merge a vault's coins into one while fees are low.

    Everybody sees from then on that these coins have one owner; later payments cost less. Frozen
    coins, reserved ones and those that wait are left as they are.

    \b
    Example: cardquorum spend consolidate family --below 0.01btc --feerate 1
    """
    from coordinator.amounts import parse_amount
    from coordinator.payment import creation

    context.look_first(vault)
    rate = context.fee_rate(feerate, target)
    with context.database.begin() as db:
        merging = creation.consolidation(
            db,
            vault,
            rate.feerate,
            below_sats=parse_amount(below) if below else None,
            branch=branch,
        )
        made = creation.create(context.home, db, merging.order, accepted=accept)
    return created(made).also(
        *look_twice(merging.notices),
        feerate_source=rate.source,
        notices=sentences(merging.notices),
        left_coins=merging.left,
    )


def recover(
    context: Context,
    vault: VaultName,
    to: Annotated[str, typer.Option("--to", help="who gets the coins", metavar="ADDRESS")],
    branch: Annotated[
        str | None, typer.Option(help="recovery, the default, or recovery-2", metavar="NAME")
    ] = None,
    coin: Coins = None,
    feerate: Feerate = None,
    target: Target = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show it, keep nothing")] = False,
    accept: Accept = None,
) -> Result:
    """Sweep the coins that a later branch can spend by now.

    Coins ripen one by one, each so many blocks after it was paid; what is not old enough stays,
    and it is said from when on it can go. Sign with the cards of that branch.

    \b
    Example: cardquorum spend recover family --to bcrt1q... --feerate 5
    """
    from coordinator.amounts import parse_coin
    from coordinator.payment import creation, ripe_coins
    from coordinator.payment.payees import parse_address

    script = parse_address(to, context.home.network)
    context.look_first(vault)
    with context.vault(vault) as (_, record):
        chosen = ripe_coins.later_branch(record, branch)
    rate = context.fee_rate(feerate, target)
    order = creation.Order(
        vault=vault,
        payments=(),
        feerate=rate.feerate,
        drain=script,
        coins=tuple(parse_coin(text) for text in coin or ()),
        branch=chosen,
    )
    with context.vault(vault) as (db, record):
        made = creation.create(context.home, db, order, accepted=accept, dry_run=dry_run)
        ripens = ripe_coins.unripe(db, record, chosen)
    told = [
        f"not yet: coin {each.outpoint} of {sats(each.value_sats)}, "
        + (
            "which waits for its block"
            if each.height is None
            else f"from block {each.height} on"
            + (f", about {each.date:%Y-%m-%d}" if each.date else "")
        )
        for each in ripens
    ]
    return created(made).also(*told, feerate_source=rate.source, ripens=ripens)


def refresh(
    context: Context,
    vault: VaultName,
    apart: Annotated[
        bool, typer.Option("--apart", help="one payment for each coin, so that none is linked")
    ] = False,
    every: Annotated[bool, typer.Option("--all", help="every coin, also what is not due")] = False,
    branch: Branch = PRIMARY,
    feerate: Feerate = None,
    target: Target = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show it, keep nothing")] = False,
    accept: Accept = None,
) -> Result:
    """Move coins to the vault itself, so that the wait of its later branches starts anew.

    Those are moved for which half of the wait has run. Merged into one they cost least, now and
    next time, but everybody sees that they have one owner. Once it is in a block it counts as a
    drill of the cards that signed.

    \b
    Example: cardquorum spend refresh family --feerate 1
    """
    from coordinator.payment import creation
    from coordinator.payment import refresh as refreshing

    context.look_first(vault)
    rate = context.fee_rate(feerate, target)
    with context.vault(vault) as (db, record):
        found = refreshing.refresh(
            db, record, rate.feerate, apart=apart, every=every, branch=branch
        )
        made = [
            creation.create(context.home, db, each, accepted=accept, dry_run=dry_run)
            for each in found.orders
        ]
        if dry_run:
            db.rollback()
    shown = [created(each) for each in made]
    lines = [line for each in shown for line in each.lines]
    return Result(shown[0].document, lines).also(
        *look_twice(found.notices),
        feerate_source=rate.source,
        ceremonies=[each.ceremony for each in made if each.ceremony],
        cost=found.cost,
        notices=sentences(found.notices),
        left_coins=found.left,
    )
