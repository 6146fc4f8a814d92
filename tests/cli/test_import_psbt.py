"""A payment made elsewhere: what it leaves out, what it says wrongly, and what it replaces."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from psbt import codec, fields
from psbt.fields import Fields
from psbt.finalizer import finalize
from psbt.network import Network
from psbt.policy import parse_descriptor
from psbt.transaction import Transaction, TransactionOutput, parse_unsigned
from tests.altered import unguarded
from tests.cli.test_money import STRANGER, chain, pay, sent, sign
from tests.cli.test_offline import offline
from tests.program import Asked
from tests.psbt.altered import paying, with_inputs, with_transaction, written

__all__ = ["offline"]

FILLED_IN = {
    "derivations": [fields.IN_BIP32_DERIVATION],
    "derivations and script": [fields.IN_BIP32_DERIVATION, fields.IN_WITNESS_SCRIPT],
    "all but the amount": [
        fields.IN_BIP32_DERIVATION, fields.IN_WITNESS_SCRIPT, fields.IN_NON_WITNESS_UTXO,
    ],
    "everything": [
        fields.IN_BIP32_DERIVATION, fields.IN_WITNESS_SCRIPT, fields.IN_NON_WITNESS_UTXO,
        fields.IN_WITNESS_UTXO,
    ],
}  # fmt: skip


def without(kinds: list[bytes]) -> Callable[[Fields], Fields]:
    return lambda values: {k: v for k, v in values.items() if k[:1] not in kinds}


def imported(vault: Asked, tmp_path: Path, data: bytes, check: int = 0) -> dict[str, Any]:
    (tmp_path / "made.psbt").write_bytes(data)
    return vault("spend", "import", "v", str(tmp_path / "made.psbt"), check=check)


def nothing_kept(vault: Asked) -> bool:
    return (
        vault("spend", "list")["ceremonies"]
        == []
        == [coin for coin in vault("coins", "v")["coins"] if coin["reserved_by"]]
    )


@pytest.mark.parametrize("kinds", FILLED_IN.values(), ids=FILLED_IN)
def test_what_the_home_knows_is_filled_in(vault: Asked, tmp_path: Path, kinds: list[bytes]) -> None:
    dry = pay(vault, "--to", f"{STRANGER}:1500000", "--dry-run")
    maps = codec.read_maps(dry["psbt"])
    bare = with_inputs(dry["psbt"], without(kinds))
    bare = written(codec.read_maps(bare)._replace(outputs=tuple({} for _ in maps.outputs)))
    made = imported(vault, tmp_path, bare)
    assert made["review"]["outputs"] == dry["review"]["outputs"]
    assert made["review"]["warnings"] == dry["review"]["warnings"]
    assert codec.read_maps(made["psbt"]).outputs == maps.outputs
    assert codec.read_maps(made["psbt"]).inputs == maps.inputs
    assert sign(vault, made["ceremony"], "a", "b")["complete"]


@pytest.mark.parametrize("kinds", [[], FILLED_IN["all but the amount"]])
def test_an_amount_that_contradicts_the_home_is_refused_with_both(
    vault: Asked, tmp_path: Path, kinds: list[bytes]
) -> None:
    dry = pay(vault, "--to", f"{STRANGER}:1500000", "--dry-run")

    def richer(values: Fields) -> Fields:
        said = (150_000_000).to_bytes(8, "little") + values[fields.IN_WITNESS_UTXO][8:]
        return {**without(kinds)(values), fields.IN_WITNESS_UTXO: said}

    error = imported(vault, tmp_path, with_inputs(dry["psbt"], richer), check=5)["error"]
    assert (error["code"], error["said_sats"], error["known_sats"]) == (
        "amount_contradicted", 150_000_000, 1_000_000,
    )  # fmt: skip
    assert "150000000" in error["message"]
    assert "1000000" in error["message"]
    assert nothing_kept(vault)


def test_an_amount_changed_since_is_refused_when_signing_and_when_finalizing(
    vault: Asked, tmp_path: Path
) -> None:
    made = pay(vault, "--to", f"{STRANGER}:1500000")
    sign(vault, made["ceremony"], "a", "b")

    def richer(values: Fields) -> Fields:
        said = (1_000_001).to_bytes(8, "little") + values[fields.IN_WITNESS_UTXO][8:]
        return {**without([fields.IN_NON_WITNESS_UTXO])(values), fields.IN_WITNESS_UTXO: said}

    altered = with_inputs(made["psbt"], richer)
    with closing(unguarded(tmp_path / "home" / "cardquorum.db")) as database, database:
        values = (altered, made["review"]["fee_sats"] + 2)
        database.execute("UPDATE ceremony SET psbt = ?, fee_sats = ?", values)
        database.execute("DELETE FROM signature")
    words = ("--emulated", "a", "--yes", "--accept", "amount_unproven")
    for command in (
        ("spend", "sign", made["ceremony"], *words),
        ("spend", "finalize", made["ceremony"]),
    ):
        error = vault(*command, check=5)["error"]
        assert error["code"] in {"amount_contradicted", "approval_mismatch"}


def test_a_flood_of_fields_is_not_kept_and_the_payment_is_opened(
    vault: Asked, tmp_path: Path
) -> None:
    made = pay(vault, "--to", f"{STRANGER}:1500000")
    psbt = codec.parse(sign(vault, made["ceremony"], "a")["psbt"])
    vault("spend", "abandon", made["ceremony"])
    for number in range(400):
        psbt.inputs[0].unknown[b"\xf0" + number.to_bytes(2, "big")] = bytes(1000)
    opened = imported(vault, tmp_path, codec.to_bytes(psbt))
    assert opened["signatures"] == 2
    assert codec.parse(opened["psbt"]).inputs[0].unknown == {}
    assert sign(vault, opened["ceremony"], "b")["complete"]


def doubled(transaction: Transaction) -> Transaction:
    first = transaction.inputs[0]
    return Transaction((first, *transaction.inputs), transaction.outputs, 2, 0)


def coinbase(transaction: Transaction) -> Transaction:
    nothing = transaction.inputs[0].outpoint._replace(txid="00" * 32, vout=0xFFFFFFFF)
    return Transaction(
        (transaction.inputs[0]._replace(outpoint=nothing), *transaction.inputs[1:]),
        transaction.outputs,
    )


def outputs_of(*values: int) -> Callable[[Transaction], Transaction]:
    outputs = tuple(TransactionOutput(value, b"\x00\x14" + bytes(20)) for value in values)
    return lambda transaction: Transaction(transaction.inputs, outputs)


UNSOUND = {
    "a coin spent twice": (doubled, "as another input does"),
    "coins made of nothing": (coinbase, "spends no coin"),
    "no input": (lambda t: Transaction((), t.outputs), "0 inputs"),
    "no output": (outputs_of(), "0 outputs"),
    "an output above all bitcoin": (outputs_of(2_100_000_000_000_001), "21 million"),
    "outputs above all bitcoin": (outputs_of(*[1_100_000_000_000_000] * 2), "21 million"),
    "a negative output": (outputs_of((1 << 64) - 1), "21 million"),
    "more than it spends": (outputs_of(9_000_000), "more than the inputs"),
}


@pytest.mark.parametrize("change", UNSOUND.values(), ids=UNSOUND)
def test_what_no_payment_can_be_is_refused_in_a_sentence(
    vault: Asked, tmp_path: Path, change: tuple[Callable[[Transaction], Transaction], str]
) -> None:
    dry = pay(vault, "--to", f"{STRANGER}:1500000", "--dry-run")
    maps = codec.read_maps(dry["psbt"])
    new = change[0](parse_unsigned(maps.globals[fields.GLOBAL_UNSIGNED_TX]))
    inputs = (maps.inputs * 2)[: len(new.inputs)]
    if len(inputs) > len(maps.inputs):
        inputs = (maps.inputs[0], *maps.inputs)
    other = with_transaction(maps, new)._replace(inputs=inputs, outputs=({},) * len(new.outputs))
    error = imported(vault, tmp_path, written(other), check=5)["error"]
    assert error["code"] == "psbt_error"
    assert change[1] in error["message"]
    assert nothing_kept(vault)


def bumped(psbt: str, less: int) -> bytes:
    """Return the same payment with a higher fee, as another wallet makes it."""
    old = codec.transaction_of(psbt)
    change = max(old.outputs, key=lambda out: len(out.script_pubkey))
    outputs = [
        out._replace(value_sats=out.value_sats - less) if out == change else out
        for out in old.outputs
    ]
    return paying(psbt, outputs)


def test_a_bump_by_another_wallet_replaces_the_known_payment(vault: Asked, tmp_path: Path) -> None:
    made = pay(vault, "--to", f"{STRANGER}:1500000")
    sign(vault, made["ceremony"], "a", "b")
    old = vault("spend", "finalize", made["ceremony"])
    vault("spend", "broadcast", made["ceremony"])
    replacement = imported(vault, tmp_path, bumped(made["psbt"], 20_000))
    assert replacement["replaces"] == made["ceremony"]
    codes = {each["code"] for each in replacement["review"]["warnings"]}
    assert "replacement_underpaid" not in codes
    assert replacement["replaced_txids"] == [old["txid"]]
    assert sign(vault, replacement["ceremony"], "b", "c")["complete"]
    new = vault("spend", "finalize", replacement["ceremony"])
    assert new["txid"] != old["txid"]
    vault("spend", "broadcast", replacement["ceremony"])
    vault("regtest", "mine")
    states = {each["id"]: each["state"] for each in vault("spend", "list")["ceremonies"]}
    assert states == {made["ceremony"]: "replaced", replacement["ceremony"]: "confirmed"}
    (line,) = (each for each in vault("history", "v")["transactions"] if each["ceremony"])
    assert (line["txid"], line["replaces"]) == (new["txid"], old["txid"])


def test_a_bump_that_pays_too_little_is_a_danger(vault: Asked, tmp_path: Path) -> None:
    made = pay(vault, "--to", f"{STRANGER}:1500000")
    sign(vault, made["ceremony"], "a", "b")
    vault("spend", "finalize", made["ceremony"])
    vault("spend", "broadcast", made["ceremony"])
    replacement = imported(vault, tmp_path, bumped(made["psbt"], 1))
    found = {each["code"]: each for each in replacement["review"]["warnings"]}
    assert found["replacement_underpaid"]["severity"] == "danger"
    assert str(replacement["review"]["fee_sats"]) in found["replacement_underpaid"]["message"]


def test_a_bump_of_what_this_home_did_not_make_is_opened(
    vault: Asked, offline: Asked, tmp_path: Path
) -> None:
    file = tmp_path / "coins.txt"
    vault("coin", "export", "v", str(file))
    offline("coin", "import", "v", str(file))
    made = pay(offline, "--to", f"{STRANGER}:1500000")
    sign(offline, made["ceremony"], "a", "b")
    final = offline("spend", "finalize", made["ceremony"])
    chain(tmp_path).broadcast(bytes.fromhex(final["hex"]))
    vault("sync")
    replacement = imported(vault, tmp_path, bumped(made["psbt"], 20_000))
    assert replacement["replaces"] is None
    assert replacement["replaced_txids"] == [final["txid"]]
    assert sign(vault, replacement["ceremony"], "a", "c")["complete"]
    vault("spend", "finalize", replacement["ceremony"])
    vault("spend", "broadcast", replacement["ceremony"])


def test_a_payment_nobody_can_have_sent_keeps_its_coins(vault: Asked, tmp_path: Path) -> None:
    made = pay(vault, "--to", f"{STRANGER}:1500000")
    sign(vault, made["ceremony"], "a")
    error = imported(vault, tmp_path, bumped(made["psbt"], 20_000), check=5)["error"]
    assert (error["code"], error["ceremony"]) == ("coin_reserved", made["ceremony"])


def test_a_coin_spent_in_a_block_is_named_with_it(vault: Asked, tmp_path: Path) -> None:
    dry = pay(vault, "--to", f"{STRANGER}:1500000", "--dry-run")
    final = sent(vault, "--drain", STRANGER)
    vault("regtest", "mine")
    error = imported(vault, tmp_path, bumped(dry["psbt"], 500), check=5)["error"]
    assert final["txid"] in error["message"]
    assert "in block" in error["message"]


def test_a_finished_psbt_is_opened_with_its_signatures(
    vault: Asked, offline: Asked, tmp_path: Path
) -> None:
    made = pay(vault, "--to", f"{STRANGER}:1500000")
    both = sign(vault, made["ceremony"], "a", "b")
    policy = parse_descriptor(vault("vault", "show", "v")["descriptor"], Network.REGTEST)
    file = tmp_path / "final.psbt"
    file.write_bytes(codec.to_bytes(finalize(codec.parse(both["psbt"]), policy)))
    opened = offline("spend", "import", "v", str(file))
    assert (opened["signatures"], opened["state"]) == (4, "complete")
    assert offline("spend", "finalize", opened["ceremony"])["txid"] == codec.txid(
        codec.parse(both["psbt"])
    )


def test_a_bad_signature_leaves_no_ceremony_behind(vault: Asked, tmp_path: Path) -> None:
    made = pay(vault, "--to", f"{STRANGER}:1500000")
    psbt = codec.parse(sign(vault, made["ceremony"], "a")["psbt"])
    vault("spend", "abandon", made["ceremony"])
    first, second = (psbt_in.partial_sigs for psbt_in in psbt.inputs)
    (key,), (value,) = first.keys(), second.values()
    first[key] = value
    error = imported(vault, tmp_path, codec.to_bytes(psbt), check=5)["error"]
    assert error["code"] == "signature_invalid"
    assert [each["state"] for each in vault("spend", "list")["ceremonies"]] == ["abandoned"]
