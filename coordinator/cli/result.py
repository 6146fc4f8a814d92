"""What a command results in: the document, the same for people, and the exit status."""

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from coordinator.wallet.balance import Owned
    from coordinator.wallet.overview import CeremonyLine
    from coordinator.wallet.scans import Looked


class ExitStatus(IntEnum):
    """How a command ended (cli.md)."""

    DONE = 0
    BUG = 1
    USAGE = 2
    CARD = 3
    PIN = 4
    REFUSED = 5
    NOT_YET = 6
    CHAIN = 7
    INTERRUPTED = 130


class Result(NamedTuple):
    """A command's result: what its verb returned, the same for people, and the exit status.

    `shown` is False where the command has printed it already, because it went on after that.
    """

    document: object
    lines: Iterable[str] = ()
    status: ExitStatus = ExitStatus.DONE
    shown: bool = True

    def also(self, *lines: str, **fields: object) -> "Result":
        """Return the result with more lines below and more fields."""
        document = as_document(self.document, **fields)
        return self._replace(document=document, lines=[*self.lines, *lines])


def as_document(*results: object, **more: object) -> dict[str, object]:
    """Return the fields of results as one document; what is given by name is added or replaced."""
    joined: dict[str, object] = {}
    for result in results:
        joined |= fields_of(result) or {}
    return joined | more


def fields_of(value: object) -> dict[str, object] | None:
    """Return what a mapping, a dataclass or a named tuple holds by name; None of anything else."""
    if isinstance(value, Mapping):
        return dict(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    named = getattr(value, "_asdict", None)
    return named() if named is not None else None


def looked_document(seen: "Looked") -> dict[str, object]:
    """Return the fields that go with every sum: from where to where its vault was looked for."""
    document = as_document(seen)
    del document["known"], document["whole"]
    return document


def owned_document(owned: "Owned") -> dict[str, object]:
    """Return the fields of a vault's amounts, and why none is known where its rows are at fault."""
    return {**owned.amounts(), **looked_document(owned.looked), "fault": owned.fault}


def ceremony_document(line: "CeremonyLine") -> dict[str, object]:
    """Return a ceremony as lists have it."""
    return as_document({"ceremony": line.id}, line)
