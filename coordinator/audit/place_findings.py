"""What a place, a region, or a person alone can cost a vault."""

from collections.abc import Iterator
from typing import Final

from coordinator.audit.dangers import saving
from coordinator.audit.exposure import (
    Exposure,
    Kind,
    can_read,
    exposure_of,
    keys_left,
    quorum_left,
)
from coordinator.audit.facts import BANK, VaultFacts, keys
from coordinator.audit.timeline import opening
from coordinator.notices import Notice, Severity

OPENED: Final = {Kind.LOCATION: "whoever opens it", Kind.HOLDER: "that person alone"}
SPENDS: Final = {Kind.LOCATION: Severity.DANGER, Kind.HOLDER: Severity.WARNING}
HAPPENS: Final = {
    Kind.LOCATION: (Severity.DANGER, "is lost"),
    Kind.REGION: (Severity.WARNING, "is struck"),
    Kind.HOLDER: (Severity.WARNING, "is gone or does not help"),
}


def place_findings(facts: VaultFacts) -> Iterator[Notice]:
    """Yield what one place, region or person can do, and what their loss does."""
    exposure = exposure_of(facts)
    if quorum_left(exposure) is None:
        return
    bare = exposure_of(facts, codes=False)
    for kind in OPENED:
        for group in _groups(exposure, kind):
            yield from _spends(exposure, bare, group)
    for kind in HAPPENS:
        for group in _groups(exposure, kind):
            yield from _fatal(facts, exposure, group)
    yield from _shared_regions(facts, exposure)
    yield from _banks_shut(facts, exposure, bare)


def without_banks(facts: VaultFacts) -> bool | None:
    """Tell whether the vault can be spent while banks are shut; None where none holds a thing."""
    exposure = exposure_of(facts)
    banks = _banks(facts, exposure)
    return quorum_left(exposure, banks) is not None if banks else None


def _banks(facts: VaultFacts, exposure: Exposure) -> tuple[str, ...]:
    """Return the groups of the banks that hold a thing, or where a code is written."""
    used = set(_groups(exposure, Kind.LOCATION))
    banks = {f"location:{place.name}" for place in facts.places.values() if place.kind == BANK}
    return tuple(sorted(banks & used))


def _banks_shut(facts: VaultFacts, exposure: Exposure, bare: Exposure) -> Iterator[Notice]:
    """Tell where a shut bank stops the vault: after a death its boxes are closed for weeks."""
    banks = _banks(facts, exposure)
    left = keys_left(exposure, banks)
    if not banks or quorum_left(exposure, banks) is not None:
        return
    names = " and ".join(bank.partition(":")[2] for bank in banks)
    shut = f"{names} {'is' if len(banks) == 1 else 'are'} shut"
    if (cards := keys_left(bare, banks)) >= facts.threshold:
        yield Notice(
            "pin_in_bank",
            Severity.WARNING,
            f"while {shut}, {keys(cards)} are at hand but PINs for {left} of them: the "
            f"others lie in the bank, and {facts.threshold} are needed",
            "write the PIN of a card outside the bank down at another place outside it: "
            "cardquorum secret add LABEL --of CARD --kind pin --written-at LOCATION",
            banks,
        )
    else:
        yield Notice(
            "bank_shut",
            Severity.WARNING,
            f"while {shut}, {keys(left)} {'is' if left == 1 else 'are'} at hand and "
            f"{facts.threshold} are needed: after a death a bank may keep its boxes shut for weeks",
            "keep enough cards, and their PINs, outside banks",
            banks,
        )


def _groups(exposure: Exposure, kind: Kind) -> list[str]:
    """Return the groups of a kind that hold something which is not gone."""
    things = (thing for thing in exposure.things() if thing.gone is None)
    return sorted({group for thing in things if (group := thing.group(kind))})


def _named(group: str) -> tuple[Kind, str]:
    kind, _, name = group.partition(":")
    return Kind(kind), f"{kind} {name}"


def _spends(exposure: Exposure, bare: Exposure, group: str) -> Iterator[Notice]:
    """Tell where one group holds a quorum, with what a thief may have already."""
    for locked, quorum in zip(exposure.quorums, bare.quorums, strict=True):
        gone, held = quorum.taken(), quorum.taken((group,))
        if held < quorum.threshold or gone >= quorum.threshold or held == gone:
            continue
        kind, name = _named(group)
        who = f"{name} {'can open' if kind is Kind.HOLDER else 'holds'} {keys(held - gone)}"
        after = f" and {keys(gone)} lost or stolen already, of" if gone else " of"
        sentence = f"{who}{after} {quorum.threshold} needed{quorum.by}"
        remedy = f"move cards so that none reaches more than {quorum.threshold - 1} keys"
        if gone:
            remedy = "make a vault without the key that is gone and move the coins there"
        if locked.taken((group,)) >= locked.threshold:
            message = f"{sentence}: {OPENED[kind]} can spend"
            yield Notice(f"{kind}_can_spend", SPENDS[kind], message, remedy, (group,))
        else:
            message = f"{sentence}: only PINs that are elsewhere keep {OPENED[kind]} from spending"
            yield Notice(f"{kind}_holds_quorum", Severity.WARNING, message, remedy, (group,))
        return


def _fatal(facts: VaultFacts, exposure: Exposure, group: str) -> Iterator[Notice]:
    """Tell where the loss of one group leaves too few keys, or no copy of the descriptor."""
    kind, name = _named(group)
    severity, happens = HAPPENS[kind]
    left = keys_left(exposure, (group,))
    if quorum_left(exposure, (group,)) is None:
        waits = ""
        if (later := saving(facts, (group,))) is not None:
            severity = Severity.WARNING
            waits = f": the coins then wait for {later.said}, {opening(facts, later).about}"
        yield Notice(
            f"{kind}_loss_fatal",
            severity,
            f"if {name} {happens}, {keys(left)} {'is' if left == 1 else 'are'} left and "
            f"{facts.threshold} are needed{waits}",
            "move a card, or write its PIN down, elsewhere; or add a backup carrier there",
            (group,),
        )
    elif kind is Kind.LOCATION and not can_read(exposure, (group,)):
        yield Notice(
            "copies_together",
            Severity.WARNING,
            f"if {name} is lost, and this computer, no copy of the descriptor is left: "
            "keys without it do not find the coins",
            f"put another copy at another place: cardquorum kit {facts.name} --location LOCATION",
            (group,),
        )


def _shared_regions(facts: VaultFacts, exposure: Exposure) -> Iterator[Notice]:
    """Tell of places in one region whose loss together can still be borne."""
    used = {group.partition(":")[2] for group in _groups(exposure, Kind.LOCATION)}
    regions: dict[str, list[str]] = {}
    for place in facts.places.values():
        if place.name in used and place.region is not None:
            regions.setdefault(place.region, []).append(place.name)
    for region, names in sorted(regions.items()):
        if len(names) > 1 and quorum_left(exposure, (f"region:{region}",)) is not None:
            yield Notice(
                "places_share_region",
                Severity.INFO,
                f"locations {' and '.join(sorted(names))} lie in region {region}: one flood or "
                "fire may take both",
                "prefer places that share no fate",
                (f"region:{region}", *(f"location:{name}" for name in sorted(names))),
            )
