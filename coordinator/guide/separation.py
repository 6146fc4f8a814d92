"""What lies together and should not: a PIN with its card, and keys that one visit would take."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from coordinator.audit.exposure import exposure_of, thief_can_spend
from coordinator.audit.facts import CarrierFacts, CosignerFacts
from coordinator.guide.facts import GuideFacts
from coordinator.incident.step import Need, Step
from coordinator.notices import Severity

LOCATION: Final = Need("LOCATION")


class Beside(NamedTuple):
    """A secret that is written where its card lies."""

    card: CarrierFacts
    kind: str
    label: str
    place: str


class Crowded(NamedTuple):
    """A place whose loss or theft would cost too many keys; `cards` lie there, one of each key."""

    place: str
    cards: tuple[str, ...]
    spends: bool


def beside(cards: Iterable[CarrierFacts]) -> list[Beside]:
    """Return what opens a card and is written where it lies: its PIN, or a PUK that sets one."""
    return [
        Beside(each, secret.kind, secret.label, place)
        for each in cards
        if each.card is not None and each.gone is None
        for secret in each.card.secrets
        if secret.kind == "pin" or (secret.kind == "puk" and each.card.puk_sets_pin)
        for place in secret.written_at
        if place == each.location
    ]


def crowded(cosigners: Sequence[CosignerFacts], threshold: int) -> list[Crowded]:
    """Return the places that hold cards of so many keys that they spend, or that too few are left.

    A place with one key of a vault is not crowded, whatever that key can do.
    """
    lying: dict[str, list[str]] = defaultdict(list)
    for cosigner in cosigners:
        for place, carriers in cosigner.by_location().items():
            lying[place] += [each.subject for each in carriers if each.card is not None][:1]
    spare = len(cosigners) - threshold
    return [
        Crowded(place, tuple(cards), len(cards) >= threshold)
        for place, cards in sorted(lying.items())
        if len(cards) > 1 and (len(cards) >= threshold or len(cards) > spare > 0)
    ]


def together(facts: GuideFacts) -> Iterator[Step]:
    """Yield what parts the things of each vault in use that lie together."""
    for vault in facts.vaults:
        if not vault.in_use:
            continue
        for place in crowded(vault.facts.cosigners, vault.facts.threshold):
            exposed = place.spends and thief_can_spend(
                exposure_of(vault.facts), (f"location:{place.place}",), knows_descriptor=True
            )
            yield _moved(facts, place, Severity.DANGER if exposed else Severity.WARNING)
        for each in beside(vault.facts.carriers()):
            yield Step(
                f"{each.kind}_with_card",
                Severity.WARNING,
                f"put the note of the {each.kind.upper()} of card {each.card.name} elsewhere than "
                f"at {each.place}, then say so",
                f"the card lies at {each.place}, too: with its {each.kind.upper()} beside it, a "
                "thief needs only what else the vault asks for",
                ("secret", "edit", each.label, "--not-written-at", each.place),
            )


def is_apart(cosigners: Sequence[CosignerFacts], threshold: int) -> bool:
    """Tell whether nothing of a vault lies together that should not."""
    carriers = (carrier for each in cosigners for carrier in each.carriers)
    return not crowded(cosigners, threshold) and not beside(carriers)


def _moved(facts: GuideFacts, crowd: Crowded, severity: Severity) -> Step:
    """Return the step that takes a card away from a place, or names one where none is left."""
    subject = crowd.cards[-1]
    why = (
        f"{' and '.join(crowd.cards)} lie there: a fire or a thief at {crowd.place} takes "
        f"{len(crowd.cards)} keys at once"
    )
    taken = {card.carrier.location for card in facts.cards if card.carrier.gone is None}
    if not set(facts.places) - taken:
        naming = ("location", "add", LOCATION, "--kind", Need("KIND"))
        return Step("cards_together", severity, f"name another place for {subject}", why, naming)
    moving = ("custody", "record", subject, "moved", "--at", LOCATION)
    title = f"take {subject} from {crowd.place} to another place, then say so"
    return Step("cards_together", severity, title, why, moving)
