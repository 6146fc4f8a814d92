"""A card is looked at: is it there, is it genuine, is its key the one that was enrolled."""

from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy.orm import Session, sessionmaker

from cards.errors import NotGenuine, NotUnlocked
from cards.session import Attestation, CardSession, Verdict
from coordinator import clock, custody
from coordinator.attendant import Attendant
from coordinator.enrol import accepted, account_key, attest
from coordinator.keeping import expect
from coordinator.settings import Home
from coordinator.slots import Slot, card_in, unlock
from coordinator.vaults import key_expression
from psbt.keys import format_path
from storage import cards as card_book

Database = sessionmaker[Session]


@dataclass(frozen=True)
class Check:
    """Which card, where, and whether its PIN may be asked for."""

    label: str
    slot: Slot
    with_pin: bool
    last_attempt: bool = False


class Checked(NamedTuple):
    """What was found; None where it was not asked."""

    present: bool
    genuine: str | None
    key_matches: bool | None
    attempts_left: int | None
    differences: list[str]


def check(home: Home, database: Database, asked: Check, attendant: Attendant) -> Checked:
    """Look at a card and write a *seen* event; differences are told, not raised.

    A card of another identity raises WrongCard before any PIN.
    """
    differences: list[str] = []
    key_matches = None
    with card_in(asked.slot) as session:
        expect(database, asked.label, session)
        if asked.with_pin:
            unlock(session, asked.label, attendant, last_attempt=asked.last_attempt)
            mismatches = _key_differences(database, asked.label, session)
            key_matches = not mismatches
            differences += mismatches
        attestation = _attestation(session, home.network)
        if attestation is not None and attestation.result is Verdict.FAILED:
            differences.append(f"not genuine: {attestation.reason}")
        attempts_left = session.identity().attempts_left
    _remember(database, asked.label, attestation)
    genuine = None if attestation is None else attestation.result.value
    return Checked(True, genuine, key_matches, attempts_left, differences)


def _attestation(session: CardSession, network: str) -> Attestation | None:
    """Return the verdict; None where the card proves nothing before its PIN."""
    try:
        return accepted(attest(session), network)
    except NotUnlocked:
        return None
    except NotGenuine as failure:
        return Attestation(Verdict.FAILED, failure.reason)


def _key_differences(database: Database, label: str, session: CardSession) -> list[str]:
    with database.begin() as db:
        stored = [key_expression(key) for key in card_book.keys_of_card(db, label)]
    return [
        f"the key at {format_path(key.path)} is not the one enrolled"
        for key in stored
        if account_key(session, key.path) != key
    ]


def _remember(database: Database, label: str, attestation: Attestation | None) -> None:
    now = clock.now()
    with database.begin() as db:
        card = card_book.card_named(db, label)
        card.checked_at = now
        if attestation is not None and attestation.result is not Verdict.FAILED:
            card_book.attested(db, card, attestation.result.value, attestation.reason, now)
        custody.record(db, custody.Happening(f"card:{label}", "seen", note="card check"))
