"""A vault is brought back: from its kit, from a backup, with the cards that are at hand."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from coordinator.cli.prompts import Choice, ask_text, choose, paragraph

if TYPE_CHECKING:
    from coordinator.guide.facts import GuideFacts
    from coordinator.incident.step import Step

KIT, BACKUP, CARDS = "kit", "backup", "cards"
TYPED: Final = "-"
KIT_FILE: Final = re.compile(r"(?P<name>.+)-(?:descriptor|encrypted)\.txt")
MONEY: Final = re.compile(rb"\b[xyzYZ]pub[1-9A-HJ-NP-Za-km-z]{50}")


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
    """What somebody holds of a vault: a file, or - for what is typed, and what it tells at once."""

    file: str
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
    guide.known["FILE"] = paper.file
    named = KIT_FILE.fullmatch(Path(paper.file).name)
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
        "Give the name of the kit's file or of a picture of its codes; - to type the numbered "
        "lines from the paper."
    )
    file = ask_text("File, or -:", check=wrong_with)
    if file == TYPED:
        return Paper(file, encrypted=False, network=None)
    return _read(file)


def _read(file: str) -> Paper:
    """Return what a file tells before it is used; raises CoordinatorError, OSError."""
    from coordinator.errors import UsageError
    from coordinator.interop.qr_pictures import read_files
    from coordinator.recovery.recover import PDF, is_encrypted

    path = str(Path(file).expanduser())
    data = read_files([path])
    if data.startswith(PDF):
        raise UsageError(
            "this is the paper itself: give - and type its lines, or a picture of its codes"
        )
    return Paper(path, is_encrypted(data), "mainnet" if MONEY.search(data) else None)


def wrong_with(file: str) -> str | None:
    """Say why a file cannot be used, nothing where it can."""
    from coordinator.errors import CoordinatorError

    if file == TYPED:
        return None
    try:
        if not Path(file).expanduser().is_file():
            return "there is no such file"
        _read(file)
    except (CoordinatorError, OSError, RuntimeError) as failure:
        return str(failure)
    return None
