"""spend, tx: payments that go out to signers elsewhere and come back, by file and by code."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli import input_files
from coordinator.cli.ceremony import created, progress_document, progress_lines
from coordinator.cli.context import Context
from coordinator.cli.options import Accept, Ceremony, VaultName
from coordinator.cli.output import counted, notice_lines, sat_per_vbyte, sats
from coordinator.cli.result import Result, as_document

if TYPE_CHECKING:
    from coordinator.payment.foreign_transaction import Checked


def export(
    context: Context,
    ceremony: Ceremony,
    out: Annotated[Path | None, typer.Option(help="the file to write", metavar="FILE")] = None,
    format_: Annotated[
        str, typer.Option("--format", help="psbt, base64, hex, bbqr, ur or pmofn")
    ] = "base64",
    psbt_version: Annotated[int, typer.Option(help="0, or 2 (BIP 370)", metavar="0|2")] = 0,
    slim: Annotated[
        bool, typer.Option("--slim", help="leave previous transactions out, for small devices")
    ] = False,
    show: Annotated[bool, typer.Option("--show", help="draw the codes here, in turn")] = False,
    accept: Accept = None,
) -> Result:
    """Hand the PSBT to a signer elsewhere.

    A slim one states each amount without the transaction that proves it: a device may then warn.
    Codes (bbqr, ur, Specter's pmofn) are drawn where FILE is a .gif, which shows one after the
    other, .png or .svg.

    \b
    Example: cardquorum spend export abcd2345 --out payment.psbt --format psbt
    """
    import base64

    from coordinator.cli import qr_codes
    from coordinator.errors import UsageError
    from coordinator.files import write_private
    from coordinator.interop import qr_pictures, qr_text
    from coordinator.names import require_known
    from coordinator.payment import ceremonies

    require_known("format", format_, qr_text.PAYMENT_FORMATS)
    if format_ == "psbt" and out is None:
        raise UsageError("a binary PSBT goes to a file: add --out FILE")
    if psbt_version not in {0, 2}:
        raise UsageError(f"unknown PSBT version {psbt_version}; expected 0 or 2")
    seen = ceremonies.export(
        context.home, context.database, ceremony, accepted=accept, version=psbt_version, slim=slim
    )
    raw = base64.b64decode(seen.psbt)
    if show:
        qr_codes.show_payment(raw, format_)
    parts = qr_text.payment_lines(raw, format_)
    if out is not None and out.suffix.lower() in qr_pictures.DRAWN:
        write_private(out, qr_pictures.drawn(parts, out.suffix.lower()))
    elif out is not None:
        write_private(out, raw if format_ == "psbt" else "\n".join([*parts, ""]).encode())
    written = {"file": out, "format": format_, "psbt_version": psbt_version, "slim": slim}
    document = {**progress_document(seen), "cards": [], **written, "parts": parts}
    return Result(document, [f"wrote {out}"] if out else [] if show else parts)


def add(
    context: Context,
    ceremony: Ceremony,
    file: Annotated[
        list[str] | None, typer.Argument(help="a signed PSBT, or - for stdin", metavar="FILE")
    ] = None,
    camera: input_files.Camera = False,
    device: input_files.Device = 0,
    accept: Accept = None,
) -> Result:
    """Take the new valid signatures of a PSBT that came back.

    Several files are the codes of one payment, as text or as pictures, in any order; with --camera
    they are read from the other screen.

    \b
    Example: cardquorum spend add abcd2345 signed.psbt
    """
    from coordinator.payment import ceremonies, psbt_file
    from coordinator.payment.progress import progress

    data = input_files.read(file, camera=camera, device=device, fits=psbt_file.holds_payment)
    context.freshen()
    with input_files.named(file):
        taken = ceremonies.add(context.home, context.database, ceremony, data=data, accepted=accept)
    with context.ceremony(ceremony) as (_, record):
        seen = progress(record)
    lines = [f"{counted(taken, 'new signature')} taken", *progress_lines(seen)]
    return Result({**progress_document(seen), "signatures": taken, "cards": []}, lines)


def import_payment(
    context: Context,
    vault: VaultName,
    file: Annotated[
        list[str] | None,
        typer.Argument(help="a PSBT made elsewhere, or - for stdin", metavar="FILE"),
    ] = None,
    camera: input_files.Camera = False,
    device: input_files.Device = 0,
    branch: Annotated[
        str | None,
        typer.Option(help="the branch that spends, where it is not plain", metavar="NAME"),
    ] = None,
    accept: Accept = None,
) -> Result:
    """Open a ceremony for a PSBT that was built elsewhere.

    Every coin of the vault in it must be free, or spent by a payment that still waits: then this
    one replaces it. Others may spend theirs beside it: the review says whose coins are whose and
    what the vault pays in all; theirs stay as they are. What the PSBT leaves out about the
    vault's own coins is filled in; valid signatures in it are kept. Imported again, it brings the
    signatures that are new.
    Several files are the codes of one payment, as text or as pictures; with --camera they are read
    from the other screen.

    \b
    Example: cardquorum spend import family payment.psbt
    """
    from coordinator.payment import payment_files, psbt_file

    data = input_files.read(file, camera=camera, device=device, fits=psbt_file.holds_payment)
    context.freshen(vault)
    with context.vault(vault) as (db, record), input_files.named(file):
        made = payment_files.open_payment(
            context.home, db, record, data=data, branch=branch, accepted=accept
        )
    told = [f"{counted(made.signatures, 'signature')} came with it"]
    told += ["this payment was open already"] if made.known else []
    told += [
        f"replaces ceremony {old}: whichever gets into a block ends the other"
        for old in made.replaces
    ]
    told += [f"replaces the waiting payment {txid}" for txid in made.replaced_txids]
    return created(made.created).also(
        *told,
        signatures=made.signatures,
        replaces=made.replaces[-1] if made.replaces else None,
        all_replaced=made.replaces,
        replaced_txids=made.replaced_txids,
        known=made.known,
    )


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
    vsize, fee = checked.transaction.vsize, checked.fee_sats
    feerate = None if fee is None else fee * 1000 // vsize
    document = as_document({"txid": txid, "vsize": vsize, "feerate": feerate}, checked)
    del document["transaction"]
    return Result(document, [*_checked_lines(checked, feerate), f"sent {txid}"])


def _checked_lines(checked: "Checked", feerate: int | None) -> list[str]:
    spends = [f"  out of vault {each.vault}: {sats(each.value_sats)}" for each in checked.spends]
    paid = [
        f"  {sats(each.value_sats):>18}  {each.destination}"
        + (f"  vault {each.vault}" if each.vault else "")
        for each in checked.outputs
    ]
    fee = "unknown here"
    if checked.fee_sats is not None and feerate is not None:
        fee = f"{sats(checked.fee_sats)}, {sat_per_vbyte(feerate)} sat/vB"
    warned = [f"  {line}" for line in notice_lines(checked.warnings)]
    verdict = checked.consensus or "left to the node"
    return [*spends, "pays", *paid, f"  fee {fee}; check: {verdict}", *warned]


COMMANDS = {"tx": {"broadcast": broadcast}}
