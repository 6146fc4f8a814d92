"""The guide's question about silence: who else shall be able to spend, and after how long."""

from typing import TYPE_CHECKING, Final

from coordinator.cli.prompts import Choice, ask_text, choose, paragraph

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coordinator.guide.facts import GuideFacts

NOBODY, NET, ONE = "nobody", "net", "one"
WHO: Final = (
    Choice(NOBODY, "Nobody else: whoever settles my affairs uses these cards"),
    Choice(NET, "Two of three people, each with a key of their own"),
    Choice(ONE, "One person alone, with a key of their own"),
)
WAITS: Final = (
    Choice("52560", "About a year of silence: it outlasts an illness"),
    Choice("26280", "About half a year, for an owner who is frail"),
    Choice("65535", "About 15 months: one visit to the cards a year is enough"),
)
WHY_NOBODY: Final = (
    "Any program opens such a vault, and nothing has to be done in time. This suits most people."
)
WHY_NET: Final = (
    "Once the silence is over those people can spend without your cards. To keep it closed you "
    "move the money to the vault itself in time: you are told when. Each person makes a key on a "
    "card of their own, keeps it, never at your home, and proves it once a year."
)
WHY_NOT_ONE: Final = (
    "One person alone is one theft, or one quarrel, away from the money, and nobody would notice. "
    "Two of three is safer."
)
KEY: Final = "That key, as [fingerprint/path]xpub, from the person's own card or program:"


def later_words(facts: "GuideFacts", words: "Sequence[str]") -> list[str]:
    """Ask who else shall be able to spend; return what that adds to the making of a vault."""
    paragraph("If nobody heard from you for a long time, who else shall be able to spend?")
    who = choose("Who else, after a long silence?", WHO)
    if who == ONE:
        paragraph(WHY_NOT_ONE)
        again = [Choice(NET, "Two of three people"), Choice(ONE, "One person alone, I am sure")]
        who = choose("Which is meant?", again)
    if who == NOBODY:
        paragraph(WHY_NOBODY)
        return []
    paragraph(WHY_NET)
    wait = choose("After how long?", WAITS)
    found = ["--recovery-after", wait, "--recovery-threshold", "2" if who == NET else "1"]
    taken = {words[at + 1] for at, word in enumerate(words) if word == "--card"}
    for number in range(1, 4 if who == NET else 2):
        found += _key_words(facts, number, taken)
    return found


def _key_words(facts: "GuideFacts", number: int, taken: set[str]) -> list[str]:
    """Ask for one person's key: on a card that is enrolled here, or as text."""
    free = [card.label for card in facts.cards if card.free and card.label not in taken]
    if free:
        choices = [Choice("", "A key as text"), *(Choice(each, f"Card {each}") for each in free)]
        card = choose(f"Key of person {number}?", choices)
        if card:
            taken.add(card)
            return ["--recovery-card", card]

    def named(text: str) -> str | None:
        return _name(text, taken)

    label = ask_text(f"A name for the key of person {number}:", "", named)
    taken.add(label)
    expression = ask_text(KEY, "", lambda text: _expression(facts, text))
    return ["--recovery-key", f"{label}={expression}"]


def _name(text: str, taken: set[str]) -> str | None:
    from coordinator.errors import UsageError
    from coordinator.names import checked_name

    try:
        checked_name(text)
    except UsageError as failure:
        return str(failure)
    return "that name is taken" if text in taken else None


def _expression(facts: "GuideFacts", text: str) -> str | None:
    """Return what is wrong with a key; None where nothing is."""
    from psbt.errors import PsbtError
    from psbt.keys import parse_key_expression
    from psbt.network import Network

    try:
        parse_key_expression(text, Network(facts.network or "mainnet"))
    except PsbtError as failure:
        return str(failure)
    return None
