"""Dangers: what a command refuses to do until the person accepts it by its code."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from coordinator.errors import NotAccepted


@dataclass(frozen=True)
class Danger:
    """A danger by its stable code (`[a-z_]+`) and a sentence that says it."""

    code: str
    message: str


def refuse_unaccepted(dangers: Iterable[Danger], accepted: Collection[str] | None) -> None:
    """Raise NotAccepted with every danger whose code is not among those accepted, each once."""
    open_dangers: dict[str, str] = {}
    for danger in dangers:
        if danger.code not in (accepted or ()):
            open_dangers.setdefault(danger.code, danger.message)
    if open_dangers:
        raise NotAccepted(tuple(open_dangers), tuple(open_dangers.values()))
