"""What a person can report, and the first steps of each road; the book's own steps follow."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Final

from coordinator.audit.facts import CardFacts
from coordinator.guide import life_events, road
from coordinator.guide.facts import GuideFacts
from coordinator.guide.life_events import NOTHING_MOVES
from coordinator.incident.step import Need, Step
from coordinator.notices import Severity


class Report(StrEnum):
    """What happened, as it is chosen."""

    LOST = "lost"
    STOLEN = "stolen"
    OPENED = "opened"
    FORGOTTEN = "forgotten"
    BLOCKED = "blocked"
    BURNT = "burnt"
    QUIET = "quiet"
    COMPUTER = "computer"
    DIED = "died"
    UNABLE = "unable"
    THREATENED = "threatened"
    FORCED = "forced"
    PARTED = "parted"
    MAKER = "maker"


TOLD: Final = {
    Report.LOST: "A card is lost",
    Report.STOLEN: "A card was stolen",
    Report.OPENED: "A bag was found open, or with another number",
    Report.FORGOTTEN: "A PIN is forgotten",
    Report.BLOCKED: "A card is blocked",
    Report.BURNT: "A place burnt, or was flooded",
    Report.QUIET: "Somebody who keeps a card does not answer any more",
    Report.COMPUTER: "The computer with the home is lost; this is another one",
    Report.DIED: "The owner has died",
    Report.UNABLE: "The owner can no longer act",
    Report.THREATENED: "A message threatens us, or wants money",
    Report.FORCED: "Somebody forces us to pay, or did",
    Report.PARTED: "We separate, or quarrel about the money",
    Report.MAKER: "A maker of cards is gone, or gave them up",
}
ADVISED: Final = {
    Report.DIED: life_events.died,
    Report.UNABLE: life_events.unable,
    Report.THREATENED: life_events.threatened,
    Report.FORCED: life_events.forced,
    Report.PARTED: life_events.parted,
    Report.MAKER: life_events.maker_gone,
}
WHOLE: Final = frozenset({Report.COMPUTER, *ADVISED}) - {Report.MAKER}
"""What is about nothing single."""


def subjects(report: Report, facts: GuideFacts) -> list[str]:
    """Return what a report can be about: cards, things in bags, places, people or makers."""
    if report in WHOLE:
        return []
    if report is Report.MAKER:
        return life_events.makers(facts)
    cards = facts.cards_left
    if report is Report.BURNT:
        return list(facts.places)
    if report is Report.QUIET:
        return life_events.keepers(facts)
    if report is Report.OPENED:
        return [card.carrier.subject for card in cards if card.carrier.bag is not None]
    return [card.label for card in cards]


def first_steps(report: Report, facts: GuideFacts, subject: str) -> list[Step]:
    """Return what comes first, in order; what the book then knows makes the next steps."""
    return list(ROADS[report](report, facts, subject))


def is_done(step: Step, facts: GuideFacts) -> bool:
    """Tell whether the book shows that a step is done; of others only the person knows."""
    words = step.words
    match words:
        case ("card", ("lost" | "stolen" | "destroyed") as event, label):
            return _became(facts, f"card:{label}", event)
        case ("custody", "record", subject, ("opened" | "destroyed") as event):
            return _became(facts, subject, event)
        case ("vault", "verify", name):
            keys = [k for each in facts.vaults if each.name == name for k in each.facts.cosigners]
            left = [k for k in keys if any(carrier.gone is None for carrier in k.carriers)]
            return bool(left) and all(key.verified for key in left)
    return words[:1] == ("recover",) and bool(facts.vaults_in_use)


def _became(facts: GuideFacts, subject: str, event: str) -> bool:
    """Tell whether a thing is recorded as what happened to it."""
    things = [card.carrier for card in facts.cards]
    things += [carrier for vault in facts.vaults for carrier in vault.facts.carriers()]
    return any(
        each.gone == event
        or (event == "opened" and each.bag is not None and each.bag.opened is not None)
        for each in things
        if each.subject == subject
    )


def _step(report: Report, title: str, why: str, *words: str) -> Step:
    return Step(f"report_{report.value}", Severity.DANGER, title, why, words)


def _gone(report: Report, facts: GuideFacts, label: str) -> Iterator[Step]:
    """Yield that a card is gone; where it is only lost, that the others are tried out first."""
    yield _step(
        report,
        f"record that card {label} is {report.value}",
        f"{NOTHING_MOVES}; what is left of the vault is said at once",
        *("card", report.value, label),
    )
    for other in _beside(facts, label) if report is Report.LOST else ():
        yield _step(
            report,
            f"try out card {other}, before anything else",
            "now each of the others is needed; no money moves; stop after one wrong PIN",
            *("card", "check", other, "--pin"),
        )


def _beside(facts: GuideFacts, label: str) -> list[str]:
    """Return the cards that are left of the vaults a card belongs to."""
    found = [
        carrier.name
        for vault in facts.vaults_in_use
        if label in {each.name for each in vault.facts.carriers()}
        for carrier, _ in vault.facts.cards()
        if carrier.gone is None and carrier.name != label
    ]
    return list(dict.fromkeys(found))


def _opened(report: Report, _facts: GuideFacts, subject: str) -> Iterator[Step]:
    yield _step(
        report,
        f"record that the bag of {subject} was opened",
        f"{NOTHING_MOVES}; whoever opened it had {subject} in hand",
        *("custody", "record", subject, "opened"),
    )


def _shut(report: Report, facts: GuideFacts, label: str) -> Iterator[Step]:
    """Yield a forgotten PIN's note, then the PUK, and last that the card is as good as lost."""
    card = next(each.carrier.card for each in facts.cards if each.label == label)
    secrets = {} if card is None else _written(card)
    # Where a PUK sets no PIN, it would free the card for the PIN that nobody knows.
    frees = report is Report.BLOCKED or (card is not None and card.puk_sets_pin)
    if report is Report.FORGOTTEN and "pin" in secrets:
        yield _step(
            report,
            f"fetch the note of the PIN of card {label}: {secrets['pin']}, then try it",
            "stop after one wrong PIN: each one brings the card nearer to being blocked",
            *("card", "check", label, "--pin"),
        )
    if frees and "puk" in secrets:
        yield _step(
            report,
            f"fetch the PUK of card {label}: {secrets['puk']}, then free the card",
            "it gives the card a new PIN, or new tries, once no try at the PIN is left; a few "
            "wrong ones destroy the card",
            *("card", "unblock", label),
        )
    yield _step(
        report,
        f"if nothing opens card {label}, take it for lost",
        f"{NOTHING_MOVES}; never reset the card: that erases its key",
        *("card", "lost", label),
    )


def _written(card: CardFacts) -> dict[str, str]:
    """Return where a card's secrets are written or who knows them, by kind."""
    found = {}
    for secret in card.secrets:
        places = [f"at {place}" for place in secret.written_at]
        people = [f"known by {who}" for who in secret.known_by]
        if places or people:
            found[secret.kind] = " and ".join([*places, *people])
    return found


def _burnt(report: Report, facts: GuideFacts, place: str) -> Iterator[Step]:
    """Yield that each thing at a place is destroyed: people first, then the book."""
    carriers = [each for vault in facts.vaults for each in vault.facts.carriers()]
    carriers += [card.carrier for card in facts.cards]
    copies = [copy for vault in facts.vaults for copy in vault.facts.copies]
    there = [each.subject for each in carriers if each.location == place and each.gone is None]
    there += [each.subject for each in copies if each.location == place and each.gone is None]
    for subject in dict.fromkeys(there):
        yield _step(
            report,
            f"if {subject} is destroyed, record it",
            f"it lay at {place}; what lies elsewhere is not touched, and the money neither",
            *("custody", "record", subject, "destroyed"),
        )


def _quiet(report: Report, facts: GuideFacts, holder: str) -> Iterator[Step]:
    """Yield what a silent keeper costs: their cards, whether or not they come back one day."""
    places = {
        each.name
        for vault in facts.vaults
        for each in vault.facts.places.values()
        if each.holder == holder
    }
    kept = [card for card in facts.cards_left if card.carrier.location in places]
    yield _step(
        report,
        f"ask for {holder} once more, by voice and through people you both know",
        f"{NOTHING_MOVES}; a week is soon enough",
    )
    gone = {card.label for card in kept}
    for vault in facts.vaults:
        rest = [
            each
            for each in vault.facts.cosigners
            if each.on_card_here and gone.isdisjoint(carrier.name for carrier in each.carriers)
        ]
        concerned = not gone.isdisjoint(each.name for each in vault.facts.carriers())
        if vault.in_use and concerned and len(rest) >= vault.facts.threshold:
            yield _step(
                report,
                f"try out the other cards of vault {vault.name}",
                "they have to move the money without that card; no money moves yet",
                *("vault", "verify", vault.name),
            )
    for card in kept:
        yield _step(
            report,
            f"if {holder} does not answer within that week, take card {card.label} for lost",
            "whoever cannot be reached cannot be told from a thief, also where they come back: "
            "a new card and a new vault take its place, and the money is moved there",
            *("card", "lost", card.label),
        )
    yield _step(
        report,
        f"choose somebody else to keep a card, and tell them what {holder} knew",
        "a place with the new keeper's name comes with the new card: cardquorum location edit",
    )
    yield _step(
        report,
        "ask each keeper once a year whether they still want to keep a card",
        "people retire, move and fall ill, and firms merge, with a card in a drawer",
    )


def _computer(report: Report, facts: GuideFacts, _subject: str) -> Iterator[Step]:
    """Yield how a vault comes back on another computer, and what the old one may have seen."""
    if not facts.vaults_in_use:
        name = Need("NAME")
        yield _step(
            report,
            "bring the vault back from its kit",
            "the keys are on the cards; who has the old computer may see balances and places, "
            "and spends nothing",
            *("recover", Need("FILE"), "--name", name, "--checksum", Need("CHECKSUM")),
        )
    yield _step(
        report,
        "enrol a card of the vault",
        "a computer knows a card once it has seen it; do so with each that is at hand",
        *("card", "enrol", road.LABEL),
    )
    for card in facts.cards_left:
        if card.made_on_host:
            yield _step(
                report,
                f"if the key of card {card.label} was made on the old computer and others may "
                "have that, take the card for stolen",
                "its words were on that computer's screen once; a key made on a card was not",
                *("card", "stolen", card.label),
            )


def _advised(report: Report, facts: GuideFacts, subject: str) -> Iterator[Step]:
    for title, why, words in ADVISED[report](facts, subject):
        yield _step(report, title, why, *words)


def inherited(facts: GuideFacts) -> list[Step]:
    """Return what an heir does whose vault was brought back here."""
    return [
        _step(Report.DIED, title, why, *words) for title, why, words in life_events.inherited(facts)
    ]


ROADS: Final = {
    Report.LOST: _gone,
    Report.STOLEN: _gone,
    Report.OPENED: _opened,
    Report.FORGOTTEN: _shut,
    Report.BLOCKED: _shut,
    Report.BURNT: _burnt,
    Report.QUIET: _quiet,
    Report.COMPUTER: _computer,
    **dict.fromkeys(ADVISED, _advised),
}
