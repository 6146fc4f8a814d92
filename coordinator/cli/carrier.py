"""carrier, copy, secret: things besides cards that bring back a key or a vault, and who knows what.

A secret is a card's PIN, PUK or pairing password: who knows it and where it is written.
"""

from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.context import Context
from coordinator.cli.options import VaultName
from coordinator.cli.output import columns
from coordinator.cli.result import Result, as_document

if TYPE_CHECKING:
    from coordinator.custody.card_secrets import SecretLine

CarrierName = Annotated[str, typer.Argument(help="its name, as words:blue-words")]
CopyName = Annotated[str, typer.Argument(help="its name, as copy:family-kit")]
SecretName = Annotated[str, typer.Argument(help="its name, as blue-puk")]
NewName = Annotated[str, typer.Option("--name", help="its right name")]


def add_carrier(
    context: Context,
    of: Annotated[str, typer.Argument(help="the card or key it brings back")],
    kind: Annotated[str, typer.Argument(help="plate, words, backup-file or backup-key")],
    label: Annotated[str, typer.Argument(help="a name for it")],
) -> Result:
    """Add a thing besides a card that brings a key back.

    A backup file and its key count together only: the file opens with the key, or not at all.

    \b
    Example: cardquorum carrier add blue backup-key blue-digits
    """
    from coordinator.custody import carriers

    with context.book.begin() as db:
        found = carriers.add(db, context.home.network, of, kind=kind, label=label)
    where = f"cardquorum custody record {found.carrier} placed --at LOCATION"
    lines = [f"{found.carrier} carries key {found.key}", f"say where it lies: {where}"]
    return Result(found, lines)


def list_carriers(context: Context) -> Result:
    """List the things besides cards that bring a key back.

    \b
    Example: cardquorum carrier list
    """
    from coordinator.custody import carriers

    with context.book.begin() as db:
        found = carriers.listed(db)
    rows = [(f.carrier, f.key, f.location, f.gone) for f in found]
    return Result({"carriers": found}, columns(rows, "carrier", "key", "place", "gone"))


def edit_carrier(context: Context, carrier: CarrierName, new: NewName) -> Result:
    """Correct the name of a thing that brings a key back.

    \b
    Example: cardquorum carrier edit words:bleu-words --name blue-words
    """
    return _renamed(context, "carrier", carrier, new=new)


def remove_carrier(context: Context, carrier: CarrierName) -> Result:
    """Take back that a thing exists that was noted by mistake.

    What was lost, stolen or destroyed is recorded as that, with custody record.

    \b
    Example: cardquorum carrier remove plate:blue-plate
    """
    return _removed(context, "carrier", carrier)


def add_copy(
    context: Context,
    vault: VaultName,
    label: Annotated[str, typer.Argument(help="a name for the copy")],
    location: Annotated[
        str | None, typer.Option(help="where it will lie", metavar="LOCATION")
    ] = None,
) -> Result:
    """Note a copy of a vault's descriptor that you made yourself.

    \b
    Example: cardquorum copy add family steel-plate --location friend
    """
    from coordinator.custody import descriptor_copies

    with context.book.begin() as db:
        found = descriptor_copies.add(db, vault, label, location=location)
    return Result(found, [f"{found.copy} holds version {found.version} of vault {vault}"])


def edit_copy(context: Context, copy: CopyName, new: NewName) -> Result:
    """Correct the name of a copy of a vault's descriptor.

    \b
    Example: cardquorum copy edit copy:family-kit --name kit-bank
    """
    return _renamed(context, "copy", copy, new=new)


def remove_copy(context: Context, copy: CopyName) -> Result:
    """Take back that a copy exists that was noted by mistake.

    One that was lost, stolen or destroyed is recorded as that, with custody record.

    \b
    Example: cardquorum copy remove copy:family-kit-2
    """
    return _removed(context, "copy", copy)


def list_copies(context: Context, vault: VaultName) -> Result:
    """List the copies of a vault's descriptor.

    \b
    Example: cardquorum copy list family
    """
    from coordinator.custody import descriptor_copies
    from coordinator.recovery.letter_dates import stale_letters
    from storage import vaults as vault_book

    context.freshen(vault)
    with context.book.begin() as db:
        found = descriptor_copies.listed(db, vault)
        stale = stale_letters(db, vault_book.vault_named(db, vault))
        old = {each.subjects[0] for each in stale}
    rows = [
        (
            f.copy,
            f.version,
            f.location,
            f.gone,
            "stale" if f.stale else "letter stale" if f.copy in old else "current",
        )
        for f in found
    ]
    copies = [as_document(f, letter_stale=f.copy in old) for f in found]
    return Result({"copies": copies}, columns(rows, "copy", "version", "place", "gone", "state"))


def _renamed(context: Context, noun: str, name: str, *, new: str) -> Result:
    from coordinator.custody import corrections

    with context.book.begin() as db:
        found = corrections.edit_thing(db, _kinds(noun), name, new=new)
    return Result({noun: found}, [f"{name} is called {found} now"])


def _removed(context: Context, noun: str, name: str) -> Result:
    from coordinator.custody import corrections

    with context.book.begin() as db:
        found = corrections.remove_thing(db, _kinds(noun), name)
    return Result({noun: found}, [f"{found} is removed"])


def _kinds(noun: str) -> tuple[str, ...]:
    from coordinator.custody import carriers, descriptor_copies

    return carriers.KINDS if noun == "carrier" else (descriptor_copies.KIND,)


def add_secret(
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


def edit_secret(
    context: Context,
    label: SecretName,
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


def remove_secret(context: Context, label: SecretName) -> Result:
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
    "carrier": {
        "add": add_carrier,
        "edit": edit_carrier,
        "remove": remove_carrier,
        "list": list_carriers,
    },
    "copy": {"add": add_copy, "edit": edit_copy, "remove": remove_copy, "list": list_copies},
    "secret": {
        "add": add_secret,
        "edit": edit_secret,
        "remove": remove_secret,
        "list": list_secrets,
    },
}
