"""What a step of the guide needs from the person: asked for with a default, checked at once."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from coordinator.cli.prompts import Choice, ask_text, choose, paragraph

if TYPE_CHECKING:
    from coordinator.guide.facts import GuideFacts
    from coordinator.incident.step import Step

KINDS: Final = {"bank": "bank-vault", "friend": "friend", "home": "home", "office": "office"}
SUGGESTED: Final = ("bank", "friend", "home")
PRACTICE_ADDRESS: Final = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
"""A published test vector's address: play money that is sent to it is gone."""
ASKED: Final = {
    "ADDRESS": "An address of your own, in another wallet:",
    "ADDRESS:AMOUNT": "That address, a colon and the sum, as bc1q…:20000sat:",
    "CHECKSUM": "The eight characters after # on the paper:",
    "SERIAL": "The number on the new bag:",
    "FILE": "The file:",
    "WHO": "Who?",
}


class Answers:
    """The values of one step, for a home with these facts; `folder` is where kits are written."""

    def __init__(self, step: "Step", facts: "GuideFacts", folder: Path, *, practice: bool) -> None:
        """Keep what the questions are about."""
        self._step, self._facts = step, facts
        self._folder, self._practice = folder, practice
        self._place = ""

    def given(self) -> dict[str, str]:
        """Ask for each value the step needs, in the order of its command."""
        return {need: self._value(need) for need in self._step.needs}

    def _value(self, need: str) -> str:
        known: dict[str, Callable[[], str]] = {
            "LABEL": self._label,
            "NAME": self._vault if self._step.words[0] == "vault" else self._label,
            "LOCATION": self._new_place if self._step.words[0] == "location" else self._where,
            "KIND": self._kind,
            "DIR": lambda: str(free_folder(self._folder, self._step)),
            "ADDRESS": self._address,
        }
        return known.get(need, lambda: self._typed(need))()

    def _typed(self, need: str) -> str:
        return ask_text(ASKED.get(need, f"{need}:"), check=_something)

    def _kind(self) -> str:
        kinds = [Choice(kind, kind) for kind in (*KINDS.values(), "other")]
        known = KINDS.get(self._place)
        return known or choose("What kind of place is it?", kinds, "home")

    def _address(self) -> str:
        return PRACTICE_ADDRESS if self._practice else self._typed("ADDRESS")

    def _label(self) -> str:
        """Return the first of card-1, card-2… that is free; a card of software keeps its name."""
        words = self._step.words
        if "--emulated" in words:
            return words[words.index("--emulated") + 1]
        taken = {card.label for card in self._facts.cards}
        numbers = (f"card-{number}" for number in range(1, len(taken) + 2))
        return next(each for each in numbers if each not in taken)

    def _vault(self) -> str:
        taken = {vault.name for vault in self._facts.vaults}
        default = "savings" if "savings" not in taken else ""
        return ask_text("What shall the vault be called?", default, lambda t: _name(t, taken))

    def _new_place(self) -> str:
        taken = set(self._facts.places)
        default = next((each for each in SUGGESTED if each not in taken), "")
        number = len(taken) + 1
        self._place = ask_text(
            f"Place {number}, where a card will lie:", default, lambda t: _name(t, taken)
        )
        return self._place

    def _where(self) -> str:
        """Return a place for a card, a paper or a secret; one that undoes the others is told."""
        question = self._step.title[:1].upper() + self._step.title[1:] + ":"
        choices = [Choice(place, place) for place in self._facts.places]
        while True:
            place = choose(question, choices, self._suggested())
            doubt = self._doubt(place)
            if doubt is None:
                return place
            paragraph(doubt)
            again = [Choice("no", "Choose another place"), Choice("yes", f"Keep it at {place}")]
            if choose("Is that meant?", again) == "yes":
                return place

    def _suggested(self) -> str | None:
        """Return a place that nothing speaks against, of those that come after the card's.

        A secret lies at a bank last: that may be shut when it is needed.
        """
        places = [each for each in self._after_card() if self._doubt(each) is None]
        if self._step.words[0] == "secret":
            places.sort(key=lambda each: each in self._facts.banks)
        return next(iter(places), None)

    def _after_card(self) -> Sequence[str]:
        places, at = self._facts.places, self._lying().get(self._card())
        start = places.index(at) + 1 if at in places else 0
        return [*places[start:], *places[:start]]

    def _lying(self) -> dict[str, str | None]:
        return {card.label: card.carrier.location for card in self._facts.cards}

    def _card(self) -> str:
        """Return the card a step is about."""
        words = self._step.words
        if words[0] == "secret":
            return words[words.index("--of") + 1]
        kind, _, name = words[2].partition(":") if len(words) > 2 else ("", "", "")
        return name if kind == "card" else name.removesuffix("-words")

    def _doubt(self, place: str) -> str | None:
        """Say what speaks against a place: a card beside its PIN or words, two cards in one."""
        card, lying = self._card(), self._lying()
        if self._step.words[0] == "secret" and lying.get(card) == place:
            kind = self._step.code.removesuffix("_nowhere").upper()
            return (
                f"Card {card} lies at {place}, too. With its {kind} beside it, a thief needs only "
                "one more card."
            )
        if self._step.words[0] == "secret" and place in self._facts.banks:
            return (
                f"After a death {place} may be shut for months: card {card} could not be used "
                "until then."
            )
        if self._step.words[:2] == ("custody", "record"):
            others = sorted(each for each, at in lying.items() if at == place and each != card)
            if self._step.words[2].startswith("card:") and others:
                return (
                    f"Card {others[0]} lies at {place}, too. A fire or a thief there takes both, "
                    "and two are all it needs."
                )
            if self._step.words[2].startswith("words:") and others:
                return f"Card {others[0]} lies at {place}: with these words, a thief has two keys."
        return None


def free_folder(folder: Path, step: "Step") -> Path:
    """Return a folder for a kit that is not there yet."""
    words = step.words
    place = words[words.index("--location") + 1] if "--location" in words else "kit"
    wanted = folder / f"{words[1]}-{place}"
    numbered = (folder / f"{wanted.name}-{number}" for number in range(2, 1000))
    return next(each for each in (wanted, *numbered) if not each.exists())


def _something(typed: str) -> str | None:
    return None if typed else "something is wanted here"


def _name(typed: str, taken: set[str]) -> str | None:
    from coordinator.errors import UsageError
    from coordinator.names import checked_name

    if typed in taken:
        return "that name is taken"
    try:
        checked_name(typed)
    except UsageError:
        return "1 to 40 letters, digits, _ or -"
    return None
