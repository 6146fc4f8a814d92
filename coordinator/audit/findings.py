"""Every finding about a vault, and those about its keys and what carries them."""

from collections.abc import Iterator
from datetime import datetime

from coordinator.audit import (
    branch_findings,
    card_findings,
    dangers,
    item_findings,
    place_findings,
    rule_findings,
)
from coordinator.audit.facts import BACKUP_PAIR, VaultFacts
from coordinator.notices import Notice, Severity


def audit(facts: VaultFacts, now: datetime) -> list[Notice]:
    """Return every finding, the most severe first: what is a danger here is one everywhere.

    Of a vault that was replaced only what threatens coins left there is a danger.
    """
    dangerous = dangers.dangers(facts)
    if facts.altered is not None:  # nobody is to prove or print what rows say that disagree
        vain = (dangers.KEYS_UNPROVED, dangers.NO_COPY)
        kept = [each for each in dangerous if each.code not in vain]
        dangerous = [dangers.altered(facts.name, facts.altered), *kept]
    found = [
        *dangerous,
        *(place_findings.place_findings(facts) if facts.altered is None else ()),
        *_places_unknown(facts),
        *_gone(facts),
        *_keys(facts),
        *_never_verified(facts),
        *card_findings.card_findings(facts),
        *item_findings.item_findings(facts),
        *rule_findings.rule_findings(facts, now),
        *branch_findings.branch_findings(facts, now),
        *facts.due,
    ]
    if facts.replaced:
        watched = dangers.WATCHED if facts.value_sats else frozenset[str]()
        found = [each for each in found if not _is_grave(each) or each.code in watched]
    order = (Severity.DANGER, Severity.WARNING, Severity.INFO)
    return sorted(found, key=lambda finding: order.index(finding.severity))


def grave(facts: VaultFacts, now: datetime) -> list[Notice]:
    """Return the findings that are dangers, the worst first."""
    return [each for each in audit(facts, now) if _is_grave(each)]


def _is_grave(finding: Notice) -> bool:
    return finding.severity is Severity.DANGER


def _places_unknown(facts: VaultFacts) -> Iterator[Notice]:
    for carrier in facts.carriers():
        if carrier.location is None and carrier.gone is None:
            yield Notice(
                "place_unknown",
                Severity.WARNING,
                f"nobody wrote down where {carrier.subject} lies",
                f"record it: cardquorum custody record {carrier.subject} placed --at LOCATION",
                (carrier.subject,),
            )


def _gone(facts: VaultFacts) -> Iterator[Notice]:
    for carrier in facts.carriers():
        if carrier.gone is not None:
            stolen = carrier.gone == "stolen"
            theft = carrier.card.theft if carrier.card is not None and stolen else None
            resists = f"; {theft.sentence}" if theft is not None else ""
            yield Notice(
                "carrier_gone",
                Severity.DANGER if stolen else Severity.WARNING,
                f"{carrier.subject} is recorded as {carrier.gone}{resists}",
                "make a vault without its key and move the coins there while a quorum is left",
                (carrier.subject,),
            )


def _keys(facts: VaultFacts) -> Iterator[Notice]:
    """Tell of keys that nothing carries any more, and of those that several things carry."""
    for cosigner in facts.all_keys():
        if cosigner.orphaned:
            yield Notice(
                "key_without_carrier",
                Severity.WARNING,
                f"every card that carried key {cosigner.label} was forgotten or erased",
                "enrol a card that has it, or move the coins to a vault without it",
                (f"key:{cosigner.label}",),
            )
        subjects = tuple(
            carrier.subject
            for carrier in cosigner.carriers
            if carrier.gone is None and carrier.kind not in BACKUP_PAIR
        )
        if len(subjects) > 1:
            yield Notice(
                "one_key_several_carriers",
                Severity.INFO,
                f"{' and '.join(subjects)} carry the same key: together they are one signature",
                "count them as one; keep them at different places",
                subjects,
            )


def _never_verified(facts: VaultFacts) -> Iterator[Notice]:
    """Tell of keys nobody proved that are no danger: enough others are, and no card here has it."""
    grave = {subject for each in dangers.keys_unproved(facts) for subject in each.subjects}
    unproved = (f"key:{c.label}" for c in facts.cosigners if c.verified is None)
    missing = tuple(each for each in unproved if each not in grave)
    if missing:
        yield Notice(
            "never_verified",
            Severity.WARNING,
            f"no card has proved {' and '.join(missing)} since the vault was made",
            f"offer the cards once: cardquorum vault verify {facts.name}",
            missing,
        )
