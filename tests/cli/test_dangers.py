"""What of a vault is dangerous is said where a person acts, by the same function everywhere."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session, sessionmaker

from coordinator import clock
from coordinator.audit import acceptance
from coordinator.home.settings import open_home
from psbt.keys import format_key_expression
from psbt.network import Network
from psbt.policy import format_descriptor
from storage.database import open_database
from tests.cli.test_money import STRANGER, pay, sign
from tests.program import PIN, UNPROVED, Asked, Program, asking, prove_keys
from tests.psbt.soft_vault import SoftVault, soft_vault

BOTH = ("--accept", "quorum_stolen", "--accept", "quorum_lost")


def codes(asked: Asked, name: str = "v") -> set[str]:
    return {each["code"] for each in asked("status")["dangers"] if each["vault"] == name}


@pytest.fixture
def proved(vault: Asked) -> Asked:
    """A vault whose keys are proved and whose copies are placed."""
    prove_keys(vault)
    assert codes(vault) == set()
    return vault


SAYING = (("status",), ("vault", "show", "v"), ("card", "list"))


@pytest.mark.parametrize("words", SAYING, ids=" ".join)
def test_a_stolen_quorum_is_the_first_line(
    proved: Asked, program: Program, words: tuple[str, ...]
) -> None:
    proved("card", "stolen", "a")
    assert "quorum_stolen" not in program(*words).out
    proved("card", "stolen", "b")
    first = program(*words).out.splitlines()[0]
    assert first.startswith("DANGER: vault v: card:a and card:b are lost or stolen, 2 keys of 2")
    told = proved(*words)["dangers"]
    assert {"quorum_stolen", "quorum_lost"} <= {each["code"] for each in told}


def test_a_stolen_quorum_is_said_by_audit_and_its_page(
    proved: Asked, program: Program, tmp_path: Path
) -> None:
    for label in "abc":
        proved("card", "stolen", label)
    page = tmp_path / "audit.html"
    ended = program("audit", "v", "--html", str(page), check=5)
    assert ended.out.startswith("DANGER: a thief can spend this vault now")
    assert "nothing more: it has come to that already" in ended.out
    assert "A thief can spend this vault now" in page.read_text()
    assert "nothing more: it has come to that already" in page.read_text()


def test_the_audit_and_its_page_say_what_no_address_is_given_out_for(
    vault: Asked, program: Program, tmp_path: Path
) -> None:
    for label in "abc":
        vault("custody", "record", f"copy:paper-{label}", "destroyed")
    wanted = [each["code"] for each in vault("status")["dangers"]]
    assert wanted == ["keys_unproved", "no_copy"]
    asked = ("audit", "v", "--fail-on", "none")
    assert [each["code"] for each in vault(*asked)["dangers"]] == wanted
    page = tmp_path / "audit.html"
    told = "until this is mended or accepted: keys_unproved, no_copy"
    assert told in program(*asked, "--html", str(page)).out
    assert told in page.read_text()


def test_a_stolen_card_is_not_asked_for(proved: Asked) -> None:
    proved("card", "stolen", "b")
    pay(proved, "--to", f"{STRANGER}:100000")
    waiting = proved("status")["ceremonies"][0]["waiting_for"]
    assert [each["words"] for each in waiting if "b" in each["label"]] == [
        "the key b: its card b is recorded as stolen"
    ]


def test_a_payment_out_of_danger_is_never_refused(proved: Asked) -> None:
    proved("card", "stolen", "a")
    proved("card", "stolen", "b")
    made = pay(proved, "--drain", STRANGER)
    told = {each["code"] for each in made["dangers"]}
    assert told == {"quorum_stolen", "quorum_lost", "carrier_gone"}


DANGEROUS = {
    "quorum_stolen": (("card", "stolen", "a"), ("card", "stolen", "b")),
    "quorum_lost": (("card", "destroyed", "a"), ("card", "destroyed", "b")),
    "no_copy": tuple(("custody", "record", f"copy:paper-{each}", "destroyed") for each in "abc"),
}


@pytest.mark.parametrize("code", DANGEROUS)
def test_no_address_of_a_vault_in_danger_without_accepting_it(proved: Asked, code: str) -> None:
    proved("address", "new", "v")
    for words in DANGEROUS[code]:
        proved(*words)
    refused = proved("address", "new", "v", check=5)["error"]
    assert code in refused["codes"]
    accepting = [word for each in refused["codes"] for word in ("--accept", each)]
    assert " ".join(accepting) in refused["hint"]
    proved("address", "new", "v", *accepting)
    proved("address", "new", "v")


def test_an_address_wants_keys_proved_and_a_copy_placed(asked: Asked) -> None:
    asked("init", "--network", "regtest")
    for label in "ab":
        asked("emulate", "new", "satochip", label)
        asked("card", "enrol", label, "--emulated", label, "--pin-stdin", stdin=PIN)
    asked("vault", "create", "v", "--threshold", "2", "--card", "a", "--card", "b")
    refused = asked("address", "new", "v", check=5)["error"]["codes"]
    assert refused == ["keys_unproved", "no_copy"]
    for label in "ab":
        asked("vault", "verify", "v", "--emulated", label, "--pin-stdin", stdin=PIN)
    assert asked("address", "new", "v", check=5)["error"]["codes"] == ["no_copy"]
    asked("location", "add", "bank")
    asked("copy", "add", "v", "paper")
    assert asked("address", "new", "v", check=5)["error"]["codes"] == ["no_copy"]
    asked("custody", "record", "copy:paper", "placed", "--at", "bank")
    asked("address", "new", "v")


def test_a_signature_proves_its_key(vault: Asked) -> None:
    assert codes(vault) == {"keys_unproved"}
    made = pay(vault, "--to", f"{STRANGER}:100000")["ceremony"]
    sign(vault, made, "a", "b")
    unproved = [each for each in vault("status")["dangers"] if each["code"] == "keys_unproved"]
    assert [each["subjects"] for each in unproved] == [["key:c"]]
    drill = vault("drill", "start", "v")["drill"]
    vault("drill", "sign", drill, "--emulated", "c", "--pin-stdin", stdin=PIN)
    assert codes(vault) == set()


def test_a_spend_in_a_block_proves_its_keys_in_a_recovered_home(
    vault: Asked, tmp_path: Path
) -> None:
    made = pay(vault, "--to", f"{STRANGER}:100000")["ceremony"]
    sign(vault, made, "a", "b")
    vault("spend", "finalize", made)
    vault("spend", "broadcast", made)
    vault("regtest", "mine")
    back = asking(tmp_path / "back")
    back("init", "--network", "regtest")
    for name in ("chain",):
        (tmp_path / "back" / name).mkdir(exist_ok=True)
        for file in (tmp_path / "home" / name).iterdir():
            (tmp_path / "back" / name / file.name).write_bytes(file.read_bytes())
    shown = vault("vault", "show", "v")
    text = shown["descriptor"]
    back("vault", "import", "-", "--name", "v", "--checksum", shown["checksum"], stdin=text)
    back("sync")
    assert codes(back) == {"no_copy"}


def test_a_proof_belongs_to_a_policy(proved: Asked) -> None:
    words = ("--card", "a", "--card", "b", "--card", "c")
    proved("vault", "create", "w", "--threshold", "3", *words)
    assert codes(proved, "w") == {"keys_unproved", "no_copy", "location_loss_fatal"}


@pytest.fixture
def shared_seed() -> SoftVault:
    return soft_vault(2, 2)


def one_seed(soft: SoftVault) -> tuple[str, str]:
    """Return two key expressions with one master fingerprint, of two accounts."""
    first, second = soft.policy.keys
    twin = second._replace(fingerprint=first.fingerprint)
    return tuple(format_key_expression(key, Network.REGTEST) for key in (first, twin))  # type: ignore[return-value]


def test_keys_of_one_seed_are_a_danger_when_a_vault_is_made(
    asked: Asked, shared_seed: SoftVault
) -> None:
    asked("init", "--network", "regtest")
    first, second = one_seed(shared_seed)
    words = ("vault", "create", "v", "--threshold", "2", "--key", f"x={first}")
    refused = asked(*words, "--key", f"y={second}", check=5)["error"]
    assert refused["codes"] == ["same_seed"]
    assert asked("vault", "list")["vaults"] == []
    asked(*words, "--key", f"y={second}", "--accept", "same_seed")
    assert "same_seed" in codes(asked)
    found = {each["code"] for each in asked("audit", "v", check=5)["findings"]}
    assert "same_seed" in found
    # It was accepted with the vault, so the address asks for the rest only.
    assert asked("address", "new", "v", check=5)["error"]["codes"] == ["keys_unproved", "no_copy"]


def test_whoever_has_the_words_has_every_key_of_the_seed(
    asked: Asked, shared_seed: SoftVault
) -> None:
    asked("init", "--network", "regtest")
    first, second = one_seed(shared_seed)
    keys = ("--key", f"x={first}", "--key", f"y={second}")
    asked("vault", "create", "v", "--threshold", "2", *keys, "--accept", "same_seed")
    asked("location", "add", "bank")
    asked("carrier", "add", "x", "words", "paper")
    asked("custody", "record", "words:paper", "placed", "--at", "bank")
    found = asked("audit", "v", "--steal", "location:bank", check=5)
    assert found["thief_can_spend"]


def test_an_import_of_one_seed_is_stored_and_said(asked: Asked, shared_seed: SoftVault) -> None:
    asked("init", "--network", "regtest")
    first, second = shared_seed.policy.keys
    twin = second._replace(fingerprint=first.fingerprint)
    policy = replace(shared_seed.policy, keys=(first, twin))
    asked("vault", "import", "-", "--name", "v", stdin=format_descriptor(policy))
    assert {"same_seed", "policy_not_approved"} <= codes(asked)


def test_unknown_fingerprints_are_no_same_seed(asked: Asked, shared_seed: SoftVault) -> None:
    asked("init", "--network", "regtest")
    keys = tuple(key._replace(fingerprint=bytes(4)) for key in shared_seed.policy.keys)
    policy = replace(shared_seed.policy, keys=keys)
    asked("vault", "import", "-", "--name", "v", stdin=format_descriptor(policy))
    assert "same_seed" not in codes(asked)


def statements(database: sessionmaker[Session], home: Path) -> int:
    """Return how many statements it takes to say what is dangerous of all vaults."""
    count = 0

    def seen(*_: object) -> None:
        nonlocal count
        count += 1

    engine = database.kw["bind"]
    event.listen(engine, "before_cursor_execute", seen)
    with database.begin() as db:
        acceptance.all_dangers(open_home(home), db)
    event.remove(engine, "before_cursor_execute", seen)
    return count


def test_the_number_of_queries_does_not_grow_with_things(vault: Asked, tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'home' / 'cardquorum.db'}")
    counts = []
    for number, card in enumerate("abc"):
        vault("carrier", "add", "a", "plate", f"plate-{number}")
        vault("custody", "record", f"plate:plate-{number}", "placed", "--at", "at-a")
        vault("copy", "add", "v", f"more-{number}", "--location", "at-b")
        words = ("--of", card, "--kind", "pin", "--written-at", "at-b")
        vault("secret", "add", f"pin-{number}", *words)
        counts.append(statements(database, tmp_path / "home"))
    assert len(set(counts)) == 1
    database.kw["bind"].dispose()


def drill_file(vault: Asked, folder: Path) -> dict[str, Any]:
    drill = vault("drill", "start", "v")["drill"]
    for label in "ab":
        vault("drill", "sign", drill, "--emulated", label, "--pin-stdin", stdin=PIN)
    vault("drill", "export", drill, str(folder / "drill.json"))
    said: dict[str, Any] = json.loads((folder / "drill.json").read_text())
    return said


def test_a_drill_says_first_what_it_proves(vault: Asked, program: Program, tmp_path: Path) -> None:
    drill_file(vault, tmp_path)
    ended = program("drill", "verify", str(tmp_path / "drill.json"))
    shown = vault("vault", "show", "v")
    head = f"for vault v, version {shown['checksum']}, first address {shown['first_address']}"
    assert ended.err.splitlines()[0] == head


@pytest.mark.parametrize("field", ["vault", "message", "descriptor"])
def test_a_drill_whose_parts_are_of_different_vaults_proves_nothing(
    vault: Asked, tmp_path: Path, field: str
) -> None:
    said = drill_file(vault, tmp_path)
    said[field] = {
        "vault": "w",
        "message": said["message"].replace("vault v ", "vault w "),
        "descriptor": format_descriptor(soft_vault(2, 3).policy),
    }[field]
    error = vault("drill", "verify", "-", stdin=json.dumps(said), check=5)["error"]
    assert error["code"] == "psbt_error"


def test_a_drill_of_a_strangers_vault_of_our_name_is_refused(vault: Asked, tmp_path: Path) -> None:
    said = drill_file(vault, tmp_path)
    other = asking(tmp_path / "other")
    other("init", "--network", "regtest")
    other("vault", "import", "-", "--name", "v", stdin=format_descriptor(soft_vault(2, 3).policy))
    error = other("drill", "verify", "-", stdin=json.dumps(said), check=5)["error"]
    assert "is for another vault v" in error["message"]


def test_a_clock_before_the_last_event_is_told(
    vault: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    early = clock.parse("2016-01-01")
    monkeypatch.setattr(clock, "now", lambda: early)
    told = vault("card", "stolen", "b")
    assert "clock says 2016-01-01" in told["notices"][0]
    assert vault("card", "show", "b")["gone"] == "stolen"
    assert any("set the clock right" in line for line in vault("status")["due"])


def test_what_the_program_saw_undoes_no_theft(
    vault: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as ahead:
        ahead.setattr(clock, "now", lambda: clock.parse("2031-01-01"))
        vault("card", "check", "b", "--pin", "--emulated", "b", "--pin-stdin", stdin=PIN)
    vault("card", "stolen", "b")
    vault("card", "check", "b", "--pin", "--emulated", "b", "--pin-stdin", stdin=PIN)
    assert vault("card", "show", "b")["gone"] == "stolen"
    again = vault("custody", "record", "card:b", "placed", "--at", "at-b")
    assert "stays recorded as stolen" in " ".join(again["notices"])
    vault("card", "found", "b")
    assert vault("card", "show", "b")["gone"] is None


def test_an_encrypted_copy_says_who_may_have_written_it(vault: Asked, tmp_path: Path) -> None:
    vault("kit", "v", "--out", str(tmp_path / "kit"))
    back = asking(tmp_path / "back")
    back("init", "--network", "regtest")
    key = vault("vault", "show", "v")["cosigners"][0]["key"]
    file = str(tmp_path / "kit" / "v-encrypted.txt")
    wrong = ("--key", key, "--checksum", "qqqqqqqq")
    assert back("recover", file, "--name", "v", *wrong, check=5)["error"]["code"] == (
        "checksum_differs"
    )
    assert back("vault", "list")["vaults"] == []
    found = back("recover", file, "--name", "v", "--key", key)
    assert "xpubs can write such an encrypted copy" in found["notices"][0]
    assert not found["approved"]


def test_a_backup_with_approvals_needs_none_anew(vault: Asked, tmp_path: Path) -> None:
    made = pay(vault, "--to", f"{STRANGER}:100000")["ceremony"]
    for name, more in (("bare", ()), ("whole", ("--with-approvals",))):
        vault("backup", "--out", str(tmp_path / name), *more)
        back = asking(tmp_path / f"{name}-home")
        wanted = back("restore", str(tmp_path / name))["to_approve"]
        expected = [
            "cardquorum vault approve v", f"cardquorum spend sign {made} --txid TXID",
        ]  # fmt: skip
        assert wanted == ([] if more else expected)
        status = 0 if more else 5
        back("address", "new", "v", *UNPROVED, check=status)
