"""What the chain source would refuse is a danger of the review, before any card is asked."""

import base64
from pathlib import Path
from typing import Any

import pytest

from psbt import codec
from tests.cli.test_reviews import STRANGER, pay, signed
from tests.program import Asked

HEIGHT_LOCK, TIME_LOCK = 400_000_000, 0xFFFFFFFF
FINAL = 0xFFFFFFFF


def imported(vault: Asked, folder: Path, *, fee_sats: int = 500, **fields: int) -> dict[str, Any]:
    """Import a payment of the vault's own that says these things."""
    made = pay(vault, "--to", f"{STRANGER}:100000", "--dry-run")
    psbt = codec.parse(base64.b64decode(made["psbt"]))
    psbt.locktime = fields.get("locktime", 0)
    psbt.tx_version = fields.get("version", 2)
    for psbt_in in psbt.inputs:
        psbt_in.sequence = fields.get("sequence", 0xFFFFFFFD)
    others = sum(output.value for output in psbt.outputs if output.bip32_derivations == {})
    spent = sum(each["value_sats"] for each in made["review"]["inputs"])
    for output in psbt.outputs:
        if output.bip32_derivations:
            output.value = spent - others - fee_sats
    (folder / "odd.psbt").write_bytes(codec.to_bytes(psbt))
    return vault("spend", "import", "v", str(folder / "odd.psbt"))


REFUSED = {
    "a height": ({"locktime": HEIGHT_LOCK}, "locked", "until block 400000001"),
    "2106": ({"locktime": TIME_LOCK}, "locked", "until 2106-02-07 06:28 UTC"),
    "a coin's lock": ({"sequence": 65_535}, "coin_locked", "is locked for 65535 blocks"),
    "version -1": ({"version": 0xFFFFFFFF}, "nonstandard_version", "not -1"),
    "no fee": ({"fee_sats": 0}, "below_relay_minimum", "0.1 sat/vB"),
    "a fee below": ({"fee_sats": 15}, "below_relay_minimum", "15 sats"),
}


@pytest.mark.parametrize(("fields", "code", "said"), REFUSED.values(), ids=REFUSED)
def test_nobody_signs_unasked_what_nodes_refuse(
    vault: Asked, tmp_path: Path, fields: dict[str, int], code: str, said: str
) -> None:
    made = imported(vault, tmp_path, **fields)
    dangers = {
        each["code"]: each["message"]
        for each in made["review"]["warnings"]
        if each["severity"] == "danger"
    }
    assert said in dangers.pop(code)
    assert dangers == {}
    refused = signed(vault, made["ceremony"], "a", check=5)["error"]
    assert refused["codes"] == [code]


def test_a_lock_time_of_final_inputs_locks_nothing(vault: Asked, tmp_path: Path) -> None:
    made = imported(vault, tmp_path, locktime=HEIGHT_LOCK, sequence=FINAL)
    assert made["review"]["warnings"] == []
    for card in ("a", "b"):
        signed(vault, made["ceremony"], card)
    vault("spend", "finalize", made["ceremony"])
    vault("spend", "broadcast", made["ceremony"])
    assert vault("regtest", "mine")
