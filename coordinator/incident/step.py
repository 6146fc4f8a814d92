"""A step: one thing to do, why, and the command that does it, ready for a shell."""

import shlex
from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from coordinator.notices import Severity

PROGRAM: Final = "cardquorum"


class Need(str):
    """A word of a command that only the person knows, by the name it is asked for."""

    __slots__ = ()


class State(StrEnum):
    """Whether a step can be taken now."""

    DONE = "done"
    OPEN = "open"
    WAITING = "waiting"


class Step(NamedTuple):
    """One thing to do: its command runs as printed once what it `needs` is filled in.

    `within_hours` is how soon after an incident, `item` the thing that it ends the use of.
    """

    code: str
    severity: Severity
    title: str
    why: str
    words: tuple[str, ...] = ()
    state: State = State.OPEN
    within_hours: int | None = None
    item: str | None = None

    @property
    def command(self) -> str | None:
        """Return the command, quoted for a shell; None where no command does it."""
        if not self.words:
            return None
        return " ".join([PROGRAM, *(self._shown(word) for word in self.words)])

    @property
    def needs(self) -> tuple[str, ...]:
        """Return the names of the values to fill in, each once, in the order of the command."""
        return tuple(dict.fromkeys(str(word) for word in self.words if isinstance(word, Need)))

    def _shown(self, word: str) -> str:
        if isinstance(word, Need):
            return str(word)
        return f"'{word}'" if word in self.needs else shlex.quote(word)

    def filled(self, values: Mapping[str, str]) -> list[str]:
        """Return the words after the program's name with what is needed filled in."""
        return [values[word] if isinstance(word, Need) else word for word in self.words]
