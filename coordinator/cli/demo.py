"""demo: the main job from nothing, every step shown."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from coordinator.cli.context import Context
from coordinator.cli.output import ExitStatus, Result, counted


def demo(
    context: Context,
    cards: Annotated[str | None, typer.Option(help="three families", metavar="F1,F2,F3")] = None,
    inputs: Annotated[int, typer.Option(help="how many coins are spent")] = 3,
    keep: Annotated[
        Path | None, typer.Option(help="make the home here and keep it", metavar="DIR")
    ] = None,
) -> Result:
    """Watch a 2-of-3 vault made, funded, spent and audited.

    Emulated cards answer real card commands, and Bitcoin Core's own engine judges the
    result. With --keep the home stays; every card's PIN is 123456.

    \b
    Example: cardquorum demo --inputs 40 --keep ./try
    """
    from coordinator import demo as play
    from coordinator.cli.ceremony import review_lines
    from psbt.review import Review

    families = tuple(cards.split(",")) if cards else play.DEFAULT_CARDS
    wishes = play.Wishes(families, inputs)

    def show(review: Review) -> None:
        for line in review_lines(review):
            context.say(f"   {line}")

    guide = play.Guide(context.say, show)
    if keep is not None:
        document = play.run(keep, wishes, guide)
    else:
        with tempfile.TemporaryDirectory(prefix="cardquorum-") as folder:
            document = play.run(Path(folder) / "home", wishes, guide)
    lines = [
        f"transaction {document['txid']} is in block {document['height']}",
        f"{counted(document['signatures'], 'signature')} over "
        f"{counted(document['inputs'], 'input')}, "
        f"consensus: {document['consensus']}, {document['seconds']:.1f} s",
    ]
    status = ExitStatus.DONE if document["accepted"] else ExitStatus.REFUSED
    return Result(document, lines, status)


COMMANDS = {
    "": {
        "demo": demo,
    },
}
