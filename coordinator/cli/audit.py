"""audit: what a fire, a theft or a quarrel costs."""

from typing import Annotated

import typer

from coordinator.cli.desk import Desk
from coordinator.cli.output import ExitStatus, Shown

SEVERITIES = {"none": (), "warning": ("warning", "danger"), "danger": ("danger",)}


def audit(
    desk: Desk,
    vault: Annotated[str, typer.Argument(help="the vault to look at")],
    fail_on: Annotated[str, typer.Option(help="exit 5 on: none, warning or danger")] = "danger",
) -> Shown:
    """Say what the loss or theft of each place costs a vault.

    Exits 5 where a finding is as severe as --fail-on.

    \b
    Example: cardquorum audit family
    """
    from coordinator import facts
    from coordinator.errors import UsageError

    if fail_on not in SEVERITIES:
        raise UsageError(f"--fail-on {fail_on} is none of {', '.join(SEVERITIES)}")
    audited = facts.audited(desk.book, vault)
    found = audited.findings
    lines = [f"a thief of {each.card} alone: {each.theft.sentence}" for each in audited.resists]
    for each in found:
        lines += [
            f"{each.severity.value.upper()}: {each.message} ({each.code})",
            f"  -> {each.remedy}",
        ]
    if not found:
        lines.append(f"vault {vault}: nothing found")
    failed = any(each.severity.value in SEVERITIES[fail_on] for each in found)
    status = ExitStatus.REFUSED if failed else ExitStatus.DONE
    return Shown(audited._asdict(), lines, status)


COMMANDS = {
    "": {
        "audit": audit,
    },
}
