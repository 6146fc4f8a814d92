"""Approvals as a file: signed, each subject's newest one only, nothing believed that is damaged."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from coordinator.errors import CoordinatorError
from coordinator.home import approvals
from coordinator.home.approvals import Standing
from coordinator.home.settings import Home

SEAL, OTHER = b"\1" * 32, b"\2" * 32
PAYMENT = b"\3" * 32


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path, "regtest", "regtest:")


def entries(home: Home) -> list[dict[str, object]]:
    return list(json.loads((home.folder / "approvals.json").read_text())["approvals"])


def rewrite(home: Home, change: Callable[[dict[str, object]], object]) -> None:
    """Change what the file says of its first approval."""
    file = home.folder / "approvals.json"
    said = json.loads(file.read_text())
    change(said["approvals"][0])
    file.write_text(json.dumps(said))


def test_nothing_is_approved_in_a_new_home(home: Home) -> None:
    assert approvals.policy_standing(home, "v", "wsh(a)") is Standing.NONE
    assert approvals.payment_standing(home, "c", PAYMENT) is Standing.NONE
    assert approvals.seal_standing(home, SEAL) is Standing.NONE
    assert not approvals.danger_accepted(home, "v", "no_copy", facts="")
    assert list(home.folder.iterdir()) == approvals.files(home) == []


def test_only_what_was_approved_is_approved(home: Home) -> None:
    approvals.approve_policy(home, "v", "wsh(a)")
    approvals.approve_payment(home, "c", PAYMENT)
    assert approvals.policy_standing(home, "v", "wsh(a)") is Standing.APPROVED
    assert approvals.policy_standing(home, "v", "wsh(b)") is Standing.DIFFERS
    assert approvals.policy_standing(home, "w", "wsh(a)") is Standing.NONE
    assert approvals.payment_standing(home, "c", PAYMENT) is Standing.APPROVED
    assert approvals.payment_standing(home, "c", OTHER) is Standing.DIFFERS
    assert approvals.payment_standing(home, "d", PAYMENT) is Standing.NONE
    assert [path.name for path in approvals.files(home)] == ["approval.key", "approvals.json"]


def test_an_approval_is_of_one_network(home: Home) -> None:
    approvals.approve_policy(home, "v", "wsh(a)")
    elsewhere = home._replace(network="signet")
    assert approvals.policy_standing(elsewhere, "v", "wsh(a)") is Standing.NONE
    approvals.approve_policy(elsewhere, "v", "wsh(b)")
    assert approvals.policy_standing(home, "v", "wsh(a)") is Standing.APPROVED


def test_a_newer_approval_takes_the_place_of_that_of_its_subject_only(home: Home) -> None:
    for vault in "vw":
        approvals.approve_policy(home, vault, "wsh(a)")
    for code in ("no_copy", "same_seed"):
        approvals.accept_danger(home, "v", code, facts="one")
    approvals.approve_policy(home, "v", "wsh(b)")
    approvals.accept_danger(home, "v", "no_copy", facts="two")
    assert len(entries(home)) == 4
    assert approvals.policy_standing(home, "v", "wsh(a)") is Standing.DIFFERS
    assert approvals.policy_standing(home, "v", "wsh(b)") is Standing.APPROVED
    assert approvals.policy_standing(home, "w", "wsh(a)") is Standing.APPROVED
    assert not approvals.danger_accepted(home, "v", "no_copy", facts="one")
    assert approvals.danger_accepted(home, "v", "no_copy", facts="two")
    assert approvals.danger_accepted(home, "v", "same_seed", facts="one")
    assert not approvals.danger_accepted(home, "w", "same_seed", facts="one")


def test_of_two_approvals_that_hold_the_newest_counts(home: Home) -> None:
    approvals.approve_policy(home, "v", "wsh(a)")
    (older,) = entries(home)
    approvals.approve_policy(home, "v", "wsh(b)")
    (newer,) = entries(home)
    said = {"format": "cardquorum approvals v1", "approvals": [older, newer]}
    (home.folder / "approvals.json").write_text(json.dumps(said))
    assert approvals.policy_standing(home, "v", "wsh(b)") is Standing.APPROVED
    assert approvals.policy_standing(home, "v", "wsh(a)") is Standing.DIFFERS


DAMAGES: dict[str, Callable[[dict[str, object]], object]] = {
    "another descriptor": lambda entry: entry.update(descriptor="wsh(b)"),
    "another time": lambda entry: entry.update(at="2020-01-01T00:00:00Z"),
    "one field more": lambda entry: entry.update(more=1),
    "no signature": lambda entry: entry.pop("signature"),
    "no hex": lambda entry: entry.update(signature="zz"),
    "a short signature": lambda entry: entry.update(signature="00"),
    "no text": lambda entry: entry.update(signature=[1]),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_an_approval_that_was_damaged_is_none(home: Home, damage: str) -> None:
    approvals.approve_policy(home, "v", "wsh(a)")
    rewrite(home, DAMAGES[damage])
    for descriptor in ("wsh(a)", "wsh(b)"):
        assert approvals.policy_standing(home, "v", descriptor) is Standing.NONE


def test_without_its_key_a_list_says_nothing_and_is_begun_anew(home: Home) -> None:
    approvals.approve_policy(home, "v", "wsh(a)")
    (home.folder / "approval.key").unlink()
    assert approvals.policy_standing(home, "v", "wsh(a)") is Standing.NONE
    approvals.approve_policy(home, "w", "wsh(b)")
    assert [entry["vault"] for entry in entries(home)] == ["w"]
    assert approvals.policy_standing(home, "w", "wsh(b)") is Standing.APPROVED


@pytest.mark.parametrize("key", ["", "00", "zz" * 32, "00" * 33, "\udcff"])
def test_a_damaged_key_is_named_and_not_replaced(home: Home, key: str) -> None:
    approvals.approve_policy(home, "v", "wsh(a)")
    file = home.folder / "approval.key"
    file.write_bytes(key.encode("utf-8", "surrogateescape"))
    before = file.read_bytes()
    with pytest.raises(CoordinatorError, match="is no approval key"):
        approvals.policy_standing(home, "v", "wsh(a)")
    with pytest.raises(CoordinatorError, match="is no approval key"):
        approvals.approve_policy(home, "v", "wsh(a)")
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"format": "cardquorum approvals v2", "approvals": []}',
        '{"format": "cardquorum approvals v1", "approvals": {}}',
        '{"approvals": []}',
    ],
)
def test_a_file_that_is_no_list_of_approvals_is_named(home: Home, text: str) -> None:
    (home.folder / "approvals.json").write_text(text)
    with pytest.raises(CoordinatorError, match="is no list of approvals"):
        approvals.policy_standing(home, "v", "wsh(a)")


def test_entries_that_are_none_are_passed_over(home: Home) -> None:
    approvals.approve_policy(home, "v", "wsh(a)")
    said = {"format": "cardquorum approvals v1", "approvals": [1, None, "x", *entries(home), []]}
    (home.folder / "approvals.json").write_text(json.dumps(said))
    assert approvals.policy_standing(home, "v", "wsh(a)") is Standing.APPROVED


def test_a_list_above_its_size_is_not_read(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    approvals.approve_policy(home, "v", "wsh(a)")
    size = (home.folder / "approvals.json").stat().st_size
    monkeypatch.setattr(approvals, "SIZE_MAX", size)
    assert approvals.policy_standing(home, "v", "wsh(a)") is Standing.APPROVED
    monkeypatch.setattr(approvals, "SIZE_MAX", size - 1)
    with pytest.raises(CoordinatorError, match="is no list of approvals"):
        approvals.policy_standing(home, "v", "wsh(a)")


def test_the_oldest_approvals_give_way(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approvals, "KEPT_MAX", 2)
    for vault in "abcd":
        approvals.approve_policy(home, vault, "wsh(a)")
    assert [entry["vault"] for entry in entries(home)] == ["b", "c", "d"]


def test_a_seal_is_forgotten_and_nothing_else(home: Home) -> None:
    approvals.approve_policy(home, "v", "wsh(a)")
    approvals.approve_seal(home, SEAL)
    approvals.forget_seal(home)
    assert approvals.seal_standing(home, SEAL) is Standing.NONE
    assert approvals.seal_standing(home, None) is Standing.NONE
    assert approvals.policy_standing(home, "v", "wsh(a)") is Standing.APPROVED


def test_while_another_process_writes_nothing_is_changed(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(approvals, "LOCK_SECONDS", 0.0)
    approvals.approve_policy(home, "v", "wsh(a)")
    with (
        FileLock(home.folder / "approvals.lock"),
        pytest.raises(CoordinatorError, match="another process keeps"),
    ):
        approvals.approve_policy(home, "v", "wsh(b)")
    assert approvals.policy_standing(home, "v", "wsh(a)") is Standing.APPROVED
    approvals.approve_policy(home, "v", "wsh(b)")
    assert approvals.policy_standing(home, "v", "wsh(b)") is Standing.APPROVED
