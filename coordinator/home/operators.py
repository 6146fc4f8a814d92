"""Operators: this home's own name and key, and whose keys its owner compared and approved.

Keys are told out of band and approved in the approvals file, under the home's own key. What a row
of the database calls an operator counts for nothing.
"""

import hashlib
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy.orm import Session

from coordinator.errors import UsageError
from coordinator.home import approvals
from coordinator.home.own_operator import own_name
from coordinator.home.settings import Home, write_settings
from coordinator.names import checked_name
from coordinator.shown_text import in_groups, visible
from storage import statements
from storage.errors import NotFound, StatementBroken

if TYPE_CHECKING:
    from storage.model import Statement

KEY: Final = re.compile("[0-9a-f]{64}")
FINGERPRINT: Final = re.compile("[0-9a-f]{32}")
FINGERPRINT_TAG: Final = b"cardquorum operator key v1"
BLANKS: Final = re.compile(r"[\s:-]+")


class State(StrEnum):
    """How whoever did something stands to this home."""

    APPROVED = "approved"
    UNKNOWN = "unknown"
    NONE = "none"


class Operator(NamedTuple):
    """Who did something; of an unknown one the name is what they call themselves.

    `fault` says what is wrong where a row is not what an operator signed.
    """

    name: str | None
    state: State
    fingerprint: str | None = None
    fault: str | None = None

    @property
    def words(self) -> str:
        """Return how a person is told of them."""
        if self.state is State.APPROVED:
            return str(self.name)
        if self.state is State.UNKNOWN:
            return f"somebody not approved here, who is called {self.name} ({self.fingerprint})"
        return self.fault or "nobody who is known here"

    @property
    def short(self) -> str | None:
        """Return how lists tell of them."""
        if self.fault is not None:
            return "NOT AS SIGNED"
        return f"{self.name}?" if self.state is State.UNKNOWN else self.name


NOBODY: Final = Operator(None, State.NONE)


class Listed(NamedTuple):
    """An operator as lists have them; `statements` are the rows that name the key."""

    name: str
    key: str
    fingerprint: str
    state: str
    statements: int


def rename(home: Home, name: str) -> Home:
    """Call this home's operator something; raises UsageError."""
    named = home._replace(operator=checked_name(name))
    write_settings(named)
    return named


def own(home: Home) -> Listed:
    """Return this home's operator; the key is made where there is none yet."""
    return _listed(own_name(home), approvals.have_key(home), "own")


def fingerprint(public_key: bytes) -> str:
    """Return what people compare of a key: 128 bits of its SHA-256, in groups of four digits."""
    digits = hashlib.sha256(FINGERPRINT_TAG + public_key).hexdigest()[:32]
    return " ".join(in_groups(digits, 4))


def known(home: Home) -> dict[bytes, str]:
    """Return the names of the operators this home knows, its own too, by public key."""
    names = approvals.approved_operators(home)
    mine = approvals.public_key(home)
    return names if mine is None else {**names, mine: own_name(home)}


def who(names: Mapping[bytes, str], said: "Statement | None") -> Operator:
    """Return who made a statement, by the names this home knows; raises StatementBroken."""
    if said is None:
        return NOBODY
    require_held(said)
    name, digits = names.get(said.public_key), fingerprint(said.public_key)
    if name is not None:
        return Operator(name, State.APPROVED, digits)
    return Operator(visible(said.operator), State.UNKNOWN, digits)


def require_held(said: "Statement") -> None:
    """Raise StatementBroken unless a statement is what the key in it signed."""
    if not statements.holds(said):
        raise StatementBroken(said.id, statements.ALTERED)


def listed(home: Home, db: Session) -> list[Listed]:
    """Return this home's operator, those approved here, and those that rows name besides."""
    mine, names = approvals.public_key(home), approvals.approved_operators(home)
    rows = {key: (name, count) for key, name, count in statements.authors(db)}
    found: dict[bytes, tuple[str, str]] = {}
    if mine is not None:
        found[mine] = (own_name(home), "own")
    for key, name in sorted(names.items(), key=lambda each: each[1]):
        found.setdefault(key, (name, State.APPROVED))
    for key, (name, _) in rows.items():
        found.setdefault(key, (visible(name), State.UNKNOWN))
    return [
        _listed(name, key, state, count=rows[key][1] if key in rows else 0)
        for key, (name, state) in found.items()
    ]


def _listed(name: str, key: bytes, state: str, *, count: int = 0) -> Listed:
    return Listed(name, key.hex(), fingerprint(key), state, count)


def approve(home: Home, db: Session, name: str, *, key: str | None, digits: str | None) -> Listed:
    """Approve an operator's key, given whole or found by the fingerprint its owner told.

    Raises UsageError, NotFound where no row names a key of that fingerprint.
    """
    checked_name(name)
    if (key is None) == (digits is None):
        raise UsageError("give what the operator told you: --key KEY or --fingerprint DIGITS")
    if key is not None:
        bare = BLANKS.sub("", key).lower()
        if not KEY.fullmatch(bare):
            raise UsageError("a key is 64 hex digits, as cardquorum operator show prints them")
        chosen = bytes.fromhex(bare)
    else:
        chosen = _with_fingerprint(db, str(digits))
    if chosen == approvals.public_key(home):
        raise UsageError("that is this home's own key: it needs no approval here")
    approvals.approve_operator(home, name, chosen)
    return _listed(name, chosen, State.APPROVED)


def _with_fingerprint(db: Session, text: str) -> bytes:
    wanted = BLANKS.sub("", text).lower()
    if not FINGERPRINT.fullmatch(wanted):
        raise UsageError("a fingerprint is 32 hex digits, as cardquorum operator show prints them")
    for key, _, _ in statements.authors(db):
        if BLANKS.sub("", fingerprint(key)) == wanted:
            return key
    raise NotFound("operator", text)


def remove(home: Home, name: str) -> list[Listed]:
    """Approve every key of an operator no more; raises NotFound."""
    keys = [key for key, named in approvals.approved_operators(home).items() if named == name]
    if not keys:
        raise NotFound("operator", name)
    for key in keys:
        approvals.forget_operator(home, key)
    return [_listed(name, key, State.UNKNOWN) for key in keys]
