"""kit, recover: a vault on paper, and a vault from paper."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli import input_files
from coordinator.cli.context import Context
from coordinator.cli.options import Accept, Checksum, VaultName
from coordinator.cli.output import sentences
from coordinator.cli.result import Result, as_document

if TYPE_CHECKING:
    from coordinator.recovery.letter import Audience

Location = Annotated[str | None, typer.Option(help="where it will lie", metavar="LOCATION")]
TYPED_MAX = 65_536
SAY_ONCE = "if they are the same, say so once: cardquorum vault approve {}"
CONTACT_MAX = 80
MESSAGE_MAX = 1_000


def kit(
    context: Context,
    vault: VaultName,
    out: Annotated[Path, typer.Option(help="the folder to write it to", metavar="DIR")],
    location: Location = None,
    paper: Annotated[str, typer.Option(help="a4 or letter")] = "a4",
    with_places: Annotated[
        bool, typer.Option("--with-places", help="print where the cards lie, too")
    ] = False,
    audience: Annotated[
        str | None,
        typer.Option(
            "--for", help="who finds it: open, locked or executor; else by its place", metavar="WHO"
        ),
    ] = None,
    contact: Annotated[
        list[str] | None, typer.Option(help="who helps, as page one names them", metavar="TEXT")
    ] = None,
    message: Annotated[
        str | None, typer.Option(help="your own words, a text file", metavar="FILE")
    ] = None,
    program: Annotated[
        Path | None, typer.Option(help="put this copy of the program beside it", metavar="WHEEL")
    ] = None,
    accept: Accept = None,
) -> Result:
    """Print what brings a vault back, and nothing that spends it.

    Page one is a letter for whoever finds it, page two the steps; then come the technical pages.
    At an open place (home, friend, office) the kit needs a card to be read; at a locked one (bank)
    it holds the descriptor in plain; for an executor page one tells where the cards lie. In the
    file of --message a line of three dashes parts what stands above the letter from what stands
    below. Counted as a copy from then on.

    \b
    Example: cardquorum kit family --out kit --location bank --contact 'Marie Dupont, 0123 456'
    """
    from coordinator.recovery import kit as kits

    wanted = kits.Wanted(
        vault,
        out,
        location,
        paper,
        with_places,
        _audience(audience),
        tuple(_contact(text) for text in contact or ()),
        _message(message),
        program,
    )
    context.freshen(vault)
    with context.book.begin() as db:
        made = kits.make(context.home, db, wanted, accepted=accept)
    for notice in sentences(made.notices):
        context.say(notice)
    lines = [f"wrote {each.file}" for each in made.files]
    where = f", to be put at {location}" if location else ""
    document = as_document(made, notices=sentences(made.notices))
    document["for"] = document.pop("audience")
    return Result(document, [*lines, f"{made.copy} holds version {made.version}{where}"])


def _audience(text: str | None) -> "Audience | None":
    from coordinator.names import require_known
    from coordinator.recovery.letter import Audience

    if text is None:
        return None
    require_known("--for", text, Audience)
    return Audience(text)


def _contact(text: str) -> str:
    from coordinator.errors import UsageError

    told = " ".join(text.split())
    if not 0 < len(told) <= CONTACT_MAX:
        raise UsageError(f"--contact takes 1 to {CONTACT_MAX} characters, not {len(told)}")
    return told


def _message(file: str | None) -> str:
    from coordinator.errors import UsageError
    from coordinator.files import read_text

    text = read_text(file).strip() if file is not None else ""
    if len(text) > MESSAGE_MAX:
        raise UsageError(f"{file} has {len(text)} characters; {MESSAGE_MAX} is the most")
    return text


def recover(
    context: Context,
    name: Annotated[str, typer.Option(help="the vault's name here")],
    file: Annotated[
        list[str] | None,
        typer.Argument(help="what the kit has, or - to type or pipe it", metavar="FILE"),
    ] = None,
    camera: input_files.Camera = False,
    device: input_files.Device = 0,
    key: Annotated[
        list[str] | None, typer.Option(help="an xpub that opens an encrypted copy", metavar="XPUB")
    ] = None,
    birthday: Annotated[
        str | None, typer.Option(help="a date or block height before its first coin")
    ] = None,
    checksum: Checksum = None,
) -> Result:
    """Rebuild a vault from its kit alone.

    FILE is the text file of the kit, the text of its codes one a line or their pictures, its
    numbered lines as you typed them, or the encrypted copy; --camera reads the codes. Compare the
    addresses with the paper before anything else.

    \b
    Example: cardquorum recover kit/family-descriptor.txt --name family
    """
    from coordinator.cli.vault import imported_document, imported_lines, looked_lines
    from coordinator.custody.descriptor_copies import digest_of
    from coordinator.recovery import recover as recovering
    from coordinator.vault import vaults

    typed = file == ["-"] and sys.stdin.isatty()
    data = _typed(context) if typed else input_files.read(file, camera=camera, device=device)
    context.freshen()
    with context.database.begin() as db:
        plan = vaults.VaultPlan(name, 0, (), birthday=birthday)
        with input_files.named(file):
            descriptor = recovering.descriptor_of(context.home, db, data, keys=key or ())
            found = vaults.import_text(context.home, db, plan, text=descriptor, checksum=checksum)
        shown = vaults.shown(context.home, db, found.vault)
        first = recovering.first_addresses(found.vault)
        digest = digest_of(found.vault.descriptor).hex()
    encrypted = recovering.is_encrypted(data)
    doubts = sentences([recovering.WRITER_UNKNOWN] if encrypted else [])
    lines = [
        *imported_lines(found, shown),
        f"vault {shown.name}: {shown.threshold}-of-{shown.total}, "
        f"version {shown.checksum}, SHA-256 {digest}",
        *(f"address {number}: {text}" for number, text in enumerate(first)),
        *doubts,
        "compare them with the paper: if one differs, stop",
        *([] if shown.approved else [SAY_ONCE.format(shown.name)]),
        *looked_lines(shown, context.home),
        "then enrol the cards at hand, each by: cardquorum card enrol LABEL",
        f"and have them prove their keys: cardquorum vault verify {shown.name}",
    ]
    told = {"addresses": first, "digest": digest, "notices": doubts}
    return Result({**imported_document(found, shown), **told}, lines)


def _typed(context: Context) -> bytes:
    """Take lines from the terminal until all are there; wrong and missing ones are asked again.

    A line that does not belong is named and left out: none of the others is lost for it. What has
    no numbered line at all is taken as it was typed.
    """
    from coordinator.errors import UsageError
    from coordinator.recovery import typed_lines

    context.say("type the numbered lines, each with its check code; an empty line ends it")
    taken: dict[int, str] = {}
    others: list[str] = []
    while True:
        before = len(taken) + len(others)
        _take(context, taken, others)
        if not taken or typed_lines.are_whole(taken.values()) or before == len(taken) + len(others):
            break
        try:
            typed_lines.joined(taken.values())
        except UsageError as wrong:
            context.say(f"{wrong}; type what is wanted, or an empty line to give up")
    return "\n".join(taken.values() or others).encode("utf-8", "replace")


def _take(context: Context, taken: dict[int, str], others: list[str]) -> None:
    """Read lines up to an empty one or the last; whichever was mistyped is not taken."""
    from coordinator.recovery import typed_lines

    while line := sys.stdin.readline(TYPED_MAX).strip():
        number = typed_lines.number_of(line)
        if number is None:
            others.append(line)
            if taken:
                context.say(f"{line[:40]!r} has no number: left out")
        elif not typed_lines.fits(line, taken.values()):
            context.say(f"line {number} was mistyped: type it again")
        elif number not in taken:
            taken[number] = line
            for other in others if len(taken) == 1 else ():
                context.say(f"{other[:40]!r} has no number: left out")
        if typed_lines.are_whole(taken.values()):
            break


COMMANDS = {"": {"kit": kit, "recover": recover}}
