"""What is stored, held against what operators signed: who opened a payment, who recorded an event.

A row that nobody signed is nobody's; one that differs from what was signed is refused.
"""

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordinator.home import operators, row_checks
from coordinator.home.operators import NOBODY, Operator
from coordinator.home.row_checks import TAMPERED
from coordinator.home.settings import Home
from coordinator.home.stored_policies import computed_checksum
from psbt.errors import PsbtError
from storage import ceremonies as ceremony_book
from storage import custody as custody_book
from storage import sealing, statements
from storage import vaults as vault_book
from storage.errors import StatementBroken
from storage.lookup import is_empty
from storage.model import Ceremony, CustodyEvent, Signature, Vault
from storage.sealing import SEALED, UNSEALED

if TYPE_CHECKING:
    from storage.model import Statement

Check = Callable[["Statement"], None]
"""Raises StatementBroken where a statement tells of another row than there is."""

UNSENT: Final = frozenset({"collecting", "complete", "final"})
GIVEN_UP: Final = "abandoned"
AFTER_GIVING_UP: Final = frozenset({GIVEN_UP, "broadcast", "confirmed"})
OF_CEREMONIES: Final = frozenset({"opened", "approved", "signed", GIVEN_UP})
WORDS: Final = {
    "opened": "ceremony",
    "signed": "signature of ceremony",
    "vault": "vault",
    "event": "event",
}


class Verdict(NamedTuple):
    """How many statements there are, whose are not approved here, and the first row that is wrong.

    `unknown` has the fingerprint of each such key, `altered` every row that is not as it was left.
    """

    statements: int
    unknown: list[str]
    fault: str | None = None
    altered: Sequence[str] = ()


class VaultOperators(NamedTuple):
    """Who made a vault, and who compared it with its paper on a computer of their own."""

    made_by: Operator
    approved_by: list[Operator]


def opened_by(home: Home, db: Session, record: Ceremony) -> Operator:
    """Return who opened a ceremony."""
    return openers(home, db, [record])[record.public_id]


def openers(home: Home, db: Session, records: Collection[Ceremony]) -> dict[str, Operator]:
    """Return who opened each ceremony, by public id; what is not as it was signed has a fault.

    What is not sent yet is held against what its operator signed.
    """
    if not records or is_empty(db, "statement"):
        return {record.public_id: NOBODY for record in records}
    names = operators.known(home)
    said = statements.first_about(db, "opened", [record.public_id for record in records])
    found = {}
    for record in records:
        require = partial(require_same, record=record) if record.state in UNSENT else None
        found[record.public_id] = _who(names, said.get(record.public_id), require)
    return found


def _who(names: Mapping[bytes, str], said: "Statement | None", require: Check | None) -> Operator:
    """Return who made a statement, or what is wrong with it."""
    try:
        found = operators.who(names, said)
        if said is not None and require is not None:
            require(said)
    except StatementBroken as broken:
        return NOBODY._replace(fault=str(broken))
    return found


def of_vault(home: Home, db: Session, vault: Vault) -> VaultOperators:
    """Return who made a vault, and who approved it since the database is shared."""
    if is_empty(db, "statement"):
        return VaultOperators(NOBODY, [])
    names, digest = operators.known(home), vault_book.policy_digest(vault)
    made = statements.first_about(db, "vault", [vault.name]).get(vault.name)
    since = statements.all_about(db, "approved", vault.checksum)
    newest = {said.public_key: said for said in since}
    told = f"tells of another vault {vault.name} than there is"
    require = partial(_require_digest, digest=digest, told=told)
    return VaultOperators(
        _who(names, made, require), [_who(names, said, require) for said in newest.values()]
    )


def _require_digest(said: "Statement", digest: bytes, told: str) -> None:
    if said.digest != digest:
        raise StatementBroken(said.id, told)


def require_opened(db: Session, record: Ceremony) -> None:
    """Raise StatementBroken where an operator signed another ceremony than this one."""
    if not is_empty(db, "statement"):
        said = statements.first_about(db, "opened", [record.public_id]).get(record.public_id)
        if said is not None:
            operators.require_held(said)
            require_same(said, record)


def require_same(said: "Statement", record: Ceremony) -> None:
    """Raise StatementBroken unless a ceremony is the one that an operator opened or approved."""
    from psbt import codec  # noqa: PLC0415 -- costs 20 ms, where a payment is there
    from psbt.outline import commitment  # noqa: PLC0415 -- as above

    try:
        payment = commitment(codec.parse(record.psbt))
    except PsbtError:
        payment = b""
    same = (
        said.digest == payment,
        said.vault == computed_checksum(record.vault),
        said.act != "opened" or said.said_at == record.created_at,
    )
    if not all(same):
        raise StatementBroken(
            said.id, f"{said.act} another payment than ceremony {record.public_id} has now"
        )


def of_events(home: Home, db: Session, events: Collection[CustodyEvent]) -> dict[int, Operator]:
    """Return who recorded each event of the book, by number; nobody is left out of a lone home's.

    An event that is not as it was signed has a fault.
    """
    if not events or is_empty(db, "statement"):
        return {}
    names = operators.known(home)
    said = statements.first_about(db, "event", (str(event.id) for event in events))
    found = {}
    for event in events:
        told = f"recorded another event {event.id} than there is now"
        require = partial(_require_digest, digest=event.hash, told=told)
        found[event.id] = _who(names, said.get(str(event.id)), require)
    return found


def verify(home: Home, db: Session) -> Verdict:
    """Return whether every statement holds and every row is what was signed, the first fault named.

    From the first of its kind on every row has a statement, so that none can be slipped in.
    """
    names, unknown, rows = operators.known(home), dict[str, None](), _Rows(db)
    left, count = row_checks.LeftRows(names), 0
    try:
        for said in statements.verified(db):
            count = said.id
            if said.public_key not in names:
                unknown[operators.fingerprint(said.public_key)] = None
            rows.hold(said)
            left.hold(said)
    except StatementBroken as broken:
        return Verdict(count, list(unknown), str(broken))
    altered = left.altered(db)
    return Verdict(count, list(unknown), next(chain(rows.unsaid(), altered), None), altered)


class _Row(NamedTuple):
    """A row that operators sign, as a statement calls it; without a digest none is compared."""

    subject: str
    digest: bytes | None


class _Rows:
    """The rows that operators sign, by act in the order they were added, and what was signed."""

    def __init__(self, db: Session) -> None:
        ceremonies = sorted(ceremony_book.all_ceremonies(db), key=lambda each: each.id)
        vaults = sorted(vault_book.all_vaults(db), key=lambda each: each.id)
        self._ceremonies = {each.public_id: each for each in ceremonies}
        self._rows = {
            "opened": [_Row(name, None) for name in self._ceremonies],
            "signed": list(_signatures(db)),
            "vault": [_Row(each.name, vault_book.policy_digest(each)) for each in vaults],
            "event": [_Row(str(each.id), each.hash) for each in custody_book.all_events(db)],
        }
        self._policies = {each.checksum: vault_book.policy_digest(each) for each in vaults}
        self._kept = {(act, *row) for act, rows in self._rows.items() for row in rows}
        self._said: set[tuple[str, str, bytes | None]] = set()
        sealing_key = sealing.sealing_key(db)
        self._sealed = sealing_key and hashlib.sha256(sealing_key).digest()
        self._seal: Statement | None = None

    def hold(self, said: "Statement") -> None:
        """Raise StatementBroken unless there is what an operator signed."""
        if said.act == "approved" and said.subject == said.vault:
            if self._policies.get(said.subject) != said.digest:
                raise StatementBroken(said.id, f"approved another vault #{said.subject}")
            return
        record = self._ceremonies.get(said.subject)
        compared = None if said.act in {"opened", GIVEN_UP} else said.digest
        self._said.add((said.act, said.subject, compared))
        if said.act in OF_CEREMONIES and record is None:
            raise StatementBroken(said.id, f"tells of ceremony {said.subject}, which is gone")
        if said.act in {"opened", "approved"} and record is not None:
            require_same(said, record)
        if said.act == GIVEN_UP and record is not None and record.state not in AFTER_GIVING_UP:
            raise StatementBroken(
                said.id, f"gave up ceremony {said.subject}, which is {record.state}"
            )
        if said.act in {SEALED, UNSEALED}:
            self._seal = said
        here = (said.act, said.subject, said.digest)
        if said.act in {"signed", "vault", "event"} and here not in self._kept:
            told = f"tells of another {WORDS[said.act]} {said.subject} than there is"
            raise StatementBroken(said.id, told)

    def unsaid(self) -> Iterator[str]:
        """Yield the rows that nobody signed although those before them were."""
        for act, rows in self._rows.items():
            begun = False
            for row in rows:
                told = (act, *row) in self._said
                begun = begun or told
                if begun and not told:
                    yield f"{WORDS[act]} {row.subject} is signed by no operator: {TAMPERED}"
        if self._seal is not None:
            meant = self._seal.digest if self._seal.act == SEALED else None
            if meant != self._sealed:
                yield f"the seal is not as statement {self._seal.id} says: {TAMPERED}"
        for name, record in self._ceremonies.items():
            opened = ("opened", name, None) in self._said
            given_up = (GIVEN_UP, name, None) in self._said
            if record.state == GIVEN_UP and opened and not given_up:
                yield f"ceremony {name} was given up by no operator: {TAMPERED}"


def _signatures(db: Session) -> Iterator[_Row]:
    """Yield the signatures of all ceremonies in the order they came."""
    columns = (Signature.input_index, Signature.pubkey, Signature.signature)
    rows = select(Ceremony.public_id, *columns).join(
        Signature, Signature.ceremony_id == Ceremony.id
    )
    for public_id, index, pubkey, signature in db.execute(rows.order_by(Signature.id)):
        yield _Row(public_id, ceremony_book.signature_digest(index, pubkey, signature))
