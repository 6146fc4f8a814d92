"""Vaults of every script: made from cards or taken from a file, paid, spent, proved, recovered."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from psbt import codec
from psbt.network import Network
from psbt.policy import addresses, format_descriptor, parse_descriptor
from tests.cli.test_money import OTHER, STRANGER, chain
from tests.program import PIN, UNPROVED, Asked, asking
from tests.psbt.soft_vault import soft_vault

NESTED, LEGACY = "sh-wsh", "sh"
NESTED_TOO = pytest.param(NESTED, marks=pytest.mark.matrix)


def signed(vault: Asked, ceremony: str, *cards: str) -> dict[str, Any]:
    words = [word for card in cards for word in ("--emulated", card)]
    pins = "".join(f"{card}={PIN}\n" for card in cards)
    return vault("spend", "sign", ceremony, *words, "--yes", "--pin-stdin", stdin=pins)


def made(vault: Asked, script: str) -> dict[str, Any]:
    words = ("--threshold", "2", "--card", "a", "--card", "b", "--card", "c", "--script", script)
    return vault("vault", "create", "w", *words)


def funded(vault: Asked) -> None:
    address = vault("address", "new", "w", *UNPROVED)["address"]
    vault("regtest", "fund", address, "1000000", "--coins", "2")
    vault("regtest", "mine")


@pytest.mark.parametrize("script", [NESTED, LEGACY])
def test_a_vault_of_cards_is_paid_and_spent(vault: Asked, tmp_path: Path, script: str) -> None:
    shown = made(vault, script)
    wrapped = {NESTED: "sh(wsh(sortedmulti(2,", LEGACY: "sh(sortedmulti(2,"}[script]
    assert shown["script"] == script
    assert shown["descriptor"].startswith(wrapped)
    assert shown["first_address"].startswith("2")
    assert {each["code"] for each in shown["warnings"]} == {"path_of_other_script"}
    funded(vault)
    to = ("--to", f"{STRANGER}:700000", "--feerate", "2")
    opened = vault("spend", "create", "w", *to)
    review = opened["review"]
    assert {each["code"] for each in review["warnings"]} <= {"spends_all", "unconfirmed_input"}
    assert signed(vault, opened["ceremony"], "a", "c")["complete"]
    back = tmp_path / "back.psbt"
    for version in ("0", "2"):
        words = ("--psbt-version", version, "--slim", "--format", "psbt", "--out", str(back))
        vault("spend", "export", opened["ceremony"], *words)
        assert vault("spend", "add", opened["ceremony"], str(back))["signatures"] == 0
    final = vault("spend", "finalize", opened["ceremony"])
    assert final["consensus"] == "accepted"
    # Two inputs by two signatures, each up to two bytes shorter than the longest, and rounding.
    shorter = {NESTED: 2, LEGACY: 8}[script] + 1
    assert final["vsize"] <= review["vsize"] <= final["vsize"] + shorter
    assert vault("spend", "show", opened["ceremony"])["txid"] == final["txid"]
    assert vault("spend", "broadcast", opened["ceremony"])["txid"] == final["txid"]
    vault("regtest", "mine")
    assert vault("spend", "show", opened["ceremony"])["state"] == "confirmed"
    change = 1_000_000 * len(review["inputs"]) - 700_000 - review["fee_sats"]
    rest = 2_000_000 - 1_000_000 * len(review["inputs"])
    assert vault("balance", "w")["confirmed_sats"] in {change + rest, change}


@pytest.mark.parametrize("script", [LEGACY, NESTED_TOO])
def test_what_was_signed_is_raised_and_finished_elsewhere(
    vault: Asked, tmp_path: Path, script: str
) -> None:
    made(vault, script)
    funded(vault)
    opened = vault("spend", "create", "w", "--to", f"{OTHER}:300000", "--feerate", "2")
    signed(vault, opened["ceremony"], "a", "b")
    vault("spend", "finalize", opened["ceremony"])
    vault("spend", "broadcast", opened["ceremony"])
    bumped = vault("spend", "bump", opened["ceremony"], "--feerate", "9")
    assert signed(vault, bumped["ceremony"], "b", "c")["complete"]
    final = vault("spend", "finalize", bumped["ceremony"])
    (tmp_path / "final").write_text(final["hex"])
    told = vault("tx", "broadcast", str(tmp_path / "final"))
    assert (told["txid"], told["ceremony"]) == (final["txid"], bumped["ceremony"])
    assert told["ends"] == [opened["ceremony"]]
    vault("regtest", "mine")
    states = {each["id"]: each["state"] for each in vault("spend", "list")["ceremonies"]}
    assert states == {opened["ceremony"]: "replaced", bumped["ceremony"]: "confirmed"}


@pytest.mark.parametrize("script", ["wsh", NESTED, LEGACY])
@pytest.mark.parametrize("is_sorted", [True, False], ids=["sortedmulti", "multi"])
def test_a_foreign_vault_is_imported_with_its_order_and_exported_as_it_was(
    asked: Asked, tmp_path: Path, script: str, *, is_sorted: bool
) -> None:
    asked("init", "--network", "regtest")
    policy = soft_vault(2, 3, script, sorted_keys=is_sorted).policy
    text = format_descriptor(policy)
    (tmp_path / "w.txt").write_text(text)
    taken = asked("vault", "import", str(tmp_path / "w.txt"), "--name", "w")
    assert (taken["descriptor"], taken["script"]) == (text, script)
    assert taken["first_address"] == next(addresses(policy, 0, [0]))
    turned = text.partition("#")[0]
    keys = turned[turned.index("(2,") + 3 : turned.rindex("/*") + 2].split(",")
    (tmp_path / "t.txt").write_text(turned.replace(",".join(keys), ",".join(keys[::-1])))
    again = asked("vault", "import", str(tmp_path / "t.txt"), "--name", "t")
    assert (again["name"] == "w") == is_sorted
    exported = asked("vault", "export", "w", "--format", "json")
    assert parse_descriptor(exported["descriptor"], Network.REGTEST) == policy


@pytest.mark.parametrize("script", [LEGACY, NESTED_TOO])
def test_a_vault_is_proved_and_recovered_from_its_kit(
    vault: Asked, tmp_path: Path, script: str
) -> None:
    shown = made(vault, script)
    drill = vault("drill", "start", "w")["drill"]
    words = ("--emulated", "a", "--emulated", "b", "--pin-stdin")
    done = vault("drill", "sign", drill, *words, stdin=f"a={PIN}\nb={PIN}\n")
    assert (done["state"], done["bip322"][:3]) == ("proved", "ful")
    proof = tmp_path / "proof.json"
    vault("drill", "export", drill, str(proof))
    assert vault("drill", "verify", str(proof))["valid"]
    kit = tmp_path / "kit"
    vault("kit", "w", "--out", str(kit), *UNPROVED)
    there = asking(tmp_path / "there")
    there("init", "--network", "regtest")
    back = there("recover", str(kit / "w-descriptor.txt"), "--name", "w")
    assert back["descriptor"] == shown["descriptor"]


def test_a_script_that_is_none_is_named(vault: Asked) -> None:
    words = ("--threshold", "2", "--card", "a", "--card", "b", "--script", "p2pkh")
    error = vault("vault", "create", "w", *words, check=2)["error"]
    assert "expected one of wsh, sh-wsh, sh, tr" in error["message"]


def test_a_legacy_payment_is_known_whoever_of_its_cosigners_finished_it(
    vault: Asked, tmp_path: Path
) -> None:
    made(vault, LEGACY)
    funded(vault)
    opened = vault("spend", "create", "w", "--to", f"{OTHER}:300000", "--feerate", "2")
    shutil.copytree(tmp_path / "home", tmp_path / "there")
    there = asking(tmp_path / "there")
    signed(there, opened["ceremony"], "a", "c")
    raw = bytes.fromhex(there("spend", "finalize", opened["ceremony"])["hex"])
    signed(vault, opened["ceremony"], "a", "b")
    ours = vault("spend", "finalize", opened["ceremony"])["txid"]
    sent = chain(tmp_path).broadcast(raw)
    assert sent != ours
    vault("sync")
    seen = vault("spend", "show", opened["ceremony"])
    assert (seen["state"], seen["txid"]) == ("broadcast", sent)
    vault("regtest", "mine")
    assert vault("spend", "show", opened["ceremony"])["state"] == "confirmed"


@pytest.mark.parametrize(
    ("script", "sorted_keys"), [("sh-wsh", True), ("sh", True), ("wsh", False)]
)
def test_a_home_without_a_chain_pays_from_every_script(
    tmp_path: Path, script: str, *, sorted_keys: bool
) -> None:
    soft = soft_vault(2, 3, script, sorted_keys=sorted_keys)
    home = asking(tmp_path / "offline")
    home("init", "--network", "regtest", "--chain", "none:")
    (tmp_path / "vault.txt").write_text(format_descriptor(soft.policy))
    made = home("vault", "import", str(tmp_path / "vault.txt"), "--name", "v")
    home("vault", "approve", "v", "--checksum", made["checksum"])
    _, previous = soft.fund([400_000, 300_000, 200_000])
    lines = [raw.hex() for raw in previous.values()]
    (tmp_path / "coins.txt").write_text("\n".join(lines))
    assert home("coin", "import", "v", str(tmp_path / "coins.txt"))["coins"] == 3
    accept = [word for code in ("keys_unproved", "no_copy") for word in ("--accept", code)]
    words = ("spend", "create", "v", "--to", f"{STRANGER}:500000", "--feerate", "3")
    payment = home(*words, *accept)
    psbt = codec.parse(payment["psbt"])
    signed = soft.sign(soft.sign(psbt, 2), 0)
    (tmp_path / "back.psbt").write_text(codec.to_base64(signed, 2))
    assert home("spend", "add", payment["ceremony"], str(tmp_path / "back.psbt"))["complete"]
    final = home("spend", "finalize", payment["ceremony"])
    assert final["consensus"] == "accepted"
    assert payment["review"]["vsize"] - 2 - 2 * (script == "sh") * 8 <= final["vsize"]
    assert final["vsize"] <= payment["review"]["vsize"]
