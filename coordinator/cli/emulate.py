"""emulate: cards made of software, for trying and testing."""

from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.context import Context
from coordinator.cli.output import columns
from coordinator.cli.result import Result

if TYPE_CHECKING:
    from coordinator.readers.slots import Found

Name = Annotated[str, typer.Argument(help="the emulated card's name")]


def new(
    context: Context,
    family: Annotated[str, typer.Argument(help="the family, as satochip")],
    name: Name,
    profile: Annotated[str | None, typer.Option(help="the applet's version")] = None,
    variant: Annotated[
        str | None, typer.Option(help="what is odd about it: uncertified; tapsigner: no-wait")
    ] = None,
    no_setup: Annotated[bool, typer.Option("--no-setup", help="leave it factory-fresh")] = False,
) -> Result:
    """Make an emulated card with PIN 123456 and a random key.

    \b
    Example: cardquorum emulate new satochip blue
    """
    from coordinator.readers import emulated

    card = emulated.create(
        context.home, family, name, profile=profile, set_up=not no_setup, variant=variant
    )
    state = "factory-fresh" if no_setup else "PIN 123456"
    return Result(_document(card), [f"emulated {family} {name}: {state}"])


def list_cards(context: Context) -> Result:
    """List the emulated cards of this home.

    \b
    Example: cardquorum emulate list
    """
    from coordinator.readers import emulated

    cards = emulated.listed(context.home)
    rows = [
        (name, card.card_id[:16], *card[1:5]) if card else (name, str(error), "", "", "", "")
        for name, card, error, _ in cards
    ]
    header = ("name", "card id", "family", "version", "set up", "attempts left")
    return Result({"cards": [_document(card) for card in cards]}, columns(rows, *header))


def serve(
    context: Context,
    names: Annotated[list[str], typer.Argument(help="emulated cards", metavar="NAME...")],
) -> Result:
    """Put emulated cards into virtual PC/SC readers until Ctrl-C.

    Any PC/SC program started with the environment it prints can use them, as user of this
    machine; the virtual readers listen on all of its network interfaces meanwhile.

    \b
    Example: cardquorum emulate serve blue red
    """
    import signal
    import threading

    from coordinator.cli.output import emit
    from coordinator.readers.serving import serving

    ended = threading.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, lambda *_: ended.set())
    with serving(context.home, names) as served:
        readers = [{"name": f"{n} 00 00", "card": n, "port": p} for n, p in served.readers.items()]
        lines = [
            *(f"card {r['card']} is in reader {r['name']}" for r in readers),
            *(f"export {name}={value}" for name, value in served.environment.items()),
        ]
        document = {"readers": readers, "environment": served.environment, "emulated": True}
        emit(Result(document, lines), as_json=context.as_json)
        ended.wait()
    return Result({}, shown=False)


def remove(context: Context, name: Name) -> Result:
    """Delete an emulated card and its key.

    \b
    Example: cardquorum emulate remove blue
    """
    from coordinator.readers import emulated

    emulated.remove(context.home, name)
    return Result({"removed": name, "emulated": True}, [f"emulated card {name} removed"])


def fault(
    context: Context,
    name: Name,
    what: Annotated[list[str], typer.Argument(metavar="FAULT...", help="the fault, as below")],
) -> Result:
    """Let something go wrong with an emulated card.

    Commands and answers are counted from now on, through every opening of the card. Once, at the
    Nth command, which is the next one unless N is given: `tear N before|after [INS]` takes the
    power away before or after the card has carried it out (INS: count this instruction only, in
    hex); `reset N [INS]` is another program's reset before it; `vanish N` answers nothing, as some
    readers do when their card is taken away; `sw HEX [N]` answers a status word in the card's
    place; `truncate BYTES [N]` leaves the first BYTES of the answer, status word and all;
    `oversize BYTES [N]` adds as many; `flip BIT
    [N]` turns one bit over, counted from the answer's first. Until taken back: `delay MS` for
    each command, `eject`. `insert` ends an ejection, `clear` everything.

    \b
    Example: cardquorum emulate fault blue tear 3 after
    """
    from cards.faults import words_of
    from coordinator.readers import emulated

    waiting = [words_of(each) for each in emulated.fault(context.home, name, " ".join(what))]
    told = ", ".join(waiting) or "nothing is to go wrong"
    return Result({"name": name, "faults": waiting, "emulated": True}, [f"{name}: {told}"])


def _document(found: "Found") -> dict[str, object]:
    identity = found.card._asdict() if found.card else {}
    error = str(found.error) if found.error else None
    return {"name": found.name, "emulated": True, **identity, "error": error}


COMMANDS = {
    "emulate": {"new": new, "list": list_cards, "serve": serve, "remove": remove, "fault": fault},
}
