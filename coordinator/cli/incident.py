"""card lost, stolen, found, destroyed: what that costs each vault, and what to do now."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.context import Context
from coordinator.cli.options import CardLabel
from coordinator.cli.output import sentences
from coordinator.cli.result import Result

if TYPE_CHECKING:
    from coordinator.incident.response import IncidentResponse

When = Annotated[str | None, typer.Option(help="ISO 8601, else now")]
Note = Annotated[str | None, typer.Option(help="anything worth keeping")]
TELLS = {
    "lost": "Record that a card is lost, and say what to do now.",
    "stolen": "Record that a card was stolen, and say what to do now.",
    "found": "Record that a card was found, and say what to check.",
    "destroyed": "Record that a card is destroyed, and what to do now.",
}


def _verb(event: str) -> Callable[..., Result]:
    def happened(
        context: Context, label: CardLabel, when: When = None, note: Note = None
    ) -> Result:
        from coordinator.custody import log as custody_log
        from coordinator.incident import response
        from storage import cards as card_book

        with context.book.begin() as db:
            item = card_book.card_named(db, label).item
            new_event = custody_log.NewEvent(f"card:{label}", event, when=when, note=note)
            written, told = custody_log.record(db, new_event)
            left = response.after(db, item, event)
        notices = sentences(told)
        document = {"card": label, "event": written, "notices": notices, **response_document(left)}
        lines = [f"card {label}: recorded as {event}", *notices]
        return Result(document, [*lines, *response_lines(left)])

    happened.__name__ = event
    happened.__doc__ = f"""{TELLS[event]}

    \b
    Example: cardquorum card {event} blue
    """
    return happened


def response_document(left: "IncidentResponse") -> dict[str, object]:
    """Return what an event costs each vault, and the steps in order."""
    steps = [
        {"what": step.title, "command": step.command, "within_hours": step.within_hours}
        for step in left.steps
    ]
    effect = {
        "can_spend": all(each.can_spend for each in left.effects),
        "thief_can_spend": any(each.thief_can_spend for each in left.effects),
        "resists": dict(left.resists),
        "vaults": left.effects,
    }
    return {"effect": effect, "steps": steps}


def response_lines(left: "IncidentResponse") -> Iterator[str]:
    """Return for people what is still possible, what a thief can do, and the steps in order."""
    from coordinator.audit.facts import keys
    from coordinator.incident.response import hours_text

    for effect in left.effects:
        able = "can still be spent" if effect.can_spend else "can NOT be spent any more"
        if effect.waits is not None:
            able = f"cannot be spent until {effect.waits}"
        yield (
            f"vault {effect.vault} {able}: {keys(effect.keys_left)} left, "
            f"{effect.threshold} are needed"
        )
        if effect.thief_can_spend:
            yield f"a thief CAN spend vault {effect.vault}: he may have {keys(effect.keys_taken)}"
        elif effect.keys_taken:
            yield (
                f"a thief cannot spend vault {effect.vault}: he may have {effect.keys_taken} "
                f"of {effect.threshold} keys needed"
            )
    for subject, theft in left.resists:
        yield f"{subject} resists: {theft.sentence}"
    for number, step in enumerate(left.steps, 1):
        yield f"{number}. {hours_text(step.within_hours)}: {step.title}"
        if step.command:
            yield f"   {step.command}"


COMMANDS = {event: _verb(event) for event in TELLS}
