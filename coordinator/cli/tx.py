"""tx: transactions that were finished elsewhere."""

from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli import input_files
from coordinator.cli.context import Context
from coordinator.cli.options import Accept
from coordinator.cli.output import notice_lines, sat_per_vbyte, sats
from coordinator.cli.result import Result, as_document

if TYPE_CHECKING:
    from coordinator.payment.foreign_transaction import Checked


def broadcast(
    context: Context,
    file: Annotated[
        list[str] | None,
        typer.Argument(help="a transaction or final PSBT, or - for stdin", metavar="FILE"),
    ] = None,
    camera: input_files.Camera = False,
    device: input_files.Device = 0,
    accept: Accept = None,
) -> Result:
    """Check a transaction finished elsewhere, and send it.

    It is held against consensus, against what nodes relay and against the payments that are open
    here; each danger needs its own --accept. Several files are the codes of one, as text or as
    pictures; with --camera they are read from another screen.

    \b
    Example: cardquorum tx broadcast signed.txn
    """
    from coordinator.payment import foreign_transaction, psbt_file

    data = input_files.read(file, camera=camera, device=device, fits=psbt_file.holds_payment)
    context.freshen()
    with context.database.begin() as db, input_files.named(file):
        checked = foreign_transaction.check(context.home, db, data)
    txid = foreign_transaction.send(context.database, context.chain, checked, accepted=accept)
    return Result({"txid": txid, **_document(checked)}, [*_lines(checked), f"sent {txid}"])


def _document(checked: "Checked") -> dict[str, object]:
    more = {"vsize": checked.transaction.vsize, "feerate": _feerate(checked)}
    document = as_document(more, checked)
    del document["transaction"]
    return document


def _feerate(checked: "Checked") -> int | None:
    if checked.fee_sats is None:
        return None
    return checked.fee_sats * 1000 // checked.transaction.vsize


def _lines(checked: "Checked") -> list[str]:
    spends = [f"  out of vault {each.vault}: {sats(each.value_sats)}" for each in checked.spends]
    paid = [
        f"  {sats(each.value_sats):>18}  {each.destination}"
        + (f"  vault {each.vault}" if each.vault else "")
        for each in checked.outputs
    ]
    feerate = _feerate(checked)
    fee = "unknown here"
    if checked.fee_sats is not None and feerate is not None:
        fee = f"{sats(checked.fee_sats)}, {sat_per_vbyte(feerate)} sat/vB"
    warned = [f"  {line}" for line in notice_lines(checked.warnings)]
    verdict = checked.consensus or "left to the node"
    return [*spends, "pays", *paid, f"  fee {fee}; check: {verdict}", *warned]


COMMANDS = {"tx": {"broadcast": broadcast}}
