"""The road of a set-up: cards and where they lie, the vault, its papers, a rehearsal, money."""

from collections.abc import Iterator, Sequence
from typing import Final

from coordinator.audit.facts import CarrierFacts
from coordinator.custody.card_secrets import STEM_MAX, WORDS
from coordinator.guide.facts import CardFact, GuideFacts, VaultStanding
from coordinator.guide.separation import WRITTEN, is_apart
from coordinator.home.settings import EMBEDDED_CHAIN, OFFLINE
from coordinator.incident.step import Need, Step
from coordinator.notices import Severity
from coordinator.shown_text import sats

TAKEN: Final = frozenset({"lost", "stolen"})
CARDS: Final = 3
CARDS_MAX: Final = 15
"""How many keys a vault has at most."""
SMALL_SATS: Final = 100_000
"""What a vault holds at most where all of it may be sent back as a rehearsal."""
TEST_SATS: Final = 20_000
PRACTICE: Final = ("satochip", "tapsigner", "keycard")
LABEL: Final = Need("LABEL")
LOCATION: Final = Need("LOCATION")
DIR: Final = Need("DIR")
ADDRESS: Final = Need("ADDRESS")


def road(facts: GuideFacts) -> Iterator[Step]:
    """Yield what can be done now of what comes next."""
    in_use = facts.vaults_in_use
    usable = usable_cards(facts)
    if not in_use and len(usable) < CARDS:
        yield set_up_card(facts, f"card {len(usable) + 1} of {CARDS}", ONE_OF_THREE)
        return
    own = [each.name for vault in in_use for each in vault.facts.carriers() if each.card]
    custody = list(_custody(facts, own if in_use else [card.label for card in usable]))
    if custody:
        yield from custody
    elif not in_use:
        yield make_vault(usable)
    for vault in in_use:
        papers = list(_papers(vault))
        yield from papers
        if not (vault.dangers or custody or papers or is_struck(vault)):
            yield from _money(facts, vault)


ONE_OF_THREE: Final = (
    "any two of three cards will move the money: one may be lost, and a thief of one has nothing; "
    "take cards of several makers, so that one maker's flaw is one key's"
)


def make_home() -> Step:
    """Return the step that makes the home."""
    return Step(
        "home",
        Severity.INFO,
        "make the folder that remembers everything",
        "cards, places and vaults are kept in it, and no secret; NETWORK is mainnet for money, "
        "regtest to practise",
        ("init", "--network", Need("NETWORK"), "--chain", Need("CHAIN")),
    )


def usable_cards(facts: GuideFacts) -> list[CardFact]:
    """Return the cards a new vault can be made of: not gone, in no vault, one of each seed."""
    found: dict[str, CardFact] = {}
    for card in facts.cards_left:
        if card.free:
            found.setdefault(card.fingerprint or card.label, card)
    return list(found.values())[:CARDS_MAX]


def set_up_card(facts: GuideFacts, title: str, why: str, *, code: str = "card_setup") -> Step:
    """Return the step that brings one card more; on the embedded chain it may be of software."""
    told, severity = f"set up {title}", Severity.INFO
    if facts.emulator is not None:
        name, has_key = facts.emulator
        words = ("enrol", LABEL) if has_key else ("setup", LABEL, "--generate")
        return Step(code, severity, told, why, ("card", *words, "--emulated", name))
    if facts.chain == EMBEDDED_CHAIN:
        family = PRACTICE[len(facts.cards) % len(PRACTICE)]
        why = f"{why}; with a real card on a reader: cardquorum card setup LABEL --generate"
        making = ("emulate", "new", family, Need("NAME"), "--no-setup")
        return Step("card_new", severity, f"make {title}, of software", why, making)
    return Step(code, severity, told, why, ("card", "setup", LABEL, "--generate"))


def make_vault(cards: Sequence[CardFact]) -> Step:
    """Return the step that makes a vault of these cards: more than half of them spend."""
    threshold = len(cards) // 2 + 1
    named = [word for card in cards for word in ("--card", card.label)]
    return Step(
        "vault",
        Severity.INFO,
        f"make the vault: any {threshold} of {len(cards)} cards",
        "it is a plan that only public halves of the keys go into: nothing secret leaves a card",
        ("vault", "create", Need("NAME"), "--threshold", str(threshold), *named),
    )


def _custody(facts: GuideFacts, labels: Sequence[str]) -> Iterator[Step]:
    """Yield what nobody wrote down of the cards that count: words, places, each PIN and PUK."""
    cards = [card for card in facts.cards_left if card.label in labels]
    held = any(vault.received for vault in facts.vaults)
    severity = Severity.WARNING if held else Severity.INFO
    lying = [card.carrier for card in cards]
    lying += [each for card in cards for each in card.papers]
    lying += [
        each
        for vault in facts.vaults_in_use
        for each in vault.facts.carriers()
        if each.card is None
    ]
    unplaced = [
        each
        for each in {each.subject: each for each in lying}.values()
        if each.gone is None and each.location is None
    ]
    untold = any(card.untold for card in cards)
    if (unplaced or untold) and len(facts.places) < min(len(cards), CARDS):
        yield _place(facts, severity)
        return
    for card in cards:
        if card.made_on_host and not card.papers:
            yield _words(card, severity)
    yield from (placing(each.subject, severity) for each in unplaced)
    for card in cards:
        for kind, label in card.untold:
            yield Step(
                f"{kind}_nowhere",
                severity,
                f"say where the {WORDS[kind]} of card {card.label} is written, or who knows it",
                "without it the card is as good as lost; beside the card, it is a thief's",
                (*("secret", "add", label, "--of", card.label), *("--kind", kind), *WRITTEN),
            )


def _place(facts: GuideFacts, severity: Severity) -> Step:
    return Step(
        "place",
        severity,
        f"name place {len(facts.places) + 1} of {CARDS} for the cards",
        "a fire or a thief comes to one place: no two cards share one; KIND is bank-vault, friend, "
        "home, office or other",
        ("location", "add", LOCATION, "--kind", Need("KIND")),
    )


def _words(card: CardFact, severity: Severity) -> Step:
    name = f"{card.label[:STEM_MAX]}-words"
    return Step(
        "words_unrecorded",
        severity,
        f"say that the words of card {card.label} are written down",
        "its key was made on a computer from words: they replace the card where it burns, and "
        "whoever finds them has its key; if you destroyed them, say that of the paper next",
        ("carrier", "add", card.label, "words", name),
    )


def placing(subject: str, severity: Severity) -> Step:
    """Return the step that records where a thing lies."""
    return Step(
        "place_unknown",
        severity,
        f"say where {subject} lies",
        "what nobody wrote down is not found in a fire, nor missed after a theft",
        ("custody", "record", subject, "placed", "--at", LOCATION),
    )


def _papers(vault: VaultStanding) -> Iterator[Step]:
    """Yield the copies that want a place, and the places of a key that want a copy."""
    here = [copy for copy in vault.facts.copies if copy.gone is None]
    for copy in here:
        if copy.stale:
            yield Step(
                "copy_stale",
                Severity.INFO,
                f"take back {copy.subject} and destroy it",
                f"it is of another version than vault {vault.name} has now",
                ("custody", "record", copy.subject, "destroyed"),
            )
        elif copy.location is None:
            yield placing(copy.subject, Severity.INFO)
    if all(copy.stale or copy.location is not None for copy in here):
        for place in bare_places(vault):
            yield print_kit(vault, place)


def is_taken(carrier: CarrierFacts) -> bool:
    """Tell whether a thing that is gone counts: a card in any way, a paper where others have it."""
    return carrier.gone in TAKEN or (carrier.gone is not None and carrier.card is not None)


def is_struck(vault: VaultStanding) -> bool:
    """Tell whether a card of a vault is gone, a paper taken, or a bag was opened."""
    carriers = list(vault.facts.carriers())
    bags = [each.bag for each in carriers if each.gone is None]
    bags += [each.bag for each in vault.facts.copies if each.gone is None]
    opened = any(bag is not None and bool(bag.opened or bag.other) for bag in bags)
    return opened or any(is_taken(each) for each in carriers)


def bare_places(vault: VaultStanding) -> list[str]:
    """Return the places that hold a key of a vault and no copy of its plan."""
    having = {copy.location for copy in vault.facts.copies if copy.current}
    holding = {each.location for each in vault.facts.carriers() if each.gone is None}
    return sorted(place for place in holding - having if place is not None)


def print_kit(vault: VaultStanding, place: str) -> Step:
    """Return the step that prints a kit for a place."""
    return Step(
        "copy_missing",
        Severity.INFO,
        f"print the kit of vault {vault.name} and put it at {place}",
        "cards alone do not find the coins: the kit says which cards belong together; DIR is a new "
        "folder for its files",
        ("kit", vault.name, "--out", DIR, "--location", place),
    )


def _money(facts: GuideFacts, vault: VaultStanding) -> Iterator[Step]:
    """Yield the rehearsal with a small sum, the drill, and the money itself."""
    cards = sum(each.on_card_here for each in vault.facts.cosigners)
    if cards < vault.facts.threshold:
        return  # what can only be looked at is not rehearsed here
    if not is_rehearsed(facts, vault):
        yield from _rehearsal(facts, vault)
    elif vault.facts.drilled_at is None or vault.undrilled:
        yield Step(
            "drill",
            Severity.INFO,
            f"rehearse with the cards of vault {vault.name}; no coin moves",
            "each card, its PIN and the way to it are proved before they are needed: once all have "
            "signed, every pair of them has",
            drilling(vault),
        )
    elif is_apart(vault.facts):
        yield _receiving(
            vault,
            "fund",
            "receive the money, ten times more each time",
            why="what goes wrong goes wrong with little; look at each sum before the next",
        )


def is_rehearsed(facts: GuideFacts, vault: VaultStanding) -> bool:
    """Tell whether money came and went; what holds more than a trifle, or asks no chain, drills."""
    return vault.spent or vault.facts.value_sats > SMALL_SATS or facts.chain == OFFLINE


def _rehearsal(facts: GuideFacts, vault: VaultStanding) -> Iterator[Step]:
    embedded = facts.chain == EMBEDDED_CHAIN
    if vault.received and vault.facts.pending_sats > 0 and embedded:
        yield mine(f"a payment to vault {vault.name} waits for a block")
    elif vault.received and vault.facts.free_sats > 0:
        yield Step(
            "first_payment",
            Severity.INFO,
            f"send the first sum of vault {vault.name} back",
            "what went in and came out again is known to come out; ADDRESS is one of your own, in "
            "another wallet",
            drain(facts, vault.name, "6"),
        )
    elif not vault.received and vault.address is None:
        yield _receiving(
            vault,
            "first_sum",
            f"have a small sum paid to vault {vault.name}",
            why="the way in and out is tried with little before much depends on it",
        )
    elif not vault.received and vault.address is not None:
        words = ("regtest", "fund", vault.address, f"{TEST_SATS}sat")
        yield Step(
            "first_sum_waits",
            Severity.INFO,
            f"pay about {sats(TEST_SATS)} to {vault.address}, then look for it",
            "this address of the vault was given out and is not paid yet",
            words if embedded else ("sync", vault.name),
        )


def _receiving(vault: VaultStanding, code: str, title: str, *, why: str) -> Step:
    return Step(code, Severity.INFO, title, why, ("address", "new", vault.name))


def drain(facts: GuideFacts, vault: str, blocks: str) -> tuple[str, ...]:
    """Return the words that pay all of a vault to an address the person has."""
    return "spend", "create", vault, "--drain", ADDRESS, *rate(facts, "--target", blocks)


def rate(facts: GuideFacts, *otherwise: str) -> tuple[str, ...]:
    """Return the words that name a fee rate where no chain can be asked for one."""
    return ("--feerate", Need("FEERATE")) if facts.chain == OFFLINE else otherwise


def drilling(vault: VaultStanding) -> tuple[str, ...]:
    """Return the words that begin a drill, or go on with the open one."""
    return ("drill", "sign", vault.drill) if vault.drill else ("drill", "start", vault.name)


def mine(why: str) -> Step:
    """Return the step that makes a block of the embedded chain."""
    return Step("mine", Severity.INFO, "mine a block", why, ("regtest", "mine"))


def of_key(carriers: Sequence[CarrierFacts]) -> str | None:
    """Return the label of a card that carries a key, gone or not."""
    return next((each.name for each in carriers if each.card is not None), None)
