"""Dangers meet a person: what is asked about, what is remembered, what nobody can accept."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from coordinator import clock
from coordinator.audit import acceptance, dangers
from coordinator.audit.acceptance import Danger
from coordinator.errors import ApprovalMismatch, NotAccepted, UsageError
from coordinator.home import approvals
from coordinator.home.settings import Home
from coordinator.notices import Severity
from psbt import codec, outline
from storage import ceremonies as ceremony_book
from storage import vaults as vault_book
from storage.model import Ceremony, Vault
from tests.fuzz.home import NAME, KeptHome
from tests.fuzz.psbt_targets import UNSIGNED, VAULT

OTHER = VAULT.spend([50_000, 60_000, 70_000], 100_001, 69_999)


class Stored:
    """A vault whose policy was approved, and an open payment of it."""

    def __init__(self, kept: KeptHome, db: Session) -> None:
        self.home, self.db, self.ceremony = kept.home, db, kept.ceremony

    @property
    def vault(self) -> Vault:
        return vault_book.vault_named(self.db, NAME)

    @property
    def record(self) -> Ceremony:
        return ceremony_book.ceremony_named(self.db, self.ceremony)

    def codes(self) -> list[str]:
        return [each.code for each in acceptance.vault_dangers(self.home, self.db, self.vault)]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> KeptHome:
    return KeptHome(Path(tmp_path_factory.mktemp("home")))


@pytest.fixture
def stored(kept: KeptHome) -> Iterator[Stored]:
    with kept.undone() as database, database.begin() as db:
        yield Stored(kept, db)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path, "regtest", "regtest:")


def danger(code: str, facts: str = "") -> Danger:
    return Danger(code, Severity.DANGER, f"it is {code}", "mend it", (), facts)


def test_every_danger_not_accepted_is_named_once() -> None:
    three = [danger("one"), danger("two"), danger("one", "again")]
    with pytest.raises(NotAccepted) as refusal:
        acceptance.refuse_unaccepted(three, None)
    assert refusal.value.codes == ("one", "two")
    with pytest.raises(NotAccepted) as refusal:
        acceptance.refuse_unaccepted(three, {"two"})
    assert refusal.value.codes == ("one",)
    acceptance.refuse_unaccepted(three, {"one", "two"})
    acceptance.refuse_unaccepted([], None)


def test_what_was_accepted_is_asked_about_again_once_its_facts_change(home: Home) -> None:
    acceptance.accept_or_refuse(home, "v", [danger("one", "a")], accepted={"one"})
    acceptance.accept_or_refuse(home, "v", [danger("one", "a")], accepted=None)
    for vault, changed in (("v", danger("one", "b")), ("w", danger("one", "a"))):
        with pytest.raises(NotAccepted):
            acceptance.accept_or_refuse(home, vault, [changed], accepted=None)


def test_nothing_is_remembered_where_something_else_is_refused(home: Home) -> None:
    with pytest.raises(NotAccepted):
        acceptance.accept_or_refuse(home, "v", [danger("one"), danger("two")], accepted={"one"})
    assert not approvals.danger_accepted(home, "v", "one", facts="")


def test_a_policy_nobody_approved_can_be_accepted(stored: Stored, home: Home) -> None:
    acceptance.require_policy(stored.home, stored.vault)
    with pytest.raises(NotAccepted) as refusal:
        acceptance.require_policy(home, stored.vault)
    assert refusal.value.codes == ("policy_not_approved",)
    acceptance.require_policy(home, stored.vault, {"policy_not_approved"})
    acceptance.require_policy(home, stored.vault)


def test_a_policy_that_differs_can_not_be_accepted(stored: Stored, home: Home) -> None:
    approvals.approve_policy(home, NAME, "wsh(another)")
    for verb in (acceptance.require_policy, acceptance.refuse_other_policy):
        with pytest.raises(ApprovalMismatch, match=f"what is stored of vault {NAME}"):
            verb(home, stored.vault)
    with pytest.raises(ApprovalMismatch):
        acceptance.require_payable(
            home, stored.db, stored.vault, accepted={"approval_mismatch", "no_copy"}
        )
    assert "vault family" in acceptance.differing(home, stored.vault)[0]
    assert acceptance.differing(stored.home, stored.vault) == []


def test_a_seal_that_differs_can_not_be_accepted(stored: Stored, home: Home) -> None:
    approvals.approve_policy(home, NAME, stored.vault.descriptor)
    assert "approval_mismatch" not in stored.codes()
    approvals.approve_seal(home, bytes(32))
    for verb in (acceptance.require_policy, acceptance.refuse_other_policy):
        with pytest.raises(ApprovalMismatch, match="sealed to"):
            verb(home, stored.vault)
    told = acceptance.vault_dangers(home, stored.db, stored.vault)
    assert told[0] == dangers.OTHER_SEAL


def test_rows_that_contradict_one_another_are_the_only_danger(stored: Stored) -> None:
    stored.vault.threshold = 1
    assert stored.codes() == ["vault_altered"]
    assert acceptance.differing(stored.home, stored.vault) == []


def test_a_payable_vault_has_every_danger_accepted_once(stored: Stored) -> None:
    codes = stored.codes()
    assert codes == ["keys_unproved", "no_copy"]
    pay = acceptance.require_payable
    with pytest.raises(NotAccepted) as refusal:
        pay(stored.home, stored.db, stored.vault, accepted={"no_copy"})
    assert refusal.value.codes == ("keys_unproved",)
    pay(stored.home, stored.db, stored.vault, accepted=set(codes))
    pay(stored.home, stored.db, stored.vault, accepted=None)


def test_a_retired_vault_is_in_no_danger(stored: Stored) -> None:
    ((vault, found, _),) = acceptance.all_dangers(stored.home, stored.db)
    assert (vault.name, [each.code for each in found]) == (NAME, stored.codes())
    stored.vault.retired_at = clock.now()
    assert acceptance.all_dangers(stored.home, stored.db) == []


def test_a_payment_made_elsewhere_is_asked_about(stored: Stored, home: Home) -> None:
    approvals.approve_policy(home, NAME, stored.vault.descriptor)
    (asked,) = acceptance.payment_dangers(home, stored.record, UNSIGNED)
    assert (asked.code, asked.facts) == (
        "payment_not_approved",
        outline.commitment(UNSIGNED).hex(),
    )
    assert codec.txid(UNSIGNED) in asked.remedy
    with pytest.raises(NotAccepted):
        acceptance.require_payment(home, stored.record, UNSIGNED)
    acceptance.require_payment(home, stored.record, UNSIGNED, accepted={"payment_not_approved"})
    acceptance.require_payment(home, stored.record, UNSIGNED)
    approvals.approve_payment(home, stored.ceremony, outline.commitment(UNSIGNED))
    assert acceptance.payment_dangers(home, stored.record, UNSIGNED) == []
    with pytest.raises(ApprovalMismatch, match=stored.ceremony):
        acceptance.require_payment(home, stored.record, OTHER, accepted={"payment_not_approved"})


def test_an_approved_payment_of_another_policy_is_refused(stored: Stored, home: Home) -> None:
    approvals.approve_payment(home, stored.ceremony, outline.commitment(UNSIGNED))
    with pytest.raises(NotAccepted) as refusal:
        acceptance.require_payment(home, stored.record, UNSIGNED)
    assert refusal.value.codes == ("policy_not_approved",)
    approvals.approve_policy(home, NAME, "wsh(another)")
    with pytest.raises(ApprovalMismatch):
        acceptance.require_payment(home, stored.record, UNSIGNED, accepted={"policy_not_approved"})


def test_a_txid_is_compared_in_any_case(stored: Stored) -> None:
    txid = stored.record.txid
    for same in (None, txid, f" {txid.upper()}\n"):
        acceptance.check_txid(stored.record, same)
    for other in ("", txid[:-1], "00" * 32):
        with pytest.raises(UsageError, match="nothing was signed"):
            acceptance.check_txid(stored.record, other)
