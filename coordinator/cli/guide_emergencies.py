"""The guide's first question where there is a vault: whether something happened to it."""

from typing import TYPE_CHECKING

from coordinator.cli.prompts import Choice, choose

if TYPE_CHECKING:
    from coordinator.guide.facts import GuideFacts
    from coordinator.incident.step import Step

NOTHING = "nothing"


def report_wanted(facts: "GuideFacts") -> "list[Step]":
    """Ask what happened; return the first steps of that road, none where nothing did."""
    from coordinator.guide.reports import TOLD, WHOLE, Report, first_steps, subjects

    choices = [Choice(NOTHING, "Nothing: go on with what is next")]
    for report, title in TOLD.items():
        if report in WHOLE or subjects(report, facts):
            choices.append(Choice(report.value, title))
    answer = choose("Did anything happen?", choices)
    if answer == NOTHING:
        return []
    report = Report(answer)
    about = subjects(report, facts)
    subject = choose("Which one?", [Choice(each, each) for each in about]) if about else ""
    return first_steps(report, facts, subject)
