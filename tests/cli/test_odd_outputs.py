"""Payments to scripts without an address, beyond the reach of a search, or to a vault of ours."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from psbt import codec
from psbt.network import Network
from psbt.policy import CHANGE, RECEIVE, parse_address, parse_descriptor, vault_script
from psbt.transaction import TransactionOutput
from psbt.updater import change_fields
from tests.cli.test_money import STRANGER, pay, sign
from tests.program import PIN, UNPROVED, Asked, run_program
from tests.psbt.altered import paying, written

KEY = bytes.fromhex("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
OPEN_KEY = b"\x04" + bytes(64)
ODD = {
    "OP_RETURN, 13 bytes: 6a0b68656c6c6f20776f726c64": b"\x6a\x0bhello world",
    "OP_RETURN, 100 bytes": b"\x6a\x4c\x61" + bytes(97),
    f"public key (P2PK), 35 bytes: 21{KEY.hex()}ac": b"\x21" + KEY + b"\xac",
    "public key (P2PK), 67 bytes": b"\x41" + OPEN_KEY + b"\xac",
    "bare multisig 1 of 2, 71 bytes": b"\x51" + (b"\x21" + KEY) * 2 + b"\x52\xae",
    "witness version 0 of an unknown size, 7 bytes: 00050101010101": b"\x00\x05" + b"\x01" * 5,
    "script of an unknown kind, 1 byte: 51": b"\x51",
    "script of an unknown kind, 43 bytes": b"\x51\x29" + bytes(41),
    "empty script": b"",
}
CODES = ("unknown_script", "nonstandard_output", "unusual_amount", "dust", "high_fee")


def imported(vault: Asked, tmp_path: Path, *outputs: TransactionOutput) -> dict[str, Any]:
    """Open a ceremony for a payment made elsewhere: two coins to these outputs."""
    made = pay(vault, "--to", f"{STRANGER}:1500000", "--dry-run")
    (tmp_path / "made.psbt").write_bytes(paying(made["psbt"], outputs))
    return vault("spend", "import", "v", str(tmp_path / "made.psbt"))


def accepting(vault: Asked, ceremony: str, *codes: str) -> dict[str, Any]:
    words = ["--emulated", "a", "--emulated", "b", "--yes", "--pin-stdin"]
    accepted = [word for code in codes for word in ("--accept", code)]
    return vault("spend", "sign", ceremony, *words, *accepted, stdin=f"a={PIN}\nb={PIN}\n")


def said_to_be_sent(tmp_path: Path, ceremony: str) -> None:
    """Have a ceremony known as sent: not every such payment is relayed by the embedded chain."""
    now = datetime.now(UTC).replace(tzinfo=None).isoformat(" ")
    with closing(sqlite3.connect(tmp_path / "home" / "cardquorum.db")) as database, database:
        words = "UPDATE ceremony SET state = 'broadcast', broadcast_at = ? WHERE public_id = ?"
        assert database.execute(words, (now, ceremony)).rowcount == 1


def change(vault: Asked, index: int, keychain: int = CHANGE) -> bytes:
    descriptor = vault("vault", "show", "v")["descriptor"]
    policy = parse_descriptor(descriptor, Network.REGTEST)
    return vault_script(policy, keychain, index).script_pubkey


def test_every_command_goes_on_after_a_payment_without_an_address(
    vault: Asked, tmp_path: Path
) -> None:
    outputs = [TransactionOutput(10_000, script) for script in ODD.values()]
    own = TransactionOutput(1_890_000, change(vault, 0))
    made = imported(vault, tmp_path, *outputs, own)
    shown = {out["destination"]: out for out in made["review"]["outputs"] if not out["own"]}
    assert {name: bytes.fromhex(out["script_pubkey"]) for name, out in shown.items()} == ODD
    assert all(out["address"] is None for out in shown.values())
    ceremony = made["ceremony"]
    signed = accepting(vault, ceremony, *CODES)
    assert signed["complete"]
    said_to_be_sent(tmp_path, ceremony)
    home = tmp_path / "home"
    for words in (
        ("spend", "list"), ("spend", "show", ceremony), ("history", "v"), ("coins", "v"),
        ("balance",), ("status",), ("audit", "v", "--fail-on", "none"), ("vault", "show", "v"),
        ("address", "list", "v"), ("address", "new", "v"), ("sync", "v"),
        ("label", "export", str(tmp_path / "labels.jsonl")),
        ("coin", "export", "v", str(tmp_path / "coins.txt")),
        ("kit", "v", "--out", str(tmp_path / "kit")),
        ("spend", "create", "v", "--to", f"{STRANGER}:1000", "--feerate", "2", "--dry-run"),
        ("replace", "plan", "v", "--card", "a"),
    ):  # fmt: skip
        run_program(home, *words)
    bumped = vault("spend", "bump", ceremony, "--feerate", "40")["ceremony"]
    assert vault("spend", "cancel", bumped, "--feerate", "90")["replaces"] == bumped


def test_what_has_no_address_is_named_to_people(vault: Asked, tmp_path: Path) -> None:
    text = TransactionOutput(0, b"\x6a\x0bhello world")
    made = imported(vault, tmp_path, text, TransactionOutput(1_990_000, change(vault, 0)))
    words = ("spend", "sign", made["ceremony"], "--emulated", "a", "--pin-stdin")
    ended = run_program(tmp_path / "home", *words, stdin=f"a={PIN}\n", check=5)
    assert "OP_RETURN, 13 bytes: 6a0b68656c6c6f20776f726c64" in ended.err
    assert accepting(vault, made["ceremony"], "unknown_script", "high_fee")["complete"]
    vault("spend", "finalize", made["ceremony"])
    vault("spend", "broadcast", made["ceremony"])
    vault("regtest", "mine")
    consolidated = vault("spend", "consolidate", "v", "--feerate", "2")
    assert sign(vault, consolidated["ceremony"], "a", "b")["complete"]


@pytest.mark.parametrize("keychain", [RECEIVE, CHANGE])
def test_an_own_output_beyond_the_reach_of_a_search_is_a_danger(
    vault: Asked, tmp_path: Path, keychain: int
) -> None:
    issued = {RECEIVE: 1, CHANGE: 0}[keychain]
    for index, danger in ((issued + 99, False), (issued + 100, True), (2_000_000_000, True)):
        out = TransactionOutput(1_990_000, change(vault, index, keychain))
        data = described(vault, tmp_path, out, (keychain, index))
        made = vault("spend", "import", "v", str(data))
        found = {each["code"]: each for each in made["review"]["warnings"]}
        assert ("change_out_of_reach" in found) is danger
        if danger:
            caution = found["change_out_of_reach"]
            assert caution["severity"] == "danger"
            for number in (str(index), str(issued + 99)):
                assert number in caution["message"]
            refused = vault("spend", "sign", made["ceremony"], "--emulated", "a", "--yes", check=5)
            assert "change_out_of_reach" in refused["error"]["codes"]
        vault("spend", "abandon", made["ceremony"])


def described(
    vault: Asked, tmp_path: Path, output: TransactionOutput, place: tuple[int, int]
) -> Path:
    """Write a PSBT that says, as a wallet does, where its only output is derived."""
    made = pay(vault, "--to", f"{STRANGER}:1500000", "--dry-run")
    maps = codec.read_maps(paying(made["psbt"], [output]))
    policy = parse_descriptor(vault("vault", "show", "v")["descriptor"], Network.REGTEST)
    own = change_fields(policy, vault_script(policy, *place))
    file = tmp_path / "made.psbt"
    file.write_bytes(written(maps._replace(outputs=(own,))))
    return file


def test_another_vault_of_the_home_is_named_and_is_no_stranger(vault: Asked) -> None:
    vault("vault", "create", "heirs", "--threshold", "2", "--card", "a", "--card", "b")
    theirs = vault("address", "new", "heirs", *UNPROVED)["address"]
    made = pay(vault, "--drain", theirs)
    assert [each["code"] for each in made["review"]["warnings"]] == []
    (output,) = made["review"]["outputs"]
    assert (output["vault"], output["address"], output["own"]) == ("heirs", theirs, False)
    script = parse_address(theirs, Network.REGTEST)
    assert bytes.fromhex(output["script_pubkey"]) == script
    vault("vault", "retire", "heirs")
    vault("spend", "abandon", made["ceremony"])
    again = pay(vault, "--to", f"{theirs}:100000")["review"]["warnings"]
    assert {each["code"] for each in again} == {"closed_vault"}
