"""Payments in which others spend their coins beside the vault's: judged, signed for ours, sent."""

from pathlib import Path
from typing import Any

import pytest

from psbt import codec
from psbt.extractor import extract
from psbt.fields import write as written
from psbt.network import Network
from psbt.policy import parse_address
from psbt.transaction import Transaction, TransactionOutput, parse_transaction
from tests.cli.test_money import STRANGER, address, chain, pay, sign
from tests.cli.test_offline import offline
from tests.program import Asked, run_program
from tests.psbt.beside import HASH, SCRIPTS, THEIRS, joined, told, unlocked

__all__ = ["offline"]

MATRIX = pytest.mark.matrix
WORTH = 500_000
BACK = TransactionOutput(498_000, b"\x00\x14" + HASH)


def funded(tmp_path: Path, kind: str = "p2wpkh") -> Transaction:
    """Return a transaction in a block whose output 0 is somebody else's coin."""
    node = chain(tmp_path)
    (txid,) = node.fund(SCRIPTS[kind], WORTH)
    node.mine(1)
    made = parse_transaction(node.transaction(txid) or b"")
    assert made.outputs[0] == TransactionOutput(WORTH, SCRIPTS[kind])
    return made


def shared(vault: Asked, tmp_path: Path, kind: str = "p2wpkh", *, proven: bool = True) -> bytes:
    """Return a payment of ours that spends somebody else's coin too, who gets most of it back."""
    dry = pay(vault, "--to", f"{STRANGER}:400000", "--dry-run")
    previous = funded(tmp_path, kind)
    return joined(dry["psbt"], previous, told(previous, proven=proven), pays=[BACK])


def imported(vault: Asked, tmp_path: Path, data: bytes, check: int = 0) -> dict[str, Any]:
    (tmp_path / "shared.psbt").write_bytes(data)
    return vault("spend", "import", "v", str(tmp_path / "shared.psbt"), check=check)


def added(vault: Asked, tmp_path: Path, ceremony: str, data: bytes) -> dict[str, Any]:
    (tmp_path / "back.psbt").write_bytes(data)
    return vault("spend", "add", ceremony, str(tmp_path / "back.psbt"))


@pytest.mark.parametrize(
    ("kind", "version"), [("p2wpkh", 2), pytest.param("p2pkh", 0, marks=MATRIX)]
)
def test_a_shared_payment_is_signed_handed_on_and_sent(
    vault: Asked, tmp_path: Path, kind: str, version: int
) -> None:
    given = shared(vault, tmp_path, kind)
    theirs = codec.read_maps(given).inputs[-1]
    made = imported(vault, tmp_path, codec.to_bytes(codec.parse(given), version))
    review = made["review"]
    assert [coin["own"] for coin in review["inputs"]] == [True, False]
    paid = review["inputs"][0]["value_sats"]
    back = sum(output["value_sats"] for output in review["outputs"] if output["own"])
    assert review["net_sats"] == paid - back
    assert review["fee_sats"] == review["net_sats"] - 400_000 + WORTH - BACK.value_sats
    assert review["fee_proven"]
    assert [each["code"] for each in review["warnings"]] == ["foreign_inputs"]
    sign(vault, made["ceremony"], "a", "b")
    handed = vault("spend", "finalize", made["ceremony"])
    assert (handed["hex"], handed["others_missing"]) == (None, 1)
    assert codec.read_maps(handed["psbt"]).inputs[-1] == theirs
    assert vault("spend", "show", made["ceremony"])["others_missing"] == 1
    told = next(each for each in vault("status")["next"] if each["code"] == "payment")
    assert told["command"] == f"cardquorum spend export {made['ceremony']} --out FILE"
    assert "1 input of others not yet" in told["why"]
    error = vault("spend", "broadcast", made["ceremony"], check=6)["error"]
    assert error["code"] == "not_final"
    assert "inputs of others are not signed yet: 1" in error["message"]
    added(vault, tmp_path, made["ceremony"], unlocked(handed["psbt"], kind))
    final = vault("spend", "finalize", made["ceremony"])
    assert (final["others_missing"], final["consensus"]) == (0, "accepted")
    assert vault("spend", "broadcast", made["ceremony"])["txid"] == final["txid"]
    vault("regtest", "mine")
    assert vault("spend", "show", made["ceremony"])["state"] == "confirmed"


@pytest.mark.parametrize("kind", ["p2pkh", pytest.param("p2wpkh", marks=MATRIX)])
def test_a_payment_that_others_finish_and_send_is_known_as_ours(
    vault: Asked, tmp_path: Path, kind: str
) -> None:
    made = imported(vault, tmp_path, shared(vault, tmp_path, kind))
    sign(vault, made["ceremony"], "a", "c")
    handed = vault("spend", "finalize", made["ceremony"])
    (tmp_path / "all.psbt").write_bytes(unlocked(handed["psbt"], kind))
    sent = vault("tx", "broadcast", str(tmp_path / "all.psbt"))
    assert sent["ceremony"] == made["ceremony"]
    vault("regtest", "mine")
    seen = vault("spend", "show", made["ceremony"])
    assert (seen["state"], seen["txid"]) == ("confirmed", sent["txid"])


def test_a_legacy_coin_of_others_changes_the_id_and_nothing_else(
    vault: Asked, tmp_path: Path
) -> None:
    made = imported(vault, tmp_path, shared(vault, tmp_path, "p2pkh"))
    sign(vault, made["ceremony"], "a", "c")
    handed = vault("spend", "finalize", made["ceremony"])
    final = codec.parse(unlocked(handed["psbt"], "p2pkh"))
    node = chain(tmp_path)
    txid = node.broadcast(extract(final))
    node.mine(1)
    assert txid != handed["txid"]
    vault("sync")
    seen = vault("spend", "show", made["ceremony"])
    assert (seen["state"], seen["txid"]) == ("confirmed", txid)


def test_an_amount_that_nobody_proves_is_said_not_refused(vault: Asked, tmp_path: Path) -> None:
    made = imported(vault, tmp_path, shared(vault, tmp_path, proven=False))
    found = {each["code"]: each["severity"] for each in made["review"]["warnings"]}
    assert found == {"foreign_inputs": "warning", "fee_unproven": "warning"}
    assert not made["review"]["fee_proven"]
    assert sign(vault, made["ceremony"], "a", "b")["complete"]


def test_what_says_nothing_of_its_coin_is_refused_by_input_and_field(
    vault: Asked, tmp_path: Path
) -> None:
    given = codec.read_maps(shared(vault, tmp_path))
    bare = given._replace(inputs=(*given.inputs[:-1], {}))
    error = imported(vault, tmp_path, written(bare), check=5)["error"]
    assert error["code"] == "psbt_error"
    assert "input 1 says nothing about the output it spends" in error["message"]
    assert vault("spend", "list")["ceremonies"] == []


def test_a_payjoin_pays_the_vault_less_its_own_coin(vault: Asked, tmp_path: Path) -> None:
    """A payer's own payment to us, into which we put a coin: in all the vault receives."""
    dry = pay(vault, "--to", f"{STRANGER}:1000", "--coin", first_coin(vault), "--dry-run")
    previous = funded(tmp_path)
    old = codec.transaction_of(dry["psbt"])
    ours = next(out for out in old.outputs if len(out.script_pubkey) == 34)
    more = TransactionOutput(450_000, parse_address(address(vault, 3), Network.REGTEST))
    rest = TransactionOutput(WORTH - 450_000, THEIRS)
    given = joined(dry["psbt"], previous, told(previous, proven=True), pays=[more, rest])
    made = imported(vault, tmp_path, given)
    assert made["review"]["net_sats"] == -450_000 + 1_000_000 - ours.value_sats
    message = made["review"]["warnings"]
    assert any("receives" in each["message"] for each in message)
    sign(vault, made["ceremony"], "a", "b")
    handed = vault("spend", "finalize", made["ceremony"])
    (tmp_path / "all.psbt").write_bytes(unlocked(handed["psbt"]))
    txid = vault("tx", "broadcast", str(tmp_path / "all.psbt"))["txid"]
    vault("regtest", "mine")
    (line,) = (each for each in vault("history", "v")["transactions"] if each["txid"] == txid)
    assert line["change_sats"] == -made["review"]["net_sats"]
    assert (line["fee_sats"], line["ceremony"]) == (None, made["ceremony"])


def first_coin(vault: Asked) -> str:
    coin: str = vault("coins", "v")["coins"][0]["outpoint"]
    return coin


def test_a_coin_at_our_address_that_nobody_told_of_is_refused(
    vault: Asked, offline: Asked, tmp_path: Path
) -> None:
    vault("coin", "export", "v", str(tmp_path / "coins.txt"))
    offline("coin", "import", "v", str(tmp_path / "coins.txt"))
    node = chain(tmp_path)
    (txid,) = node.fund(parse_address(address(vault, 4), Network.REGTEST), WORTH)
    hidden = parse_transaction(node.transaction(txid) or b"")
    dry = pay(vault, "--to", f"{STRANGER}:400000", "--dry-run")
    given = joined(dry["psbt"], hidden, told(hidden, proven=False), pays=[BACK])
    error = imported(offline, tmp_path, given, check=5)["error"]
    assert "input 1 spends" in error["message"]


def test_only_all_together_raise_the_fee_but_the_vault_alone_takes_it_back(
    vault: Asked, tmp_path: Path
) -> None:
    made = imported(vault, tmp_path, shared(vault, tmp_path))
    sign(vault, made["ceremony"], "a", "b")
    handed = vault("spend", "finalize", made["ceremony"])
    added(vault, tmp_path, made["ceremony"], unlocked(handed["psbt"]))
    vault("spend", "finalize", made["ceremony"])
    vault("spend", "broadcast", made["ceremony"])
    error = vault("spend", "bump", made["ceremony"], "--feerate", "30", check=2)["error"]
    assert "only all together can raise its fee" in error["message"]
    cancelled = vault("spend", "cancel", made["ceremony"], "--feerate", "60")
    assert all(coin["own"] for coin in cancelled["review"]["inputs"])
    sign(vault, cancelled["ceremony"], "a", "b")
    vault("spend", "finalize", cancelled["ceremony"])
    vault("spend", "broadcast", cancelled["ceremony"])
    vault("regtest", "mine")
    assert vault("spend", "show", made["ceremony"])["state"] == "replaced"


def test_what_is_left_for_a_person_to_read_names_the_others(vault: Asked, tmp_path: Path) -> None:
    (tmp_path / "shared.psbt").write_bytes(shared(vault, tmp_path))
    shown = run_program(vault.home, "spend", "import", "v", str(tmp_path / "shared.psbt")).out
    assert "beside" in shown
    assert "not this vault's" in shown
    assert "this vault pays" in shown


@pytest.mark.parametrize("by_file", [True, pytest.param(False, marks=MATRIX)])
def test_two_vaults_of_one_home_pay_together(
    vault: Asked, tmp_path: Path, *, by_file: bool
) -> None:
    cards = [word for label in "abc" for word in ("--card", label)]
    vault("vault", "create", "w", "--threshold", "3", *cards, "--accept", "no_copy")
    place = vault("address", "new", "w", "--accept", "keys_unproved", "--accept", "no_copy")
    (txid,) = vault("regtest", "fund", place["address"], "500000")["txids"]
    vault("regtest", "mine")
    vault("sync")
    made = parse_transaction(chain(tmp_path).transaction(txid) or b"")
    dry = pay(vault, "--to", f"{STRANGER}:400000", "--dry-run")
    other = vault("spend", "create", "w", "--drain", STRANGER, "--feerate", "2", "--dry-run")
    theirs = codec.read_maps(other["psbt"]).inputs[0]
    given = joined(dry["psbt"], made, theirs, pays=[BACK])
    first = imported(vault, tmp_path, given)
    assert [coin["vault"] for coin in first["review"]["inputs"]] == [None, "w"]
    signed = sign(vault, first["ceremony"], "a", "b")["psbt"]
    (tmp_path / "shared.psbt").write_text(signed)
    second = vault("spend", "import", "w", str(tmp_path / "shared.psbt"))
    both = sign(vault, second["ceremony"], "a", "b", "c")
    assert both["complete"]
    handed = vault("spend", "finalize", second["ceremony"])
    if by_file:
        (tmp_path / "all.psbt").write_text(handed["psbt"])
        sent = vault("tx", "broadcast", str(tmp_path / "all.psbt"))
        assert (sent["ends"], sent["warnings"]) == ([], [])
        assert {each["state"] for each in vault("spend", "list")["ceremonies"]} == {"broadcast"}
    else:
        added(vault, tmp_path, first["ceremony"], codec.to_bytes(codec.parse(handed["psbt"])))
        final = vault("spend", "finalize", first["ceremony"])
        assert vault("spend", "broadcast", first["ceremony"])["txid"] == final["txid"]
    vault("regtest", "mine")
    states = {each["vault"]: each["state"] for each in vault("spend", "list")["ceremonies"]}
    assert states == {"v": "confirmed", "w": "confirmed"}
    for name, made_here in (("v", first), ("w", second)):
        lines = vault("history", name)["transactions"]
        assert made_here["ceremony"] in {line["ceremony"] for line in lines}
