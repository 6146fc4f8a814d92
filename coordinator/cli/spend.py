"""spend: a payment from its wish to its block."""

from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli import input_files, sweeping
from coordinator.cli.ceremony import (
    created,
    outcome_document,
    outcome_line,
    progress_document,
    progress_lines,
    review_document,
    review_lines,
    worst,
)
from coordinator.cli.context import Context
from coordinator.cli.options import (
    PRIMARY,
    Accept,
    Branch,
    Ceremony,
    Coins,
    EmulatedMany,
    Feerate,
    LastTry,
    PinStdin,
    ReaderMany,
    Target,
    Wait,
    Yes,
)
from coordinator.cli.output import columns, counted, danger_lines, sats, sentences
from coordinator.cli.result import Result, ceremony_document
from coordinator.cli.spend_files import add, export, import_payment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coordinator.notices import Notice
    from coordinator.payment.batch import Batch, Row
    from coordinator.payment.creation import Created, Order
    from coordinator.payment.fee_bump import BumpedPayment
    from coordinator.payment.payees import Payee

Payees = Annotated[
    list[str] | None, typer.Option("--to", help="who is paid what", metavar="ADDRESS:AMOUNT|URI")
]
Drain = Annotated[
    str | None, typer.Option("--drain", help="who gets all that is left", metavar="ADDRESS")
]
Table = Annotated[
    str | None, typer.Option("--csv", help="payments as address,amount[,label]", metavar="FILE")
]
CoinsLabelled = Annotated[
    list[str] | None,
    typer.Option("--coins-labelled", help="spend only coins called this", metavar="TEXT"),
]
AvoidLabel = Annotated[
    list[str] | None,
    typer.Option("--avoid-label", help="spend no coin called this", metavar="TEXT"),
]
MinConfirmations = Annotated[
    int, typer.Option("--min-confirmations", min=0, help="spend only coins this deep")
]
Note = Annotated[
    str | None, typer.Option("--note", help="what it is for: kept for each address paid")
]
Expires = Annotated[int, typer.Option("--expires", min=1, max=365, help="days the coins are held")]


def create(
    context: Context,
    vault: Annotated[str, typer.Argument(help="the vault that pays")],
    to: Payees = None,
    drain: Drain = None,
    table: Table = None,
    coin: Coins = None,
    coins_labelled: CoinsLabelled = None,
    avoid_label: AvoidLabel = None,
    min_confirmations: MinConfirmations = 0,
    feerate: Feerate = None,
    target: Target = None,
    expires: Expires = 30,
    branch: Branch = PRIMARY,
    note: Note = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show it, keep nothing")] = False,
    accept: Accept = None,
) -> Result:
    """Choose coins, build the PSBT, open a ceremony.

    A table (--csv, or - for standard input) is read whole before anything is built: every wrong
    line is named; lines that pay one address twice, or addresses that look alike, are told.
    --to takes a bitcoin: URI too, with its amount; its label is kept for the address, and shown
    in the review.
    A coin goes by its own label and by those of its address and its transaction.

    \b
    Example: cardquorum spend create family --to bcrt1q...:0.1btc --feerate 5
    """
    from coordinator.amounts import parse_coin
    from coordinator.errors import UsageError
    from coordinator.payment import creation
    from coordinator.payment.payees import common_unit, parse_address, parse_payee
    from coordinator.wallet.coin_control import ANY, Choice

    if not to and drain is None and table is None:
        raise UsageError("nobody is paid: add --to ADDRESS:AMOUNT, --csv FILE or --drain ADDRESS")
    choice = Choice(tuple(coins_labelled or ()), tuple(avoid_label or ()), min_confirmations)
    if coin and choice != ANY:
        raise UsageError("--coin names the coins: leave the other wishes for coins out")
    network = context.home.network
    rows, payees = _batch(table, network), [parse_payee(text, network) for text in to or ()]
    paid: list[Payee | Row] = [*payees, *(rows.rows if rows else ())]
    context.look_first(vault)
    rate = context.fee_rate(feerate, target)
    order = creation.Order(
        vault=vault,
        payments=(*(each.payment for each in payees), *(rows.payments if rows else ())),
        feerate=rate.feerate,
        drain=parse_address(drain, network) if drain is not None else None,
        coins=tuple(parse_coin(text) for text in coin or ()),
        expires_days=expires,
        choice=choice,
        branch=branch,
        unit=common_unit(each.unit for each in paid),
    )
    made, dangers = _made(context, order, paid, note=note, accept=accept, dry_run=dry_run)
    shown = created(made, rows).also(feerate_source=rate.source, dangers=dangers)
    return shown._replace(lines=[*danger_lines(vault, dangers), *shown.lines])


def _batch(table: str | None, network: str) -> "Batch | None":
    from coordinator.files import read_text
    from coordinator.payment import batch

    if table is None:
        return None
    with input_files.named([table]):
        return batch.read(read_text(table, legacy=True), network)


def _made(
    context: Context,
    order: "Order",
    paid: "Sequence[Payee | Row]",
    *,
    note: str | None,
    accept: list[str] | None,
    dry_run: bool,
) -> "tuple[Created, list[Notice]]":
    """Return what was made, and what of the vault is dangerous, both as of one moment."""
    from coordinator.audit import acceptance
    from coordinator.payment import creation
    from coordinator.wallet import labels

    names = {each.address: called for each in paid if (called := each.label or note)}
    with context.vault(order.vault) as (db, vault):
        dangers = acceptance.vault_dangers(context.home, db, vault)
        if not dry_run:
            labels.name_addresses(context.home, db, names)
        made = creation.create(context.home, db, order, accepted=accept, dry_run=dry_run)
    return made, dangers


def list_ceremonies(context: Context) -> Result:
    """List the ceremonies of all vaults.

    \b
    Example: cardquorum spend list
    """
    from coordinator.home.operators import NOBODY
    from coordinator.wallet import overview

    context.freshen()
    found = overview.ceremonies(context.home, context.database)
    rows: list[tuple[object, ...]] = [
        (c.id, c.vault, c.state, c.confirmations, sats(c.fee_sats), c.txid) for c in found
    ]
    document = {"ceremonies": [ceremony_document(line) for line in found]}
    header: tuple[str, ...] = ("ceremony", "vault", "state", "confirmations", "fee", "txid")
    if context.home.server or any(line.operator != NOBODY for line in found):
        rows = [(*row, line.operator.short) for row, line in zip(rows, found, strict=True)]
        header = (*header, "opened by")
    return Result(document, columns(rows, *header))


def show(context: Context, ceremony: Ceremony) -> Result:
    """Show what a payment pays and where it stands; once sent, how deep.

    With 6 confirmations it is final.

    \b
    Example: cardquorum spend show abcd2345
    """
    from coordinator.home import statement_checks
    from coordinator.home.operators import NOBODY
    from coordinator.payment.reviews import seen_again
    from coordinator.wallet import overview
    from coordinator.wallet.coins import tip_height

    context.freshen()
    with context.ceremony(ceremony, reads=True) as (db, record):
        seen, review, fault = seen_again(db, record)
        who = statement_checks.opened_by(context.home, db, record)
        line = overview.ceremony_line(record, tip_height(db, record.vault), who)
    deep = {"sent_at": line.sent_at, "height": line.height, "confirmations": line.confirmations}
    document = {
        **progress_document(seen), **deep, "final": line.final, "operator": who,
        "review": review and review_document(review), "fault": fault,
    }  # fmt: skip
    stands, *signed = progress_lines(seen)
    paid = review_lines(review) if review else [f"LOOK TWICE: what it pays: {fault}"]
    lines = [stands, *paid, *signed]
    if context.home.server or who != NOBODY:
        lines.append(f"opened by: {who.words}")
    if line.height is not None:
        final = "final" if line.final else "not final yet"
        deep_in = counted(line.confirmations, "confirmation")
        lines.append(f"in block {line.height}, {deep_in}: {final}")
    elif line.sent_at:
        lines.append(f"sent {line.sent_at:%Y-%m-%d %H:%M} UTC, in no block yet")
    return Result(document, lines)


def sign(
    context: Context,
    ceremony: Ceremony,
    reader: ReaderMany = None,
    emulated: EmulatedMany = None,
    pin_stdin: PinStdin = False,
    last_attempt: LastTry = False,
    wait: Wait = None,
    yes: Yes = False,
    accept: Accept = None,
    txid: Annotated[
        str | None,
        typer.Option(help="the payment's txid, compared with where it was made", metavar="TXID"),
    ] = None,
) -> Result:
    """Review the payment and have the cards offered sign it.

    All cards sign at the same time, in any order; one that fails does not stop the others.
    With fewer readers than cards the next card is asked for by name: for 5 minutes, or --wait.
    With --pin-stdin only cards whose PIN was given are asked for. A payment that was not made on
    this computer is signed once you give its --txid, as the computer that made it shows it.

    \b
    Example: cardquorum spend sign abcd2345 --emulated blue --emulated red
    """
    from coordinator.payment import ceremonies

    context.freshen()
    with context.ceremony(ceremony, reads=True) as (_, record):
        vault, branch = record.vault.name, record.branch
    attendant, slots, wait_policy = context.cards_offered(
        vault, reader, emulated,
        wait=wait, last_attempt=last_attempt, pin_stdin=pin_stdin, branch=branch, yes=yes,
        accepted=accept,
    )  # fmt: skip
    outcomes, seen = ceremonies.sign(
        context.home,
        context.database,
        ceremony,
        offered=slots,
        attendant=attendant,
        wait_policy=wait_policy,
        consent=ceremonies.Consent(txid, accept),
    )
    lines = [*map(outcome_line, outcomes), *progress_lines(seen)]
    document = {**progress_document(seen), "cards": [*map(outcome_document, outcomes)]}
    return Result(document, lines, worst(outcomes))


def finalize(context: Context, ceremony: Ceremony, accept: Accept = None) -> Result:
    """Build the final transaction and check it.

    Where others spend their coins in it and have yet to sign, this prints the PSBT to hand on.

    \b
    Example: cardquorum spend finalize abcd2345
    """
    from coordinator.payment import ceremonies

    context.freshen()
    done = ceremonies.finalize(context.home, context.database, ceremony, accepted=accept)
    if done.hex is None:
        told = f"{counted(done.others_missing, 'input')} of others are not signed yet"
        lines = [f"{told}: hand this PSBT on, the vault's own part of it is finished", done.psbt]
        return Result(done._asdict(), lines)
    lines = [f"transaction {done.txid}, {done.vsize} vB, check: {done.consensus}"]
    return Result(done._asdict(), lines)


def broadcast(context: Context, ceremony: Ceremony, accept: Accept = None) -> Result:
    """Send the final transaction to the network.

    \b
    Example: cardquorum spend broadcast abcd2345
    """
    from coordinator.payment import ceremonies

    sent = ceremonies.broadcast(
        context.home, context.database, ceremony, chain=context.chain, accepted=accept
    )
    return Result(sent._asdict(), [f"sent {sent.txid}"])


def abandon(context: Context, ceremony: Ceremony) -> Result:
    """Give a ceremony up and free its coins.

    \b
    Example: cardquorum spend abandon abcd2345
    """
    from coordinator.payment import ceremonies

    warning = ceremonies.abandon(context.database, ceremony)
    told = sentences([warning] if warning else [])
    document = {"ceremony": ceremony, "state": "abandoned", "warning": told[0] if told else None}
    return Result(document, [f"ceremony {ceremony} is abandoned", *told])


def bump(
    context: Context,
    ceremony: Ceremony,
    feerate: Feerate = None,
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
    from coordinator.payment import fee_bump

    context.freshen()
    rate = context.fee_rate(feerate, target).feerate
    with context.database.begin() as db:
        made = fee_bump.bump(
            context.home, db, ceremony, feerate=rate, shrink=shrink, accepted=accept
        )
    return _bumped(made)


def cancel(
    context: Context,
    ceremony: Ceremony,
    feerate: Feerate = None,
    target: Target = None,
    accept: Accept = None,
) -> Result:
    """Take a payment back by paying its coins to yourself.

    Signatures that are about stay valid: only this, once in a block, makes them worthless.

    \b
    Example: cardquorum spend cancel abcd2345 --feerate 20
    """
    from coordinator.payment import fee_bump

    context.freshen()
    rate = context.fee_rate(feerate, target).feerate
    with context.database.begin() as db:
        made = fee_bump.cancel(context.home, db, ceremony, feerate=rate, accepted=accept)
    return _bumped(made)


def accelerate(
    context: Context,
    txid: Annotated[str, typer.Argument(metavar="TXID", help="a transaction that waits")],
    feerate: Feerate = None,
    target: Target = None,
    coin: Coins = None,
    branch: Branch = PRIMARY,
    accept: Accept = None,
) -> Result:
    """Speed up a waiting transaction by spending what it paid you.

    A child pays so much that it, its parent and whatever else waits before them pay the rate
    together. Your own payment is better bumped: that is cheaper.

    \b
    Example: cardquorum spend accelerate TXID --feerate 20
    """
    from coordinator.amounts import parse_coin, parse_txid
    from coordinator.payment import fee_bump

    name = parse_txid(txid)
    context.freshen()
    rate = context.fee_rate(feerate, target).feerate
    helping = tuple(parse_coin(text) for text in coin or ())
    wanted = fee_bump.Acceleration(name, rate, helping, branch)
    with context.database.begin() as db:
        made = fee_bump.accelerate(context.home, db, wanted, chain=context.chain, accepted=accept)
    return _bumped(made)


def _bumped(made: "BumpedPayment") -> Result:
    fee = made.created.review.fee_sats
    told = f"the fee is {sats(fee)}; what waits pays {sats(made.old_fee_sats)}"
    if made.replaces:
        told = f"replaces ceremony {made.replaces}: fee {sats(made.old_fee_sats)} -> {sats(fee)}"
    return created(made.created).also(
        told,
        replaces=made.replaces,
        old_fee_sats=made.old_fee_sats,
        package_feerate=made.package_feerate,
    )


COMMANDS = {
    "spend": {
        "create": create,
        "consolidate": sweeping.consolidate,
        "recover": sweeping.recover,
        "refresh": sweeping.refresh,
        "list": list_ceremonies,
        "show": show,
        "sign": sign,
        "export": export,
        "add": add,
        "finalize": finalize,
        "broadcast": broadcast,
        "abandon": abandon,
        "bump": bump,
        "cancel": cancel,
        "accelerate": accelerate,
        "import": import_payment,
    },
}
