"""A drill over three visits, and the file that proves it to strangers."""

import json
import sqlite3
from pathlib import Path

import pytest

from psbt import message
from psbt.network import Network
from psbt.policy import RECEIVE, parse_descriptor, vault_script
from tests.program import PIN, Asked, Program

SIGN = ("drill", "sign")


def signed(asked: Asked, drill: str, card: str, check: int = 0) -> dict[str, object]:
    return asked(*SIGN, drill, "--emulated", card, "--pin-stdin", stdin=PIN, check=check)


@pytest.fixture
def drill(vault: Asked) -> str:
    return str(vault("drill", "start", "v")["drill"])


def test_each_card_signs_on_its_own_day(vault: Asked, drill: str) -> None:
    before = vault("balance", "v")
    first = signed(vault, drill, "a")
    assert (first["state"], first["have"], first["need"]) == ("collecting", 1, 2)
    assert (first["missing"], first["bip322"], first["complete"]) == (["b", "c"], None, False)
    second = signed(vault, drill, "b")
    assert (second["state"], second["have"], second["complete"]) == ("proved", 2, False)
    third = signed(vault, drill, "c")
    assert (third["state"], third["missing"], third["complete"]) == ("complete", [], True)
    assert [(p["card"], p["cosigner"], p["valid"]) for p in third["proofs"]] == [
        ("a", "a", True),
        ("b", "b", True),
        ("c", "c", True),
    ]
    script = vault_script(
        parse_descriptor(vault("vault", "show", "v")["descriptor"], Network.REGTEST), RECEIVE, 0
    )
    verdict = message.verify_proof(third["bip322"], third["message"], script.script_pubkey)
    assert verdict in {"accepted", "own-check"}
    assert vault("balance", "v") == before
    assert len(third["message"]) <= 330
    assert third["message"].isascii()


def test_the_message_names_vault_tip_and_book(vault: Asked, drill: str) -> None:
    said = vault("drill", "show", drill)["message"]
    shown = vault("vault", "show", "v")
    assert f"vault v #{shown['checksum']}" in said
    assert vault("status")["tip"]["hash"] in said
    assert vault("custody", "verify")["head"] in said
    assert vault("drill", "start", "v")["message"] != said


def test_a_card_that_signed_is_seen_and_not_asked_again(vault: Asked, drill: str) -> None:
    signed(vault, drill, "a")
    seen = vault("custody", "log", "card:a")["events"][-1]
    assert (seen["event"], seen["note"]) == ("seen", f"drill {drill}")
    again = vault(*SIGN, drill, "--emulated", "a", "--pin-stdin", stdin="a=000000")
    assert again["cards"][0]["signatures"] == 0
    assert len(again["proofs"]) == 1


def test_a_wrong_pin_and_a_strange_card_prove_nothing(vault: Asked, drill: str) -> None:
    wrong = vault(*SIGN, drill, "--emulated", "a", "--pin-stdin", stdin="000000", check=4)
    assert wrong["cards"][0]["error"]["attempts_left"] == 4
    vault("emulate", "new", "tapsigner", "stranger")
    assert signed(vault, drill, "stranger", check=3)["proofs"] == []


def test_the_plan_is_by_lead_time_and_warns_of_a_quorum(vault: Asked) -> None:
    vault("location", "add", "soon", "--kind", "office", "--lead-hours", "2")
    vault("location", "add", "late", "--kind", "office", "--lead-hours", "72")
    vault("custody", "record", "card:a", "moved", "--at", "late")
    vault("custody", "record", "card:b", "moved", "--at", "soon")
    vault("custody", "record", "card:c", "moved", "--at", "soon")
    soon, late = vault("drill", "plan", "v")["visits"]
    assert (soon["location"], soon["cards"], soon["lead_hours"]) == ("soon", ["b", "c"], 2)
    assert "2 keys of 2" in soon["warning"]
    assert (late["location"], late["warning"]) == ("late", None)
    vault("custody", "record", "card:c", "lost")
    assert [v["cards"] for v in vault("drill", "plan", "v")["visits"]] == [["b"], ["a"]]


def test_a_stranger_checks_the_file_without_a_home(
    vault: Asked, program: Program, drill: str, tmp_path: Path
) -> None:
    file = tmp_path / "drill.json"
    signed(vault, drill, "a")
    vault("drill", "export", drill, str(file))
    early = vault("drill", "verify", str(file), "--home", str(tmp_path / "none"), check=6)
    assert (early["have"], early["need"], early["valid"]) == (1, 2, False)
    signed(vault, drill, "c")
    vault("drill", "export", drill, str(file))
    found = vault("drill", "verify", str(file), "--home", str(tmp_path / "none"))
    assert (found["valid"], found["proved"], found["vault"]) == (True, [0, 2], "v")
    assert "2 keys proved" in program("drill", "verify", str(file)).out


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"message": "another"}, 5),
        ({"format": "something else"}, 2),
        ({"descriptor": "wsh(nonsense)"}, 2),
        ({"proofs": [{"pubkey": "02" * 33, "signature": "00" * 64}]}, 5),
        ({"proofs": 5}, 2),
        ({"bip322": "smpAA=="}, 5),
        ({"network": "moon"}, 2),
    ],
)
def test_a_file_that_lies_is_refused(
    vault: Asked, drill: str, tmp_path: Path, change: dict[str, object], status: int
) -> None:
    file = tmp_path / "drill.json"
    signed(vault, drill, "a")
    signed(vault, drill, "b")
    vault("drill", "export", drill, str(file))
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    vault("drill", "verify", str(file), check=status)


def test_a_proof_altered_in_the_database_no_longer_counts(
    vault: Asked, drill: str, tmp_path: Path
) -> None:
    signed(vault, drill, "a")
    signed(vault, drill, "b")
    database = sqlite3.connect(next(tmp_path.rglob("cardquorum.db")))
    database.execute("UPDATE drill_proof SET signature = zeroblob(64) WHERE id = 1")
    database.commit()
    database.close()
    seen = vault("drill", "show", drill, check=5)
    assert [proof["valid"] for proof in seen["proofs"]] == [False, True]
    assert (seen["have"], seen["bip322"], seen["missing"]) == (1, None, ["a", "c"])


def test_drills_are_listed_newest_first(vault: Asked, drill: str) -> None:
    second = vault("drill", "start", "v")["drill"]
    signed(vault, drill, "a")
    listed = vault("drill", "list", "v")["drills"]
    assert [(each["drill"], each["have"]) for each in listed] == [(second, 0), (drill, 1)]
    vault("drill", "show", "aaaaaaaa", check=2)
    vault("drill", "verify", "/nonexistent", check=2)
