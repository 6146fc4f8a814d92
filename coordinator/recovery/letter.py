"""The letter on a kit's first page: what somebody must know who never saw this program.

What it has to say, and in which words, is held by tests: at most 260 words, school grade six or
below, no word of the trade. The owner's own words come from a file and stand above and below it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from coordinator.recovery import reading

BLANK: Final = "______________________"
"""What somebody fills in with a pen."""
NUMBERS: Final = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


class Audience(StrEnum):
    """Who comes upon a kit: anybody at an open place, the owner of a lock, who settles it all."""

    OPEN = "open"
    LOCKED = "locked"
    EXECUTOR = "executor"


class CardPlace(NamedTuple):
    """A card, the place where it lies, and who can open that place, as far as is known."""

    card: str
    place: str | None
    holder: str | None


class LaterHands(NamedTuple):
    """Who else can move the money after a wait: `since` is a date, `after` how long a wait is.

    `holders` are the names of their cards or keys, `here` the one that lies beside this letter.
    """

    threshold: int
    holders: Sequence[str]
    since: str | None
    after: str | None
    here: str | None = None


@dataclass(frozen=True)
class LetterFacts:
    """What the program knows for a letter.

    `noun` is what makes the quorum: card, or key where something else carries one. `cards` are
    told to an executor alone. `without_bank` is whether enough cards and PINs are
    within reach while banks are shut; None where none of them lies in a bank. `tried` is the day
    of the last drill that was completed.
    """

    audience: Audience
    threshold: int
    total: int
    noun: str
    date: str
    tried: str | None
    contacts: Sequence[str] = ()
    cards: Sequence[CardPlace] = ()
    without_bank: bool | None = None
    later: Sequence[LaterHands] = ()


class Section(NamedTuple):
    """A heading and what stands below it."""

    heading: str
    text: str


class Letter(NamedTuple):
    """The letter's sections in order, its reading grade and its number of words."""

    sections: tuple[Section, ...]
    grade: float
    words: int


def written(facts: LetterFacts) -> Letter:
    """Return the letter."""
    sections = (
        Section("Do nothing with it today", _first(facts)),
        Section("What this is", _what(facts)),
        Section("Never", NEVER),
        Section("Where", _where(facts)),
        Section("Then", _then(facts)),
        *(Section("Later", _later(hands)) for hands in facts.later),
        Section("When to stop", _stop(facts)),
    )
    text = "\n".join(f"{section.heading}\n{section.text}" for section in sections)
    return Letter(sections, reading.grade(text), len(reading.words(text)))


def number(count: int) -> str:
    """Return a number as a word where it is a short one."""
    return NUMBERS[count] if count < len(NUMBERS) else str(count)


def _counted(facts: LetterFacts, count: int) -> str:
    return f"{number(count)} {facts.noun}{'' if count == 1 else 's'}"


def _first(facts: LetterFacts) -> str:
    one, other = (*facts.contacts[:2], BLANK, BLANK)[:2]
    return (
        "You do not need to hurry. Tell only the person who settles the owner's affairs. "
        f"Then call {one}, or else {other}. Meet in person. They can help, but must never hold "
        f"{_counted(facts, facts.threshold)}."
    )


def _what(facts: LetterFacts) -> str:
    alone = f" One {facts.noun} alone can move nothing." if facts.threshold > 1 else ""
    guard = "guards" if facts.total == 1 else "guard"
    return (
        "This is about money kept as bitcoin. It is for the time when its owner can no longer act. "
        f"No bank holds this money. {_counted(facts, facts.total).capitalize()} {guard} it. "
        f"Any {number(facts.threshold)} of them can move it.{alone}"
    )


NEVER: Final = (
    "Never read a PIN or secret words out to anyone. Never type them into a website. Never take a "
    "photo of them, or of this paper. Never pay anyone who calls and offers to get the money out. "
    "Never throw away a card, a paper or the owner's computer."
)


def _where(facts: LetterFacts) -> str:
    if facts.audience is not Audience.EXECUTOR:
        return (
            "Keep this paper in its place until you have called. If a card lies here, keep it too. "
            "Ask them where the other cards are."
        )
    told = " ".join(_card_line(card) for card in facts.cards)
    bank = {
        None: "",
        True: " The bank may keep its box shut for some weeks. You can do it without the bank.",
        False: " The bank may keep its box shut for some weeks. You must wait for it.",
    }[facts.without_bank]
    return f"{told} Each PIN is kept apart from its card; see the lines below.{bank}"


def _card_line(card: CardPlace) -> str:
    place = f"is at {card.place}" if card.place else f"is at {BLANK}"
    with_ = f", with {card.holder}" if card.holder else ""
    return f"Card {card.card} {place}{with_}."


def _then(facts: LetterFacts) -> str:
    enough = _counted(facts, facts.threshold)
    return (
        f"When you have {enough}, sit down with your helper. Follow page two. Watch each step. "
        "Send a small sum first. See it arrive. Then send the rest. "
        "Ask a tax adviser before you sell."
    )


def _later(hands: LaterHands) -> str:
    """Say what later hands can do now, from when on more, and how they would know."""
    names = " and ".join([", ".join(hands.holders[:-1]), hands.holders[-1]]).removeprefix(" and ")
    few = number(hands.threshold).capitalize()
    if len(hands.holders) == 1:
        enough = f"{names} alone"
    elif hands.threshold == len(hands.holders):
        enough = f"{names} together"
    else:
        enough = f"{few} of {names}"
    now = f"{hands.here}, which lies here, can move nothing yet." if hands.here else ""
    since = f"from {hands.since} on" if hands.since else "later"
    moved = (
        f" The wait is {hands.after.removeprefix('about ')} from the day the money last moved: "
        "when it moves, a new letter comes."
        if hands.after
        else ""
    )
    return f"{now} {enough} can move it {since}, not sooner.{moved} Page two shows the day.".strip()


def _stop(facts: LetterFacts) -> str:
    tried = f"Last tried out {facts.tried}." if facts.tried else "Not tried out yet."
    return (
        "If anything looks wrong, stop. Stopping loses nothing. After one wrong PIN, stop and "
        f"call. Written {facts.date}. {tried} Older letters no longer count."
    )
