"""The manual way, command by command, and how each step fails."""

import base64
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.program import PIN, Asked, Program

STRANGER = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"


@pytest.fixture
def ceremony(vault: Asked) -> str:
    made = vault("spend", "create", "v", "--to", f"{STRANGER}:400000", "--feerate", "2")
    assert made["state"] == "collecting"
    found: str = made["ceremony"]
    return found


def sign(asked: Asked, ceremony: str, *cards: str, check: int = 0) -> dict[str, Any]:
    words = [word for card in cards for word in ("--emulated", card)]
    pins = "".join(f"{card}={PIN}\n" for card in cards)
    return asked("spend", "sign", ceremony, *words, "--yes", "--pin-stdin", stdin=pins, check=check)


def test_a_payment_from_creation_to_confirmation(vault: Asked, ceremony: str) -> None:
    vault("vault", "verify", "v", "--emulated", "a", "--pin-stdin", stdin=PIN)
    first = sign(vault, ceremony, "a")
    assert (first["have"], first["need"], first["complete"]) == (1, 2, False)
    assert vault("spend", "finalize", ceremony, check=6)["error"]["have"] == 1
    assert vault("spend", "broadcast", ceremony, check=6)["error"]["code"] == "signatures_missing"
    second = sign(vault, ceremony, "c")
    assert second["complete"]
    assert second["signed_by"] == ["a", "c"]
    final = vault("spend", "finalize", ceremony)
    assert final["consensus"] == "accepted"
    assert vault("spend", "broadcast", ceremony)["txid"] == final["txid"]
    vault("regtest", "mine")
    owned = vault("balance", "v")
    assert owned["confirmed_sats"] == 3_000_000 - 400_000 - final["fee_sats"]
    assert owned["reserved_sats"] == owned["pending_sats"] == 0
    assert vault("spend", "show", ceremony)["state"] == "confirmed"
    assert vault("history", "v")["transactions"][0]["txid"] == final["txid"]


def test_several_cards_sign_at_once(vault: Asked, ceremony: str) -> None:
    done = sign(vault, ceremony, "b", "c")
    assert done["complete"]
    assert {card["label"]: card["signatures"] for card in done["cards"]} == {"b": 1, "c": 1}


def test_a_wrong_pin_costs_one_attempt_and_says_how_many_are_left(
    vault: Asked, ceremony: str
) -> None:
    words = ("spend", "sign", ceremony, "--emulated", "a", "--yes", "--pin-stdin")
    done = vault(*words, stdin="a=000000", check=4)
    assert done["cards"][0]["error"]["attempts_left"] == 4
    assert done["have"] == 0
    assert vault("card", "check", "a")["attempts_left"] == 4
    assert sign(vault, ceremony, "a")["have"] == 1
    assert vault("card", "check", "a")["attempts_left"] == 5


def test_one_failing_card_does_not_stop_the_other(vault: Asked, ceremony: str) -> None:
    words = ("spend", "sign", ceremony, "--emulated", "a", "--emulated", "b", "--yes")
    done = vault(*words, "--pin-stdin", stdin=f"a=000000\nb={PIN}\n", check=4)
    assert [card["error"] is None for card in done["cards"]] == [False, True]
    assert done["signed_by"] == ["b"]


def test_the_last_attempt_is_left_alone(vault: Asked, ceremony: str) -> None:
    words = ("spend", "sign", ceremony, "--emulated", "a", "--yes", "--pin-stdin")
    for left in (4, 3, 2, 1):
        assert (
            vault(*words, stdin="a=000000", check=4)["cards"][0]["error"]["attempts_left"] == left
        )
    assert vault(*words, stdin="a=000000", check=4)["cards"][0]["error"]["code"] == "last_attempt"
    assert vault("card", "check", "a")["attempts_left"] == 1
    assert vault(*words, "--last-attempt", stdin=f"a={PIN}")["have"] == 1


def test_a_wrong_card_is_named_and_no_pin_is_asked(vault: Asked, ceremony: str) -> None:
    vault("emulate", "new", "satochip", "stranger")
    words = ("spend", "sign", ceremony, "--emulated", "stranger", "--yes", "--pin-stdin")
    done = vault(*words, stdin="000000", check=3)
    assert done["cards"][0]["error"]["code"] == "wrong_card"
    listed = {card["name"]: card for card in vault("emulate", "list")["cards"]}
    assert listed["stranger"]["attempts_left"] == 5
    vault("vault", "verify", "v", "--emulated", "stranger", "--pin-stdin", stdin="0", check=3)


def test_a_tampered_psbt_is_refused(vault: Asked, ceremony: str, tmp_path: Path) -> None:
    raw = bytearray(base64.b64decode(vault("spend", "export", ceremony)["psbt"]))
    position = raw.index((400_000).to_bytes(8, "little"))
    raw[position] ^= 1
    (tmp_path / "bad.psbt").write_bytes(raw)
    refused = vault("spend", "add", ceremony, str(tmp_path / "bad.psbt"), check=5)
    assert refused["error"]["field"].startswith("outputs[")
    assert vault("spend", "show", ceremony)["have"] == 0


def test_a_swapped_xpub_in_the_database_is_found(vault: Asked, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "home" / "cardquorum.db") as database:
        database.execute(
            "UPDATE key SET chain_code = (SELECT chain_code FROM key WHERE label = 'b')"
            " WHERE label = 'a'"
        )
    database.close()
    words = ("vault", "verify", "v", "--emulated", "a", "--pin-stdin")
    found = vault(*words, stdin=PIN, check=5)
    assert any(each["cosigner"] == "a" for each in found["mismatches"])
    assert "a" not in found["verified"]
    found = vault("audit", "v", check=5)["findings"][:2]
    assert [each["code"] for each in found] == ["vault_altered", "key_mismatch"]
    assert vault("address", "new", "v", check=5)["error"]["code"] == "vault_altered"


def test_coins_are_reserved_until_abandoned(vault: Asked, ceremony: str) -> None:
    held = [coin for coin in vault("coins", "v")["coins"] if coin["reserved_by"]]
    assert {coin["reserved_by"] for coin in held} == {ceremony}
    words = ("spend", "create", "v", "--to", f"{STRANGER}:1000", "--feerate", "1")
    taken = vault(*words, "--coin", held[0]["outpoint"], check=5)
    assert taken["error"]["ceremony"] == ceremony
    assert vault("spend", "abandon", ceremony)["warning"] is None
    assert vault("balance", "v")["reserved_sats"] == 0
    vault(*words, "--coin", held[0]["outpoint"])


def test_more_than_the_balance_is_refused(vault: Asked) -> None:
    words = ("spend", "create", "v", "--to", f"{STRANGER}:1btc", "--feerate", "1")
    refused = vault(*words, check=5)["error"]
    assert refused["code"] == "insufficient_funds"
    assert refused["have_sats"] == 3_000_000


def test_a_dry_run_stores_nothing(vault: Asked) -> None:
    words = ("spend", "create", "v", "--to", f"{STRANGER}:1000", "--feerate", "1", "--dry-run")
    assert vault(*words)["ceremony"] is None
    assert vault("spend", "list")["ceremonies"] == []
    assert vault("balance", "v")["reserved_sats"] == 0


def test_yes_accepts_no_danger(vault: Asked) -> None:
    words = ("spend", "create", "v", "--to", f"{STRANGER}:1000", "--feerate", "600")
    made = vault(*words)
    dangers = [w["code"] for w in made["review"]["warnings"] if w["severity"] == "danger"]
    assert dangers
    again = ("spend", "sign", made["ceremony"], "--emulated", "a", "--yes", "--pin-stdin")
    refused = vault(*again, stdin=PIN, check=5)["error"]
    assert refused["codes"] == dangers
    accepted = [word for code in dangers for word in ("--accept", code)]
    assert vault(*again, *accepted, stdin=PIN)["have"] == 1


def test_without_yes_and_terminal_nothing_is_signed(vault: Asked, ceremony: str) -> None:
    words = ("spend", "sign", ceremony, "--emulated", "a", "--pin-stdin")
    assert vault(*words, stdin=PIN, check=5)["error"]["code"] == "not_accepted"


def test_a_psbt_is_exported_as_bytes_and_added_again(
    vault: Asked, ceremony: str, tmp_path: Path
) -> None:
    sign(vault, ceremony, "a", "b")
    exported = vault("spend", "export", ceremony, "--out", str(tmp_path / "p"), "--format", "psbt")
    assert (tmp_path / "p").read_bytes() == base64.b64decode(exported["psbt"])
    again = vault("spend", "add", ceremony, str(tmp_path / "p"))
    assert (again["signatures"], again["have"]) == (0, 2)


def test_help_version_and_usage_errors(program: Program) -> None:
    assert "spend" in program("--help").out
    assert program("--version").out.startswith("cardquorum 0.")
    assert program("nonsense", check=2).err.startswith("error: ")
    assert program("--json", "nonsense", check=2).document["error"]["code"] == "usage"
    assert program("status", check=2).err.count("hint: ") == 1
