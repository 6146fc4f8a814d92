"""What something lost, stolen, found or destroyed costs each vault, and what to do now."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coordinator.incident.response import IncidentResponse


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
    from coordinator.audit.findings import keys
    from coordinator.incident.response import hours_text

    for effect in left.effects:
        able = "can still be spent" if effect.can_spend else "can NOT be spent any more"
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
