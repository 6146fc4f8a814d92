"""Each row that changes is stated when its transaction commits, by what it holds."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy.orm import Session, sessionmaker

from storage import ceremonies, labels, row_statements, statements, vaults
from storage import custody as custody_book
from storage.authors import AUTHOR
from storage.database import open_database
from storage.model.statements import ROW
from storage.row_statements import GONE, digest, subject
from tests.once import computing_once
from tests.storage.making import NOW, add_ceremony, add_vault
from tests.storage.test_statements import Signer, begin


class Author(Signer):
    """An operator with a clock."""

    def now(self) -> datetime:
        return NOW


@pytest.fixture
def shared() -> Iterator[sessionmaker[Session]]:
    """A database in which operators sign, with a label that nobody stated."""
    with computing_once():
        opened = open_database("sqlite://")
    with opened.begin() as db:
        labels.add(db, "tx", "earlier").label = "there before"
        begin(db)
    opened.configure(info={AUTHOR: Author("anna")})
    row_statements.follow(opened)
    yield opened
    opened.kw["bind"].dispose()


def said(db: Session) -> list[tuple[str, bytes]]:
    return [(each.subject, each.digest) for each in statements.verified(db) if each.act == ROW]


def test_a_digest_is_of_the_names_and_values_that_are_not_empty() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 6, UTC)
    held = {"id": 7, "name": "v", "empty": None, "at": moment, "yes": True, "raw": b"x"}
    wanted = "ac9952f7770cd736bff18a8a7c31df73"
    assert digest("thing", held).hex()[:32] == wanted
    assert digest("thing", {**held, "id": 8, "later": None}) == digest("thing", held)
    for name in ("name", "at", "yes", "raw"):
        assert digest("thing", {**held, name: 1_000}) != digest("thing", held)
    assert digest("other", held) != digest("thing", held)


def test_what_is_sealed_counts_and_not_what_stands_in_for_it() -> None:
    sealed = {"id": 1, "name": "holder.1", "contact": None, "sealed": b"x"}
    assert digest("holder", {**sealed, "name": "aunt"}) == digest("holder", sealed)
    assert digest("holder", {**sealed, "sealed": b"y"}) != digest("holder", sealed)
    plain = {**sealed, "sealed": None}
    assert digest("holder", {**plain, "name": "aunt"}) != digest("holder", plain)


def test_the_first_change_states_all_rows_and_later_ones_what_they_change(
    shared: sessionmaker[Session],
) -> None:
    with shared.begin() as db:
        labels.add(db, "tx", "new").label = "first"
    with shared.begin() as db:
        assert [name for name, _ in said(db)] == ["label 1", "label 2"]
        labels.labelled(db, "tx", "new").label = "second"
    with shared.begin() as db:
        *_, before, last = said(db)
        assert (before[0], last[0]) == ("label 2", "label 2")
        assert (
            before[1]
            != last[1]
            == next(
                digest("label", values)
                for values in row_statements.rows(db, "label")
                if values["id"] == 2
            )
        )
        labels.labelled(db, "tx", "new").label = "second"
        assert len(said(db)) == 3


def test_what_was_taken_back_is_stated_by_nobody(shared: sessionmaker[Session]) -> None:
    with shared() as db:
        labels.add(db, "tx", "new")
        db.flush()
        db.rollback()
    with shared.begin() as db:
        assert said(db) == []


def test_rows_that_go_and_rows_past_the_mapper_are_stated(shared: sessionmaker[Session]) -> None:
    with shared.begin() as db:
        vault = add_vault(db)
        holder = custody_book.add_holder(db, "aunt", None, contact=None)
        ceremony = add_ceremony(db, vault)
    with shared.begin() as db:
        db.add_all([vault, holder, ceremony])
        custody_book.remove_holder(db, holder)
        vaults.add_verification(
            db, vault, key_id=vault.cosigners[0].key_id, card_id=None, matched=True, detail="",
            now=NOW,
        )  # fmt: skip
        given = [ceremonies.NewSignature(0, b"\x02" * 33, bytes(64))]
        ceremonies.keep_signatures(db, ceremony.id, given, now=NOW)
        ceremonies.reserve(db, ceremony, [("aa" * 32, 0)], expires=ceremony.expires_at, now=NOW)
    with shared.begin() as db:
        stated = dict(said(db))
        assert stated["holder 1"] == GONE
        for name in ("verification", "signature", "reservation"):
            (values,) = row_statements.rows(db, name)
            assert stated[subject(name, values)] == digest(name, values)
