"""emulate: cards made of software, for trying and testing."""

from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.desk import Desk
from coordinator.cli.output import Shown, columns

if TYPE_CHECKING:
    from coordinator.emulated import EmulatedCard

Name = Annotated[str, typer.Argument(help="the emulated card's name")]


def new(
    desk: Desk,
    family: Annotated[str, typer.Argument(help="the family, as satochip")],
    name: Name,
    profile: Annotated[str | None, typer.Option(help="the applet's version")] = None,
    no_setup: Annotated[bool, typer.Option("--no-setup", help="leave it factory-fresh")] = False,
) -> Shown:
    """Make an emulated card with PIN 123456 and a random key.

    \b
    Example: cardquorum emulate new satochip blue
    """
    from coordinator import emulated

    card = emulated.create(desk.home, family, name, profile, set_up=not no_setup)
    state = "factory-fresh" if no_setup else "PIN 123456"
    return Shown(_document(card), [f"emulated {family} {name}: {state}"])


def list_cards(desk: Desk) -> Shown:
    """List the emulated cards of this home.

    \b
    Example: cardquorum emulate list
    """
    from coordinator import emulated

    cards = emulated.listed(desk.home)
    rows = [
        (c.name, c.identity.card_id[:16], *c.identity[1:5])
        if c.identity
        else (c.name, str(c.error), "", "", "", "")
        for c in cards
    ]
    header = ("name", "card id", "family", "version", "set up", "attempts left")
    return Shown({"cards": [_document(card) for card in cards]}, columns(rows, *header))


def remove(desk: Desk, name: Name) -> Shown:
    """Delete an emulated card and its key.

    \b
    Example: cardquorum emulate remove blue
    """
    from coordinator import emulated

    emulated.remove(desk.home, name)
    return Shown({"removed": name, "emulated": True}, [f"emulated card {name} removed"])


def _document(card: "EmulatedCard") -> dict[str, object]:
    identity = card.identity._asdict() if card.identity else {}
    error = str(card.error) if card.error else None
    return {"name": card.name, "emulated": True, **identity, "error": error}


COMMANDS = {
    "emulate": {
        "new": new,
        "list": list_cards,
        "remove": remove,
    },
}
