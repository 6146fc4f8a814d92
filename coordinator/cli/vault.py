"""vault: a policy with a name, made from cards and proved by them."""

from typing import Annotated, Any

import typer

from coordinator.cli.desk import Desk
from coordinator.cli.options import EmulatedMany, LastTry, PinStdin, ReaderMany, Wait
from coordinator.cli.output import ExitStatus, Shown, columns

Name = Annotated[str, typer.Argument(help="the vault's name")]
Checksum = Annotated[
    str | None,
    typer.Option(help="the eight characters after # on its paper", metavar="CHECKSUM"),
]
Birthday = Annotated[str | None, typer.Option(help="when it was first used", metavar="DATE|HEIGHT")]


def create(
    desk: Desk,
    name: Name,
    threshold: Annotated[int, typer.Option(min=1, max=15, help="signatures needed")],
    card: Annotated[
        list[str] | None, typer.Option(help="an enrolled card", metavar="LABEL")
    ] = None,
    key: Annotated[
        list[str] | None, typer.Option(help="a key held elsewhere", metavar="LABEL=EXPRESSION")
    ] = None,
    script: Annotated[str, typer.Option(help="the script type: wsh, sh-wsh or tr")] = "wsh",
    birthday: Birthday = None,
) -> Shown:
    """Make a vault from enrolled cards and keys held elsewhere.

    Refused where a card could not sign for the script type; this version makes wsh vaults.

    \b
    Example: cardquorum vault create family --threshold 2 --card a --card b --card c
    """
    from coordinator import vaults

    plan = vaults.VaultPlan(name, threshold, tuple(card or ()), tuple(key or ()), script, birthday)
    with desk.database.begin() as db:
        document = vaults.document(desk.home, db, vaults.create(desk.home, db, plan))
    return Shown(document, _lines(document))


def verify(
    desk: Desk,
    name: Name,
    reader: ReaderMany = None,
    emulated: EmulatedMany = None,
    pin_stdin: PinStdin = False,
    last_attempt: LastTry = False,
    wait: Wait = None,
) -> Shown:
    """Have each card offered prove that its key is the stored one.

    With fewer readers than cards the next card is asked for by name: for 5 minutes, or --wait.

    \b
    Example: cardquorum vault verify family --emulated blue
    """
    from coordinator import verify
    from coordinator.cli.gathering import gathered

    company = gathered(
        desk, name, reader, emulated, wait=wait, last_attempt=last_attempt, pin_stdin=pin_stdin
    )
    proofs = verify.verify_vault(
        desk.database, name, company.slots, company.attendant, company.manner
    )
    lines = [
        *(f"proved: {label}" for label in proofs.verified),
        *(f"never proved: {label}" for label in proofs.missing),
        *(f"MISMATCH {m.cosigner or name}: {m.reason}" for m in proofs.mismatches),
    ]
    status = ExitStatus.REFUSED if proofs.mismatches else ExitStatus.DONE
    return Shown(proofs._asdict(), lines, status)


def import_vault(
    desk: Desk,
    file: Annotated[str, typer.Argument(help="a file with a descriptor, or - for stdin")],
    name: Annotated[str, typer.Option(help="the new vault's name")],
    birthday: Birthday = None,
    checksum: Checksum = None,
) -> Shown:
    """Make a vault from a descriptor or exported JSON.

    \b
    Example: cardquorum vault import family.txt --name family
    """
    from coordinator import vaults
    from coordinator.files import read_text

    plan = vaults.VaultPlan(name, 0, (), birthday=birthday)
    text = read_text(file)
    with desk.database.begin() as db:
        vault = vaults.import_text(desk.home, db, plan, text, checksum)
        document = vaults.document(desk.home, db, vault)
    return Shown(document, _lines(document))


def export(
    desk: Desk,
    name: Name,
    format_: Annotated[str, typer.Option("--format", help="descriptor or json")] = "descriptor",
) -> Shown:
    """Print a vault's descriptor, for papers and other wallets.

    \b
    Example: cardquorum vault export family --format descriptor
    """
    from coordinator.cli.output import as_text
    from coordinator.errors import UsageError

    if format_ not in {"descriptor", "json"}:
        raise UsageError(f"format {format_} is not known here; there are descriptor and json")
    document = _document(desk, name)
    text = document["descriptor"] if format_ == "descriptor" else as_text(document).rstrip()
    shown = {"vault": name, "format": format_, "descriptor": document["descriptor"], "text": text}
    return Shown(shown, text.split("\n"))


def list_vaults(desk: Desk) -> Shown:
    """List the vaults of this home.

    \b
    Example: cardquorum vault list
    """
    from coordinator import vaults
    from storage import vaults as vault_book

    with desk.database.begin() as db:
        found = [
            {
                "name": vault.name,
                "network": vault.network,
                "threshold": vault.threshold,
                "total": len(vault.cosigners),
                "script": vault.script,
                "checksum": vault.checksum,
                "retired_at": vault.retired_at,
                **vaults.standing(db, vault),
            }
            for vault in vault_book.all_vaults(db)
        ]
    rows = [
        (v["name"], f"{v['threshold']}-of-{v['total']}", v["checksum"], v["state"]) for v in found
    ]
    return Shown({"vaults": found}, columns(rows, "name", "quorum", "checksum", "state"))


def show(desk: Desk, name: Name) -> Shown:
    """Show a vault, its keys and what carries them.

    \b
    Example: cardquorum vault show family
    """
    document = _document(desk, name)
    return Shown(document, _lines(document))


def approve(desk: Desk, name: Name, checksum: Checksum = None) -> Shown:
    """Say that this vault is the one on your paper.

    Type the eight characters after # on the kit, and compare the first address. Needed once for
    a vault that was imported, recovered or restored; kept outside the database, so that nobody
    can change the vault there unnoticed.

    \b
    Example: cardquorum vault approve family
    """
    from coordinator import vaults
    from coordinator.cli.attendant import ask_text
    from coordinator.errors import UsageError
    from storage import vaults as vault_book

    with desk.database.begin() as db:
        document = vaults.document(desk.home, db, vault_book.vault_named(db, name))
    if checksum is None:
        desk.say(f"first address {document['first_address']}: compare it with the paper")
        checksum = ask_text(f"checksum of vault {name}, the eight characters after #: ")
    if not checksum:
        raise UsageError("no checksum was given: type it from the paper, or add --checksum")
    with desk.database.begin() as db:
        vault = vaults.approve(desk.home, db, name, checksum)
        document = vaults.document(desk.home, db, vault)
    return Shown(document, _lines(document))


def retire(desk: Desk, name: Name) -> Shown:
    """Mark a vault as no longer in use; nothing is deleted.

    \b
    Example: cardquorum vault retire old
    """
    from coordinator import clock
    from storage import vaults as vault_book

    with desk.database.begin() as db:
        retired = vault_book.retire(db, vault_book.vault_named(db, name), clock.now())
        document = {"vault": name, "retired_at": retired}
    return Shown(document, [f"vault {name} is retired"])


def _document(desk: Desk, name: str) -> dict[str, Any]:
    from coordinator import dangers, vaults
    from storage import vaults as vault_book

    with desk.database.begin() as db:
        vault = vault_book.vault_named(db, name)
        dangers.refuse_other_policy(desk.home, vault)
        return vaults.document(desk.home, db, vault)


def _lines(document: dict[str, Any]) -> list[str]:
    lines = [
        f"vault {document['name']}: {document['threshold']}-of-{document['total']} on "
        f"{document['network']}, checksum {document['checksum']}",
        document["descriptor"],
        f"first address {document['first_address']}",
    ]
    if not document["approved"]:
        lines += [
            "not approved on this computer: compare checksum and first address with the paper, "
            f"then: cardquorum vault approve {document['name']}"
        ]
    for each in document["cosigners"]:
        carriers = ", ".join(each["carriers"]) or "held elsewhere"
        lines.append(
            f"{each['index'] + 1}. {each['label']}: {carriers} (key made on: {each['created_on']})"
        )
        if any(carrier.startswith("card:") for carrier in each["carriers"]):
            others = ", ".join(each["other_software"]) or "no other program that is known"
            lines.append(f"   can also sign with it: {others}")
    return lines


COMMANDS = {
    "vault": {
        "create": create,
        "verify": verify,
        "import": import_vault,
        "export": export,
        "list": list_vaults,
        "show": show,
        "approve": approve,
        "retire": retire,
    },
}
