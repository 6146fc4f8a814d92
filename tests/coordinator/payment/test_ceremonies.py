"""A ceremony by itself: what it takes, when it is final, what it refuses to go on with."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from coordinator.errors import (
    ApprovalMismatch,
    CeremonyError,
    NotAccepted,
    NotFinal,
    NothingToSign,
    UsageError,
)
from coordinator.home import approvals, undelivered
from coordinator.payment import ceremonies, delivery
from coordinator.payment.progress import progress
from coordinator.readers.slots import Slot
from coordinator.signing import collector
from coordinator.signing.collector import CardShare, WaitPolicy
from psbt import codec, outline
from psbt.errors import NotOnlySignatures, PsbtError, SignaturesMissing
from psbt.policy import format_descriptor
from psbt.signer import SigningRequest
from storage import ceremonies as ceremony_book
from storage.model import Ceremony, Coin
from tests.fuzz.home import NAME, KeptHome
from tests.fuzz.psbt_targets import UNSIGNED, VAULT

ACCEPTED = frozenset({"payment_not_approved", "keys_unproved", "no_copy"})
LYING: Final = Slot("a card that lies there", emulated=True, connect=lambda: None)
SWAPPED: Final = Slot("a reader", emulated=False, connect=lambda: None, arrival=lambda _, __: None)
OTHER = VAULT.spend([50_000, 60_000, 70_000], 100_001, 69_999)


class Open:
    """An open ceremony of a 2-of-3 vault, and what a person does with it."""

    def __init__(self, kept: KeptHome, database: sessionmaker[Session]) -> None:
        self.home, self.ceremony, self.database = kept.home, kept.ceremony, database

    def record(self, db: Session) -> Ceremony:
        return ceremony_book.ceremony_named(db, self.ceremony)

    def state(self) -> str:
        with self.database.begin() as db:
            return self.record(db).state

    def approve(self) -> None:
        approvals.approve_payment(self.home, self.ceremony, outline.commitment(UNSIGNED))

    def add(self, *cosigners: int) -> int:
        psbt = UNSIGNED
        for cosigner in cosigners:
            psbt = VAULT.sign(psbt, cosigner)
        data = codec.to_bytes(psbt)
        return ceremonies.add(self.home, self.database, self.ceremony, data=data, accepted=ACCEPTED)

    def finalize(self) -> ceremonies.Finalized:
        return ceremonies.finalize(self.home, self.database, self.ceremony, accepted=ACCEPTED)


class Chain:
    """A chain source that takes every transaction."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def broadcast(self, transaction: bytes) -> str:
        self.sent.append(transaction)
        return "txid"

    def send(self, opened: Open) -> ceremonies.Sent:
        return ceremonies.broadcast(
            opened.home, opened.database, opened.ceremony, chain=self, accepted=ACCEPTED
        )


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> KeptHome:
    return KeptHome(Path(tmp_path_factory.mktemp("home")))


@pytest.fixture
def opened(kept: KeptHome) -> Iterator[Open]:
    with kept.undone() as database:
        yield Open(kept, database)


def test_signatures_count_once_until_the_quorum_is_there(opened: Open) -> None:
    assert (opened.add(1), opened.state()) == (3, "collecting")
    assert opened.add(1) == 0
    with pytest.raises(SignaturesMissing, match="1 of 2"):
        opened.finalize()
    assert (opened.add(1, 0), opened.state()) == (3, "complete")
    with opened.database.begin() as db:
        seen = progress(opened.record(db))
    assert (seen.have, seen.need, len(seen.signed_by), len(seen.missing)) == (2, 2, 2, 1)


def test_a_payment_that_contradicts_ours_gives_nothing(opened: Open) -> None:
    data = codec.to_bytes(VAULT.sign(OTHER, 0))
    with pytest.raises(NotOnlySignatures):
        ceremonies.add(opened.home, opened.database, opened.ceremony, data=data, accepted=ACCEPTED)
    with opened.database.begin() as db:
        assert progress(opened.record(db)).have == 0


def test_what_is_final_or_abandoned_takes_no_signature(opened: Open) -> None:
    opened.add(0, 1)
    first = opened.finalize()
    assert opened.state() == "final"
    assert opened.finalize() == first
    with pytest.raises(NothingToSign, match="is final"):
        opened.add(2)
    ceremonies.abandon(opened.database, opened.ceremony)
    for verb in (opened.finalize, lambda: ceremonies.abandon(opened.database, opened.ceremony)):
        with pytest.raises(CeremonyError, match="is abandoned"):
            verb()
    with pytest.raises(NothingToSign, match="is abandoned"):
        opened.add(2)


def test_a_payment_nobody_signed_or_saw_ends_when_abandoned(opened: Open) -> None:
    assert ceremonies.abandon(opened.database, opened.ceremony) is None


@pytest.mark.parametrize("signed", [True, False])
def test_a_payment_that_was_out_may_still_be_sent_once_abandoned(
    opened: Open, *, signed: bool
) -> None:
    if signed:
        opened.add(0)
    else:
        ceremonies.export(opened.home, opened.database, opened.ceremony, accepted=ACCEPTED)
    told = ceremonies.abandon(opened.database, opened.ceremony)
    assert told is not None
    assert told.code == "signatures_exist"


@pytest.mark.parametrize("what", ["fee", "payment", "txid"])
def test_rows_that_contradict_one_another_are_refused(opened: Open, what: str) -> None:
    with opened.database.begin() as db:
        record = opened.record(db)
        if what == "fee":
            record.fee_sats += 1
        elif what == "payment":
            record.psbt = codec.to_bytes(OTHER)
        else:
            record.txid = "00" * 32
        with db.no_autoflush, pytest.raises(PsbtError, match="is not the one it opened"):
            progress(record)
        db.rollback()  # the database itself refuses the first of these


def test_another_payment_approved_under_its_id_is_refused(opened: Open) -> None:
    approvals.approve_payment(opened.home, opened.ceremony, outline.commitment(OTHER))
    with pytest.raises(ApprovalMismatch, match=opened.ceremony):
        opened.add(0)


def test_a_coin_that_went_elsewhere_ends_it(opened: Open) -> None:
    with opened.database.begin() as db:
        coin = db.scalars(select(Coin)).first()
        assert coin is not None
        coin.spent_by, coin.spent_height = "77" * 32, 1
    for verb in (lambda: opened.add(0), opened.finalize):
        with pytest.raises(CeremonyError, match="is spent or gone"):
            verb()


def test_only_what_is_final_is_sent_and_twice_is_no_error(opened: Open) -> None:
    chain = Chain()
    with pytest.raises(SignaturesMissing, match="0 of 2"):
        chain.send(opened)
    opened.add(0, 1)
    with pytest.raises(NotFinal):
        chain.send(opened)
    assert chain.sent == []
    raw = bytes.fromhex(opened.finalize().hex)
    assert [chain.send(opened).state for _ in "12"] == ["broadcast"] * 2
    assert chain.sent == [raw, raw]


def test_a_transaction_that_is_not_the_ceremonys_is_not_sent(opened: Open) -> None:
    opened.add(0, 1)
    opened.finalize()
    chain = Chain()
    with opened.database.begin() as db:
        record = opened.record(db)
        record.final_tx = codec.unsigned_transaction(OTHER).raw
    with pytest.raises(PsbtError, match="is not its own"):
        chain.send(opened)
    ceremonies.abandon(opened.database, opened.ceremony)
    with pytest.raises(CeremonyError, match="is abandoned"):
        chain.send(opened)
    assert chain.sent == []


class Reviewer:
    """A person who looks at a review, and says yes."""

    def __init__(self) -> None:
        self.shown: list[object] = []

    def confirm(self, review: object) -> None:
        self.shown.append(review)


def test_a_payment_nobody_approved_is_signed_only_with_its_txid_or_accepted(
    opened: Open, tmp_path: Path
) -> None:
    person = Reviewer()

    def sign(consent: ceremonies.Consent) -> None:
        ceremonies.sign(
            home, opened.database, opened.ceremony, offered=[], attendant=person, consent=consent
        )

    for number, consent in enumerate(
        (
            ceremonies.Consent(txid=codec.txid(UNSIGNED)),
            ceremonies.Consent(accepted={"payment_not_approved"}),
        )
    ):
        home = opened.home._replace(folder=tmp_path / str(number))
        home.folder.mkdir()
        approvals.approve_policy(home, NAME, format_descriptor(VAULT.policy))
        with pytest.raises(NotAccepted) as refusal:
            sign(ceremonies.Consent())
        assert refusal.value.codes == ("payment_not_approved",)
        with pytest.raises(UsageError, match="nothing was signed"):
            sign(ceremonies.Consent(txid="00" * 32))
        assert len(person.shown) == 2 * number
        sign(consent)
        sign(ceremonies.Consent())
        assert len(person.shown) == 2 * number + 2


def test_no_card_is_needed_or_asked_for_beyond_the_quorum(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks: list[collector.SigningTask] = []
    monkeypatch.setattr(collector, "collect", lambda _offered, task: tasks.append(task) or [])
    monkeypatch.setattr(ceremonies, "wanted_cards", lambda _db, _vault, missing: list(missing))
    opened.approve()
    seen = []
    for cosigner in (None, 0, 1, 2):
        if cosigner is not None:
            opened.add(cosigner)
        ceremonies.sign(
            opened.home, opened.database, opened.ceremony, offered=[], attendant=Reviewer()
        )
        seen.append((tasks[-1].needed, len(tasks[-1].missing())))
    assert seen == [(2, 3), (1, 2), (0, 0), (0, 0)]


@pytest.mark.parametrize(
    ("together", "seconds", "stored"),
    [(False, 5.0, [1, 2, 2]), (True, 5.0, [0, 0, 2]), (True, -1.0, [1, 2, 2])],
    ids=["one by one", "together", "one takes long"],
)
def test_on_a_server_cards_that_sign_together_are_stored_together(
    opened: Open,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    together: bool,
    seconds: float,
    stored: list[int],
) -> None:
    monkeypatch.setattr(delivery, "TOGETHER_SECONDS", seconds)
    home = opened.home._replace(folder=tmp_path, server="postgresql://")
    with opened.database.begin() as db:
        keeper = delivery.Keeper(home, opened.database, opened.record(db), together=together)
    seen = []
    for number, told in enumerate((keeper.turn_over, keeper.turn_over, keeper.ended)):
        if told != keeper.ended:
            request = SigningRequest(0, b"\x02" + bytes([number]) * 32, (), bytes(32))
            keeper(CardShare(str(number), None, [request]), request, bytes(64))
        told()
        with opened.database.begin() as db:
            seen.append(len(opened.record(db).signatures))
        assert undelivered.is_any(home) == (seen[-1] < min(number + 1, 2))
    assert seen == stored


@pytest.mark.parametrize(
    ("slots", "policy", "together"),
    [
        ([LYING, LYING], WaitPolicy(), True),
        ([LYING], WaitPolicy(), False),
        ([LYING, LYING], WaitPolicy(typed=True), False),
        ([LYING, SWAPPED], WaitPolicy(wait_seconds=1.0), False),
        ([LYING, SWAPPED], WaitPolicy(), True),
        ([LYING, LYING], WaitPolicy(wait_seconds=1.0), True),
    ],
)
def test_cards_sign_together_where_nobody_types_and_none_is_waited_for(
    opened: Open,
    monkeypatch: pytest.MonkeyPatch,
    slots: list[Slot],
    policy: WaitPolicy,
    *,
    together: bool,
) -> None:
    told: list[bool] = []

    class Keeper(delivery.Keeper):
        def __init__(self, *given: Any, together: bool) -> None:  # noqa: ANN401 -- its own
            super().__init__(*given, together=together)
            told.append(together)

    monkeypatch.setattr(ceremonies, "Keeper", Keeper)
    monkeypatch.setattr(collector, "collect", lambda _offered, _task: [])
    opened.approve()
    ceremonies.sign(
        opened.home,
        opened.database,
        opened.ceremony,
        offered=slots,
        attendant=Reviewer(),
        wait_policy=policy,
    )
    assert told == [together]
