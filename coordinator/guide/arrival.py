"""Why somebody starts the guide where no vault is known yet, and how a vault is brought back."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Final

from coordinator.guide import life_events, road
from coordinator.guide.facts import GuideFacts
from coordinator.guide.life_events import Advice
from coordinator.home.settings import OFFLINE
from coordinator.incident.step import Need, Step
from coordinator.notices import Severity
from coordinator.wallet import scans


class Reason(StrEnum):
    """Why somebody is here, as it is chosen."""

    NEW = "new"
    PAPERS = "papers"
    COMPUTER = "computer"
    DIED = "died"


TOLD: Final = {
    Reason.NEW: "I want a new vault",
    Reason.PAPERS: "I hold the papers of a vault",
    Reason.COMPUTER: "My computer with the vault is gone, or broken",
    Reason.DIED: "Somebody died, or can no longer act, and left cards or papers",
}


CARDS_ALONE: Final = (
    "Cards alone do not find the money: the vault's plan says which cards belong together, and "
    "every kit has it. Look for a kit at each place where a card lies, and ask those who helped. "
    "One that is locked opens with any card of the vault. Nothing is lost in the meantime."
)
NOTHING_FOUND: Final = (
    "Nothing was found in what was looked at. That does not mean that the money is gone: the look "
    "may have begun too late, or not gone far enough. Look again from the beginning and farther"
)


def rescan(vault: str) -> str:
    """Return the command that looks again from the beginning, and farther."""
    return f"cardquorum sync {vault} --rescan 0 --reach 200"


def first_words(reason: Reason) -> Iterator[Advice]:
    """Yield what somebody has to know before they do anything."""
    if reason is Reason.DIED:
        yield from life_events.first_hours()
        yield life_events.gathered(GuideFacts())
    if reason is Reason.COMPUTER:
        yield from life_events.computer_gone()


def home_back() -> Step:
    """Return the step that makes the home that a vault is brought back to."""
    return Step(
        "home_back",
        Severity.INFO,
        "make an empty folder for the vault on this computer",
        "it keeps what the papers say and what the cards tell, and no secret; nothing moves by it",
        ("init", "--network", Need("NETWORK"), "--chain", Need("CHAIN")),
    )


def backup_back() -> Step:
    """Return the step that restores a backup of the whole home."""
    return Step(
        "backup_back",
        Severity.INFO,
        "restore the backup into an empty folder of this computer",
        "it holds the vaults, places and payments as they were, and no secret that spends",
        ("restore", Need("FILE")),
    )


def show_card() -> Step:
    """Return the step that shows a card of the vault to this computer."""
    return Step(
        "card_back",
        Severity.INFO,
        "show a card of the vault to this computer",
        "a computer knows a card once it has seen it; this asks for the card's PIN, and stops "
        "after one wrong one",
        ("card", "enrol", road.LABEL),
    )


def vault_back(facts: GuideFacts) -> Step | None:
    """Return the step that brings the vault back from paper, then the first look; None after it."""
    vaults = facts.vaults_in_use
    if not vaults:
        return Step(
            "vault_back",
            Severity.INFO,
            "bring the vault back from its paper or file",
            "the paper says which cards belong together: it finds the money, and spends nothing",
            (
                *("recover", Need("FILE"), "--name", Need("NAME")),
                *("--checksum", Need("CHECKSUM"), "--birthday", Need("BIRTHDAY")),
            ),
        )
    unseen = [each for each in vaults if not each.looked]
    if not unseen or facts.chain == OFFLINE:
        return None
    return Step(
        "look_back",
        Severity.INFO,
        f"look for the money of vault {unseen[0].name}",
        "nobody looked yet, so nothing is known of what is there; it may take hours, can be cut "
        "off, and goes on the next time",
        tuple(scans.command_for(unseen[0].name, facts.chain).split()[1:]),
    )
