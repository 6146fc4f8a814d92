"""demo: the main job from nothing, every step shown."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from coordinator.cli.context import Context
from coordinator.cli.output import counted
from coordinator.cli.result import ExitStatus, Result, as_document


def demo(
    context: Context,
    cards: Annotated[str | None, typer.Option(help="three families", metavar="F1,F2,F3")] = None,
    inputs: Annotated[int, typer.Option(help="how many coins are spent")] = 3,
    recovery: Annotated[
        bool, typer.Option("--recovery", help="later cards sweep it once their wait is over")
    ] = False,
    keep: Annotated[
        Path | None, typer.Option(help="make the home here and keep it", metavar="DIR")
    ] = None,
) -> Result:
    """Watch a 2-of-3 vault made, funded, spent and audited.

    Emulated cards answer real card commands, and Bitcoin Core's own engine judges the
    result. With --keep the home stays; every card's PIN is 123456. With --recovery three more
    cards may spend after a wait: they are refused one block early, then sweep the vault; the
    audit runs before and after.

    \b
    Example: cardquorum demo --inputs 40 --keep ./try
    """
    from coordinator import demo as play
    from coordinator.cli.audit import audited_document
    from coordinator.cli.ceremony import review_lines
    from psbt.review import Review

    families = tuple(cards.split(",")) if cards else play.DEFAULT_CARDS
    wishes = play.Wishes(families, inputs, recovery)

    def show(review: Review) -> None:
        for line in review_lines(review):
            context.say(f"   {line}")

    guide = play.Guide(context.say, show)
    if keep is not None:
        played = play.run(keep, wishes, guide)
    else:
        with tempfile.TemporaryDirectory(prefix="cardquorum-") as folder:
            played = play.run(Path(folder) / "home", wishes, guide)
    paid = played.paid
    lines = [
        f"transaction {paid.txid} is in block {paid.height}",
        f"{counted(paid.signatures, 'signature')} over {counted(paid.inputs, 'input')}, "
        f"consensus: {paid.consensus}, {played.seconds:.1f} s",
    ]
    document = {
        "vault": played.vault,
        "descriptor": played.descriptor,
        "funding_txids": played.funding_txids,
        **as_document(paid),
        "audit": audited_document(played.audit),
        "seconds": played.seconds,
    }
    if played.recovery is not None:
        before = audited_document(played.recovery.audit_before)
        document["recovery"] = as_document(played.recovery, audit_before=before)
    return Result(document, lines, ExitStatus.DONE if paid.accepted else ExitStatus.REFUSED)


COMMANDS = {"": {"demo": demo}}
