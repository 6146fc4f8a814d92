"""What a home approved lies outside its database: who changes only that gets nothing signed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from coordinator.home.stored_policies import key_expression
from psbt import codec
from psbt.keys import format_path
from psbt.network import Network
from psbt.policy import Policy, format_descriptor
from storage import ceremonies as ceremony_book
from storage import vaults as vault_book
from storage.database import open_database
from storage.encryption import OpeningKey
from storage.model import Seal
from tests.altered import unguarded
from tests.cli.terminal import at_terminal
from tests.cli.test_money import STRANGER, pay, sign
from tests.program import PIN, UNPROVED, Asked, asking
from tests.psbt.soft_vault import soft_vault

ANSWERS = ("address_new", "address_list", "kit", "drill_start", "spend_create", "vault_show")


def rewritten(home: Path, change: Callable[[Session], None]) -> None:
    """Change the database of a home behind the program's back."""
    unguarded(home / "cardquorum.db").close()
    database = open_database(f"sqlite:///{home / 'cardquorum.db'}")
    with database.begin() as db:
        change(db)
    database.kw["bind"].dispose()


def redescribed(db: Session) -> None:
    """Write the descriptor and checksum that the keys and threshold stored now have."""
    vault = vault_book.vault_named(db, "v")
    keys = tuple(key_expression(cosigner.key) for cosigner in vault.cosigners)
    vault.descriptor = format_descriptor(Policy(vault.threshold, keys, Network(vault.network)))
    vault.checksum = vault.descriptor.rpartition("#")[2]


def swap_keys(db: Session) -> None:
    """Put two keys of a thief in the place of two of the vault's."""
    theirs = soft_vault(2, 3).policy.keys
    for cosigner, other in zip(vault_book.vault_named(db, "v").cosigners, theirs[:2], strict=False):
        for name, value in other.key._asdict().items():
            setattr(cosigner.key, name, value)
        cosigner.key.fingerprint, cosigner.key.path = other.fingerprint, format_path(other.path)
    db.flush()
    redescribed(db)


def lower_threshold(db: Session) -> None:
    vault_book.vault_named(db, "v").threshold = 1
    redescribed(db)


def swap_seal(db: Session) -> None:
    """Seal to another key, as if the home had always been sealed to it."""
    db.execute(update(Seal).values(sealing_key=OpeningKey().sealing_key))


def remove_seal(db: Session) -> None:
    db.delete(db.get_one(Seal, 1))


def asked_for(vault: Asked, what: str, folder: Path, *words: str) -> dict[str, Any]:
    """Ask for what a thief would like to have given out, and return the refusal."""
    asked: dict[str, tuple[str, ...]] = {
        "address_new": ("address", "new", "v"),
        "address_list": ("address", "list", "v"),
        "kit": ("kit", "v", "--out", str(folder)),
        "drill_start": ("drill", "start", "v"),
        "spend_create": ("spend", "create", "v", "--to", f"{STRANGER}:1000", "--feerate", "2"),
        "vault_show": ("vault", "show", "v"),
    }
    more = words if what != "vault_show" else ()
    refused: dict[str, Any] = vault(*asked[what], *more, check=5)["error"]
    return refused


@pytest.mark.parametrize("what", ANSWERS)
@pytest.mark.parametrize("change", [swap_keys, lower_threshold])
def test_a_policy_changed_in_the_database_gives_nothing(
    vault: Asked, tmp_path: Path, change: Callable[[Session], None], what: str
) -> None:
    rewritten(tmp_path / "home", change)
    accepting = ("--accept", "policy_not_approved")
    assert asked_for(vault, what, tmp_path / "kit", *accepting)["code"] == "approval_mismatch"
    assert not (tmp_path / "kit").exists()
    dangers = {each["code"] for each in vault("status")["dangers"]}
    assert "approval_mismatch" in dangers
    codes = {each["code"] for each in vault("audit", "v", check=5)["findings"]}
    assert "approval_mismatch" in codes


def test_a_policy_changed_under_an_open_payment_is_not_signed(vault: Asked, tmp_path: Path) -> None:
    made = pay(vault, "--to", f"{STRANGER}:400000")["ceremony"]
    rewritten(tmp_path / "home", swap_keys)
    for words in (("sign", "--emulated", "c", "--yes"), ("finalize",), ("export",)):
        error = vault("spend", words[0], made, *words[1:], check=5)["error"]
        assert error["code"] in {"approval_mismatch", "psbt_error", "vault_altered"}


def test_only_new_evidence_opens_what_differs(vault: Asked, tmp_path: Path) -> None:
    rewritten(tmp_path / "home", swap_keys)
    wrong = vault("vault", "approve", "v", "--checksum", "00000000", check=5)["error"]
    assert wrong["code"] == "checksum_differs"
    assert vault("address", "list", "v", check=5)["error"]["code"] == "approval_mismatch"


def changed_payee(db: Session) -> None:
    """Pay somebody else in every open payment; txid, fee and amounts agree."""
    for record in ceremony_book.all_ceremonies(db):
        psbt = codec.parse(record.psbt)
        for output in psbt.outputs:
            if output.script_pubkey.data[:2] == b"\x00\x14":
                output.script_pubkey.data = b"\x00\x14" + bytes(20)
        record.psbt, record.txid = codec.to_bytes(psbt), codec.txid(psbt)


def renamed_payment(db: Session) -> None:
    changed_payee(db)
    for record in ceremony_book.all_ceremonies(db):
        record.public_id = "aaaaaaaa"


def test_a_payee_changed_in_the_database_is_not_signed(vault: Asked, tmp_path: Path) -> None:
    made = pay(vault, "--to", f"{STRANGER}:400000")["ceremony"]
    rewritten(tmp_path / "home", changed_payee)
    words = ("--emulated", "a", "--yes", "--pin-stdin", "--accept", "payment_not_approved")
    error = vault("spend", "sign", made, *words, stdin=PIN, check=5)["error"]
    assert error["code"] == "approval_mismatch"
    assert vault("spend", "show", made)["have"] == 0


def test_a_payment_under_another_name_is_not_approved(vault: Asked, tmp_path: Path) -> None:
    pay(vault, "--to", f"{STRANGER}:400000")
    rewritten(tmp_path / "home", renamed_payment)
    words = ("--emulated", "a", "--yes", "--pin-stdin")
    error = vault("spend", "sign", "aaaaaaaa", *words, stdin=PIN, check=5)["error"]
    assert error["codes"] == ["payment_not_approved"]
    assert "--accept payment_not_approved" in error["hint"]
    assert vault("spend", "show", "aaaaaaaa")["have"] == 0


def test_what_the_payment_is_made_of_needs_no_second_approval(vault: Asked) -> None:
    made = pay(vault, "--to", f"{STRANGER}:400000")["ceremony"]
    assert sign(vault, made, "a", "b")["complete"]
    assert vault("spend", "finalize", made)["consensus"]


@pytest.mark.parametrize("change", [swap_seal, remove_seal])
def test_a_seal_changed_in_the_database_seals_nothing(
    vault: Asked, tmp_path: Path, change: Callable[[Session], None]
) -> None:
    given = "home.passphrase=the old oak by the pond"
    vault("custody", "seal", "--pin-stdin", stdin=given)
    vault("custody", "record", "card:a", "seen", "--note", "first")
    rewritten(tmp_path / "home", change)
    refused = vault("custody", "record", "card:a", "seen", "--note", "a secret", check=5)["error"]
    assert refused["code"] == "approval_mismatch"
    for what in ("address_new", "kit", "spend_create"):
        assert asked_for(vault, what, tmp_path / "kit")["code"] == "approval_mismatch"
    assert "approval_mismatch" in {each["code"] for each in vault("status")["dangers"]}
    assert b"a secret" not in (tmp_path / "home" / "cardquorum.db").read_bytes()
    vault("status")


def test_unsealing_and_sealing_again_is_approved_each_time(vault: Asked) -> None:
    given = "home.passphrase=the old oak by the pond"
    vault("custody", "seal", "--pin-stdin", stdin=given)
    vault("custody", "unseal", "--pin-stdin", stdin=given)
    vault("custody", "record", "card:a", "seen", "--note", "plain")
    vault("custody", "seal", "--pin-stdin", stdin=given)
    vault("custody", "record", "card:a", "seen", "--note", "sealed")
    assert vault("custody", "log", "--pin-stdin", stdin=given)["events"][-1]["note"] == "sealed"


def test_a_restored_seal_is_approved_by_its_passphrase(vault: Asked, tmp_path: Path) -> None:
    given = "home.passphrase=the old oak by the pond"
    vault("custody", "seal", "--pin-stdin", stdin=given)
    vault("backup", "--out", str(tmp_path / "backup"))
    back = asking(tmp_path / "new")
    back("restore", str(tmp_path / "backup"))
    words = ("custody", "record", "card:a", "seen", "--note", "first")
    assert back(*words, check=4)["error"]["code"] == "seal_locked"
    back(*words, "--pin-stdin", stdin=given)
    back(*words)


def test_an_accepted_danger_is_asked_about_again_once_its_facts_change(vault: Asked) -> None:
    vault("address", "new", "v")
    vault("card", "stolen", "a")
    vault("card", "stolen", "b")
    refused = vault("address", "new", "v", check=5)["error"]
    assert refused["codes"] == ["quorum_stolen", "quorum_lost"]
    assert "--accept quorum_stolen --accept quorum_lost" in refused["hint"]
    both = ("--accept", "quorum_stolen", "--accept", "quorum_lost")
    assert vault("address", "new", "v", "--accept", "quorum_lost", check=5)["error"]["codes"] == [
        "quorum_stolen"
    ]
    vault("address", "new", "v", *both)
    vault("address", "new", "v")
    vault("card", "stolen", "c")
    assert vault("address", "new", "v", check=5)["error"]["codes"] == refused["codes"]


def test_approvals_signed_by_another_home_count_for_nothing(vault: Asked, tmp_path: Path) -> None:
    home, other = tmp_path / "home", tmp_path / "other"
    asking(other)("init", "--network", "regtest")
    shutil.copy(home / "cardquorum.db", other / "cardquorum.db")
    shutil.copy(home / "approvals.json", other / "approvals.json")
    stranger = asking(other)
    assert stranger("address", "list", "v", check=5)["error"]["codes"] == ["policy_not_approved"]
    assert vault("address", "list", "v")["addresses"]


def test_an_approval_that_was_altered_counts_for_nothing(vault: Asked, tmp_path: Path) -> None:
    file = tmp_path / "home" / "approvals.json"
    rewritten(tmp_path / "home", lower_threshold)
    said = json.loads(file.read_text())
    for entry in said["approvals"]:
        if entry["kind"] == "policy":
            database = open_database(f"sqlite:///{tmp_path / 'home' / 'cardquorum.db'}")
            with database.begin() as db:
                entry["descriptor"] = vault_book.vault_named(db, "v").descriptor
            database.kw["bind"].dispose()
    file.write_text(json.dumps(said))
    assert vault("address", "list", "v", check=5)["error"]["codes"] == ["policy_not_approved"]


def test_a_list_that_is_none_says_so(vault: Asked, tmp_path: Path) -> None:
    (tmp_path / "home" / "approvals.json").write_text("[" * 100_000)
    message = vault("address", "list", "v", check=5)["error"]["message"]
    assert "approvals.json is no list of approvals" in message


def test_the_files_are_private_and_reading_writes_nothing(vault: Asked, tmp_path: Path) -> None:
    files = [tmp_path / "home" / name for name in ("approval.key", "approvals.json")]
    before = [(file.stat().st_mtime_ns, file.read_bytes()) for file in files]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    vault("status")
    vault("address", "list", "v")
    assert [(file.stat().st_mtime_ns, file.read_bytes()) for file in files] == before


ASKING: dict[str, tuple[str, ...]] = {
    "address new": ("address", "new", "v", *UNPROVED),
    "address list": ("address", "list", "v"),
    "address check": ("address", "check", "FIRST"),
    "kit": ("kit", "v", "--out", "KIT"),
    "drill start": ("drill", "start", "v"),
    "spend create": ("spend", "create", "v", "--to", f"{STRANGER}:10000", "--feerate", "2"),
    "spend consolidate": ("spend", "consolidate", "v", "--feerate", "2"),
    "spend cancel": ("spend", "cancel", "OPEN", "--feerate", "40"),
    "spend bump": ("spend", "bump", "OPEN", "--feerate", "40"),
    "spend export": ("spend", "export", "OPEN"),
    "spend sign": ("spend", "sign", "OPEN", "--emulated", "a", "--yes", "--pin-stdin"),
}


@pytest.fixture
def restored(vault: Asked, tmp_path: Path) -> tuple[Asked, str]:
    """A home restored without its approvals, and an open payment in it."""
    made = pay(vault, "--to", f"{STRANGER}:400000")["ceremony"]
    vault("backup", "--out", str(tmp_path / "backup"))
    back = asking(tmp_path / "back")
    back("restore", str(tmp_path / "backup"))
    return back, made


@pytest.mark.parametrize("verb", ASKING)
def test_a_vault_nobody_approved_here_is_a_danger_for_every_verb(
    restored: tuple[Asked, str], vault: Asked, tmp_path: Path, verb: str
) -> None:
    back, made = restored
    first = vault("vault", "show", "v")["first_address"]
    known = {"FIRST": first, "KIT": str(tmp_path / "kit"), "OPEN": made}
    words = [known.get(word, word) for word in ASKING[verb]]
    refused = back(*words, stdin=PIN, check=5)["error"]
    assert refused["codes"] == ["policy_not_approved"]
    accepted = [*words, "--accept", "policy_not_approved", "--accept", "payment_not_approved"]
    back(*accepted, stdin=PIN)
    assert "policy_not_approved" in {each["code"] for each in back("status")["dangers"]}


def test_the_checksum_is_asked_for_and_not_shown(
    restored: tuple[Asked, str], vault: Asked, tmp_path: Path
) -> None:
    back, _ = restored
    shown = vault("vault", "show", "v")
    question = r"the eight characters after #: "
    seen = at_terminal(tmp_path / "back", ["vault", "approve", "v"], [(question, "qqqqqqqq")])
    assert seen.status == 5
    assert shown["first_address"] in seen.screen
    assert shown["checksum"] not in seen.screen
    given = [(question, f"#{shown['checksum'].upper()}")]
    assert at_terminal(tmp_path / "back", ["vault", "approve", "v"], given).status == 0
    assert back("address", "list", "v")["addresses"]
