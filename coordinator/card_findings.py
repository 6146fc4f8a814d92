"""What the cards themselves give an audit to find: their secrets, their sets, their backups."""

from collections.abc import Iterator

from coordinator.findings import CarrierFacts, CosignerFacts, Finding, Severity, VaultFacts
from coordinator.knowledge import WORDS


def found(facts: VaultFacts) -> Iterator[Finding]:
    """Yield every finding about single cards, and about what lies beside them."""
    for carrier in facts.carriers():
        if carrier.gone is None:
            yield from _unwritten(carrier)
    for cosigner in facts.cosigners:
        yield from _siblings_together(cosigner)
        yield from _backups_with_keys(cosigner)
    yield from _only_here(facts)


def _unwritten(carrier: CarrierFacts) -> Iterator[Finding]:
    for kind in carrier.unwritten:
        yield Finding(
            f"{kind}_nowhere",
            Severity.WARNING,
            f"nobody is known to know the {WORDS[kind]} of {carrier.subject}, "
            "nor where it is written",
            f"write it down where the card is not: cardquorum secret add {carrier.name}-{kind} "
            f"--of {carrier.name} --kind {kind} --written-at LOCATION",
            (carrier.subject,),
        )


def _siblings_together(cosigner: CosignerFacts) -> Iterator[Finding]:
    for location, carriers in sorted(cosigner.by_location().items()):
        subjects = tuple(carrier.subject for carrier in carriers if carrier.siblings)
        if len(subjects) > 1:
            yield Finding(
                "siblings_together",
                Severity.DANGER,
                f"location {location} holds {' and '.join(subjects)} of one backup set: together "
                "they reset their access code, which protects nothing there",
                "move all but one of them to other places",
                (f"location:{location}", *subjects),
            )


def _backups_with_keys(cosigner: CosignerFacts) -> Iterator[Finding]:
    for location, carriers in sorted(cosigner.by_location().items()):
        files = [carrier.subject for carrier in carriers if carrier.kind == "backup-file"]
        openers = [
            carrier.subject
            for carrier in carriers
            if carrier.kind == "backup-key" or carrier.prints_backup_key
        ]
        if files and openers:
            yield Finding(
                "backup_with_key",
                Severity.WARNING,
                f"location {location} holds {' and '.join(files)} and, on or as "
                f"{' and '.join(openers)}, what opens it: whoever opens the place has that key",
                "keep the file at another place than the digits that open it",
                (f"location:{location}", *files, *openers),
            )


def _only_here(facts: VaultFacts) -> Iterator[Finding]:
    """Tell where too few keys can be signed with by anything but this program."""
    lonely = [cosigner for cosigner in facts.cosigners if _needs_this_program(cosigner)]
    free = len(facts.cosigners) - len(lonely)
    if lonely and free < facts.threshold:
        subjects = tuple(
            carrier.subject
            for cosigner in lonely
            for carrier in cosigner.carriers
            if carrier.lonely
        )
        yield Finding(
            "no_other_software",
            Severity.WARNING,
            f"no other program is known that signs with {' and '.join(subjects)}: without this one "
            f"{free} keys can sign and {facts.threshold} are needed",
            "keep this program and its sources with the cards, or use a card others can sign with",
            subjects,
        )


def _needs_this_program(cosigner: CosignerFacts) -> bool:
    """Tell whether every carrier of a key is a card that only this program signs with."""
    return bool(cosigner.carriers) and all(carrier.lonely for carrier in cosigner.carriers)
