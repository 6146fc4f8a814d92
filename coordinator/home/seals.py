"""Whether a home goes by the seal of places and people that it finds, or by none.

Where several share a database, a seal that an operator approved here made, or took off, is as good
as approved: they signed which it is.
"""

import hashlib
from collections.abc import Callable
from typing import Final

from sqlalchemy.orm import Session

from coordinator.errors import ApprovalMismatch
from coordinator.home import approvals, operators
from coordinator.home.approvals import Standing
from coordinator.home.settings import Home
from storage import statements
from storage.errors import SealLocked
from storage.lookup import is_empty
from storage.sealing import SEALED, SUBJECT, UNSEALED

FOUND_RIGHT: Final = "seal_found_right"
"""In a session's info: the transaction and the key, None without a seal, that was approved of."""
Approves = Callable[[Session, bytes | None, bool], None]


def standing(home: Home, db: Session, sealing_key: bytes | None) -> Standing:
    """Return how the seal's public key, None without a seal, stands to what was approved."""
    found = approvals.seal_standing(home, sealing_key)
    if found is Standing.APPROVED or not _vouched_for(home, db, sealing_key):
        return found
    return Standing.NONE if sealing_key is None else Standing.APPROVED


def _vouched_for(home: Home, db: Session, sealing_key: bytes | None) -> bool:
    """Tell whether the operator who sealed or unsealed last is known here, and meant this seal."""
    if is_empty(db, "statement"):
        return False
    said = statements.newest_about(db, (SEALED, UNSEALED), SUBJECT)
    if said is None or said.public_key not in operators.known(home) or not statements.holds(said):
        return False
    if sealing_key is None:
        return said.act != SEALED
    return said.act == SEALED and said.digest == hashlib.sha256(sealing_key).digest()


def approves(home: Home) -> Approves:
    """Return what storage asks before it writes anything private.

    A seal nobody approved here is approved by who opens it with the passphrase; raises SealLocked
    where nobody did, ApprovalMismatch where another was approved. Asked of each row, it is answered
    once in a transaction.
    """

    def ask(db: Session, sealing_key: bytes | None, unlocked: bool) -> None:  # noqa: FBT001 -- storage's
        asked = db.get_transaction(), sealing_key
        if db.info.get(FOUND_RIGHT) == asked:
            return
        found = standing(home, db, sealing_key)
        if found is Standing.DIFFERS:
            raise ApprovalMismatch("the key that places and people are sealed to")
        if found is Standing.NONE and sealing_key is not None:
            if not unlocked:
                raise SealLocked
            approvals.approve_seal(home, sealing_key)
        db.info[FOUND_RIGHT] = asked

    return ask
