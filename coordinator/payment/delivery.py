"""Where a card's signatures go: into the database, by way of the home where that is surer.

A signature kept in the home is delivered by the next command that opens the home for writing, and
verified again then. One whose ceremony ended meanwhile stays where it is and is not counted.
"""

import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Final, NamedTuple

from sqlalchemy.orm import Session, sessionmaker

from coordinator import clock
from coordinator.custody import log as custody_log
from coordinator.errors import (
    BookRolledBack,
    CeremonyError,
    CoordinatorError,
    SignatureUndelivered,
    UsageError,
)
from coordinator.home import undelivered
from coordinator.home.settings import Home
from coordinator.home.undelivered import Kept
from coordinator.notices import Notice, Severity
from coordinator.payment.progress import Progress, progress, stored_psbt
from coordinator.shown_text import counted
from coordinator.signing.card_signer import CardShare
from psbt import signer
from psbt.errors import PsbtError
from psbt.sighash import sighashes
from psbt.signer import SigningRequest
from storage import cards as card_book
from storage import ceremonies as ceremony_book
from storage import custody as custody_book
from storage import vaults as vault_book
from storage.ceremonies import NewSignature
from storage.database import briefly
from storage.errors import NotFound, StorageError
from storage.model import Ceremony

Database = sessionmaker[Session]
TOGETHER_SECONDS: Final = 5.0
"""How long signatures of one card wait on this computer's disk for those of another."""
OPEN: Final = frozenset({"collecting", "complete"})
NOT_STORED: Final = (StorageError, BookRolledBack, OSError)


class Batch(NamedTuple):
    """How many signatures of a card for a ceremony were delivered, or why they are kept here."""

    ceremony: str
    card: str
    signatures: int
    reason: str | None = None

    @property
    def sentence(self) -> str:
        """Say it."""
        what = f"{counted(self.signatures, 'signature')} of card {self.card} for ceremony"
        if self.reason is None:
            return f"{what} {self.ceremony}, kept on this computer until now, were delivered"
        return f"{what} {self.ceremony} are kept on this computer, not counted: {self.reason}"


class Keeper:
    """Commits verified signatures; what the database refuses is kept in the home.

    One that comes alone is committed at once. Of several that are given for a database on a server
    each is on this computer's disk before its card is asked for the next, and all are committed at
    the end of a card's turn, those of several cards that sign `together` at the end of the last,
    within seconds: that costs as many waits as one. `cards` are the labels of those that gave one,
    `refusal` is why the database took no more.
    """

    def __init__(
        self, home: Home, database: Database, record: Ceremony, *, together: bool = False
    ) -> None:
        self._home, self._ceremony_id, self._record_id = home, record.public_id, record.id
        self._database, self._briefly = database, briefly(database)
        self._together, self._since = together, 0.0
        self._waiting: dict[Path, NewSignature] = {}
        self._turn = ExitStack()
        self.cards: set[str] = set()
        self.refusal: BaseException | None = None

    def __call__(self, share: CardShare, request: SigningRequest, signature: bytes) -> None:
        """Keep it; raises StorageError where neither the database nor the home takes it."""
        self.cards.add(share.label)
        index, pubkey = request.input_index, request.pubkey
        given = NewSignature(index, pubkey, signature, share.card_id)
        several = self._together or len(share.requests) > 1
        waits = self._home.server is not None and several
        try:
            if self.refusal is None and not waits:
                self._commit([given])
                return
        except NOT_STORED as failure:
            self.refusal = failure
        kept = Kept(
            self._ceremony_id, share.label, index, pubkey, request.digest, signature, clock.now()
        )
        if self.refusal is None and not self._waiting:
            self._since = time.monotonic()
            self._turn.enter_context(undelivered.alone(self._home))
        try:
            path = undelivered.keep(self._home, kept)
        except UsageError:
            self._commit([given])
        else:
            self._waiting |= {path: given} if self.refusal is None else {}

    def turn_over(self) -> None:
        """Commit what a card gave, unless others that sign together are done in a moment, too."""
        if not self._together or time.monotonic() - self._since > TOGETHER_SECONDS:
            self.ended()

    def ended(self) -> None:
        """Commit what waits; where that fails it stays in the home."""
        waiting, self._waiting = self._waiting, {}
        try:
            if waiting and self.refusal is None:
                self._commit(list(waiting.values()))
                undelivered.forget(waiting)
        except NOT_STORED as failure:
            self.refusal = failure
        finally:
            self._turn.close()

    def _commit(self, given: Sequence[NewSignature]) -> None:
        with self._briefly.begin() as db:
            ceremony_book.keep_signatures(db, self._record_id, given, now=clock.now())

    def delivered(self) -> dict[str, SignatureUndelivered | None]:
        """Deliver what the home had to keep; returns by card why it stays there, or None."""
        if self.refusal is None:
            return {}
        return {
            each.card: SignatureUndelivered(each.card, each.signatures, each.reason)
            if each.reason
            else None
            for each in deliver(self._home, self._database, self._ceremony_id)
        }


def deliver(home: Home, database: Database, ceremony_id: str | None = None) -> list[Batch]:
    """Deliver what the home keeps, for one ceremony or all; returns what came of each card's.

    Nothing is done while another command signs and delivers by itself.
    """
    batches: list[Batch] = []
    with undelivered.alone(home) as alone:
        if alone:
            undelivered.tidy(home)
        for ceremony, waiting in _by_ceremony(home) if alone else ():
            if ceremony_id in {None, ceremony}:
                refused = _delivered(database, ceremony, waiting.values())
                undelivered.forget(path for path, each in waiting.items() if each not in refused)
                batches += _batches(ceremony, waiting.values(), refused)
    return batches


def notices(home: Home, db: Session) -> Iterator[Notice]:
    """Yield what is to be said of signatures that are kept here."""
    for ceremony, waiting in _by_ceremony(home):
        try:
            refused = _refused(ceremony_book.ceremony_named(db, ceremony), waiting.values())
        except (NotFound, PsbtError, CoordinatorError) as failure:
            refused = dict.fromkeys(waiting.values(), str(failure))
        for batch in _batches(ceremony, waiting.values(), refused):
            said = batch if batch.reason else batch._replace(reason="nobody delivered them yet")
            mended = f"they lie in {home.folder / undelivered.FOLDER}"
            if batch.reason is None:
                mended = f"cardquorum spend show {ceremony}"
            subjects = (f"ceremony:{ceremony}", f"card:{batch.card}")
            yield Notice("signature_undelivered", Severity.WARNING, said.sentence, mended, subjects)
    for path in undelivered.read(home).damaged:
        told = f"{path} holds no signature that can be read"
        yield Notice("signature_undelivered", Severity.WARNING, told, "have the cards sign again")


def write_down(db: Session, ceremony_id: str, cards: Mapping[str, datetime | None]) -> None:
    """Leave a *seen* event for every card that signed, now or at a moment.

    What was written down before for that moment is not again: a delivery may have been cut off.
    """
    note = f"signed in ceremony {ceremony_id}"
    seen = [
        custody_log.NewEvent(
            f"card:{label}", "seen", when=clock.text(moment) if moment else None, note=note
        )
        for label, moment in sorted(cards.items())
        if moment is None or not _seen_at(db, label, moment)
    ]
    custody_log.record_seen(db, seen)


def _seen_at(db: Session, label: str, moment: datetime) -> bool:
    """Tell whether the book says that a card was seen at a moment."""
    events = custody_book.events_of(db, custody_log.item_named(db, f"card:{label}"))
    return any(each.event == "seen" and each.happened_at == moment for each in events)


def note_progress(db: Session, record: Ceremony, seen: Progress) -> None:
    """Note who signed for the vault, and that the quorum is there once it is."""
    note_complete(record, seen)
    places = record.vault.keys_of(record.branch)
    keys = [each.key_id for each in places if each.label in seen.signed_by]
    detail = f"signed in ceremony {record.public_id}"
    vault_book.note_proved(db, record.vault, keys, detail=detail, now=clock.now())


def note_complete(record: Ceremony, seen: Progress) -> None:
    """Call a ceremony complete once the quorum is there."""
    if record.state == "collecting" and seen.complete:
        record.state = "complete"


def _by_ceremony(home: Home) -> Iterator[tuple[str, dict[Path, Kept]]]:
    found = sorted(undelivered.read(home).kept, key=lambda each: each[1].ceremony)
    for ceremony, group in groupby(found, key=lambda each: each[1].ceremony):
        yield ceremony, dict(group)


def _batches(ceremony: str, waiting: Collection[Kept], refused: dict[Kept, str]) -> Iterator[Batch]:
    counts = Counter((each.card, refused.get(each)) for each in waiting)
    for (card, reason), count in counts.items():
        yield Batch(ceremony, card, count, reason)


def _delivered(database: Database, ceremony: str, waiting: Collection[Kept]) -> dict[Kept, str]:
    """Store signatures that verify, and that their cards were seen; returns why others stay."""
    try:
        with database.begin() as db:
            record = ceremony_book.ceremony_named(db, ceremony)
            refused = _refused(record, waiting)
            verified = [each for each in waiting if each not in refused]
            cards = {card.label: card.id for card in card_book.all_cards(db)} if verified else {}
            given = [
                NewSignature(each.input_index, each.pubkey, each.signature, cards.get(each.card))
                for each in verified
            ]
            ceremony_book.keep_signatures(db, record.id, given, now=clock.now())
            db.refresh(record)
            note_progress(db, record, progress(record))
    except (*NOT_STORED, PsbtError, CoordinatorError) as failure:
        return dict.fromkeys(waiting, str(failure))
    verified.sort(key=lambda each: each.made_at)
    with suppress(*NOT_STORED, CoordinatorError), database.begin() as db:
        write_down(db, ceremony, {each.card: each.made_at for each in verified})
    return refused


def _refused(record: Ceremony, waiting: Collection[Kept]) -> dict[Kept, str]:
    """Return why signatures do not count; raises where none of them can."""
    if record.state not in OPEN:
        raise CeremonyError(f"ceremony {record.public_id} is {record.state}")
    psbt, refused = stored_psbt(record), {}
    named = {each.input_index for each in waiting}
    digests = sighashes(psbt, named.intersection(range(len(psbt.inputs))))
    for each in waiting:
        if digests.get(each.input_index) != each.digest:
            refused[each] = "the ceremony has another payment than was signed"
            continue
        request = SigningRequest(each.input_index, each.pubkey, (), each.digest)
        try:
            signer.with_signatures(psbt, [(request, each.signature)])
        except PsbtError as failure:
            refused[each] = str(failure)
    return refused
