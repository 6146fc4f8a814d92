"""spend: a payment from its wish to its block."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coordinator.cli import spend_fees
from coordinator.cli.coin_file import import_payment
from coordinator.cli.context import Context
from coordinator.cli.money import chosen_rate
from coordinator.cli.options import (
    Accept,
    EmulatedMany,
    LastTry,
    PinStdin,
    ReaderMany,
    Wait,
    Yes,
    lower_case,
)
from coordinator.cli.outcomes import outcome_document, outcome_line, worst
from coordinator.cli.output import Result, columns, counted, sats
from coordinator.cli.spend_options import (
    AvoidLabel,
    Coins,
    CoinsLabelled,
    Drain,
    Expires,
    FeerateTyped,
    MinConfirmations,
    Payees,
    Table,
    Target,
)

if TYPE_CHECKING:
    from coordinator.payment.batch import Batch, Row
    from coordinator.payment.ceremonies import Progress
    from coordinator.payment.creation import Created, Order
    from coordinator.payment.payees import Payee
    from coordinator.wallet.fees import Rate
    from coordinator.wallet.overview import CeremonyLine
    from psbt.review import Review

Ceremony = Annotated[str, typer.Argument(metavar="ID", help="the ceremony", parser=lower_case)]


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
    feerate: FeerateTyped = None,
    target: Target = None,
    expires: Expires = 30,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show it, keep nothing")] = False,
    accept: Accept = None,
) -> Result:
    """Choose coins, build the PSBT, open a ceremony.

    A table (--csv, or - for standard input) is read whole before anything is built: every wrong
    line is named; lines that pay one address twice, or addresses that look alike, are told.
    --to takes a bitcoin: URI too, with its amount; its label is kept for the address.
    A coin goes by its own label and by those of its address and its transaction.

    \b
    Example: cardquorum spend create family --to bcrt1q...:0.1btc --feerate 5
    """
    from coordinator.amounts import parse_coin
    from coordinator.errors import UsageError
    from coordinator.payment import creation
    from coordinator.payment.payees import parse_address, parse_payee
    from coordinator.wallet import overview
    from coordinator.wallet.coin_control import ANY, Choice

    if not to and drain is None and table is None:
        raise UsageError("nobody is paid: add --to ADDRESS:AMOUNT, --csv FILE or --drain ADDRESS")
    choice = Choice(tuple(coins_labelled or ()), tuple(avoid_label or ()), min_confirmations)
    if coin and choice != ANY:
        raise UsageError("--coin names the coins: leave the other wishes for coins out")
    network = context.home.network
    rows = _batch(table, network)
    payees = [parse_payee(text, network) for text in to or ()]
    overview.look_first(context.home, context.database, lambda: context.chain, vault)
    rate = chosen_rate(context, feerate, target)
    order = creation.Order(
        vault=vault,
        payments=(*(each.payment for each in payees), *(rows.payments if rows else ())),
        feerate=rate.feerate,
        drain=parse_address(drain, network) if drain is not None else None,
        coins=tuple(parse_coin(text) for text in coin or ()),
        expires_days=expires,
        choice=choice,
    )
    paid: list[Payee | Row] = [*payees, *(rows.rows if rows else ())]
    names = {each.address: each.label for each in paid if each.label}
    made = _made(context, order, names, accept, dry_run=dry_run)
    return _warned(context, vault, _sourced(created_shown(made, rows), rate))


def _warned(context: Context, name: str, shown: Result) -> Result:
    """Return the result below what of the vault is dangerous now."""
    from coordinator.audit import acceptance
    from coordinator.cli.output import danger_lines
    from storage import vaults as vault_book

    with context.database.begin() as db:
        found = acceptance.vault_dangers(context.home, db, vault_book.vault_named(db, name))
    document = {**shown.document, "dangers": [each._asdict() for each in found]}
    return replace(shown, document=document, lines=[*danger_lines(name, found), *shown.lines])


def _made(
    context: Context,
    order: "Order",
    names: dict[str, str],
    accept: list[str] | None,
    *,
    dry_run: bool,
) -> "Created":
    import random

    from coordinator.payment import creation
    from coordinator.wallet import labels, overview

    tip = overview.known_tip(context.database, order.vault)
    with context.database.begin() as db:
        make = creation.dry_run if dry_run else creation.create
        made = make(context.home, db, order, tip=tip, rng=random.SystemRandom(), accepted=accept)
        if not dry_run:
            labels.name_addresses(context.home, db, names)
    return made


def _batch(table: str | None, network: str) -> "Batch | None":
    from coordinator.files import read_text
    from coordinator.payment import batch

    return batch.read(read_text(table, legacy=True), network) if table is not None else None


def created_shown(made: "Created", rows: "Batch | None") -> Result:
    """Return a new ceremony as it is shown, with the table it came from."""
    from coordinator.cli.attendant import review_lines

    head = [f"ceremony {made.ceremony or '(dry run)'}"]
    document = {**made._asdict(), "review": _review_document(made.review)}
    document["left"] = None if made.left is None else made.left.document()
    stays = [] if made.left is None else made.left.sentences()
    tail = [f"LOOK TWICE: it stays: {sentence}" for sentence in stays]
    if rows is None:
        return Result(document, [*head, *review_lines(made.review), *tail])
    count = len(rows.rows)
    told = {"payments": count, "total_sats": rows.total_sats, "notices": rows.notices}
    head.append(f"{counted(count, 'payment')} of {sats(rows.total_sats)}")
    twice = (f"LOOK TWICE: {notice}" for notice in rows.notices)
    lines = [*head, *review_lines(made.review), *tail, *twice]
    return Result({**document, "batch": told}, lines)


def _sourced(shown: Result, rate: "Rate") -> Result:
    """Return the result with whose word its fee rate is."""
    return replace(shown, document={**shown.document, "feerate_source": rate.source})


def consolidate(
    context: Context,
    vault: Annotated[str, typer.Argument(help="the vault whose coins are merged")],
    below: Annotated[
        str | None, typer.Option(help="only coins below this", metavar="AMOUNT")
    ] = None,
    feerate: FeerateTyped = None,
    target: Target = None,
    accept: Accept = None,
) -> Result:
    """Merge a vault's coins into one while fees are low.

    Everybody sees from then on that these coins have one owner; later payments cost less. Frozen
    coins, reserved ones and those that wait are left as they are.

    \b
    Example: cardquorum spend consolidate family --below 0.01btc --feerate 1
    """
    import random

    from coordinator.amounts import parse_amount
    from coordinator.payment import creation
    from coordinator.wallet import overview

    overview.look_first(context.home, context.database, lambda: context.chain, vault)
    rate = chosen_rate(context, feerate, target)
    tip = overview.known_tip(context.database, vault)
    with context.database.begin() as db:
        merging = creation.consolidation(
            db, vault, rate.feerate, parse_amount(below) if below else None
        )
        made = creation.create(
            context.home, db, merging.order, tip=tip, rng=random.SystemRandom(), accepted=accept
        )
    shown = _sourced(created_shown(made, None), rate)
    merged = len(merging.order.coins)
    notices = [f"{merged} coins are seen to belong together from then on"]
    if merging.left:
        notices.append(
            f"{merged} coins fit into one transaction, {merging.left} such coins are left:"
            " run it again once this one is sent"
        )
    document = {**shown.document, "notices": notices, "left_coins": merging.left}
    return Result(document, [*shown.lines, *(f"LOOK TWICE: {notice}" for notice in notices)])


def list_ceremonies(context: Context) -> Result:
    """List the ceremonies of all vaults.

    \b
    Example: cardquorum spend list
    """
    from coordinator.wallet import overview

    overview.freshen(context.home, context.database, lambda: context.chain, None)
    found = overview.ceremonies(context.database)
    rows = [(c.id, c.vault, c.state, c.confirmations, sats(c.fee_sats), c.txid) for c in found]
    document = {"ceremonies": [line.document() for line in found]}
    header = ("ceremony", "vault", "state", "confirmations", "fee", "txid")
    return Result(document, columns(rows, *header))


def show(context: Context, ceremony: Ceremony) -> Result:
    """Show where a ceremony stands; once it is sent, how deep it lies.

    With 6 confirmations it is final.

    \b
    Example: cardquorum spend show abcd2345
    """
    from coordinator.payment import ceremonies
    from coordinator.wallet import overview
    from coordinator.wallet.coins import tip_height
    from storage import ceremonies as ceremony_book

    overview.freshen(context.home, context.database, lambda: context.chain, None)
    with context.database.begin() as db:
        record = ceremony_book.ceremony_named(db, ceremony)
        seen = ceremonies.progress(record)
        line = overview.ceremony_line(record, tip_height(db, record.vault))
    deep = {"sent_at": line.sent_at, "height": line.height, "confirmations": line.confirmations}
    document = {**_progress_document(seen), **deep, "final": line.final}
    return Result(document, [*_progress_lines(seen), *_depth_lines(line)])


def _depth_lines(line: "CeremonyLine") -> list[str]:
    if line.height is None:
        return [f"sent {line.sent_at:%Y-%m-%d %H:%M} UTC, in no block yet"] if line.sent_at else []
    final = "final" if line.final else "not final yet"
    return [f"in block {line.height}, {counted(line.confirmations, 'confirmation')}: {final}"]


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
    from coordinator.cli.gathering import gathered
    from coordinator.payment import ceremonies
    from coordinator.wallet import overview
    from storage import ceremonies as ceremony_book

    overview.freshen(context.home, context.database, lambda: context.chain, None)
    with context.database.begin() as db:
        vault = ceremony_book.ceremony_named(db, ceremony).vault.name
    company = gathered(
        context, vault, reader, emulated,
        wait=wait, last_attempt=last_attempt, pin_stdin=pin_stdin, yes=yes, accepted=accept,
    )  # fmt: skip
    outcomes = ceremonies.sign(
        context.home,
        context.database,
        ceremony,
        company.slots,
        company.attendant,
        company.wait_policy,
        ceremonies.Consent(txid, accept),
    )
    with context.database.begin() as db:
        seen = ceremonies.progress(ceremony_book.ceremony_named(db, ceremony))
    cards = [outcome_document(outcome) for outcome in outcomes]
    lines = [*(outcome_line(card) for card in cards), *_progress_lines(seen)]
    return Result({**_progress_document(seen), "cards": cards}, lines, worst(outcomes))


def export(
    context: Context,
    ceremony: Ceremony,
    out: Annotated[Path | None, typer.Option(help="the file to write", metavar="FILE")] = None,
    format_: Annotated[str, typer.Option("--format", help="psbt or base64")] = "base64",
    accept: Accept = None,
) -> Result:
    """Hand the PSBT to a signer elsewhere.

    \b
    Example: cardquorum spend export abcd2345 --out payment.psbt --format psbt
    """
    import base64

    from coordinator.errors import UsageError
    from coordinator.files import write_private
    from coordinator.payment import ceremonies

    if format_ not in {"psbt", "base64"}:
        raise UsageError(f"format {format_} is not known here; there are psbt and base64")
    if format_ == "psbt" and out is None:
        raise UsageError("a binary PSBT goes to a file: add --out FILE")
    seen = ceremonies.export(context.home, context.database, ceremony, accept)
    text, raw = seen.psbt, base64.b64decode(seen.psbt)
    if out is not None:
        write_private(out, raw if format_ == "psbt" else text.encode() + b"\n")
    document = {**_progress_document(seen), "cards": [], "file": out, "format": format_}
    return Result(document, [f"wrote {out}" if out else text])


def add(
    context: Context,
    ceremony: Ceremony,
    file: Annotated[str, typer.Argument(help="a signed PSBT, or - for stdin")],
    accept: Accept = None,
) -> Result:
    """Take the new valid signatures of a PSBT that came back.

    \b
    Example: cardquorum spend add abcd2345 signed.psbt
    """
    from coordinator.files import read_named
    from coordinator.payment import ceremonies
    from coordinator.wallet import overview
    from storage import ceremonies as ceremony_book

    data = read_named(file)
    overview.freshen(context.home, context.database, lambda: context.chain, None)
    taken = ceremonies.add(context.home, context.database, ceremony, data, accept)
    with context.database.begin() as db:
        seen = ceremonies.progress(ceremony_book.ceremony_named(db, ceremony))
    lines = [f"{counted(taken, 'new signature')} taken", *_progress_lines(seen)]
    return Result({**_progress_document(seen), "signatures": taken, "cards": []}, lines)


def finalize(context: Context, ceremony: Ceremony, accept: Accept = None) -> Result:
    """Build the final transaction and check it.

    \b
    Example: cardquorum spend finalize abcd2345
    """
    from coordinator.payment import ceremonies
    from coordinator.wallet import overview

    overview.freshen(context.home, context.database, lambda: context.chain, None)
    done = ceremonies.finalize(context.home, context.database, ceremony, accept)
    lines = [f"transaction {done.txid}, {done.vsize} vB, check: {done.consensus}"]
    return Result(done._asdict(), lines)


def broadcast(context: Context, ceremony: Ceremony, accept: Accept = None) -> Result:
    """Send the final transaction to the network.

    \b
    Example: cardquorum spend broadcast abcd2345
    """
    from coordinator.payment import ceremonies

    sent = ceremonies.broadcast(context.home, context.database, ceremony, context.chain, accept)
    return Result(sent._asdict(), [f"sent {sent.txid}"])


def abandon(context: Context, ceremony: Ceremony) -> Result:
    """Give a ceremony up and free its coins.

    \b
    Example: cardquorum spend abandon abcd2345
    """
    from coordinator.payment import ceremonies

    warning = ceremonies.abandon(context.database, ceremony)
    document = {"ceremony": ceremony, "state": "abandoned", "warning": warning}
    return Result(document, [f"ceremony {ceremony} is abandoned", *([warning] if warning else [])])


def _review_document(review: "Review") -> dict[str, Any]:
    inputs = [{**spent._asdict(), "outpoint": str(spent.outpoint)} for spent in review.inputs]
    return {**review._asdict(), "inputs": inputs}


def _progress_document(seen: "Progress") -> dict[str, Any]:
    return {**seen._asdict(), "complete": seen.complete}


def _progress_lines(seen: "Progress") -> list[str]:
    return [
        f"ceremony {seen.ceremony} of {seen.vault}: {seen.state}, {seen.have} of {seen.need}",
        f"signed by: {', '.join(seen.signed_by) or 'nobody yet'}",
        f"missing: {', '.join(seen.missing) or 'nobody'}",
    ]


COMMANDS = {
    "spend": {
        "create": create,
        "consolidate": consolidate,
        "list": list_ceremonies,
        "show": show,
        "sign": sign,
        "export": export,
        "add": add,
        "finalize": finalize,
        "broadcast": broadcast,
        "abandon": abandon,
        **spend_fees.COMMANDS,
        "import": import_payment,
    },
}
