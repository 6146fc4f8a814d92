"""A card is looked at: is it there, is it genuine, is its key the one that was enrolled."""

from typing import NamedTuple

from cards.errors import CardRemoved, NotGenuine, NotUnlocked, ReaderNotFound
from cards.session import Attestation, CardSession, Verdict
from coordinator import clock
from coordinator.custody import log as custody_log
from coordinator.enrolment.enrol import (
    CardAtSlot,
    accepted,
    account_key,
    attest,
    give_evidence,
    refuse_useless_evidence,
)
from coordinator.enrolment.pins import expect
from coordinator.home.settings import Home
from coordinator.home.stored_policies import key_expression
from coordinator.person import Attendant
from coordinator.readers.slots import CardPrompts, card_in, unlock
from psbt.keys import format_path
from storage import cards as card_book
from storage.database import Database


class Checked(NamedTuple):
    """What was found; None where it was not asked, or the card has or tells no such thing."""

    present: bool
    genuine: str | None
    key_matches: bool | None
    attempts_left: int | None
    puk_attempts_left: int | None
    differences: list[str]


def check(
    home: Home,
    database: Database,
    asked: CardAtSlot,
    *,
    attendant: Attendant,
    with_pin: bool,
    evidence: bytes | None = None,
) -> Checked:
    """Look at a card and write a *seen* event; differences are told, not raised.

    Its PIN is asked for `with_pin` only; `evidence` is what its maker says of it.

    A card of another identity raises WrongCard before any PIN; no card is no difference but
    not present, and nothing is written.
    """
    try:
        with card_in(asked.slot, CardPrompts(attendant, asked.label)) as session:
            refuse_useless_evidence(session, evidence)
            if not with_pin:
                _refuse_silent(asked.label, session)
            unlocked = expect(database, asked, session, attendant=attendant)
            with database.begin() as db:
                stored = [key_expression(key) for key in card_book.keys_of_card(db, asked.label)]
            attestation: Attestation | None = None
            differences = []
            if stored and not session.identity().initialised:
                differences.append("the card holds no key any more: it was reset")
            else:
                if with_pin and not unlocked:
                    unlock(session, asked.label, attendant, last_attempt=asked.last_attempt)
                give_evidence(session, evidence)
                differences += (
                    f"the key at {format_path(key.path)} is not the one enrolled"
                    for key in (stored if with_pin else ())
                    if account_key(session, key.path) != key
                )
                attestation = _attestation(session, home.network)
            key_matches = not differences if with_pin or differences else None
            if attestation is not None and attestation.result is Verdict.FAILED:
                differences.append(f"not genuine: {attestation.reason}")
            identity = session.identity()
    except (ReaderNotFound, CardRemoved) as absent:
        return Checked(False, None, None, None, None, [str(absent)])
    now = clock.now()
    note = "; ".join(["card check", *differences])
    with database.begin() as db:
        card = card_book.card_named(db, asked.label)
        card.checked_at = card.checked_at if differences else now
        if attestation is not None and attestation.result is not Verdict.FAILED:
            card_book.attested(
                db, card, attestation.result.value, reason=attestation.reason, now=now
            )
        custody_log.record(db, custody_log.NewEvent(f"card:{asked.label}", "seen", note=note))
    genuine = None if attestation is None else attestation.result.value
    pin, puk = identity.attempts_left, identity.puk_attempts_left
    return Checked(True, genuine, key_matches, pin, puk, differences)


def _refuse_silent(label: str, session: CardSession) -> None:
    """Raise NotUnlocked for a card that says nothing before its PIN, where none may be asked."""
    try:
        session.identity()
    except NotUnlocked as silent:
        raise NotUnlocked(f"card {label}: {silent}; add --pin") from None


def _attestation(session: CardSession, network: str) -> Attestation | None:
    """Return the verdict; None where the card proves nothing before its PIN."""
    try:
        return accepted(attest(session), network)
    except NotUnlocked:
        return None
    except NotGenuine as failure:
        return Attestation(Verdict.FAILED, failure.reason)
