"""audit: what a fire, a theft or a quarrel costs."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.context import Context
from coordinator.cli.output import columns
from coordinator.cli.result import ExitStatus, Result, as_document

if TYPE_CHECKING:
    from coordinator.audit.auditing import Audited, Question
    from coordinator.audit.exposure import Kind
    from coordinator.audit.minimal_sets import MinimalSets
    from coordinator.audit.timeline import Start
    from coordinator.notices import Notice

SEVERITIES = {"none": (), "warning": ("warning", "danger"), "danger": ("danger",)}


def audit(
    context: Context,
    vault: Annotated[str, typer.Argument(help="the vault to look at")],
    lose: Annotated[list[str] | None, typer.Option(help="as if this was lost", metavar="X")] = None,
    steal: Annotated[
        list[str] | None, typer.Option(help="as if a thief had this", metavar="X")
    ] = None,
    at: Annotated[
        str | None, typer.Option(help="as of that date or block", metavar="DATE|HEIGHT")
    ] = None,
    hot: Annotated[
        str | None, typer.Option(help="what you hold outside of cards", metavar="AMOUNT")
    ] = None,
    hot_percent: Annotated[int, typer.Option(help="how much of all may be hot")] = 10,
    advisories: Annotated[
        Path | None, typer.Option(help="a signed list of known flaws", metavar="FILE")
    ] = None,
    advisory_key: Annotated[
        str | None, typer.Option(help="the public key whose lists you trust", metavar="HEX")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="write a page of it, that needs no network", metavar="FILE")
    ] = None,
    fail_on: Annotated[str, typer.Option(help="exit 5 on: none, warning or danger")] = "danger",
) -> Result:
    """Say what the loss or theft of each place costs a vault.

    Counts the smallest sets of places, regions, people, cards, families and makers whose loss
    makes the vault unspendable, or that let a thief spend. X is kind:name, as location:home.
    Where branches open later, says from about when and what changes then; --at looks at that day.
    Amounts are as of the last sync. Exits 5 where a finding is as severe as --fail-on.

    \b
    Example: cardquorum audit family --lose home --steal card:blue
    """
    from coordinator.audit import auditing
    from coordinator.names import require_known

    require_known("--fail-on", fail_on, SEVERITIES)
    asked = _question(
        lose, steal, at=at, hot=hot, hot_percent=hot_percent, file=advisories, key=advisory_key
    )
    context.freshen()
    found = auditing.audited(context.home, context.book, vault, asked=asked)
    if html is not None:
        from coordinator.audit.html import page
        from coordinator.files import write_private
        from coordinator.vault import drills

        write_private(html, page(context.database, found, drills.progress).encode())
        context.say(f"wrote {html}")
    failed = any(each.severity.value in SEVERITIES[fail_on] for each in found.findings)
    status = ExitStatus.REFUSED if failed else ExitStatus.DONE
    return Result({**audited_document(found), "html": html}, _lines(found), status)


def audited_document(found: "Audited") -> dict[str, object]:
    """Return the fields of `audit --json`."""
    return as_document(
        found,
        minimal_losses=_sets_document(found.minimal_losses),
        minimal_thefts=_sets_document(found.minimal_thefts),
        at=None if found.at is None else _start_document(found.at),
        timeline=[
            {
                **_start_document(period.start),
                "open": period.open,
                "opens": period.opens,
                "told": period.told,
                "minimal_losses": _sets_document(period.minimal_losses),
                "minimal_thefts": _sets_document(period.minimal_thefts),
            }
            for period in found.timeline
        ],
    )


def _start_document(start: "Start") -> dict[str, object]:
    """Return a block, or so many after a payment, and between which moments it is expected."""
    dates = start.expected or (None, None, None)
    named = dict(zip(("date", "earliest", "latest"), dates, strict=True))
    return {"height": start.height, "blocks": start.blocks, "about": start.about, **named}


def _sets_document(found: "Mapping[Kind, MinimalSets]") -> dict[str, object]:
    return {
        kind.value: {
            "count": least.count,
            "smallest": least.smallest,
            "complete": least.complete,
            "sets": [list(map(str, blocks)) for blocks in least.sets],
        }
        for kind, least in found.items()
    }


def _question(
    lose: list[str] | None,
    steal: list[str] | None,
    *,
    at: str | None,
    hot: str | None,
    hot_percent: int,
    file: Path | None,
    key: str | None,
) -> "Question":
    from coordinator.amounts import parse_amount
    from coordinator.audit.advisories import advisories
    from coordinator.audit.auditing import Question
    from coordinator.audit.facts import HotFacts
    from coordinator.errors import UsageError

    if file is not None and key is None:
        raise UsageError("--advisories needs --advisory-key: whose list it is")
    return Question(
        lose or (),
        steal or (),
        at,
        HotFacts(parse_amount(hot), hot_percent) if hot else None,
        advisories(file, key) if file and key else (),
    )


def _lines(found: "Audited") -> Iterator[str]:
    """Yield the verdict, what is grave, what a loss or a theft takes, and the rest."""
    from coordinator.audit.verdict import (
        OVER_TIME,
        as_of,
        least_over_time,
        least_sets,
        sets_header,
        supposed,
        verdict,
    )

    if found.at is not None:
        yield f"{as_of(found.at)}:"
    stands = verdict(found)
    yield f"{'DANGER: ' if stands.severity.value == 'danger' else ''}{stands.sentence}"
    grave = [each for each in found.findings if each.severity.value == "danger"]
    yield from _findings(grave)
    sets = least_sets(found)
    if sets:
        yield from columns(sets, *sets_header(found))
    yield from (told for period in found.timeline for told in period.told)
    if found.timeline:
        yield from columns(least_over_time(found), *OVER_TIME)
    yield from _findings(each for each in found.findings if each not in grave)
    if found.dangers:
        codes = ", ".join(each.code for each in found.dangers)
        yield f"no address is given out until this is mended or accepted: {codes}"
    for each in found.resists:
        yield f"a thief of {each.card} alone: {each.theft.sentence}"
    yield from (f"note: {note}" for note in found.notes)
    yield from supposed(found)


def _findings(findings: "Iterable[Notice]") -> Iterator[str]:
    for finding in findings:
        yield f"{finding.severity.value.upper()}: {finding.message} ({finding.code})"
        yield f"  -> {finding.remedy}"


COMMANDS = {"": {"audit": audit}}
