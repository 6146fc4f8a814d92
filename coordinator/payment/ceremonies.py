"""A ceremony goes on: signatures come in from cards and files until it is final and sent."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from contextlib import closing, suppress
from datetime import datetime
from functools import partial
from typing import Final, NamedTuple

from sqlalchemy.orm import Session, sessionmaker

from cards.errors import WrongCard
from cards.session import CardIdentity
from coordinator import clock
from coordinator.audit import acceptance
from coordinator.audit.acceptance import Accepted, check_txid, require_payment, require_policy
from coordinator.chain import ChainSource
from coordinator.enrolment import unenrolled
from coordinator.errors import CeremonyError, NotFinal, NothingToSign, SignatureNotKept
from coordinator.home import approvals, statement_checks
from coordinator.home.operators import NOBODY, Operator
from coordinator.home.settings import Home
from coordinator.home.stored_policies import key_expression, stored_policy
from coordinator.notices import Notice, Severity
from coordinator.payment import psbt_file
from coordinator.payment.delivery import (
    NOT_STORED,
    OPEN,
    Keeper,
    note_complete,
    note_progress,
    write_down,
)
from coordinator.payment.progress import (
    Progress,
    final_transaction,
    kept_signatures,
    others_missing,
    progress,
    progress_with,
    signed_psbt,
    stored_psbt,
    with_kept_signatures,
)
from coordinator.payment.reviews import refuse_contradictions, reviewed_again
from coordinator.person import Attendant
from coordinator.readers.slots import KnownCard, Slot
from coordinator.signing import collector
from coordinator.signing.collector import (
    CardShare,
    Outcome,
    SigningTask,
    WaitPolicy,
)
from coordinator.signing.missing_cards import Wanted, wanted_cards
from coordinator.vault.key_proofs import key_place_of
from coordinator.wallet.coins import hold_coins, refusal
from psbt import codec, combiner, consensus, extractor, finalizer, outline, signer, updater
from psbt.errors import SignaturesMissing
from psbt.policy import Policy
from psbt.review import Review
from psbt.sighash import spent_outputs
from psbt.transaction import parse_transaction
from storage import ceremonies as ceremony_book
from storage import chain as chain_book
from storage.changes import Changes
from storage.database import reading
from storage.errors import CommitUnknown, DatabaseUnreachable, StorageError
from storage.model import Card, Ceremony, Coin

Database = sessionmaker[Session]
WENT_AWAY: Final = frozenset({StorageError, DatabaseUnreachable, CommitUnknown})
CHANGED: Final = "the payment changed while it was looked at: look at it once more"


class Consent(NamedTuple):
    """What a person says before cards sign: the txid they compared, and dangers accepted."""

    txid: str | None = None
    accepted: Accepted = None


class Signed(NamedTuple):
    """What came of each card offered, and where the ceremony stands since."""

    outcomes: list[Outcome]
    progress: Progress


class Finalized(NamedTuple):
    """A finished transaction and what vouched for it: the engine, or our own check.

    Where others spend their coins in it and have yet to sign, there is no transaction: `psbt` has
    the vault's inputs unlocked and theirs as they were, `others_missing` says how many those are.
    """

    ceremony: str
    txid: str
    hex: str | None
    vsize: int | None
    fee_sats: int
    consensus: str | None
    psbt: str
    others_missing: int = 0


class Sent(NamedTuple):
    """A payment the chain source took, and its state since."""

    ceremony: str
    txid: str
    state: str


def sign(
    home: Home,
    database: Database,
    ceremony_id: str,
    *,
    offered: Sequence[Slot],
    attendant: Attendant,
    wait_policy: WaitPolicy = WaitPolicy(),  # noqa: B008 -- frozen
    consent: Consent = Consent(),  # noqa: B008 -- frozen
) -> Signed:
    """Show the review, then let every card offered sign; each signature is kept as it comes.

    What was shown last is what is signed and counted. Readers go on asking for the cards that the
    quorum lacks, as the wait_policy says.
    """
    agreed = _agreed(home, database, ceremony_id, attendant=attendant, consent=consent)
    record, psbt, seen = agreed.record, agreed.psbt, agreed.progress
    # several cards sign at the same time where no person types and no further one comes
    waits = wait_policy.wait_seconds > 0 and any(slot.arrival for slot in offered)
    together = len(offered) > 1 and not wait_policy.typed and not waits
    keeper = Keeper(home, database, record, together=together)
    missing = _Missing(database, agreed)
    changes = Changes(database)

    def not_kept(
        label: str, given: Sequence[collector.Given], reason: BaseException
    ) -> SignatureNotKept:
        answers = [(each.request, each.signature) for each in given]
        text = codec.to_base64(signer.with_signatures(psbt, answers))
        attendant.hand_over_psbt(label, text)
        return SignatureNotKept(label, len(given), reason, psbt=text)

    task = SigningTask(
        share_of=_Shares(database, agreed),
        keep=keeper,
        attendant=attendant,
        wait_policy=wait_policy,
        missing=lambda: missing(keeper.cards),
        cards=[KnownCard(card.label, card.family, card.card_id) for card in agreed.carriers],
        enrol=partial(unenrolled.enrol_where_asked, database, record.vault.name),
        not_kept=not_kept,
        needed=max(seen.need - seen.have, 0),
        changed=lambda: changes.wait(0),
        turn_over=keeper.turn_over,
        ended=keeper.ended,
    )
    with closing(changes):
        outcomes = collector.collect(offered, task)
    return _noted(database, psbt, outcomes, keeper=keeper, before=seen)


class _Looked(NamedTuple):
    """A payment as it stands, what a person must see of it, and the dangers nobody accepted yet."""

    record: Ceremony
    policy: Policy
    psbt: codec.Psbt
    progress: Progress
    carriers: Sequence[Card]
    opened_by: Operator
    review: Review
    fresh: Sequence[acceptance.Danger]

    @property
    def shown(self) -> tuple[Review, bytes]:
        """Return what a consent is for."""
        return self.review, outline.commitment(self.psbt)


def _looked(
    home: Home, db: Session, ceremony_id: str, *, consent: Consent, before: _Looked | None = None
) -> _Looked:
    """Look at a payment that waits for cards; raises what forbids to sign it.

    Its coins are held once it was looked at before: the first look writes nothing.
    """
    record = _open_ceremony(db, ceremony_id)
    vault, policy = record.vault, stored_policy(record.vault)
    same = before is not None and _stored(before.record) == _stored(record)
    psbt = before.psbt if before is not None and same else signed_psbt(record)
    _hold_coins(db, record, psbt, now=clock.now(), holds=before is not None)
    check_txid(record, consent.txid)
    require_policy(home, vault, consent.accepted)
    doubts = acceptance.payment_dangers(home, record, psbt)
    unheard = consent.txid is None
    fresh = acceptance.not_accepted_before(home, vault.name, doubts) if unheard else []
    acceptance.refuse_unaccepted(fresh, consent.accepted)
    return _Looked(
        record,
        policy,
        psbt,
        progress_with(record, policy, psbt),
        unenrolled.carriers_of(db, vault, record.branch),
        statement_checks.opened_by(home, db, record),
        reviewed_again(db, record, policy, psbt=psbt),
        fresh,
    )


def _stored(record: Ceremony) -> list[object]:
    """Return what a ceremony's PSBT is made from."""
    kept = ((each.input_index, each.pubkey, each.signature) for each in record.signatures)
    return [record.psbt, *kept]


def _agreed(
    home: Home, database: Database, ceremony_id: str, *, attendant: Attendant, consent: Consent
) -> _Looked:
    """Return a payment that a person agreed to as it stands: one that changed is shown again.

    What was shown is signed where the database went away meanwhile.
    """
    with reading(database).begin() as db:
        now = _looked(home, db, ceremony_id, consent=consent)
    if home.server or now.opened_by != NOBODY:
        attendant.say(f"payment {ceremony_id} was opened by {now.opened_by.words}")
    shown = None
    while shown != now.shown:
        if shown is not None:
            attendant.say(CHANGED)
        shown, before = now.shown, now
        attendant.confirm(now.review)
        try:
            with database.begin() as db:
                now = _looked(home, db, ceremony_id, consent=consent, before=before)
                if consent.txid is not None and now.shown == shown:
                    record, payment = now.record, outline.commitment(now.psbt)
                    ceremony_book.state_payment(
                        db, "approved", record, payment=payment, now=clock.now()
                    )
                    approvals.approve_payment(home, record.public_id, payment)
        except StorageError as failure:
            # what was shown is forbidden since, or has to be approved
            if type(failure) not in WENT_AWAY or consent.txid is not None:
                raise
            return before
    acceptance.remember_accepted(home, now.record.vault.name, now.fresh)
    return now


def _noted(
    database: Database,
    psbt: codec.Psbt,
    outcomes: list[Outcome],
    *,
    keeper: Keeper,
    before: Progress,
) -> Signed:
    """Note what came of signing, and return it; what the cards gave is told whatever fails here.

    What the home had to keep is delivered where that goes by now, else it is said to wait there.
    """
    ceremony_id, kept_here = before.ceremony, keeper.delivered()
    outcomes = [each._replace(error=each.error or kept_here.get(each.label)) for each in outcomes]
    signed = {each.label for each in outcomes if each.signatures}
    seen, failure = before, None
    try:
        with database.begin() as db:
            record = ceremony_book.ceremony_named(db, ceremony_id)
            note_progress(db, record, now := _progress(record, psbt))
            seen = now._replace(state=record.state)
            write_down(db, ceremony_id, dict.fromkeys(signed - kept_here.keys()))
    except NOT_STORED as lost:
        failure, seen = lost, before
        with suppress(*NOT_STORED), reading(database).begin() as db:
            seen = _progress(ceremony_book.ceremony_named(db, ceremony_id), psbt)
    if failure is not None:
        outcomes = [
            each._replace(error=failure) if each.signatures and each.error is None else each
            for each in outcomes
        ]
    return Signed(outcomes, seen)


class _Shares:
    """Each card's share: what it has yet to sign. The database is asked for strangers alone."""

    def __init__(self, database: Database, agreed: _Looked) -> None:
        self._database, self._record = database, agreed.record
        self._psbt, self._policy = agreed.psbt, agreed.policy
        self._carriers = {(card.family, card.card_id): card for card in agreed.carriers}
        self._verified = {(kept.input_index, kept.pubkey) for kept in agreed.record.signatures}

    def __call__(self, identity: CardIdentity) -> CardShare | None:
        """Return the share of the card that says it is this one; None where it has none."""
        known = self._carriers.get((identity.family, identity.card_id))
        if known is not None:
            return self._share(self._record, unenrolled.same_version(known, identity))
        with reading(self._database).begin() as db:
            record = ceremony_book.ceremony_named(db, self._record.public_id)
            return self._share(record, unenrolled.card_like(db, identity))

    def _share(self, record: Ceremony, card: Card | None) -> CardShare | None:
        place = key_place_of(record.vault, card, record.branch) if card else None
        if card is None or place is None:
            if card is not None and key_place_of(record.vault, card) is not None:
                raise WrongCard(f"a card of branch {record.branch}", card.label)
            return None
        requests = signer.signing_requests(
            self._psbt,
            self._policy,
            key_expression(place.key),
            branch=record.branch,
            verified=self._verified,
        )
        return CardShare(card.label, card.id, requests)


def _progress(record: Ceremony, psbt: codec.Psbt) -> Progress:
    """Return where a ceremony stands whose PSBT was read before."""
    signed = with_kept_signatures(record, psbt)
    return progress_with(record, stored_policy(record.vault), signed)


class _Missing:
    """The cards the quorum lacks: as was last known while the database cannot be reached."""

    def __init__(self, database: Database, agreed: _Looked) -> None:
        self._database, self._psbt, self._known = database, agreed.psbt, agreed.progress
        record = agreed.record
        self._wanted = [
            Wanted(card.label, f"card {card.label}")
            for card in agreed.carriers
            if (place := key_place_of(record.vault, card, record.branch))
            and place.label in agreed.progress.missing
        ]
        self._gave: frozenset[str] = frozenset()

    def __call__(self, gave: AbstractSet[str]) -> list[Wanted]:
        """Return each by name and place; `gave` are the labels of those that signed here."""
        try:
            with reading(self._database).begin() as db:
                record = ceremony_book.ceremony_named(db, self._known.ceremony)
                known = _progress(record, self._psbt)
                self._wanted = wanted_cards(db, record.vault, known.missing)
        except StorageError:
            new = gave - self._gave
            lacking = self._known.need - self._known.have - len(new)
            return [each for each in self._wanted if each.label not in new] if lacking > 0 else []
        self._known, self._gave = known, frozenset(gave)
        return [] if known.complete else self._wanted


def add(
    home: Home, database: Database, ceremony_id: str, *, data: bytes, accepted: Accepted = None
) -> int:
    """Take the new valid signatures of what came back; returns how many.

    It is a PSBT, or the finished transaction. Raises PsbtError that names the first thing that
    contradicts the payment; then nothing is taken.
    """
    with database.begin() as db:
        record = _open_ceremony(db, ceremony_id)
        return added(home, db, record, data=data, accepted=accepted)


def added(
    home: Home, db: Session, record: Ceremony, *, data: bytes, accepted: Accepted = None
) -> int:
    """Take what came back for an open ceremony, as `add` does."""
    asked = signed_psbt(record)
    came_back = psbt_file.read_signed(data, asked)
    _hold_coins(db, record, asked, now=clock.now())
    require_payment(home, record, asked, accepted=accepted)
    return take_signatures(db, record, came_back, asked=asked)


def take_signatures(
    db: Session, record: Ceremony, came_back: codec.Psbt, *, asked: codec.Psbt
) -> int:
    """Keep the new valid signatures of a PSBT and what else it says; returns how many are new.

    `asked` is the ceremony's PSBT with every signature kept so far, each verified.
    """
    policy = stored_policy(record.vault)
    arrived = combiner.new_signatures(asked, came_back, policy)
    given = [ceremony_book.NewSignature(*each) for each in arrived]
    ceremony_book.keep_signatures(db, record.id, given, now=clock.now())
    wider = combiner.with_additions(stored_psbt(record), came_back, policy)
    if record.final_tx is None:
        record.txid = codec.txid(wider)  # a script_sig of others is part of it
    record.psbt = codec.to_bytes(wider)
    db.flush()
    db.refresh(record)
    note_complete(record, progress(record))
    return len(arrived)


def export(
    home: Home,
    database: Database,
    ceremony_id: str,
    *,
    accepted: Accepted = None,
    version: int = 0,
    slim: bool = False,
) -> Progress:
    """Return where the ceremony stands, its PSBT for a signer elsewhere; it is noted as out.

    It is written as the version says; a slim one leaves previous transactions out.
    """
    with database.begin() as db:
        record = _open_ceremony(db, ceremony_id)
        require_payment(home, record, stored_psbt(record), accepted=accepted)
        record.exported_at = clock.now()
        psbt = signed_psbt(record)
        out = updater.without_previous(psbt, stored_policy(record.vault)) if slim else psbt
        return progress(record)._replace(psbt=codec.to_base64(out, version))


def finalize(
    home: Home, database: Database, ceremony_id: str, *, accepted: Accepted = None
) -> Finalized:
    """Build the final transaction and check it; raises SignaturesMissing or ConsensusRejected.

    Where others have yet to sign theirs, the payment stays open and its PSBT is noted as out.
    """
    with database.begin() as db:
        record = ceremony_book.ceremony_named(db, ceremony_id)
        if record.state not in {*OPEN, "final"}:
            raise CeremonyError(f"ceremony {ceremony_id} is {record.state}")
        policy = stored_policy(record.vault)
        psbt = signed_psbt(record)
        _hold_coins(db, record, psbt, now=clock.now())
        require_payment(home, record, psbt, accepted=accepted)
        final = finalizer.finalize(psbt, policy, kept_signatures(record), branch=record.branch)
        text, missing = codec.to_base64(final), others_missing(psbt, policy)
        if missing:
            record.exported_at = clock.now()
            fee_sats = record.fee_sats
            return Finalized(ceremony_id, record.txid, None, None, fee_sats, None, text, missing)
        raw = extractor.extract(final)
        signed = parse_transaction(raw)
        verdict = consensus.judge(signed, spent_outputs(psbt))
        verdict = verdict or consensus.LEFT_TO_NODE
        record.final_tx, record.consensus, record.state = raw, verdict, "final"
        record.txid, vsize = signed.txid, signed.vsize
        return Finalized(ceremony_id, record.txid, raw.hex(), vsize, record.fee_sats, verdict, text)


def broadcast(
    home: Home,
    database: Database,
    ceremony_id: str,
    *,
    chain: ChainSource,
    accepted: Accepted = None,
) -> Sent:
    """Send the final transaction; sending twice is no error."""
    with database.begin() as db:
        record = ceremony_book.ceremony_named(db, ceremony_id)
        if record.state in OPEN:
            seen, who = progress(record), f"ceremony {record.public_id}"
            if not seen.complete:
                raise SignaturesMissing(seen.have, seen.need)
            if seen.others_missing:
                raise NotFinal(
                    f"of {who} inputs of others are not signed yet: {seen.others_missing}"
                )
            raise NotFinal(f"{who} has its quorum but is not finalized")
        stored = stored_psbt(record)
        given_up = record.state in {"abandoned", "replaced"}
        if given_up or (raw := final_transaction(record, stored)) is None:
            raise CeremonyError(f"ceremony {ceremony_id} is {record.state}")
        require_payment(home, record, stored, accepted=accepted)
    txid = chain.broadcast(raw)
    with database.begin() as db:
        record = ceremony_book.ceremony_named(db, ceremony_id)
        if record.state == "final":
            record.state, record.broadcast_at = "broadcast", clock.now()
        return Sent(ceremony_id, txid, record.state)


def abandon(database: Database, ceremony_id: str) -> Notice | None:
    """Free the ceremony's coins; returns a notice where signatures are about."""
    with database.begin() as db:
        record = ceremony_book.ceremony_named(db, ceremony_id)
        if record.state not in {*OPEN, "final"}:
            raise CeremonyError(f"ceremony {ceremony_id} is {record.state}")
        ceremony_book.abandon(db, record, clock.now())
        if not record.signatures and record.exported_at is None:
            return None
    return Notice(
        "signatures_exist",
        Severity.WARNING,
        "signatures for this payment exist: whoever holds m of them can still send it; "
        "only spending its coins in another payment ends it",
    )


def may_be_sent(record: Ceremony) -> bool:
    """Tell whether a ceremony's payment may wait already, sent from here or from elsewhere."""
    elsewhere = record.final_tx is not None or record.exported_at is not None
    return elsewhere or record.state == "broadcast"


def _open_ceremony(db: Session, ceremony_id: str) -> Ceremony:
    record = ceremony_book.ceremony_named(db, ceremony_id)
    if record.state not in OPEN:
        raise NothingToSign(f"ceremony {ceremony_id} is {record.state}: nothing is left to sign")
    return record


def _gives_way(db: Session, record: Ceremony, coin: Coin) -> bool:
    """Tell whether a waiting payment spends a coin that this ceremony was opened to replace."""
    waits = coin.spent_height is None and coin.spent_by is not None
    taker = str(coin.spent_by)
    return waits and (
        ceremony_book.opened_before(db, record, taker)
        or chain_book.seen_before(db, taker, record.created_at)
    )


def _hold_coins(
    db: Session, record: Ceremony, psbt: codec.Psbt, *, now: datetime, holds: bool = True
) -> None:
    """Reserve the coins again where they are no longer held; raises where they went elsewhere.

    Without `holds` it is only told that they did.
    """
    refuse_contradictions(db, psbt)
    outpoints = outline.own_outpoints(psbt, stored_policy(record.vault))
    for outpoint in outpoints:
        coin = chain_book.coin_at(db, outpoint.txid, outpoint.vout)
        if coin is None or not (
            coin.spent_by in {None, record.txid} or _gives_way(db, record, coin)
        ):
            raise CeremonyError(f"coin {outpoint} of ceremony {record.public_id} is spent or gone")
    live = ceremony_book.reserved(db, now)
    held = {(h.txid, h.vout) for h in live if h.ceremony == record.public_id}
    if held.issuperset(outpoints):
        return
    others = [h for h in live if h.ceremony != record.public_id and (h.txid, h.vout) in outpoints]
    if others:
        raise refusal(others[0])
    if not holds:
        return
    hold_coins(db, record, outpoints, expires=now + record.lifetime, now=now)
