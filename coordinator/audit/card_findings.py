"""What the cards themselves give an audit to find: their secrets, their sets, their makers."""

from collections.abc import Iterator

from coordinator.audit.facts import CardFacts, CarrierFacts, CosignerFacts, VaultFacts, keys
from coordinator.custody.card_secrets import WORDS
from coordinator.notices import Notice, Severity


def card_findings(facts: VaultFacts) -> Iterator[Notice]:
    """Yield every finding about single cards, and about what lies beside them."""
    for carrier, card in facts.cards():
        yield from _of_card(facts, carrier, card)
    for cosigner in facts.all_keys():
        yield from _lying_together(cosigner)
    yield from _only_here(facts)
    yield from _all_alike(facts)


def _of_card(facts: VaultFacts, carrier: CarrierFacts, card: CardFacts) -> Iterator[Notice]:
    for secret in card.secrets:
        if secret.nowhere:
            yield Notice(
                f"{secret.kind}_nowhere",
                Severity.WARNING,
                f"nobody is known to know the {WORDS[secret.kind]} of {carrier.subject}, "
                "nor where it is written",
                "write it down where the card is not: cardquorum secret add "
                f"{carrier.name}-{secret.kind} --of {carrier.name} --kind {secret.kind} "
                "--written-at LOCATION",
                (carrier.subject,),
            )
    if card.attestation == "unproven":
        yield Notice(
            "attestation_unproven",
            Severity.WARNING,
            f"{carrier.subject} could not prove that its maker made it",
            "rely on it only beside cards of other makers, or replace it",
            (carrier.subject,),
        )
    if facts.taproot and not carrier.signs_leaf:
        yield Notice(
            "leaf_not_proved",
            Severity.DANGER,
            f"{carrier.subject} ({card.family} {card.version}) has not proved that it signs for"
            " taproot: it may be no way to its key",
            f"have it prove it: cardquorum card enrol {carrier.name} --path PATH",
            (carrier.subject,),
        )


def _lying_together(cosigner: CosignerFacts) -> Iterator[Notice]:
    """Tell of cards of one set at one place, and of an encrypted backup beside what opens it."""
    for location, carriers in sorted(cosigner.by_location().items()):
        siblings = tuple(each.subject for each in carriers if each.card and each.card.siblings)
        if len(siblings) > 1:
            yield Notice(
                "siblings_together",
                Severity.DANGER,
                f"location {location} holds {' and '.join(siblings)} of one backup set: together "
                "they reset their access code, which protects nothing there",
                "move all but one of them to other places",
                (f"location:{location}", *siblings),
            )
        files = [carrier.subject for carrier in carriers if carrier.kind == "backup-file"]
        openers = [
            carrier.subject
            for carrier in carriers
            if carrier.kind == "backup-key" or (carrier.card and carrier.card.prints_backup_key)
        ]
        if files and openers:
            yield Notice(
                "backup_with_key",
                Severity.WARNING,
                f"location {location} holds {' and '.join(files)} and, on or as "
                f"{' and '.join(openers)}, what opens it: whoever opens the place has that key",
                "keep the file at another place than the digits that open it",
                (f"location:{location}", *files, *openers),
            )


def _only_here(facts: VaultFacts) -> Iterator[Notice]:
    """Tell where too few keys can be signed with by anything but this program."""
    # for a leaf of taproot no other program is known, whatever the card
    lonely = [
        key
        for key in facts.cosigners
        if key.carriers
        and all(each.card and (each.card.lonely or facts.taproot) for each in key.carriers)
    ]
    free = len(facts.cosigners) - len(lonely)
    if lonely and free < facts.threshold:
        subjects = tuple(each.subject for cosigner in lonely for each in cosigner.carriers)
        yield Notice(
            "no_other_software",
            Severity.WARNING,
            f"no other program is known that signs with {' and '.join(subjects)}: without this one "
            f"{keys(free)} can sign and {facts.threshold} are needed",
            "keep this program and its sources with the cards, or use a card others can sign with",
            subjects,
        )


def _all_alike(facts: VaultFacts) -> Iterator[Notice]:
    """Tell where one maker's flaw, or one version's, opens or bricks every key."""
    cards = [carrier.card for cosigner in facts.cosigners for carrier in cosigner.carriers]
    known = [card for card in cards if card is not None]
    carried = all(cosigner.carriers for cosigner in facts.cosigners)
    if len(facts.cosigners) < 2 or len(known) < len(cards) or not carried:
        return
    vendors = {card.vendor for card in known}
    versions = {(card.family, card.version) for card in known}
    if len(vendors) > 1:
        return
    vendor, (family, version) = vendors.pop(), min(versions)
    subjects: tuple[str, ...] = (f"vendor:{vendor}",)
    code, shared = "one_vendor", f"on cards of one maker, {vendor}"
    if len(versions) == 1:
        code, shared = "one_version", f"on {family} cards of version {version}"
        subjects = (*subjects, f"family:{family}")
    yield Notice(
        code,
        Severity.WARNING,
        f"all keys lie {shared}: one flaw opens or breaks all of them",
        "use cards of two makers or more in one vault",
        subjects,
    )
