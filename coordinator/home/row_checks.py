"""Stored rows, held against what operators stated of them when they changed each.

A row says nothing of what it held before: who wants it back needs a backup, or the paper.
"""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy.orm import Session

from coordinator import clock
from storage import row_statements
from storage.model import Statement
from storage.model.statements import ROW

NAMED_BY: Final = ("label", "public_id", "name", "ref", "family")
PAST: Final = "somebody changed the database"


class LeftRows:
    """How operators left each row, by what statements call it, told in the order they were made."""

    def __init__(self, names: Mapping[bytes, str]) -> None:
        """Keep the names of the operators known here, by key."""
        self._names = names
        self._left: dict[str, Statement] = {}

    def hold(self, said: Statement) -> None:
        """Take what a statement says of a row."""
        if said.act == ROW:
            self._left[said.subject] = said

    def altered(self, db: Session) -> list[str]:
        """Return a sentence on each row that is another one, gone, or of nobody.

        None where no row was stated yet.
        """
        left, found = dict(self._left), list[str]()
        for name in row_statements.WATCHED if left else ():
            for values in row_statements.rows(db, name):
                subject = row_statements.subject(name, values)
                said, held = left.pop(subject, None), row_statements.digest(name, values)
                if said is None or said.digest != held:
                    found.append(self._sentence(f"{subject}{_called(values)}", said))
        gone = (each for each in left.values() if each.digest != row_statements.GONE)
        told = "{} is gone, which {} left: {}"
        return [*found, *(told.format(each.subject, self._who(each), PAST) for each in gone)]

    def _sentence(self, row: str, said: Statement | None) -> str:
        if said is None:
            return f"{row} was written by no operator: {PAST}"
        if said.digest == row_statements.GONE:
            return f"{row} is there again, which {self._who(said)} removed: {PAST}"
        return f"{row} is not as {self._who(said)} left it: {PAST}"

    def _who(self, said: Statement) -> str:
        """Return who left a row, when, and where that is said."""
        name = self._names.get(said.public_key, f"{said.operator} (not approved here)")
        return f"{name} at {clock.text(said.said_at)} (statement {said.id})"


def _called(values: Mapping[str, Any]) -> str:
    """Return how people know a row, in brackets; nothing where they do not."""
    name = next((values[each] for each in NAMED_BY if values.get(each)), None)
    return f" ({name})" if isinstance(name, str) else ""
