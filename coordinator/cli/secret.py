"""secret: who knows a card's PIN, PUK or pairing password, and where it is written."""

from typing import Annotated

import typer

from coordinator.cli.context import Context
from coordinator.cli.output import Result, columns


def add(
    context: Context,
    label: Annotated[str, typer.Argument(help="a name for it, as blue-puk")],
    of: Annotated[str, typer.Option(help="the card it belongs to", metavar="CARD")],
    kind: Annotated[str, typer.Option(help="pin, puk or pairing")],
    known_by: Annotated[
        list[str] | None, typer.Option(help="a holder who knows it", metavar="WHO")
    ] = None,
    written_at: Annotated[
        list[str] | None, typer.Option(help="where it is written", metavar="LOCATION")
    ] = None,
) -> Result:
    """Say who knows a card's secret, and where it is written.

    Never its value. Said again for the same card and kind, it adds to what was said before.

    \b
    Example: cardquorum secret add blue-puk --of blue --kind puk --written-at bank
    """
    from coordinator.custody import card_secrets

    told = card_secrets.Told(label, of, kind, tuple(known_by or ()), tuple(written_at or ()))
    with context.book.begin() as db:
        found = card_secrets.tell(db, told)
    who = ", ".join(found.known_by) or "nobody"
    where = ", ".join(found.written_at) or "nowhere"
    return Result(found, [f"secret {label}: known by {who}, written at {where}"])


def list_secrets(context: Context) -> Result:
    """List the cards' secrets: who knows them, where they are written.

    \b
    Example: cardquorum secret list
    """
    from coordinator.custody import card_secrets

    with context.book.begin() as db:
        found = card_secrets.listed(db)
    rows = [
        (f.label, f.card, f.kind, ", ".join(f.known_by), ", ".join(f.written_at)) for f in found
    ]
    header = ("secret", "card", "kind", "known by", "written at")
    return Result({"secrets": found}, columns(rows, *header))


COMMANDS = {
    "secret": {
        "add": add,
        "list": list_secrets,
    },
}
