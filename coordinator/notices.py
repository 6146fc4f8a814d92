"""The one type for a sentence about a problem: what is wrong, how bad, and what to do about it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from psbt.review import Caution


class Severity(StrEnum):
    """How much a notice matters."""

    INFO = "info"
    WARNING = "warning"
    DANGER = "danger"


@dataclass(frozen=True)
class Notice:
    """One sentence and what to do about it, with a code that stays the same (`[a-z_]+`).

    `subjects` are what it is about, written kind:name.
    """

    code: str
    severity: Severity
    message: str
    remedy: str = ""
    subjects: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """Return what is wrong and what to do about it in one line."""
        return f"{self.message}: {self.remedy}" if self.remedy else self.message


def of_review(warnings: "Iterable[Caution]") -> list[Notice]:
    """Return the warnings of a payment's review as notices."""
    return [Notice(each.code, Severity(each.severity.value), each.message) for each in warnings]
