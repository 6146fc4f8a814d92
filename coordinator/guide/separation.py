"""What lies together and should not: a PIN with its card, and keys that one visit would take.

And what lies at one place alone: the note of a PIN without which too few keys are left.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from coordinator.audit.exposure import exposure_of, quorum_left
from coordinator.audit.facts import CarrierFacts, CosignerFacts, VaultFacts
from coordinator.guide.facts import GuideFacts
from coordinator.incident.step import Need, Step
from coordinator.notices import Severity

LOCATION: Final = Need("LOCATION")
WRITTEN: Final = ("--written-at", LOCATION)


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


def noted_once(facts: VaultFacts) -> list[Beside]:
    """Return the PINs noted at one place alone whose loss, the cards there with it, costs a quorum.

    Their cards lie elsewhere and would be left.
    """
    alone = [
        Beside(card, secret.kind, secret.label, secret.written_at[0])
        for card in facts.carriers()
        if card.card is not None and card.gone is None
        for secret in card.card.secrets
        if secret.kind == "pin" and not secret.known_by and len(secret.written_at) == 1
        if secret.written_at[0] != card.location
    ]
    if not alone:
        return []
    exposure, bare = exposure_of(facts), exposure_of(facts, codes=False)
    if quorum_left(exposure) is None:
        return []
    places = {each.place: (f"location:{each.place}",) for each in alone}
    fatal = {
        place
        for place, lost in places.items()
        if quorum_left(exposure, lost) is None and quorum_left(bare, lost) is not None
    }
    return [each for each in alone if each.place in fatal]


def together(facts: GuideFacts) -> Iterator[Step]:
    """Yield what parts the things of each vault in use that lie together."""
    for vault in facts.vaults_in_use:
        for place in crowded(vault.facts.cosigners, vault.facts.threshold):
            yield _moved(facts, place, vault.severity_at(place.place))
        for each in beside(vault.facts.carriers()):
            yield Step(
                f"{each.kind}_with_card",
                vault.severity_at(each.place),
                f"put the note of the {each.kind.upper()} of card {each.card.name} elsewhere than "
                f"at {each.place}, then say so",
                f"the card lies at {each.place}, too: with its {each.kind.upper()} beside it, a "
                "thief needs only what else the vault asks for",
                ("secret", "edit", each.label, "--not-written-at", each.place),
            )
        for each in noted_once(vault.facts):
            name = each.card.name
            yield Step(
                "pin_noted_once",
                vault.severity_at(each.place),
                f"write the PIN of card {name} down at another place, too, then say so",
                f"it is noted at {each.place} alone: a fire there takes it with what else lies "
                "there, and too few cards are left whose PIN anybody knows",
                ("secret", "add", each.label, "--of", name, "--kind", "pin", *WRITTEN),
            )


def is_apart(facts: VaultFacts) -> bool:
    """Tell whether nothing of a vault lies together that should not, nor at one place alone."""
    carriers = (carrier for each in facts.cosigners for carrier in each.carriers)
    crowds = crowded(facts.cosigners, facts.threshold)
    return not (crowds or beside(carriers) or noted_once(facts))


def _moved(facts: GuideFacts, crowd: Crowded, severity: Severity) -> Step:
    """Return the step that takes a card away from a place, or names one where none is left.

    A place where a spare card lies counts as taken: that card may replace another one day.
    """
    subject = crowd.cards[-1]
    why = (
        f"{' and '.join(crowd.cards)} lie there: a fire or a thief at {crowd.place} takes "
        f"{len(crowd.cards)} keys at once"
    )
    taken = {each.location for vault in facts.vaults for each, _ in vault.facts.cards()}
    taken |= {card.carrier.location for card in facts.cards if card.free}
    if not set(facts.places) - taken:
        naming = ("location", "add", LOCATION, "--kind", Need("KIND"))
        return Step("cards_together", severity, f"name another place for {subject}", why, naming)
    moving = ("custody", "record", subject, "moved", "--at", LOCATION)
    title = f"take {subject} from {crowd.place} to another place, then say so"
    return Step("cards_together", severity, title, why, moving)
