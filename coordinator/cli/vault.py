"""vault: a policy with a name, made from cards and proved by them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli import input_files, recovery_options
from coordinator.cli.context import Context
from coordinator.cli.options import (
    Accept,
    Checksum,
    EmulatedMany,
    LastTry,
    PinStdin,
    ReaderMany,
    VaultName,
    Wait,
)
from coordinator.cli.output import columns, danger_lines, notice_lines
from coordinator.cli.parameters import in_order
from coordinator.cli.result import ExitStatus, Result, as_document

if TYPE_CHECKING:
    from coordinator.home.settings import Home
    from coordinator.vault.vaults import Imported, VaultShown
    from coordinator.wallet.refresh_state import RefreshState

BIRTHDAY_FIELDS = (
    "birthday", "birthday_height", "looked_from", "tip", "reach", "earlier_unknown",
)  # fmt: skip
Birthday = Annotated[str | None, typer.Option(help="when it was first used", metavar="DATE|HEIGHT")]


def create(
    context: Context,
    name: VaultName,
    threshold: Annotated[int, typer.Option(min=1, max=15, help="signatures needed")],
    card: Annotated[
        list[str] | None, typer.Option(help="an enrolled card", metavar="LABEL")
    ] = None,
    key: Annotated[
        list[str] | None, typer.Option(help="a key held elsewhere", metavar="LABEL[=EXPRESSION]")
    ] = None,
    script: Annotated[str, typer.Option(help="the script type: wsh, sh-wsh, sh or tr")] = "wsh",
    recovery_after: recovery_options.After = None,
    recovery_at: recovery_options.At = None,
    recovery_threshold: recovery_options.Threshold = None,
    recovery_card: recovery_options.Card = None,
    recovery_key: recovery_options.Key = None,
    birthday: Birthday = None,
    accept: Accept = None,
) -> Result:
    """Make a vault from enrolled cards and keys held elsewhere.

    Refused where a card could not sign for the script type. Its public keys are sorted. Others
    may be able to spend after a wait: so many blocks after a payment, or from a block on. A
    second such wait is stage 2: its keys are written 2:LABEL. The cards of the vault may sign then
    too, fewer of them.

    With --script tr it is a quorum in a leaf of taproot. That takes cards that proved when they
    were enrolled that they sign so: Keycard 4.0, Satochip from 0.14-0.5. Enrol them with
    --path 48h/0h/0h/3h, off mainnet 48h/1h/0h/3h.

    \b
    Example: cardquorum vault create family --threshold 2 --card a --card b --card c
    """
    from coordinator.vault import vaults

    context.freshen()
    later = recovery_options.branch_plans(
        context.order,
        after=recovery_after,
        at=recovery_at,
        thresholds=recovery_threshold,
        cards=recovery_card,
        keys=recovery_key,
    )
    keys = [
        f"card:{text}" if option == "card" else text
        for option, text in in_order(context.order, card=card, key=key)
    ]
    plan = vaults.VaultPlan(name, threshold, (), tuple(keys), script, birthday, later)
    with context.database.begin() as db:
        vault = vaults.create(context.home, db, plan, accepted=accept)
        made, odd = vaults.shown(context.home, db, vault), vaults.warnings(vault)
    told = [f"warning: {each.message} ({each.code})" for each in odd]
    return Result(made, _lines(made, context.home)).also(*told, warnings=odd)


def verify(
    context: Context,
    name: VaultName,
    reader: ReaderMany = None,
    emulated: EmulatedMany = None,
    pin_stdin: PinStdin = False,
    last_attempt: LastTry = False,
    wait: Wait = None,
    accept: Accept = None,
) -> Result:
    """Have each card offered prove that its key is the stored one.

    With fewer readers than cards the next card is asked for by name: for 5 minutes, or --wait.

    \b
    Example: cardquorum vault verify family --emulated blue
    """
    from coordinator.audit import acceptance
    from coordinator.vault import key_proofs

    attendant, slots, wait_policy = context.cards_offered(
        name, reader, emulated,
        wait=wait, last_attempt=last_attempt, pin_stdin=pin_stdin, accepted=accept,
    )  # fmt: skip
    proofs = key_proofs.verify_vault(
        context.database, name, slots, attendant=attendant, wait_policy=wait_policy
    )
    with context.vault(name) as (_, vault):
        differs = acceptance.differing(context.home, vault)
    proofs.mismatches.extend(key_proofs.Mismatch(None, None, each) for each in differs)
    lines = [
        *(f"proved: {label}" for label in proofs.verified),
        *(f"never proved: {label}" for label in proofs.missing),
        *(f"MISMATCH {m.cosigner or name}: {m.reason}" for m in proofs.mismatches),
    ]
    status = ExitStatus.REFUSED if proofs.mismatches else ExitStatus.DONE
    return Result(proofs, lines, status)


def import_vault(
    context: Context,
    name: Annotated[str, typer.Option(help="the new vault's name")],
    file: Annotated[
        list[str] | None,
        typer.Argument(help="another wallet's file, or - for stdin", metavar="FILE"),
    ] = None,
    birthday: Birthday = None,
    checksum: Checksum = None,
    format_: Annotated[
        str | None, typer.Option("--format", help="read it as this format", metavar="FORMAT")
    ] = None,
    wallet: Annotated[
        str | None, typer.Option(help="which of its wallets", metavar="NAME|CHECKSUM")
    ] = None,
    token: Annotated[
        str | None, typer.Option(help="opens an encrypted BSMS record", metavar="TOKEN")
    ] = None,
    camera: input_files.Camera = False,
    device: input_files.Device = 0,
    accept: Accept = None,
) -> Result:
    """Make a vault from another wallet's file, or from an export of ours.

    Recognised by itself: descriptors, Bitcoin Core, BSMS, Coldcard and its dialects, Caravan,
    Specter, Electrum, Sparrow, Jade, BIP 388, Liana; BBqr and UR codes as text or pictures, in
    several files, or before a --camera. It is looked for by the next sync: from the birthday given,
    else the one in the file, else from the first block. A policy that is here already stays the
    vault it is; an earlier birthday is taken.

    \b
    Example: cardquorum vault import family.txt --name family
    """
    from coordinator.interop import recognition
    from coordinator.vault import vaults
    from psbt.network import Network

    context.freshen()
    plan = vaults.VaultPlan(name, 0, (), birthday=birthday)
    said = recognition.Given(format_, wallet, token)
    network = Network(context.home.network)
    data = input_files.read(file, camera=camera, device=device)
    with input_files.named(file):
        found_in_file = recognition.read_bytes(data, network, input_files.name(file), given=said)
    with context.database.begin() as db:
        found = vaults.import_wallet(
            context.home, db, plan, file=found_in_file, checksum=checksum, accepted=accept
        )
        shown = vaults.shown(context.home, db, found.vault)
    lines = [*imported_lines(found, shown), *_lines(shown, context.home)]
    return Result(imported_document(found, shown), lines)


def export(
    context: Context,
    name: VaultName,
    format_: Annotated[
        str, typer.Option("--format", help="descriptor, core, bsms, coldcard … or json")
    ] = "descriptor",
) -> Result:
    """Print a vault as other wallets read it.

    Formats: descriptor (multipath), pair, core, bsms, coldcard, caravan, specter, specter-diy,
    electrum, sparrow, bip388, jade, ur, ur-output-descriptor, bbqr, json.

    \b
    Example: cardquorum vault export family --format bsms
    """
    from coordinator.audit import acceptance
    from coordinator.cli.output import as_text
    from coordinator.interop import writing
    from coordinator.vault import vaults
    from psbt.network import Network

    with context.vault(name) as (db, vault):
        acceptance.refuse_other_policy(context.home, vault)
        shown = vaults.shown(context.home, db, vault)
        if format_ == "json":
            parts = [as_text(shown).rstrip()]
        else:
            file = vaults.wallet_file_of(vault)
            parts = writing.write(file, Network(context.home.network), format_)
    text = "\n".join(parts)
    said = {"vault": name, "format": format_, "descriptor": shown.descriptor}
    return Result({**said, "text": text, "parts": parts}, text.rstrip("\n").split("\n"))


def list_vaults(context: Context) -> Result:
    """List the vaults of this home.

    \b
    Example: cardquorum vault list
    """
    from coordinator.vault import vaults

    with context.database.begin() as db:
        found = vaults.listed(db)
    rows = [(v.name, f"{v.threshold}-of-{v.total}", v.checksum, v.state) for v in found]
    return Result({"vaults": found}, columns(rows, "name", "quorum", "checksum", "state"))


def show(context: Context, name: VaultName) -> Result:
    """Show a vault, its keys and what carries them.

    \b
    Example: cardquorum vault show family
    """
    from coordinator.audit import acceptance
    from coordinator.home import statement_checks
    from coordinator.home.operators import NOBODY
    from coordinator.vault import vaults
    from coordinator.wallet.refresh_state import refresh_state

    context.freshen(name)
    with context.vault(name) as (db, vault):
        acceptance.refuse_other_policy(context.home, vault)
        found = acceptance.vault_dangers(context.home, db, vault)
        shown, state = vaults.shown(context.home, db, vault), refresh_state(db, vault)
        said = statement_checks.of_vault(context.home, db, vault)
    lines = [*danger_lines(name, found), *_lines(shown, context.home)]
    if context.home.server or said.made_by != NOBODY:
        lines.append(f"made by: {said.made_by.words}")
    if said.approved_by:
        lines.append(f"approved by: {'; '.join(each.words for each in said.approved_by)}")
    by = {"operator": said.made_by, "approved_by": said.approved_by}
    document = as_document(shown, dangers=found, refresh=state, **by)
    return Result(document, [*lines, *_refresh_lines(state)])


def birthday(
    context: Context,
    name: VaultName,
    moment: Annotated[
        str, typer.Argument(help="when it was first used, at the latest", metavar="DATE|HEIGHT")
    ],
) -> Result:
    """Set from when on the chain is looked through for a vault.

    Where that is earlier than what was looked through, the next sync looks again. Block 0 is the
    beginning.

    \b
    Example: cardquorum vault birthday family 2021-03-04
    """
    from coordinator.vault import vaults

    context.freshen(name)
    with context.vault(name) as (db, vault):
        vaults.set_birthday(context.home, db, vault, text=moment)
        shown = vaults.shown(context.home, db, vault)
    document = {"vault": name, **{field: getattr(shown, field) for field in BIRTHDAY_FIELDS}}
    return Result(document, looked_lines(shown, context.home))


def rhythm(
    context: Context,
    name: VaultName,
    every: Annotated[
        int, typer.Option(min=0, max=120, help="how often, 0 for no rhythm", metavar="MONTHS")
    ],
) -> Result:
    """Set how often you want to move a vault's coins to itself.

    It is shown among what is due, counted from the oldest coin; a vault with later branches is
    due by their wait as well. See: spend refresh.

    \b
    Example: cardquorum vault rhythm family --every 6
    """
    from coordinator.wallet.refresh_state import refresh_state

    with context.vault(name) as (db, vault):
        vault.refresh_months = every or None
        db.flush()
        state = refresh_state(db, vault)
    told = f"every {every} months" if every else "none"
    return Result(
        {"vault": name, "refresh_months": every or None, "refresh": state},
        [f"rhythm of vault {name}: {told}", *_refresh_lines(state)],
    )


def _refresh_lines(state: "RefreshState | None") -> Iterator[str]:
    """Say when the coins are due to be moved to the vault itself."""
    from coordinator.wallet.refresh_state import day_of

    if state is not None:
        run = f", {state.percent} % of the wait have run" if state.percent is not None else ""
        yield f"coins are to be moved to the vault itself about {day_of(state.due)}{run}"


def approve(context: Context, name: VaultName, checksum: Checksum = None) -> Result:
    """Say that this vault is the one on your paper.

    Type the eight characters after # on the kit, and compare the first address. Needed once for
    a vault that was imported, recovered or restored; kept outside the database, so that nobody
    can change the vault there unnoticed.

    \b
    Example: cardquorum vault approve family
    """
    from coordinator.cli.attendant import ask_line
    from coordinator.errors import UsageError
    from coordinator.vault import vaults

    with context.vault(name) as (db, vault):
        shown = vaults.shown(context.home, db, vault)
    if checksum is None:
        context.say(f"first address {shown.first_address}: compare it with the paper")
        checksum = ask_line(f"checksum of vault {name}, the eight characters after #: ")
    if not checksum:
        raise UsageError("no checksum was given: type it from the paper, or add --checksum")
    with context.database.begin() as db:
        vault = vaults.approve(context.home, db, name, checksum=checksum)
        shown = vaults.shown(context.home, db, vault)
    return Result(shown, _lines(shown, context.home))


def retire(context: Context, name: VaultName) -> Result:
    """Mark a vault as no longer in use; nothing is deleted.

    \b
    Example: cardquorum vault retire old
    """
    from coordinator import clock
    from storage import vaults as vault_book

    with context.vault(name) as (db, record):
        retired = vault_book.retire(db, record, clock.now())
        document = {"vault": name, "retired_at": retired}
    return Result(document, [f"vault {name} is retired"])


def imported_document(found: "Imported", shown: "VaultShown") -> dict[str, object]:
    """Return the fields of a vault that came as text, and whether it was here already."""
    document = as_document(shown, found)
    del document["vault"]
    return document


def imported_lines(found: "Imported", shown: "VaultShown") -> list[str]:
    """Say what was odd in a file, and where its vault was here already."""
    odd = notice_lines(found.warnings)
    if not found.known:
        return odd
    older = "its birthday is earlier now" if found.widened else "nothing is changed"
    return [*odd, f"this policy is vault {shown.name} of this home already: {older}"]


def looked_lines(shown: "VaultShown", home: "Home") -> Iterator[str]:
    """Say how old a vault is, as far as anybody knows, and how far it was looked for."""
    from coordinator.chain import first_block
    from coordinator.wallet import scans

    born = scans.birthday_text(shown.birthday, shown.birthday_height)
    if born == "unknown":
        first = first_block(home.network, shown.descriptor)
        yield (
            f"first used: unknown, so it is looked for from block {first} on; where you know "
            f"better: cardquorum vault birthday {shown.name} DATE"
        )
    else:
        yield f"first used: {born} or later"
    yield scans.said(shown.name, shown.seen, home.chain)


def _lines(shown: "VaultShown", home: "Home") -> Iterator[str]:
    from coordinator.wallet.branches import wait_words

    yield (
        f"vault {shown.name}: {shown.threshold}-of-{shown.total} on {shown.network}, "
        f"checksum {shown.checksum}"
    )
    yield shown.descriptor
    yield f"first address {shown.first_address}"
    yield from looked_lines(shown, home)
    if not shown.approved:
        yield (
            "not approved on this computer: compare checksum and first address with the paper, "
            f"then: cardquorum vault approve {shown.name}"
        )
    for branch in shown.branches if len(shown.branches) > 1 else ():
        keys = ", ".join(branch.keys)
        yield f"{branch.name}: {branch.threshold} of {keys}, {wait_words(branch)}"
    for each in (*shown.cosigners, *shown.later_keys):
        carriers = ", ".join(each.carriers) or "held elsewhere"
        yield f"{each.index + 1}. {each.label}: {carriers} (key made on: {each.created_on})"
        if any(carrier.startswith("card:") for carrier in each.carriers):
            others = ", ".join(each.other_software) or "no other program that is known"
            yield f"   can also sign with it: {others}"


COMMANDS = {
    "vault": {
        "create": create,
        "verify": verify,
        "import": import_vault,
        "export": export,
        "list": list_vaults,
        "show": show,
        "approve": approve,
        "birthday": birthday,
        "retire": retire,
        "rhythm": rhythm,
    },
}
