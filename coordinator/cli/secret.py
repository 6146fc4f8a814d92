"""secret: who knows a card's PIN, PUK or pairing password, and where it is written."""

from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.context import Context
from coordinator.cli.output import columns
from coordinator.cli.result import Result

if TYPE_CHECKING:
    from coordinator.custody.card_secrets import SecretLine


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

    with context.book.begin() as db:
        found = card_secrets.tell(
            db, label, of, kind=kind, known_by=known_by or (), written_at=written_at or ()
        )
    return Result(found, [_told(found)])


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


def edit(
    context: Context,
    label: Annotated[str, typer.Argument(help="its name, as blue-puk")],
    new: Annotated[str | None, typer.Option("--name", help="its right name")] = None,
    not_known_by: Annotated[
        list[str] | None, typer.Option(help="who does not know it", metavar="WHO")
    ] = None,
    not_written_at: Annotated[
        list[str] | None, typer.Option(help="where it is not written", metavar="LOCATION")
    ] = None,
) -> Result:
    """Take back who knows a card's secret, or where it is written.

    Who knows it besides is said with secret add.

    \b
    Example: cardquorum secret edit blue-puk --not-written-at bank
    """
    from coordinator.custody import corrections

    who, where = not_known_by or (), not_written_at or ()
    with context.book.begin() as db:
        found = corrections.edit_secret(db, label, new=new, not_known_by=who, not_written_at=where)
    return Result(found, [_told(found)])


def remove(
    context: Context, label: Annotated[str, typer.Argument(help="its name, as blue-puk")]
) -> Result:
    """Forget what is known of a card's secret.

    \b
    Example: cardquorum secret remove blue-puk
    """
    from coordinator.custody import corrections

    with context.book.begin() as db:
        found = corrections.remove_secret(db, label)
    return Result(found, [f"secret {label} is removed"])


def _told(found: "SecretLine") -> str:
    who = ", ".join(found.known_by) or "nobody"
    where = ", ".join(found.written_at) or "nowhere"
    return f"secret {found.label}: known by {who}, written at {where}"


COMMANDS = {
    "secret": {
        "add": add,
        "edit": edit,
        "remove": remove,
        "list": list_secrets,
    },
}
