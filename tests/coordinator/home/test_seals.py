"""Which seal a home goes by: the one approved here, or one that an operator approved here made."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy.orm import Session

from coordinator.errors import ApprovalMismatch
from coordinator.home import approvals, seals
from coordinator.home.approvals import Standing
from coordinator.home.settings import Home
from storage.database import open_database
from storage.errors import SealLocked

SEAL: Final = bytes(range(32))
OTHER: Final = bytes(32)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path, "regtest", "none:")


@pytest.fixture
def db() -> Iterator[Session]:
    opened = open_database("sqlite://")
    with opened.begin() as session:
        yield session
    opened.kw["bind"].dispose()


def test_no_seal_is_made_by_whom_does_not_know_the_passphrase(home: Home, db: Session) -> None:
    approves = seals.approves(home)
    approves(db, None, False)
    with pytest.raises(SealLocked):
        approves(db, SEAL, False)
    assert seals.standing(home, db, SEAL) is Standing.NONE
    approves(db, SEAL, True)
    approves(db, SEAL, False)
    assert approvals.seal_standing(home, SEAL) is Standing.APPROVED
    for other in (OTHER, None):
        assert seals.standing(home, db, other) is Standing.DIFFERS
        for unlocked in (True, False):
            with pytest.raises(ApprovalMismatch):
                approves(db, other, unlocked)
