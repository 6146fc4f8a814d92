"""What to do where something happens to people, or to a maker of cards; much of it is no command.

Who reads this is no engineer and may be in fear or in grief: plain words, one thing at a time.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from coordinator.guide import road
from coordinator.guide.facts import CardFact, GuideFacts, VaultStanding
from coordinator.home.settings import OFFLINE
from coordinator.incident.step import Need
from coordinator.shown_text import sats

NOTHING_MOVES: Final = "no money has moved, and one card alone cannot move it"


class Advice(NamedTuple):
    """One thing to do and why, with the command that does it where there is one."""

    title: str
    why: str
    words: tuple[str, ...] = ()


def first_hours() -> Iterator[Advice]:
    """Yield what comes before anything else after a death, whatever is known here."""
    yield Advice(
        "do nothing with the money today",
        f"{NOTHING_MOVES}; nothing here is urgent, unless the letter names a date",
    )
    yield Advice(
        "put the card that is at home, the letter and this computer where nobody else comes",
        "nothing of it may be thrown away: old computers and papers are needed later",
    )
    yield Advice(
        "tell whoever settles the affairs, and nobody else; get the court's paper",
        "a bank opens a box only for the person whom a court has named",
    )
    yield Advice(
        "call the helper whom the letter names, and meet in person",
        "whoever calls you and offers help wants the money; nobody needs to hear a PIN",
    )


def computer_gone() -> Iterator[Advice]:
    """Yield what the loss of a computer means, and where it means more than that."""
    yield Advice(
        "take a breath: the keys are on the cards, not on the computer",
        "who has the old computer may see what was there and which places were written down, and "
        "spends nothing",
    )
    yield Advice(
        "use a computer that you trust; where the old one may have been broken into, sign nothing "
        "on it again",
        "a payment that a stranger altered looks like yours on such a screen",
    )


def died(facts: GuideFacts, _subject: str) -> Iterator[Advice]:
    """Yield what an heir does, who may never have seen a card."""
    yield from first_hours()
    yield from inherited(facts)


def inherited(facts: GuideFacts) -> Iterator[Advice]:
    """Yield what an heir does once the first hours are over: the cards, a look, a small sum."""
    yield gathered(facts)
    if not all(_spends_here(vault) for vault in facts.vaults_in_use):
        yield Advice(
            "show each card to this computer",
            "a computer knows a card once it has seen it; this asks for the card's PIN",
            ("card", "enrol", road.LABEL),
        )
    for vault in facts.vaults_in_use:
        yield Advice(
            f"look at what vault {vault.name} holds",
            "looking moves nothing; a 0 may only mean that the look began too late",
            ("balance" if facts.chain == OFFLINE else "sync", vault.name),
        )
    for vault in facts.vaults_in_use:
        if _spends_here(vault):
            yield _tried_out(vault)
            yield Advice(
                f"send a small sum of vault {vault.name} first, to an address of your own",
                f"about {sats(road.TEST_SATS)} shows whether the way is right, before all depends "
                "on it; leave this for later once that sum has arrived",
                (
                    *("spend", "create", vault.name, "--to", Need("ADDRESS:AMOUNT")),
                    *road.rate(facts, "--target", "6"),
                ),
            )
            yield Advice(
                f"when that has arrived, send the rest of vault {vault.name}",
                "look at the address on two screens: what is sent to a wrong one is gone",
                road.drain(facts, vault.name, "6"),
            )
    yield Advice("ask a tax adviser before you sell", "what is sold cannot be unsold")


def unable(facts: GuideFacts, _subject: str) -> Iterator[Advice]:
    """Yield what those do who act for an owner who is ill."""
    yield Advice(
        "ask a lawyer who may act for the owner",
        "a will does nothing while its writer lives: it takes a power of attorney that names "
        "bitcoin, and that ends at the death",
    )
    yield Advice(
        "pay only the owner's bills: two people, each with a card, and a list of what was paid",
        "who acts for somebody else is asked later what became of the money",
    )
    for vault in facts.vaults_in_use:
        if _spends_here(vault):
            step = _tried_out(vault)
            why = "where the owner remembers the PINs, try the cards out now and write them down"
            yield step._replace(why=f"{why}; no money moves")
    yield Advice(
        "when the owner is well again, give each card a new PIN: cardquorum card pin LABEL",
        "whoever helped knows the old ones",
    )


def threatened(facts: GuideFacts, _subject: str) -> Iterator[Advice]:
    """Yield what to do about a letter or message that wants money."""
    yield Advice(
        "do not answer, and do not pay", f"who answers is written to again; {NOTHING_MOVES}"
    )
    yield Advice(
        "keep the message, and report it to the police",
        "they know such letters: most are sent to thousands of people",
    )
    yield Advice(
        f"warn {_keepers(facts)} by voice",
        "they may be written to next, in your name",
    )
    yield Advice(
        "make no payment for a while", "a payment shows whoever watches that there is money"
    )
    for vault in facts.vaults_in_use:
        yield Advice(
            f"look who knows what of vault {vault.name}, and where a letter or file got out",
            "what is known once is used again; where a place became known, move its card",
            ("audit", vault.name),
        )


def forced(facts: GuideFacts, _subject: str) -> Iterator[Advice]:
    """Yield what to do where somebody uses force, and once they are gone."""
    yield Advice("lives come before money: do what keeps everybody unhurt", "money can be lost")
    yield Advice(
        "say the truth: I alone cannot pay it out",
        f"{_sets(facts)} are needed, and they lie at different places; do not bluff: a lie that "
        "is found out makes it worse",
    )
    yield Advice(
        f"trust {_keepers(facts)} to refuse where they sense force, and to call the police",
        "without a second card nothing can be paid; agree on a word for it while all is well",
    )
    yield Advice("once you are safe, call the police", "the rest can wait for an hour")
    for card in facts.cards_left:
        yield Advice(
            f"if somebody took card {card.label}, or saw its PIN, record it as stolen",
            "the money is moved to new cards before that one meets a second",
            ("card", "stolen", card.label),
        )


def parted(facts: GuideFacts, _subject: str) -> Iterator[Advice]:
    """Yield what to do where people who share a vault separate."""
    yield Advice(
        "see a lawyer first, and move nothing in secret",
        "a court may take a secret payment for theft",
    )
    for vault in facts.vaults_in_use:
        yield Advice(
            f"count what the other one knows or reaches of vault {vault.name} as theirs",
            "each card, PIN and place counts, also those you think are forgotten",
            ("audit", vault.name),
        )
        yield Advice(
            f"show what vault {vault.name} holds, if you are asked",
            "a list of payments shows it; a PIN or secret words are for nobody",
            ("history", vault.name),
        )
    yield Advice(
        "after you agree: new cards, a new vault, and all money moved there",
        "what the other one has of the old vault is worth nothing then; call this guide for it",
    )
    yield Advice(
        "write a new letter, and name a new helper and who settles your affairs",
        "the old letter may name the person who left",
    )


def makers(facts: GuideFacts) -> list[str]:
    """Return the makers of the cards that are here."""
    known = {card.carrier.card.vendor for card in facts.cards_left if card.carrier.card is not None}
    return sorted(known)


def maker_gone(facts: GuideFacts, maker: str) -> Iterator[Advice]:
    """Yield what to do about the cards of a maker that is gone."""
    theirs = [card for card in facts.cards_left if _maker(card) == maker]
    yield Advice(
        "do nothing in a hurry",
        f"{NOTHING_MOVES}; the cards of {maker} work on as before, without their maker",
    )
    yield Advice(
        f"follow no letter or call that wants cards of {maker} updated or money moved",
        "that is how thieves use such news",
    )
    labels = {card.label for card in theirs}
    for vault in facts.vaults_in_use:
        if not labels.isdisjoint(each.name for each in vault.facts.carriers()):
            yield _tried_out(vault)
    spare = [card for card in road.usable_cards(facts) if _maker(card) != maker]
    for card in theirs:
        for vault in facts.vaults_in_use:
            if card.carrier.subject not in {each.subject for each in vault.facts.carriers()}:
                continue
            words: tuple[str, ...] = ()
            if spare:
                words = ("replace", "start", vault.name, "--card", card.label)
                words = (*words, "--with", spare[0].label, *road.rate(facts))
            yield Advice(
                f"within months, put a card of another maker in the place of card {card.label}",
                "a card that breaks cannot be bought again"
                + ("" if spare else "; set one up first: cardquorum card setup LABEL --generate"),
                words,
            )


def gathered(facts: GuideFacts) -> Advice:
    """Return where the cards are, those that no bank keeps first."""
    cards = sorted(facts.cards_left, key=lambda each: each.carrier.location in facts.banks)
    lying = [f"{each.label} {_at(each)}" for each in cards]
    return Advice(
        f"bring cards together: {'; '.join(lying) or 'the letter says where they are'}",
        f"{_sets(facts)} are needed, and a bank may stay shut for months; each PIN is on a note at "
        "another place",
    )


def _tried_out(vault: VaultStanding) -> Advice:
    return Advice(
        f"try out the cards of vault {vault.name} that are at hand",
        "no money moves, and what does not work shows; stop after one wrong PIN",
        ("vault", "verify", vault.name),
    )


def _spends_here(vault: VaultStanding) -> bool:
    return sum(each.on_card_here for each in vault.facts.cosigners) >= vault.facts.threshold


def _maker(card: CardFact) -> str | None:
    return None if card.carrier.card is None else card.carrier.card.vendor


def keepers(facts: GuideFacts) -> list[str]:
    """Return the people who can open places."""
    places = (each for vault in facts.vaults for each in vault.facts.places.values())
    return sorted({each.holder for each in places if each.holder})


def _keepers(facts: GuideFacts) -> str:
    return " and ".join(keepers(facts)) or "those who keep a card for you"


def _at(card: CardFact) -> str:
    return f"at {card.carrier.location}" if card.carrier.location else "(nobody wrote down where)"


def _sets(facts: GuideFacts) -> str:
    """Return how many cards each vault needs, in words."""
    sets = sorted(
        {(each.facts.threshold, len(each.facts.cosigners)) for each in facts.vaults_in_use}
    )
    return " or ".join(f"any {some} of {all_} cards" for some, all_ in sets) or "several cards"
