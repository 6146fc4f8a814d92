"""location, holder, custody: where things lie, who can open, what happened."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.context import NEW_PASSPHRASE, PASSPHRASE, Context
from coordinator.cli.options import Accept
from coordinator.cli.output import columns, counted, fields, sentences
from coordinator.cli.result import ExitStatus, Result, as_document

if TYPE_CHECKING:
    from cards.pin import Secret
    from coordinator.custody.log import EventLine, Verdict

Name = Annotated[str, typer.Argument(help="its name")]
Who = Annotated[str, typer.Argument(help="their name")]
SEALED = "places, people and notes are sealed; no plain text of them is left in the home"
SEALED_THERE = "places, people and notes are sealed: the server sees none of them from now on"
LEFT_ON_SERVER = (
    "were plain text there until now: its free pages, logs and backups may hold them still; its "
    "owner runs VACUUM FULL custody_text, holder, location, and renews its backups"
)
LENGTH_MIN = 8
ROLLED_BACK = "book_rolled_back"
WHAT_NOW = (
    "what was there before is not kept: compare with the paper and the cards, or go back to a "
    "backup, cardquorum restore FILE"
)


def add_location(
    context: Context,
    name: Name,
    kind: Annotated[str, typer.Option(help="bank-vault, friend, home, office or other")] = "other",
    region: Annotated[str | None, typer.Option(help="the region whose fate it shares")] = None,
    holder: Annotated[str | None, typer.Option(help="who can open it")] = None,
    access: Annotated[str | None, typer.Option(help="how it is opened")] = None,
    lead_hours: Annotated[int | None, typer.Option(min=0, help="hours to reach it")] = None,
) -> Result:
    """Add a place where things can lie.

    \b
    Example: cardquorum location add bank --kind bank-vault --region lyon
    """
    from coordinator.custody import log as custody_log

    with context.book.begin() as db:
        added = custody_log.add_location(
            db, name, kind, region=region, holder=holder, access=access, lead_hours=lead_hours
        )
    return Result(added, [f"location {name} ({kind})"])


def list_locations(context: Context) -> Result:
    """List the places and what lies there.

    \b
    Example: cardquorum location list
    """
    from coordinator.custody import log as custody_log

    with context.book.begin() as db:
        found = custody_log.locations(db)
    header = ("location", "kind", "region", "holder", "items")
    rows = [(f.name, f.kind, f.region, f.holder, ", ".join(f.items)) for f in found]
    return Result({"locations": found}, columns(rows, *header))


def edit_location(
    context: Context,
    name: Name,
    new: Annotated[str | None, typer.Option("--name", help="its right name")] = None,
    kind: Annotated[
        str | None, typer.Option(help="bank-vault, friend, home, office or other")
    ] = None,
    region: Annotated[str | None, typer.Option(help="the region; '' for none")] = None,
    holder: Annotated[str | None, typer.Option(help="who can open it; '' for nobody")] = None,
    access: Annotated[str | None, typer.Option(help="how it is opened; '' for nothing")] = None,
    lead_hours: Annotated[int | None, typer.Option(min=0, help="hours to reach it")] = None,
) -> Result:
    """Correct what was said of a place.

    The book keeps the old name in what it told before; what lies there comes along.

    \b
    Example: cardquorum location edit bnak --name bank --region lyon
    """
    from coordinator.custody import corrections

    change = corrections.PlaceChange(new, kind, region, holder, access, lead_hours)
    with context.book.begin() as db:
        found = corrections.edit_location(db, name, change)
    return Result(found, [f"location {found.name} ({found.kind})"])


def remove_location(context: Context, name: Name) -> Result:
    """Give up a place where nothing lies and nothing is written.

    \b
    Example: cardquorum location remove cellar
    """
    from coordinator.custody import corrections

    with context.book.begin() as db:
        found = corrections.remove_location(db, name)
    return Result(found, [f"location {found.name} is removed"])


def edit_holder(
    context: Context,
    who: Who,
    new: Annotated[str | None, typer.Option("--name", help="the right name")] = None,
    limit: Annotated[str | None, typer.Option(help="what they may hold", metavar="AMOUNT")] = None,
    contact: Annotated[str | None, typer.Option(help="how to reach them; '' for nothing")] = None,
) -> Result:
    """Correct what was said of a person.

    \b
    Example: cardquorum holder edit ant --name aunt --contact "+33 ..."
    """
    from coordinator.amounts import parse_amount
    from coordinator.custody import corrections

    limit_sats = parse_amount(limit) if limit else None
    with context.book.begin() as db:
        found = corrections.edit_holder(db, who, new=new, limit_sats=limit_sats, contact=contact)
    return Result(found, [f"holder {found.name}"])


def remove_holder(context: Context, who: Who) -> Result:
    """Forget a person who opens no place and knows no secret.

    \b
    Example: cardquorum holder remove uncle
    """
    from coordinator.custody import corrections

    with context.book.begin() as db:
        found = corrections.remove_holder(db, who)
    return Result(found, [f"holder {found.name} is removed"])


def show_location(context: Context, name: Name) -> Result:
    """Show a place and what lies there.

    \b
    Example: cardquorum location show bank
    """
    from coordinator.custody import log as custody_log

    with context.book.begin() as db:
        found = custody_log.location(db, name)
    return Result(found, fields(as_document(found)))


def add_holder(
    context: Context,
    who: Annotated[str, typer.Argument(help="a name")],
    limit: Annotated[str | None, typer.Option(help="what they may hold", metavar="AMOUNT")] = None,
    contact: Annotated[str | None, typer.Option(help="how to reach them")] = None,
) -> Result:
    """Add a person who can open a place.

    \b
    Example: cardquorum holder add aunt --contact "+33 ..."
    """
    from coordinator.amounts import parse_amount
    from coordinator.custody import log as custody_log

    limit_sats = parse_amount(limit) if limit else None
    with context.book.begin() as db:
        added = custody_log.add_holder(db, who, limit_sats, contact=contact)
    return Result(added, [f"holder {who}"])


def list_holders(context: Context) -> Result:
    """List the people and the places they can open.

    \b
    Example: cardquorum holder list
    """
    from coordinator.custody import log as custody_log

    with context.book.begin() as db:
        found = custody_log.holders(db)
    rows = [(f.name, f.limit_sats, ", ".join(f.locations), f.contact) for f in found]
    return Result({"holders": found}, columns(rows, "holder", "limit sat", "locations", "contact"))


def record(
    context: Context,
    item: Annotated[str, typer.Argument(help="what it is about, as card:blue")],
    event: Annotated[
        str,
        typer.Argument(
            help="placed, moved, seen, sealed, opened, lost, stolen, found, destroyed, corrected"
        ),
    ],
    at: Annotated[str | None, typer.Option(help="where", metavar="LOCATION")] = None,
    seal: Annotated[str | None, typer.Option(help="the bag's serial")] = None,
    by: Annotated[str | None, typer.Option(help="who did it")] = None,
    when: Annotated[str | None, typer.Option(help="ISO 8601, else now")] = None,
    note: Annotated[str | None, typer.Option(help="anything worth keeping")] = None,
    photo: Annotated[Path | None, typer.Option(help="a picture; its hash is kept")] = None,
) -> Result:
    """Write down what happened to a thing; never changed later.

    What happens to a bag happens to all that is sealed in it.

    \b
    Example: cardquorum custody record card:blue placed --at bank
    """
    from coordinator.cli.incident import response_document, response_lines
    from coordinator.custody import log as custody_log
    from coordinator.incident import response

    new_event = custody_log.NewEvent(item, event, at, seal, by, when, note, photo)
    with context.book.begin() as db:
        written, told = custody_log.record(db, new_event)
        left = response.after(db, custody_log.item_named(db, item), event)
    notices = sentences(told)
    lines = [f"event {written.id}: {written.item} {event}", *notices, written.hash]
    if not left.effects:
        return Result({"event": written, "notices": notices}, lines)
    document = {"event": written, "notices": notices, **response_document(left)}
    return Result(document, [*lines, *response_lines(left)])


def log(
    context: Context,
    item: Annotated[str | None, typer.Argument(help="one thing only, as card:blue")] = None,
    export: Annotated[
        Path | None, typer.Option(help="write the whole book as JSON lines", metavar="FILE")
    ] = None,
) -> Result:
    """Show the custody book.

    A book that was exported can be checked without this program: examples/check_book.py.

    \b
    Example: cardquorum custody log card:blue
    """
    from coordinator.custody import log as custody_log
    from coordinator.files import write_private
    from coordinator.home.operators import NOBODY

    with context.book.begin() as db:
        events = custody_log.events(db, item, home=context.home)
        verdict = custody_log.verify(db, None)
        whole = [f"{line}\n" for line in custody_log.exported(db)] if export else []
    if export is not None:
        write_private(export, "".join(whole).encode())
    rows: list[tuple[object, ...]] = [
        (e.id, e.happened_at.date().isoformat(), e.item, _what(e), e.location, e.note)
        for e in events
    ]
    header: tuple[str, ...] = ("event", "day", "item", "what", "where", "note")
    if context.home.server or any(e.operator != NOBODY for e in events):
        rows = [(*row, e.operator.short) for row, e in zip(rows, events, strict=True)]
        header = (*header, "by operator")
    lines = columns(rows, *header)
    if not verdict.valid:
        lines.append(f"ALTERED: the chain of hashes is broken at event {verdict.broken_at}")
    return _judged(verdict, lines, events=events)


def _what(event: "EventLine") -> str:
    corrected = event.corrected_by
    return event.event if corrected is None else f"{event.event} (corrected by {corrected})"


def verify(
    context: Context,
    head: Annotated[str | None, typer.Option(help="a printed head hash", metavar="HASH")] = None,
    accept: Accept = None,
) -> Result:
    """Check the chain of hashes and what operators signed; exit 5 if not.

    Each row that follows from others is held against them: keys, addresses, coins, payments,
    signatures, drills. Where operators share a database, every row they signed or changed is held
    against their signatures, and what differs, is gone or was slipped in is named.

    A book on a server that was rolled back is taken with --accept book_rolled_back, where it holds
    and contains the printed head.

    \b
    Example: cardquorum custody verify
    """
    from coordinator.custody import log as custody_log
    from coordinator.errors import UsageError
    from coordinator.home import known_heads, statement_checks
    from coordinator.incident import altered_rows

    taken = ROLLED_BACK in (accept or ())
    if taken and head is None:
        raise UsageError(f"--accept {ROLLED_BACK} needs a head on paper to compare: --head HASH")
    context.follows_book = not taken
    with context.book.begin() as db:
        verdict = custody_log.verify(db, head)
        signed = statement_checks.verify(context.home, db)
        contradictions = list(altered_rows.contradictions(context.home, db))
    if taken and verdict.valid and signed.fault is None and context.home.server:
        known_heads.forget(context.home)
        known_heads.follow(context.home, context.database)
    said = "holds" if verdict.valid else f"is broken at {verdict.broken_at or 'the head given'}"
    lines = [f"the book {said}", f"head {verdict.head}"]
    if verdict.sealed_texts:
        unread = counted(verdict.sealed_texts, "text")
        lines.append(f"{unread} sealed: without the passphrase not compared")
    result = _judged(verdict, lines)
    if signed.fault is not None:
        faults = [*signed.altered] if signed.fault in signed.altered else [signed.fault]
        result = result.also(*(f"ALTERED: {each}" for each in faults), WHAT_NOW, signed=signed)
    elif signed.statements:
        unknown = (f"of a key not approved here: {each}" for each in signed.unknown)
        hold = f"{counted(signed.statements, 'statement')} of operators hold"
        result = result.also(hold, *unknown, signed=signed)
    if contradictions:
        told = [f"ALTERED: {each}" for each in contradictions]
        result = result.also(*told, contradictions=contradictions)
    if signed.fault is None and not contradictions:
        return result
    return result.also(valid=False)._replace(status=ExitStatus.REFUSED)


def _judged(verdict: "Verdict", lines: list[str], **more: object) -> Result:
    """Return what was found of the book; texts that are sealed are told of where there are any."""
    document = {**more, **as_document(verdict)}
    if not verdict.sealed_texts:
        del document["sealed_texts"]
    return Result(document, lines, ExitStatus.DONE if verdict.valid else ExitStatus.REFUSED)


def seal(context: Context) -> Result:
    """Seal places, people and notes under a passphrase.

    Without it every command goes on working and shows location.1, holder.1 and so on. A
    passphrase that is forgotten loses these names only. Backups made before still hold them. On a
    server: seal before the first place is added, then it never sees one.

    \b
    Example: cardquorum custody seal
    """
    from coordinator.cli.attendant import seal_under
    from coordinator.errors import UsageError
    from coordinator.home import approvals
    from storage import sealing

    with context.database.begin() as db:
        sealed, scrubbed = sealing.is_sealed(db), sealing.is_scrubbed(db)
    if sealed and scrubbed:
        raise UsageError("places and people are sealed already")
    if sealed:
        sealing.scrub(context.database)
        lines, plain = ["an earlier sealing was cut off; now it is done"], 0
    else:
        lines, plain = [], seal_under(context.database, _chosen(context, PASSPHRASE))
        with context.database.begin() as db:
            sealing_key = sealing.sealing_key(db)
        if sealing_key is not None:
            approvals.approve_seal(context.home, sealing_key)
    if not context.home.server:
        return Result({"sealed": True}, [*lines, SEALED])
    left = [f"{counted(plain, 'row')} {LEFT_ON_SERVER}"] if plain else []
    return Result({"sealed": True, "were_plain": plain}, [*lines, SEALED_THERE, *left])


def unseal(context: Context) -> Result:
    """Keep places, people and notes as plain text again.

    \b
    Example: cardquorum custody unseal
    """
    from coordinator.home import approvals
    from storage import sealing

    _require_open(context)
    approvals.forget_seal(context.home)
    sealing.unseal_all(context.database)
    return Result({"sealed": False}, ["places, people and notes are plain text again"])


def passphrase(context: Context) -> Result:
    """Change the passphrase of a sealed home.

    With --pin-stdin: home.passphrase=OLD and home.new-passphrase=NEW. Copies made before still
    open with the old one; where somebody has both, unseal and seal again.

    \b
    Example: cardquorum custody passphrase
    """
    from coordinator.cli.attendant import change_passphrase

    _require_open(context)
    change_passphrase(context.book, _chosen(context, NEW_PASSPHRASE))
    return Result({"sealed": True}, ["the passphrase was changed"])


def _require_open(context: Context) -> None:
    """Raise UsageError where nothing is sealed, SealLocked where nobody gives the passphrase."""
    from coordinator.errors import UsageError
    from storage import sealing
    from storage.private_rows import opening_key_of

    with context.book.begin() as db:
        if not sealing.is_sealed(db):
            raise UsageError("places and people are not sealed")
        opening_key_of(db)


def _chosen(context: Context, name: str) -> "Secret":
    """Return a passphrase to be set, from standard input or typed twice."""
    from cards.pin import Secret
    from coordinator.cli.attendant import ask_twice
    from coordinator.errors import PassphraseMissing, UsageError

    chosen = context.passphrases.get(name)
    if chosen is None and context.stdin is None:
        typed = ask_twice("new passphrase for places and people: ", "passphrases")
        chosen = context.closing.enter_context(Secret(typed)) if typed else None
    if chosen is None:
        raise PassphraseMissing(name)
    if len(chosen) < LENGTH_MIN:
        raise UsageError(f"a passphrase has at least {LENGTH_MIN} bytes, not {len(chosen)}")
    return chosen


COMMANDS = {
    "location": {
        "add": add_location,
        "edit": edit_location,
        "remove": remove_location,
        "list": list_locations,
        "show": show_location,
    },
    "holder": {
        "add": add_holder,
        "edit": edit_holder,
        "remove": remove_holder,
        "list": list_holders,
    },
    "custody": {
        "record": record,
        "log": log,
        "verify": verify,
        "seal": seal,
        "unseal": unseal,
        "passphrase": passphrase,
    },
}
