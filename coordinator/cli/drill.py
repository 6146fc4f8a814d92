"""drill: have every key proved, card by card, where each lies."""

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from coordinator.cli.ceremony import outcome_document, outcome_line, worst
from coordinator.cli.context import Context
from coordinator.cli.options import (
    Accept,
    EmulatedMany,
    LastTry,
    PinStdin,
    ReaderMany,
    Wait,
    lower_case,
)
from coordinator.cli.output import columns
from coordinator.cli.result import ExitStatus, Result, as_document

Vault = Annotated[str, typer.Argument(help="the vault")]
Id = Annotated[str, typer.Argument(metavar="ID", help="the drill", parser=lower_case)]


def plan(context: Context, vault: Vault) -> Result:
    """Say where to go for a drill, the soonest first.

    \b
    Example: cardquorum drill plan family
    """
    from coordinator.vault import drills

    visits = drills.plan(context.book, vault)
    rows = [(v.location, v.lead_hours, ", ".join(v.cards)) for v in visits]
    warned = [f"location {v.location}: {v.warning.sentence}" for v in visits if v.warning]
    listed = [{**v._asdict(), "warning": v.warning and v.warning.sentence} for v in visits]
    document = {"vault": vault, "visits": listed}
    return Result(document, [*columns(rows, "place", "hours ahead", "cards"), *warned])


def start(context: Context, vault: Vault, accept: Accept = None) -> Result:
    """Open a drill: a message for the keys of a vault to sign.

    \b
    Example: cardquorum drill start family
    """
    from coordinator.vault import drills

    context.freshen(vault)
    drill_id = drills.start(context.home, context.database, vault, accepted=accept)
    return _shown(context, drill_id)


def sign(
    context: Context,
    drill: Id,
    reader: ReaderMany = None,
    emulated: EmulatedMany = None,
    pin_stdin: PinStdin = False,
    last_attempt: LastTry = False,
    wait: Wait = 0,
    accept: Accept = None,
) -> Result:
    """Have the cards offered prove their keys; no coin moves.

    Each card signs where it lies, so no reader waits for another one unless --wait says so.

    \b
    Example: cardquorum drill sign abcd2345 --emulated blue
    """
    from coordinator.vault import drills
    from storage import drills as drill_book

    with context.database.begin() as db:
        vault = drill_book.drill_named(db, drill).vault.name
    attendant, slots, wait_policy = context.cards_offered(
        vault, reader, emulated,
        wait=wait, last_attempt=last_attempt, pin_stdin=pin_stdin, accepted=accept,
    )  # fmt: skip
    outcomes = drills.sign(
        context.home,
        context.database,
        drill,
        offered=slots,
        attendant=attendant,
        wait_policy=wait_policy,
        accepted=accept,
    )
    shown = _shown(context, drill)
    lines = [*map(outcome_line, outcomes), *shown.lines]
    document = as_document(shown.document, cards=[*map(outcome_document, outcomes)])
    return Result(document, lines, worst(outcomes))


def show(context: Context, drill: Id) -> Result:
    """Show where a drill stands; every proof is verified anew.

    \b
    Example: cardquorum drill show abcd2345
    """
    return _shown(context, drill)


def list_drills(context: Context, vault: Vault) -> Result:
    """List the drills of a vault, newest first.

    \b
    Example: cardquorum drill list family
    """
    from coordinator.vault import drills
    from storage import drills as drill_book

    with context.vault(vault) as (db, record):
        found = [
            (drills.progress(each), each.started_at) for each in drill_book.drills_of(db, record)
        ]
    rows = [(p.drill, at.date(), p.state, f"{p.have} of {p.need}") for p, at in found]
    listed = [as_document(seen, complete=seen.complete, started_at=at) for seen, at in found]
    return Result({"drills": listed}, columns(rows, "drill", "begun", "state", "keys proved"))


def export(
    context: Context, drill: Id, file: Annotated[Path, typer.Argument(help="the file to write")]
) -> Result:
    """Write a drill's proofs to a file that anyone can check.

    \b
    Example: cardquorum drill export abcd2345 drill.json
    """
    from coordinator.cli.output import as_text
    from coordinator.files import write_private
    from coordinator.vault import drills
    from storage import drills as drill_book

    with context.database.begin() as db:
        found = drills.exported(drill_book.drill_named(db, drill))
    write_private(file, as_text(found).encode())
    return Result(as_document(found, file=file), [f"wrote {file}"])


def verify(
    context: Context, file: Annotated[str, typer.Argument(help="an exported drill, or - for stdin")]
) -> Result:
    """Check an exported drill; exit 5 if it lies.

    It needs no home, no card and no network. In a home that has a vault of that name the drill
    must be of that vault.

    \b
    Example: cardquorum drill verify drill.json
    """
    from coordinator.files import read_named
    from coordinator.vault import drills

    found = drills.verified(read_named(file), _own_descriptors(context))
    context.say(
        f"for vault {found.vault}, version {found.checksum}, first address {found.first_address}"
    )
    if not found.own:
        context.say("no vault of this home: compare version and address with the paper")
    context.say(f"message: {found.message}")
    status = ExitStatus.DONE if found.valid else ExitStatus.NOT_YET
    proof = found.bip322 or "not there yet"
    lines = [f"{found.have} keys proved, {found.need} needed; proof of the vault: {proof}"]
    return Result(found, lines, status)


def _own_descriptors(context: Context) -> dict[str, str]:
    """Return the descriptors of this home's vaults by name, computed; none without a home."""
    from coordinator.errors import SettingsError
    from coordinator.home.stored_policies import stored_policy
    from psbt.errors import PsbtError
    from psbt.policy import format_descriptor
    from storage import vaults as vault_book

    try:
        database = context.database
    except SettingsError:
        return {}
    found = {}
    with database.begin() as db:
        for vault in vault_book.all_vaults(db):
            with suppress(PsbtError):
                found[vault.name] = format_descriptor(stored_policy(vault))
    return found


def _shown(context: Context, drill_id: str) -> Result:
    from coordinator.vault import drills
    from storage import drills as drill_book

    with context.database.begin() as db:
        seen = drills.progress(drill_book.drill_named(db, drill_id))
    lines = [
        f"drill {seen.drill} of {seen.vault}: {seen.state}, {seen.have} of {seen.need}",
        f"message: {seen.message}",
        *(
            f"{'proved' if p.valid else 'INVALID'}: {p.cosigner} by card {p.card}"
            for p in seen.proofs
        ),
        f"still to prove: {', '.join(seen.missing) or 'nobody'}",
        *([f"proof of the vault (BIP 322): {seen.bip322}"] if seen.bip322 else []),
    ]
    broken = any(not proof.valid for proof in seen.proofs)
    status = ExitStatus.REFUSED if broken else ExitStatus.DONE
    return Result(as_document(seen, complete=seen.complete), lines, status)


COMMANDS = {
    "drill": {
        "plan": plan,
        "start": start,
        "sign": sign,
        "show": show,
        "list": list_drills,
        "export": export,
        "verify": verify,
    },
}
