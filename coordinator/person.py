"""The person at the program: asked for secrets and consent, told what happens."""

from pathlib import Path
from typing import Protocol, runtime_checkable

from cards.pin import Pin, Secret
from cards.session import CardIdentity
from psbt.review import Review


class Person(Protocol):
    """The person as a single card needs one: safe to be called from the card's own thread."""

    def pin_for(self, label: str, card: CardIdentity, /) -> Pin:
        """Return the card's PIN; raises PinMissing where nobody can give it."""
        ...

    def secret_for(self, label: str, kind: str, /, *, optional: bool = False) -> Secret | None:
        """Return another secret (`puk`, `seed`, `words`); None where nobody gives it.

        An optional one is not asked for at the terminal.
        """
        ...

    def label_for(self, why: str, known: str | None, /) -> str | None:
        """Ask under which label a card is enrolled now; None where nobody wants that.

        One that has a `known` label keeps it.
        """
        ...

    def agreed(self, code: str, why: str, /) -> bool:
        """Tell whether a danger met on the way is accepted, by its code or by the person."""
        ...

    def waiting(self, label: str, reason: str, seconds: int, /) -> None:
        """Hear that a card makes us wait so many seconds more; called from the card's thread."""
        ...

    def progress(self, label: str, done: int, total: int, /) -> None:
        """Hear that a card gave another signature; called from the card's own thread."""
        ...

    def say(self, text: str, /) -> None:
        """Tell what happens."""
        ...


@runtime_checkable
class Typist(Protocol):
    """A person who may type what is asked for, which takes a while."""

    def types(self) -> bool:
        """Tell whether somebody at a terminal types the secrets, instead of standard input."""
        ...


@runtime_checkable
class Leaving(Protocol):
    """A person who can end what takes a while without a signal to the program."""

    def stopped(self) -> bool:
        """Tell whether the person wants it to end."""
        ...


@runtime_checkable
class Overhearing(Protocol):
    """A person who can be told things, from any thread, while a question is open."""

    def overhears(self) -> bool:
        """Tell whether that holds."""
        ...


class Attendant(Person, Protocol):
    """The only way a verb reaches a person."""

    def new_pin_for(self, label: str, rule: str, /) -> Pin:
        """Return a PIN to be set, asked for twice with what fits; raises PinMissing."""
        ...

    def changed_pin_for(self, label: str, rule: str, /) -> Pin:
        """Return the PIN that shall replace another (`LABEL.new`); raises PinMissing."""
        ...

    def optional_new_pin_for(self, label: str, rule: str, /) -> Pin | None:
        """Return a PIN to be set where the card can take one; None where nobody gives it."""
        ...

    def show_once(self, title: str, secret: Secret, /) -> None:
        """Show a secret that is kept nowhere else."""
        ...

    def ready_for_words(self, file: Path | None, /) -> None:
        """Raise UsageError where words could go neither to the file named nor to a terminal."""
        ...

    def hand_over_words(self, title: str, words: Secret, file: Path | None, /) -> None:
        """Write the words to the file named, else show them on the terminal."""
        ...

    def hand_over_psbt(self, label: str, psbt: str, /) -> None:
        """Show a PSBT (base64) whose signatures by this card could not be stored."""
        ...

    def confirm(self, review: Review, /) -> None:
        """Show what is about to be signed; raises NotAccepted unless it is agreed to."""
        ...
