"""The guide's first question: why somebody is here, what they want, or what happened."""

from typing import TYPE_CHECKING

from coordinator.cli.prompts import Choice, choose

if TYPE_CHECKING:
    from coordinator.guide.arrival import Reason
    from coordinator.guide.facts import GuideFacts
    from coordinator.guide.reports import Report
    from coordinator.guide.yearly import Wish


def reason_asked() -> "Reason":
    """Ask why somebody is here, where no vault is known yet."""
    from coordinator.guide.arrival import TOLD, Reason

    choices = [Choice(reason.value, title) for reason, title in TOLD.items()]
    return Reason(choose("Why are you here?", choices))


def wish_asked() -> "Wish":
    """Ask what somebody wants who has a vault."""
    from coordinator.guide.yearly import TOLD, Wish

    return Wish(choose("What is it about?", [Choice(wish.value, t) for wish, t in TOLD.items()]))


def vault_asked(facts: "GuideFacts") -> str:
    """Ask which vault is meant, where there are several."""
    names = [vault.name for vault in facts.vaults if vault.in_use]
    return names[0] if len(names) == 1 else choose("Which vault?", [Choice(n, n) for n in names])


def report_asked(facts: "GuideFacts") -> "tuple[Report, str]":
    """Ask what happened, and to which card, place or person."""
    from coordinator.guide.reports import TOLD, WHOLE, Report, subjects

    choices = [
        Choice(report.value, title)
        for report, title in TOLD.items()
        if report in WHOLE or subjects(report, facts)
    ]
    report = Report(choose("What happened?", choices))
    about = subjects(report, facts)
    subject = choose("Which one?", [Choice(each, each) for each in about]) if about else ""
    return report, subject
