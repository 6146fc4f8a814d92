"""key: public keys held elsewhere, and a card's key for another coordinator."""

from pathlib import Path
from typing import Annotated

import typer

from coordinator.cli import input_files
from coordinator.cli.context import Context
from coordinator.cli.options import Emulated, LastTry, PinStdin, Reader
from coordinator.cli.output import columns, notice_lines
from coordinator.cli.result import Result

FORMATS = "expression, slip132, coldcard, cobo, bsms or ur"


def import_key(
    context: Context,
    name: Annotated[str, typer.Option(help="the key's label here", metavar="LABEL")],
    file: Annotated[
        list[str] | None,
        typer.Argument(help="a signer's file with its key, or - for stdin", metavar="FILE"),
    ] = None,
    camera: input_files.Camera = False,
    device: input_files.Device = 0,
    script: Annotated[str | None, typer.Option(help="which of its keys: wsh, sh-wsh or sh")] = None,
    token: Annotated[
        str | None, typer.Option(help="opens an encrypted BSMS record", metavar="TOKEN")
    ] = None,
) -> Result:
    """Keep the key of a signer elsewhere: Coldcard, Cobo, BSMS, or text.

    It can then be a cosigner: vault create --key LABEL. A card that turns out to carry it is
    bound to it when it is enrolled.

    \b
    Example: cardquorum key import ccxp-0F056943.json --name office
    """
    from coordinator.interop import recognition
    from coordinator.vault import foreign_keys

    data = input_files.read(file, camera=camera, device=device)
    with input_files.named(file):
        found = recognition.read_keys(data, input_files.name(file), token)
    with context.database.begin() as db:
        kept = foreign_keys.import_key(context.home, db, name, found=found, script=script)
        key = foreign_keys.shown(db, kept.key)
    document = {"key": key, "known": kept.known, "format": kept.format, "warnings": kept.warnings}
    already = "is here already as" if kept.known else "is kept as"
    lines = notice_lines(kept.warnings)
    return Result(document, [*lines, f"the key {already} {key.label}", key.expression])


def export_key(
    context: Context,
    card: Annotated[str, typer.Argument(help="a card or a key")],
    format_: Annotated[str, typer.Option("--format", help=FORMATS)] = "expression",
    out: Annotated[Path | None, typer.Option(help="write it to a new file", metavar="FILE")] = None,
    token: Annotated[
        str | None, typer.Option(help="encrypts a BSMS record", metavar="TOKEN")
    ] = None,
    reader: Reader = None,
    emulated: Emulated = None,
    pin_stdin: PinStdin = False,
    last_attempt: LastTry = False,
) -> Result:
    """Write a card's public key as another coordinator reads it.

    With --reader or --emulated the card signs its BSMS record, as BIP 129 asks for.

    \b
    Example: cardquorum key export blue --format coldcard
    """
    from coordinator.errors import UsageError
    from coordinator.files import write_private
    from coordinator.vault import foreign_keys

    signs = reader is not None or emulated is not None or token is not None
    if signs and format_ != "bsms":
        raise UsageError(f"a card signs a BSMS record, not {format_}: add --format bsms")
    if signs:
        from coordinator.enrolment.key_record import signed_key_record
        from coordinator.interop import bsms

        secret = None if token is None else bsms.read_token(token)
        asked = context.card_at(card, reader, emulated, last_attempt=last_attempt)
        person = context.person([card], pin_stdin=pin_stdin)
        text = signed_key_record(
            context.home, context.database, asked, attendant=person, token=secret
        )
    else:
        with context.database.begin() as db:
            text = foreign_keys.write_key(context.home, db, card, format_=format_)
    if out is not None:
        write_private(out, text.encode(), replace=False)
    document = {"card": card, "format": format_, "text": text, "signed": signs, "file": out}
    return Result(document, [f"wrote {out}"] if out else text.rstrip("\n").split("\n"))


def list_keys(context: Context) -> Result:
    """List the keys known here: what carries them, and their vaults.

    \b
    Example: cardquorum key list
    """
    from coordinator.vault import foreign_keys

    with context.database.begin() as db:
        found = foreign_keys.listed(db)
    rows = [
        (
            key.label,
            key.fingerprint.hex(),
            key.path,
            ", ".join(key.carriers) or "held elsewhere",
            ", ".join(key.vaults),
        )
        for key in found
    ]
    header = ("key", "fingerprint", "path", "carried by", "vaults")
    return Result({"keys": found}, columns(rows, *header))


COMMANDS = {"key": {"import": import_key, "export": export_key, "list": list_keys}}
