"""What a step of the guide needs from the person: asked for with a default, checked at once."""

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from coordinator.cli.context import Context, Globals
from coordinator.cli.guide_decisions import chosen_chain
from coordinator.cli.guide_paper import paper_asked
from coordinator.cli.kit import CONTACT_MAX
from coordinator.cli.prompts import (
    DECISION,
    QUESTION,
    Choice,
    ask_text,
    choose,
    paragraph,
    refused_by,
    wrong_name,
)

if TYPE_CHECKING:
    from coordinator.guide.facts import GuideFacts
    from coordinator.incident.step import Step

KINDS: Final = {"bank": "bank-vault", "friend": "friend", "home": "home", "office": "office"}
SUGGESTED: Final = ("bank", "friend", "home")
PRACTICE_ADDRESS: Final = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
"""A published test vector's address: play money that is sent to it is gone."""
ASKED: Final = {
    "ADDRESS": "An address of your own, in another wallet:",
    "ADDRESS:AMOUNT": "The address that is paid:",
    "AMOUNT": "How much, as 20000 sat or 0.01 BTC:",
    "CHECKSUM": "The eight characters after # on the paper:",
    "SERIAL": "The number on the new bag:",
    "FILE": "The file:",
    "WHO": "Who?",
}
NETWORKS: Final = ("mainnet", "testnet4", "signet", "regtest")
PLACES: Final = "places"
STANDARD: Final = "standard"
OTHER: Final = "other"
BOTH: Final = "both"
TYPED_MAX: Final = 1_000
CHECKSUM: Final = re.compile("[qpzry9x8gf2tvdw0s3jn54khce6mua7l]{8}")


@dataclass
class Answers:
    """The values of one step, for a home with these facts; `folder` is where kits are written.

    `known` is what was answered before it was wanted: taken once, then asked for. `more` is what
    an answer adds to the command besides its values.
    """

    step: "Step"
    facts: "GuideFacts"
    folder: Path
    practice: bool
    known: dict[str, str]
    more: list[str] = field(default_factory=list)
    place: str = ""
    network: str = ""

    def given(self) -> dict[str, str]:
        """Ask for each value the step needs, in the order of its command."""
        return {need: self._value(need) for need in self.step.needs}

    def _value(self, need: str) -> str:
        making: dict[str, Callable[[], str]] = {
            "LABEL": self._label,
            "NAME": self._vault if self.step.words[0] in {"vault", "recover"} else self._label,
            "LOCATION": self._new_place if self.step.words[0] == "location" else self._where,
            "KIND": self._kind,
            "DIR": self._free_folder,
            "ADDRESS:AMOUNT": self._payee,
            "NETWORK": self._chosen_network,
            "FILE": self._file,
            "CHECKSUM": self._checksum,
            "BIRTHDAY": self._birthday,
        }
        if self.practice:
            making |= {"ADDRESS": lambda: PRACTICE_ADDRESS, "CHAIN": lambda: ""}
        else:
            making["CHAIN"] = lambda: chosen_chain(self.network)
        return making.get(need, lambda: self._typed(need))()

    def _chosen_network(self) -> str:
        """Return the network: of a new vault the one for money, of another what its paper says."""
        if self.practice:
            self.network = "regtest"
        elif self.step.code == "home":
            self.network = "mainnet"
        else:
            choices = [Choice(each, each) for each in NETWORKS]
            known = self.known.pop("NETWORK", None)
            self.network = known or choose("Which network does the paper name?", choices)
        return self.network

    def _file(self) -> str:
        """Return the file asked for; where a vault is brought back, one that can be."""
        if self.step.words[0] == "recover":
            known = self.known.pop("FILE", None)
            first, *self.more = shlex.split(known) if known else paper_asked().files
            return first
        return self._typed("FILE")

    def _checksum(self) -> str:
        if self.step.words[0] != "recover":
            return self._typed("CHECKSUM")
        paragraph("The paper repeats its eight characters on each page; nothing: compare later.")
        return ask_text(
            ASKED["CHECKSUM"], check=lambda typed: self._wrong("CHECKSUM", typed, empty=True)
        )

    def _birthday(self) -> str:
        paragraph("The paper says when the vault was first used; nothing: all days are looked at.")
        return ask_text(
            "That day, as 2026-11-30, or a block:",
            self.known.pop("BIRTHDAY", ""),
            lambda typed: self._wrong("BIRTHDAY", typed, empty=True),
        )

    def _typed(self, need: str) -> str:
        return ask_text(ASKED.get(need, f"{need}:"), check=lambda typed: self._wrong(need, typed))

    def _wrong(self, need: str, typed: str, *, empty: bool = False) -> str | None:
        """Say what is wrong with a value, before a command is run with it."""
        if not typed:
            return None if empty else "something is wanted here"
        if len(typed) > TYPED_MAX or not typed.isprintable():
            return f"up to {TYPED_MAX} characters that can be seen, please"
        return self._refused(need, typed)

    def _refused(self, need: str, typed: str) -> str | None:
        """Say in a sentence what is wrong with an address, a sum, a rate, a day or a checksum."""
        from coordinator.amounts import parse_feerate
        from coordinator.errors import UsageError
        from coordinator.payment.payees import parse_address, parse_payee
        from coordinator.wallet.scans import parse_birthday

        network = self.facts.network or "mainnet"
        parsers: dict[str, Callable[[str], object]] = {
            "ADDRESS": lambda text: parse_address(text, network),
            "ADDRESS:AMOUNT": lambda text: parse_payee(text, network),
            "FEERATE": parse_feerate,
            "BIRTHDAY": lambda text: parse_birthday(text, None, network),
        }
        if need == "CHECKSUM" and not CHECKSUM.fullmatch(typed.lower()):
            return "eight small letters and digits are wanted, as after # on the paper"
        return refused_by(parsers[need], UsageError)(typed) if need in parsers else None

    def _free_folder(self) -> str:
        """Return a folder for a kit that is not there yet."""
        words = self.step.words
        place = words[words.index("--location") + 1] if "--location" in words else "kit"
        wanted = self.folder / f"{words[1]}-{place}"
        numbered = (self.folder / f"{wanted.name}-{number}" for number in range(2, 1000))
        return str(next(each for each in (wanted, *numbered) if not each.exists()))

    def _kind(self) -> str:
        kinds = [Choice(kind, kind) for kind in (*KINDS.values(), "other")]
        known = KINDS.get(self.place)
        return known or choose("What kind of place is it?", kinds, "home")

    def _payee(self) -> str:
        """Return whom to pay what: an address and then a sum, or both where a URI names both."""
        need = "ADDRESS:AMOUNT"

        def wrong(typed: str) -> str | None:
            whole = self._refused(need, typed) is None  # a URI that names the sum, too
            return None if whole else self._wrong("ADDRESS", typed)

        address = ask_text(ASKED[need], check=wrong)
        if self._refused(need, address) is None:
            return address
        amount = ask_text(
            ASKED["AMOUNT"], check=lambda typed: self._wrong(need, f"{address}:{typed}")
        )
        return f"{address}:{amount}"

    def _label(self) -> str:
        """Return the first of card-1, card-2… that is free; a card of software keeps its name."""
        words = self.step.words
        if "--emulated" in words:
            return words[words.index("--emulated") + 1]
        taken = {card.label for card in self.facts.cards}
        numbers = (f"card-{number}" for number in range(1, len(taken) + 2))
        free = next(each for each in numbers if each not in taken)
        if self.step.code == "card_back":
            question = "What the letter or its envelope calls it:"
            return ask_text(question, free, lambda typed: wrong_name(typed, taken))
        return free

    def _vault(self) -> str:
        taken = {vault.name for vault in self.facts.vaults}
        default = self.known.pop("NAME", "savings")
        default = "" if wrong_name(default, taken) else default
        mark = DECISION if self.step.words[0] == "vault" else QUESTION
        question = "What shall the vault be called?"
        return ask_text(question, default, lambda typed: wrong_name(typed, taken), mark=mark)

    def _new_place(self) -> str:
        """Return the next place: three that suit most people, or those somebody names."""
        taken = set(self.facts.places)
        default = next((each for each in SUGGESTED if each not in taken), "")
        if taken <= set(SUGGESTED) and default and PLACES not in self.known:
            choices = [
                Choice(STANDARD, "One at a bank, one with a friend, one at home"),
                Choice(OTHER, "At other places, which I name"),
            ]
            asked = "Where will the three cards lie?"
            self.known[PLACES] = choose(asked, choices, mark=DECISION)
        if default and self.known.get(PLACES) == STANDARD:
            self.place = default
            return default
        asked = f"Place {len(taken) + 1}, where a card will lie:"
        self.place = ask_text(asked, default, lambda typed: wrong_name(typed, taken))
        return self.place

    def _where(self) -> str:
        """Return a place for a card, a paper or a secret; one that undoes the others is told."""
        choices = [Choice(place, place) for place in self.facts.places]
        others = self._others() if self.step.code == "pin_nowhere" else []
        if len(others) > 1:
            choices.insert(0, Choice(BOTH, f"{others[0]} and {others[1]}: a note at each"))
        while True:
            place = choose("Where?", choices, BOTH if len(others) > 1 else self._suggested())
            if place == BOTH:
                self.more = ["--written-at", others[1]]
                return others[0]
            doubt = self._doubt(place)
            if doubt is None:
                return place
            paragraph(doubt)
            again = [Choice("no", "Choose another place"), Choice("yes", f"Keep it at {place}")]
            if choose("Is that meant?", again) == "yes":
                return place

    def _others(self) -> list[str]:
        """Return the places that may hold a note of a card's PIN, those that no bank shuts first.

        Of notes at two places one may lie at a bank.
        """
        at = self._lying().get(self._card())
        places = [place for place in self._after_card() if place != at]
        return sorted(places, key=lambda each: each in self.facts.banks)

    def _suggested(self) -> str | None:
        """Return a place that nothing speaks against, of those that come after the card's.

        A secret lies at a bank last: that may be shut when it is needed.
        """
        places = [each for each in self._after_card() if self._doubt(each) is None]
        if self.step.words[0] == "secret":
            places.sort(key=lambda each: each in self.facts.banks)
        return next(iter(places), None)

    def _after_card(self) -> Sequence[str]:
        places, at = self.facts.places, self._lying().get(self._card())
        start = places.index(at) + 1 if at in places else 0
        return [*places[start:], *places[:start]]

    def _lying(self) -> dict[str, str | None]:
        return {card.label: card.carrier.location for card in self.facts.cards}

    def _noted(self, label: str) -> list[str]:
        """Return where the PIN of a card is noted."""
        cards = [each.carrier.card for each in self.facts.cards if each.label == label]
        secrets = [secret for card in cards if card is not None for secret in card.secrets]
        return [place for each in secrets if each.kind == "pin" for place in each.written_at]

    def _card(self) -> str:
        """Return the card a step is about."""
        words = self.step.words
        if words[0] == "secret":
            return words[words.index("--of") + 1]
        kind, _, name = words[2].partition(":") if len(words) > 2 else ("", "", "")
        return name if kind == "card" else name.removesuffix("-words")

    def _doubt(self, place: str) -> str | None:
        """Say what speaks against a place: a card beside its PIN or words, two cards in one."""
        card, lying = self._card(), self._lying()
        if self.step.words[0] == "secret" and lying.get(card) == place:
            kind = self.step.code.removesuffix("_nowhere").upper()
            return (
                f"Card {card} lies at {place}, too. With its {kind} beside it, a thief needs only "
                "one more card."
            )
        noted_once = self.step.code == "pin_noted_once"
        if noted_once and place in self._noted(card):
            return f"It is noted at {place} already."
        if self.step.words[0] == "secret" and place in self.facts.banks and not noted_once:
            return (
                f"After a death {place} may be shut for months: card {card} could not be used "
                "until then."
            )
        if self.step.words[:2] == ("custody", "record"):
            others = sorted(each for each, at in lying.items() if at == place and each != card)
            if self.step.words[2].startswith("card:") and others:
                return (
                    f"Card {others[0]} lies at {place}, too. A fire or a thief there takes both, "
                    "and two are all it needs."
                )
            if self.step.words[2].startswith("words:") and others:
                return f"Card {others[0]} lies at {place}: with these words, a thief has two keys."
        return None


def without_empty(step: "Step", values: dict[str, str]) -> list[str]:
    """Return a step's words with its values, without options of which nothing is known."""
    words = step.filled(values)
    empty = {at for at, word in enumerate(words) if not word}
    return [word for at, word in enumerate(words) if not empty & {at, at + 1}]


def with_keeper(
    words: list[str], folder: Path, run: Callable[[Sequence[str]], bool], *, practice: bool
) -> list[str]:
    """Ask who keeps what lies with a friend, and who helps one day; return the words with it."""
    if words[words.index("--kind") + 1] != KINDS["friend"] or practice:
        return words
    paragraph(
        f"Whoever keeps a card at {words[2]} is named on the kit as the one to call. They never "
        "get a second card. Nothing: a line is left for a pen."
    )
    keeper = ask_text(
        "Who keeps it there, as marie?",
        check=lambda typed: wrong_name(typed) if typed else None,
        mark=DECISION,
    )
    if not keeper:
        return words
    if keeper not in _contacts(folder):
        run(["holder", "add", keeper])
    return [*words, "--holder", keeper]


def helpers(folder: Path, facts: "GuideFacts") -> list[str]:
    """Return two who keep things at places of the vaults, with how they are reached if known."""
    places = (each for vault in facts.vaults for each in vault.facts.places.values())
    keepers = sorted({each.holder for each in places if each.holder})[:2]
    contacts = _contacts(folder) if keepers else {}
    told = (", ".join(filter(None, (who, contacts.get(who)))) for who in keepers)
    return [
        each if len(each) <= CONTACT_MAX else who for who, each in zip(keepers, told, strict=True)
    ]


def _contacts(folder: Path) -> dict[str, str | None]:
    """Return the people known in a home, and how each is reached."""
    from storage import custody as custody_book

    with Context(Globals(home=folder)) as opened, opened.database.begin() as db:
        return {each.name: each.contact for each in custody_book.all_holders(db)}
