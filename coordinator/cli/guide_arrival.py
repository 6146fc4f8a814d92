"""A vault is brought back: from its kit, from a backup, with the cards that are at hand."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from coordinator.cli.prompts import Choice, ask_text, choose, paragraph

if TYPE_CHECKING:
    from coordinator.guide.facts import GuideFacts
    from coordinator.incident.step import Step

KIT, BACKUP, CARDS = "kit", "backup", "cards"
TYPED: Final = "-"
KIT_FILE: Final = re.compile(r"(?P<name>.+)-(?:descriptor\.txt|encrypted\.txt|kit\.pdf)")
MONEY: Final = re.compile(r"\b[xyzYZ]pub[1-9A-HJ-NP-Za-km-z]{50}")


class Led(Protocol):
    """Somebody who is led in the home of a folder; `known` is what was answered beforehand."""

    folder: Path
    known: dict[str, str]

    def next(self) -> "tuple[GuideFacts, list[Step]]":
        """Return the facts of the home, and what is next."""
        ...

    def take(self, step: "Step", facts: "GuideFacts") -> bool:
        """Take a step; False where the person leaves it for later."""
        ...


class Paper(NamedTuple):
    """What somebody holds of a vault: files, or - for what is typed, and what it tells at once."""

    files: Sequence[str]
    encrypted: bool
    network: str | None


def brought_back(guide: Led) -> bool:
    """Bring a vault back and look for its money; False where that cannot be done now."""
    from coordinator.guide import arrival

    facts, _ = guide.next()
    choices = [
        Choice(KIT, "Its kit: a file, a picture of its codes, or the paper to type from"),
        Choice(BACKUP, "A backup of the folder on the old computer"),
        Choice(CARDS, "Cards, and nothing else"),
    ]
    has = choose("What is there?", choices)
    if has == CARDS:
        paragraph(arrival.CARDS_ALONE)
        return False
    if has == BACKUP:
        return _restored(guide)
    paper = paper_asked()
    guide.known["FILE"] = shlex.join(paper.files)
    named = KIT_FILE.fullmatch(Path(paper.files[0]).name)
    if named is not None:
        guide.known["NAME"] = named["name"]
    if paper.network is not None:
        guide.known["NETWORK"] = paper.network
    if facts.network is None and not guide.take(arrival.home_back(), facts):
        return False
    _cards_shown(guide)
    facts, _ = guide.next()
    if paper.encrypted and not facts.cards:
        paragraph("This file opens with a card of the vault: come back once one is at hand.")
        return False
    while (step := arrival.vault_back(facts)) is not None:
        if not guide.take(step, facts):
            break
        facts, _ = guide.next()
    names = [vault.name for vault in facts.vaults if vault.in_use and vault.looked]
    for name in names:
        say_what_nothing_means(facts, name)
    return any(vault.in_use for vault in facts.vaults)


def say_what_nothing_means(facts: "GuideFacts", name: str) -> None:
    """Say what it means where a look found nothing of a vault, and how to look again."""
    from coordinator.guide.arrival import NOTHING_FOUND, rescan

    if any(vault.name == name and not vault.received for vault in facts.vaults):
        paragraph(
            f"{NOTHING_FOUND}: {rescan(name)}. Compare the first address with the paper, too."
        )


def _restored(guide: Led) -> bool:
    """Restore a backup into the folder of this home, which must not exist yet."""
    from coordinator.guide import arrival

    facts, _ = guide.next()
    if facts.network is not None:
        paragraph(
            f"The folder {guide.folder} is begun already. Restore into another one, and call the "
            "guide for that: cardquorum restore FILE --home DIR, cardquorum guide --home DIR."
        )
        return False
    return guide.take(arrival.backup_back(), facts)


def _cards_shown(guide: Led) -> None:
    """Have each card shown that is at hand, until the person has no more."""
    from coordinator.guide import arrival

    while True:
        facts, _ = guide.next()
        if not guide.take(arrival.show_card(), facts):
            return


def paper_asked() -> Paper:
    """Ask for what there is of a vault, until it is something that can be read."""
    paragraph(
        "Give the name of the kit's file or PDF, or of a picture of each of its codes, all of them "
        "here, in any order; - to type the numbered lines from the paper."
    )
    told = ask_text("File, or -:", check=wrong_with)
    if told == TYPED:
        return Paper([told], encrypted=False, network=None)
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
    locked = is_encrypted(data)
    money = not locked and MONEY.search(joined(data)) is not None
    return Paper(files, locked, "mainnet" if money else None)


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
