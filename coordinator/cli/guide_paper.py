"""The paper a vault comes from: asked for and read, and the vault rebuilt from it to try it out."""

import re
import shlex
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from coordinator.cli.context import Context, Globals
from coordinator.cli.prompts import ask_text, paragraph

if TYPE_CHECKING:
    from coordinator.guide.facts import GuideFacts

TYPED: Final = "-"
KIT_FILE: Final = re.compile(r"(?P<name>.+)-(?:descriptor\.txt|encrypted\.txt|kit\.pdf)")
MONEY: Final = re.compile(r"\b[xyzYZ]pub[1-9A-HJ-NP-Za-km-z]{50}")


class Paper(NamedTuple):
    """What somebody holds of a vault: files, or - for what is typed.

    `known` is what it tells at once, by the name it is asked for.
    """

    files: Sequence[str]
    encrypted: bool
    known: dict[str, str]


def paper_asked() -> Paper:
    """Ask for what there is of a vault, until it is something that can be read."""
    paragraph(
        "Give the name of the kit's file or PDF, or of a picture of each of its codes, all of them "
        "here, in any order; - to type the numbered lines from the paper."
    )
    told = ask_text("File, or -:", check=wrong_with)
    if told == TYPED:
        return Paper([told], encrypted=False, known={"FILE": told})
    return _read(_named(told))


def _named(told: str) -> list[str]:
    """Return the files that were named, one with blanks in its name too; raises UsageError."""
    from coordinator.errors import UsageError

    if Path(told).expanduser().is_file():
        return [str(Path(told).expanduser())]
    try:
        return [str(Path(name).expanduser()) for name in shlex.split(told)]
    except ValueError as failure:
        raise UsageError("a quotation mark is missing") from failure


def _read(files: Sequence[str]) -> Paper:
    """Return what files tell before they are used; raises CoordinatorError, OSError."""
    from coordinator.interop.qr_pictures import read_files
    from coordinator.recovery.recover import is_encrypted, joined

    data = read_files(files)
    locked, known = is_encrypted(data), {"FILE": shlex.join(files)}
    named = KIT_FILE.fullmatch(Path(files[0]).name)
    if named is not None:
        known["NAME"] = named["name"]
    if not locked and MONEY.search(joined(data)) is not None:
        known["NETWORK"] = "mainnet"
    return Paper(files, locked, known)


def wrong_with(told: str) -> str | None:
    """Say why files cannot be used, nothing where they can."""
    from coordinator.errors import CoordinatorError

    if told == TYPED:
        return None
    try:
        files = _named(told)
        missing = [name for name in files if not Path(name).is_file()]
        if missing or not files:
            return f"there is no file {missing[0]}" if missing else "something is wanted here"
        _read(files)
    except (CoordinatorError, OSError, RuntimeError) as failure:
        return str(failure)
    return None


def rebuilt(
    folder: Path, kits: Path, facts: "GuideFacts", *, name: str, run: Callable[[list[str]], bool]
) -> None:
    """Rebuild a vault from its kit in an empty home that is thrown away, and compare the two.

    Raises KeyboardInterrupt where they differ: nothing may be paid to it before that is mended.
    """
    paragraph("First the paper is tried: the vault is rebuilt from its kit in an empty folder.")
    found = sorted(kits.glob(f"{name}-*/{name}-descriptor.txt"))
    found = found or sorted(kits.glob(f"{name}-*/{name}-encrypted.txt"))
    if not found:
        paragraph(f"No kit of {name} is in {kits}: print one again to try it.")
        return
    checksum, addresses, xpub = _seen(folder, name)
    key = [] if found[0].name.endswith("descriptor.txt") else ["--key", xpub]
    with tempfile.TemporaryDirectory() as empty:
        home = ["--home", str(Path(empty) / "home"), "--quiet"]
        run(["init", "--network", str(facts.network), "--chain", "none:", *home])
        run(["recover", str(found[0]), "--name", name, *key, *home])
        same = _seen(Path(empty) / "home", name)[:2] == (checksum, addresses)
    if not same:
        paragraph("The vault from paper is NOT the one of this home. Stop, and pay nothing to it.")
        raise KeyboardInterrupt
    paragraph("It is the same vault, with the same first addresses: the paper is enough.")


def _seen(folder: Path, name: str) -> tuple[str | None, list[str], str]:
    """Return a vault's checksum and first addresses, from its keys, and what its cards tell."""
    from coordinator.home.stored_policies import computed_checksum, stored_policy
    from coordinator.recovery.recover import first_addresses
    from psbt.keys import format_xpub
    from storage import vaults as vault_book

    with Context(Globals(home=folder)) as opened, opened.database.begin() as db:
        vault = vault_book.vault_named(db, name)
        policy = stored_policy(vault)
        xpub = format_xpub(policy.keys[0].key, policy.network)
        return computed_checksum(vault), first_addresses(vault), xpub
