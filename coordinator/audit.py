"""What a fire, a theft or a quarrel costs: findings about where a vault's keys lie."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta

from coordinator import card_findings
from coordinator.findings import (
    BACKUP_PAIR,
    CarrierFacts,
    Finding,
    Severity,
    VaultFacts,
    bring_back,
)

CHECK_INTERVAL = timedelta(days=180)


def can_spend(facts: VaultFacts) -> bool:
    """Return whether the carriers that are not gone still make a quorum."""
    return len(_keys_left(facts, lost=None)) >= facts.threshold


def audit(facts: VaultFacts, now: datetime) -> list[Finding]:
    """Return every finding, the most severe first."""
    found = [
        *_quorum_gone(facts),
        *_places_that_spend(facts),
        *_places_that_matter_too_much(facts),
        *_places_unknown(facts),
        *_gone(facts),
        *_orphaned(facts),
        *_shared_keys(facts),
        *_not_checked(facts, now),
        *_not_verified(facts),
        *_unproven(facts),
        *card_findings.found(facts),
    ]
    order = (Severity.DANGER, Severity.WARNING, Severity.INFO)
    return sorted(found, key=lambda finding: order.index(finding.severity))


def _keys_left(facts: VaultFacts, lost: str | None) -> set[str]:
    """Return the keys that still have a carrier, or are held elsewhere, without what is `lost`."""
    return {
        cosigner.label
        for cosigner in facts.cosigners
        if not (cosigner.carriers or cosigner.orphaned)
        or bring_back(
            carrier
            for carrier in cosigner.carriers
            if carrier.gone is None and (lost is None or carrier.location != lost)
        )
    }


def _keys_by_location(facts: VaultFacts) -> Mapping[str, set[str]]:
    """Return which keys each known location holds a usable carrier of."""
    held: dict[str, set[str]] = defaultdict(set)
    for cosigner in facts.cosigners:
        for location, carriers in cosigner.by_location().items():
            if bring_back(carriers):
                held[location].add(cosigner.label)
    return held


def _quorum_gone(facts: VaultFacts) -> Iterator[Finding]:
    left = len(_keys_left(facts, lost=None))
    if left < facts.threshold:
        yield Finding(
            "quorum_lost",
            Severity.DANGER,
            f"{left} keys are left and {facts.threshold} are needed: the vault cannot be spent",
            "find a lost card or its backup now; do not send more coins to this vault",
            (f"vault:{facts.name}",),
        )


def _places_that_spend(facts: VaultFacts) -> Iterator[Finding]:
    for location, keys in sorted(_keys_by_location(facts).items()):
        if len(keys) >= facts.threshold:
            yield Finding(
                "location_can_spend",
                Severity.DANGER,
                f"location {location} holds {len(keys)} keys of {facts.threshold} needed: "
                "whoever opens it can spend",
                f"move cards so that no place holds more than {facts.threshold - 1} keys",
                (f"location:{location}",),
            )


def _places_that_matter_too_much(facts: VaultFacts) -> Iterator[Finding]:
    if not can_spend(facts):
        return
    for location in sorted(_keys_by_location(facts)):
        left = len(_keys_left(facts, lost=location))
        if left < facts.threshold:
            yield Finding(
                "location_loss_fatal",
                Severity.DANGER,
                f"if location {location} is lost, {left} keys are left and "
                f"{facts.threshold} are needed",
                "move a card elsewhere, or add a backup carrier at another place",
                (f"location:{location}",),
            )


def _places_unknown(facts: VaultFacts) -> Iterator[Finding]:
    for carrier in facts.carriers():
        if carrier.location is None and carrier.gone is None:
            yield Finding(
                "place_unknown",
                Severity.WARNING,
                f"nobody wrote down where {carrier.subject} lies",
                f"record it: cardquorum custody record {carrier.subject} placed --at LOCATION",
                (carrier.subject,),
            )


def _gone(facts: VaultFacts) -> Iterator[Finding]:
    for carrier in facts.carriers():
        if carrier.gone is not None:
            yield Finding(
                "carrier_gone",
                Severity.WARNING,
                f"{carrier.subject} is recorded as {carrier.gone}{_resistance(carrier)}",
                "make a vault without its key and move the coins there while a quorum is left",
                (carrier.subject,),
            )


def _resistance(carrier: CarrierFacts) -> str:
    """Return what a thief of a stolen card is up against."""
    stolen = carrier.gone == "stolen" and carrier.theft is not None
    return f"; {carrier.theft.sentence}" if stolen and carrier.theft else ""


def _orphaned(facts: VaultFacts) -> Iterator[Finding]:
    for cosigner in facts.cosigners:
        if cosigner.orphaned:
            yield Finding(
                "key_without_carrier",
                Severity.WARNING,
                f"every card that carried key {cosigner.label} was forgotten or erased",
                "enrol a card that has it, or move the coins to a vault without it",
                (f"key:{cosigner.label}",),
            )


def _shared_keys(facts: VaultFacts) -> Iterator[Finding]:
    for cosigner in facts.cosigners:
        subjects = tuple(
            carrier.subject
            for carrier in cosigner.carriers
            if carrier.gone is None and carrier.kind not in BACKUP_PAIR
        )
        if len(subjects) > 1:
            yield Finding(
                "one_key_several_carriers",
                Severity.INFO,
                f"{' and '.join(subjects)} carry the same key: together they are one signature",
                "count them as one; keep them at different places",
                subjects,
            )


def _not_checked(facts: VaultFacts, now: datetime) -> Iterator[Finding]:
    for carrier in facts.carriers():
        if carrier.gone is not None:
            continue
        if carrier.last_seen is None or now - carrier.last_seen > CHECK_INTERVAL:
            seen = carrier.last_seen
            ago = "never" if seen is None else f"{(now - seen).days} days ago"
            yield Finding(
                "not_checked",
                Severity.WARNING,
                f"{carrier.subject} was last checked: {ago}",
                f"look at it and run: {_look(carrier)}",
                (carrier.subject,),
            )


def _look(carrier: CarrierFacts) -> str:
    """Return the command that tells that a thing was looked at."""
    if carrier.kind == "card":
        return f"cardquorum card check {carrier.name}"
    return f"cardquorum custody record {carrier.subject} seen"


def _not_verified(facts: VaultFacts) -> Iterator[Finding]:
    failed = tuple(f"key:{c.label}" for c in facts.cosigners if c.verified is False)
    if failed:
        yield Finding(
            "key_mismatch",
            Severity.DANGER,
            f"the last proof of {' and '.join(failed)} did not match what is stored",
            "send nothing to this vault; compare its descriptor with a printed copy",
            failed,
        )
    missing = tuple(f"key:{c.label}" for c in facts.cosigners if c.verified is None)
    if missing:
        yield Finding(
            "never_verified",
            Severity.WARNING,
            f"no card has proved {' and '.join(missing)} since the vault was made",
            f"offer the cards once: cardquorum vault verify {facts.name}",
            missing,
        )


def _unproven(facts: VaultFacts) -> Iterator[Finding]:
    subjects: Iterable[str] = (c.subject for c in facts.carriers() if c.attestation == "unproven")
    for subject in subjects:
        yield Finding(
            "attestation_unproven",
            Severity.WARNING,
            f"{subject} could not prove that its maker made it",
            "rely on it only beside cards of other makers, or replace it",
            (subject,),
        )
