"""The letter on a kit's first page: what somebody must know who never saw this program.

What it has to say, and in which words, is held by tests: at most 260 words with the list of cards
where that stands on the same page, school grade six or below, no word of the trade, for every
quorum, place, helper and later branch. The owner's own words come from a file and stand above and
below it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from coordinator.recovery import readability

BLANK: Final = "______________________"
"""What somebody fills in with a pen."""
NAMED_MAX: Final = 3
WORDS_MAX: Final = 260
"""How many words of the program's page one has; with more the cards are listed after page two."""
LISTED_MAX: Final = 5
"""How many cards page one has room to list."""
LIST_HEAD: Final = ("card", "lies at", "with", "its PIN note")
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
    """Who else can move the money after a wait: `since` is a date, `after` how long the wait is.

    `holders` are the names of their cards or keys, `here` the card of theirs that lies beside this
    letter. `open` tells that the wait is over for some of the money.
    """

    threshold: int
    holders: Sequence[str]
    since: str | None
    after: str | None
    here: str | None = None
    open: bool = False


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
    """The letter's sections in order, its reading grade and page one's number of words.

    `cards` are listed below it where `lists_here`, else after page two.
    """

    sections: tuple[Section, ...]
    grade: float
    words: int
    cards: Sequence[CardPlace] = ()
    lists_here: bool = True


def written(facts: LetterFacts) -> Letter:
    """Return the letter, its cards listed where there is room for them."""
    letter = _letter(facts, lists_here=True)
    if letter.words <= WORDS_MAX and len(facts.cards) <= LISTED_MAX:
        return letter
    return _letter(facts, lists_here=not facts.cards)


def _letter(facts: LetterFacts, *, lists_here: bool) -> Letter:
    sections = (
        Section("Do nothing today", _first(facts)),
        Section("What this is", _what(facts)),
        Section("Never", NEVER),
        Section("Where", _where(facts, "below" if lists_here else "after page two")),
        Section("Then", _then(facts)),
        *([Section("Later", _later(facts))] if facts.later else []),
        Section("When to stop", _stop(facts)),
    )
    text = "\n".join(f"{section.heading}\n{section.text}" for section in sections)
    cells = [cell or "" for card in facts.cards for cell in card]
    listed = [*LIST_HEAD, *cells] if cells and lists_here else []
    words = len(readability.words(text)) + len(readability.words(" ".join(listed)))
    return Letter(sections, readability.grade(text), words, facts.cards, lists_here)


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
    alone = " One alone can move nothing." if facts.threshold > 1 else ""
    total, threshold = _counted(facts, facts.total), number(facts.threshold).capitalize()
    some = f"The {facts.noun}" if facts.total == 1 else f"Any {threshold.lower()} of {total}"
    if facts.threshold == facts.total > 1:
        all_of_them = f"both {facts.noun}s" if facts.total == 2 else f"all {total}"
        some = f"It takes {all_of_them} to move it"
    else:
        some = f"{some} can move it"
    return (
        "This is about money kept as bitcoin, for the time when its owner can no longer act. "
        f"No bank holds it. {some}.{alone}"
    )


NEVER: Final = (
    "Never read a PIN or secret words out to anyone. Never type them into a website. Never take a "
    "photo of them or this paper. Never pay anyone who calls and offers help. "
    "Never throw away a card, a paper or the owner's computer."
)


def _where(facts: LetterFacts, listed: str) -> str:
    if facts.audience is not Audience.EXECUTOR:
        return (
            "Keep this paper in its place until you have called. If a card lies here, keep it too. "
            "Ask them where the other cards are."
        )
    if not facts.cards:
        return "This paper does not know where its keys are kept. Ask the people named above."
    bank = {
        None: "",
        True: " The bank may keep its box shut for weeks. You can do it without the bank.",
        False: " The bank may keep its box shut for weeks. You must wait for it.",
    }[facts.without_bank]
    return f"The list {listed} says where each card is. Its PIN is noted elsewhere.{bank}"


def _then(facts: LetterFacts) -> str:
    enough = _counted(facts, facts.threshold)
    return (
        f"With {enough}, sit down with your helper. Follow page two. Watch each step. "
        "Send a small sum first. See it arrive. Then send the rest. "
        "Ask a tax adviser before you sell."
    )


def _later(facts: LetterFacts) -> str:
    """Say what later hands can do now, from when on more, and how they would know."""
    lying = [each.here for each in facts.later if each.here and not each.open]
    here = lying[0] if lying and facts.audience is not Audience.EXECUTOR else None
    now = f"Card {here} here can move nothing yet. " if here else ""
    told = [f"{_when(hands)} {_who(facts, hands)} can move it too" for hands in facts.later[:1]]
    told += [f"{_when(hands)} {_who(facts, hands)} can" for hands in facts.later[1:]]
    first, *others = told
    dated = facts.later[0].since is not None and not facts.later[0].open
    moves = ", later if the money moves first" if dated else ""
    return f"{now}{'. '.join([first + moves, *others])}. See the steps after page two."


def _when(hands: LaterHands) -> str:
    if hands.open:
        return "Now"
    if hands.since is not None:
        return f"From {hands.since}"
    if hands.after is None:
        return "After a wait"
    return f"{hands.after.removeprefix('about ').capitalize()} after it last moved,"


def _who(facts: LetterFacts, hands: LaterHands) -> str:
    """Return the names of later hands where they are few and the letter has room for them."""
    total = len(hands.holders)
    if facts.audience is Audience.EXECUTOR or total > NAMED_MAX:
        later = f"later {facts.noun}{'' if total == 1 else 's'}"
        return (
            f"one {later}"
            if total == 1
            else f"{number(hands.threshold)} of {number(total)} {later}"
        )
    if total == 1:
        return f"{hands.holders[0]} alone"
    names = f"{', '.join(hands.holders[:-1])} and {hands.holders[-1]}"
    return names if hands.threshold == total else f"{number(hands.threshold)} of {names}"


def _stop(facts: LetterFacts) -> str:
    tried = f"Last tried out {facts.tried}." if facts.tried else "Not tried out yet."
    return (
        "If anything looks wrong, stop. Stopping loses nothing. After one wrong PIN, stop and "
        f"call. Written {facts.date}. {tried} Older letters no longer count."
    )
