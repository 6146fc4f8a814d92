"""What was not done in time, and what the owner's own rules forbid."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from coordinator.audit.facts import VaultFacts
from coordinator.notices import Notice, Severity

CHECK_INTERVAL = timedelta(days=180)
DRILL_INTERVAL = timedelta(days=365)
FIRST_DRILL = timedelta(days=30)
LETTER_INTERVAL = timedelta(days=365)
LETTER_OLD: Final = "letter_old"


def rule_findings(facts: VaultFacts, now: datetime) -> Iterator[Notice]:
    """Yield what is overdue as of now, and what is above a limit or on an advisory list."""
    yield from overdue(facts, now)
    for limit in facts.limits:
        if limit.held_sats > limit.limit_sats:
            yield Notice(
                "holder_above_limit",
                Severity.WARNING,
                f"holder {limit.holder} can open places with keys of vaults that hold "
                f"{limit.held_sats} sat in all; the limit is {limit.limit_sats} sat",
                "move coins to a vault whose keys lie with others, or raise the limit",
                (f"holder:{limit.holder}",),
            )
    if facts.hot is not None:
        hot, everything = facts.hot.hot_sats, facts.value_sats + facts.hot.hot_sats
        if hot * 100 > facts.hot.percent * everything:
            yield Notice(
                "hot_share",
                Severity.WARNING,
                f"{hot} of {everything} sat are hot, {hot * 100 / everything:.1f} %; "
                f"the rule is {facts.hot.percent} % at most",
                f"send the rest here: cardquorum address new {facts.name}",
                (f"vault:{facts.name}",),
            )
    for carrier, card in facts.cards():
        for advisory in facts.advisories:
            if advisory.concerns(card.family, card.version):
                yield Notice(
                    "advisory",
                    advisory.severity,
                    f"{carrier.subject} is {card.family} {card.version}: {advisory.sentence} "
                    f"({advisory.id})",
                    advisory.remedy,
                    (carrier.subject,),
                )


def overdue(facts: VaultFacts, now: datetime) -> Iterator[Notice]:
    """Yield what should have been looked at or drilled by now."""
    for carrier in facts.carriers():
        if carrier.gone is not None:
            continue
        seen = carrier.last_seen
        if seen is None or now - seen > CHECK_INTERVAL:
            ago = "never" if seen is None else f"{(now - seen).days} days ago"
            look = f"cardquorum custody record {carrier.subject} seen"
            if carrier.kind == "card":
                look = f"cardquorum card check {carrier.name}"
            yield Notice(
                "not_checked",
                Severity.WARNING,
                f"{carrier.subject} was last checked: {ago}",
                f"look at it and run: {look}",
                (carrier.subject,),
            )
    yield from _not_drilled(facts, now)
    yield from _old_letters(facts, now)


def drill_due(facts: VaultFacts) -> datetime | None:
    """Return when the vault's next drill is due; None where it is not known when it was made."""
    since, allowed = facts.drilled_at, DRILL_INTERVAL
    if since is None:
        since, allowed = facts.created_at, FIRST_DRILL
    try:
        return None if since is None else since + allowed
    except OverflowError:  # a wrong clock's: no calendar goes beyond the year 9999
        return None


def _not_drilled(facts: VaultFacts, now: datetime) -> Iterator[Notice]:
    """Tell of a vault whose quorum was not rehearsed for a year, or in its first month."""
    due, since = drill_due(facts), facts.drilled_at or facts.created_at
    if due is not None and since is not None and now > due:
        said = "was last drilled" if facts.drilled_at else "was never drilled since it was made"
        yield Notice(
            "never_drilled" if facts.drilled_at is None else "drill_overdue",
            Severity.WARNING,
            f"vault {facts.name} {said} {(now - since).days} days ago",
            f"rehearse it, no coin moves: cardquorum drill plan {facts.name}",
            (f"vault:{facts.name}",),
        )


def _old_letters(facts: VaultFacts, now: datetime) -> Iterator[Notice]:
    """Tell of places whose newest paper is over a year old: who helps moves, retires and dies."""
    newest: dict[str, tuple[datetime, str]] = {}
    for copy in facts.copies:
        if copy.current and copy.location and copy.made_at:
            made = (copy.made_at, copy.subject)
            newest[copy.location] = max(newest.get(copy.location, made), made)
    for place, (made_at, subject) in sorted(newest.items()):
        if now - made_at > LETTER_INTERVAL:
            yield Notice(
                LETTER_OLD,
                Severity.WARNING,
                f"{subject} at {place} was made {(now - made_at).days} days ago: whoever helps may "
                "have moved, retired or died since",
                "ask them, print it anew, have somebody read it who never saw it, and destroy the "
                f"old one: cardquorum kit {facts.name} --out DIR --location {place}",
                (subject, f"location:{place}"),
            )
