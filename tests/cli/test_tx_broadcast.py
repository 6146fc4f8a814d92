"""What was finished elsewhere is checked, held against what is open here, and sent."""

import base64
from pathlib import Path
from typing import Any

import pytest

from psbt import codec
from psbt.coins import Outpoint
from psbt.finalizer import finalize
from psbt.network import Network
from psbt.policy import parse_descriptor
from psbt.transaction import Transaction, TransactionInput, TransactionOutput, parse_transaction
from tests.cli.test_money import OTHER, STRANGER, pay, sign
from tests.cli.test_offline import offline
from tests.program import Asked

__all__ = ["offline"]

MATRIX = pytest.mark.matrix


class Elsewhere:
    """A second home with the same vault, in which payments are finished."""

    def __init__(self, here: Asked, there: Asked, folder: Path) -> None:
        self.there, self.folder = there, folder
        here("coin", "export", "v", str(folder / "coins"))
        there("coin", "import", "v", str(folder / "coins"))

    def final(self, *words: str) -> dict[str, Any]:
        ceremony = pay(self.there, *words)["ceremony"]
        signed = sign(self.there, ceremony, "a", "b")
        return {**self.there("spend", "finalize", ceremony), "psbt": signed["psbt"]}

    def file(self, data: bytes) -> str:
        (self.folder / "tx").write_bytes(data)
        return str(self.folder / "tx")


@pytest.fixture
def elsewhere(vault: Asked, offline: Asked, tmp_path: Path) -> Elsewhere:
    return Elsewhere(vault, offline, tmp_path)


def finished(vault: Asked, psbt: str) -> bytes:
    policy = parse_descriptor(vault("vault", "show", "v")["descriptor"], Network.REGTEST)
    return codec.to_bytes(finalize(codec.parse(psbt), policy), 2)


@pytest.mark.parametrize(
    "form",
    [
        "hex",
        "final PSBT",
        *(pytest.param(f, marks=MATRIX) for f in ("raw", "signed PSBT", "stdin")),
    ],
)
def test_a_finished_payment_is_sent_in_any_form(
    vault: Asked, elsewhere: Elsewhere, form: str
) -> None:
    final = elsewhere.final("--to", f"{STRANGER}:400000")
    forms = {
        "hex": final["hex"].encode(),
        "raw": bytes.fromhex(final["hex"]),
        "final PSBT": finished(vault, final["psbt"]),
        "signed PSBT": base64.b64decode(final["psbt"]),
    }
    if form == "stdin":
        told = vault("tx", "broadcast", "-", stdin=final["hex"])
    else:
        told = vault("tx", "broadcast", elsewhere.file(forms[form]))
    assert (told["txid"], told["vsize"]) == (final["txid"], final["vsize"])
    assert (told["fee_sats"], told["consensus"]) == (final["fee_sats"], "accepted")
    assert (told["ceremony"], told["ends"], told["warnings"]) == (None, [], [])
    assert told["spends"] == [{"vault": "v", "coins": 1, "value_sats": 1_000_000}]
    change = [each["value_sats"] for each in told["outputs"] if each["vault"] == "v"]
    assert change == [1_000_000 - 400_000 - final["fee_sats"]]
    vault("regtest", "mine")
    assert vault("balance", "v")["confirmed_sats"] == 2_000_000 + change[0]


def test_a_payment_of_this_home_is_sent_as_itself(vault: Asked, elsewhere: Elsewhere) -> None:
    made = pay(vault, "--to", f"{STRANGER}:400000")
    file = elsewhere.file(base64.b64decode(made["psbt"]))
    ceremony = elsewhere.there("spend", "import", "v", file)["ceremony"]
    sign(elsewhere.there, ceremony, "a", "c")
    final = elsewhere.there("spend", "finalize", ceremony)
    told = vault("tx", "broadcast", elsewhere.file(final["hex"].encode()))
    assert (told["ceremony"], told["ends"]) == (made["ceremony"], [])
    assert vault("spend", "show", made["ceremony"])["state"] == "broadcast"
    vault("regtest", "mine")
    assert vault("spend", "show", made["ceremony"])["confirmations"] == 1


def test_what_ends_an_open_payment_is_accepted_first(vault: Asked, elsewhere: Elsewhere) -> None:
    made = pay(vault, "--drain", STRANGER)
    final = elsewhere.final("--to", f"{OTHER}:400000")
    file = elsewhere.file(final["hex"].encode())
    error = vault("tx", "broadcast", file, check=5)["error"]
    assert error["codes"] == ["ends_payment"]
    assert made["ceremony"] in error["message"]
    assert vault("spend", "show", made["ceremony"])["state"] == "collecting"
    told = vault("tx", "broadcast", file, "--accept", "ends_payment")
    assert told["ends"] == [made["ceremony"]]
    vault("regtest", "mine")
    assert vault("spend", "show", made["ceremony"])["state"] == "replaced"


def test_a_bad_signature_is_found_before_a_node_sees_it(vault: Asked, elsewhere: Elsewhere) -> None:
    final = parse_transaction(bytes.fromhex(elsewhere.final("--to", f"{STRANGER}:400000")["hex"]))
    cheaper = (final.outputs[0]._replace(value_sats=1_000), *final.outputs[1:])
    altered = Transaction(final.inputs, cheaper, final.version, final.locktime)
    error = vault("tx", "broadcast", elsewhere.file(altered.raw), check=5)["error"]
    assert (error["code"], error["input_index"]) == ("consensus_rejected", 0)


def test_what_is_not_finished_is_named(vault: Asked, elsewhere: Elsewhere) -> None:
    made = pay(elsewhere.there, "--to", f"{STRANGER}:400000")
    once = sign(elsewhere.there, made["ceremony"], "a")["psbt"]
    error = vault("tx", "broadcast", elsewhere.file(once.encode()), check=6)["error"]
    assert (error["code"], error["have"], error["need"]) == ("signatures_missing", 1, 2)


def test_a_confirmed_payment_is_not_sent_again(vault: Asked, elsewhere: Elsewhere) -> None:
    final = elsewhere.final("--to", f"{STRANGER}:400000")
    file = elsewhere.file(final["hex"].encode())
    vault("tx", "broadcast", file)
    assert vault("tx", "broadcast", file)["txid"] == final["txid"]  # while it waits, no error
    vault("regtest", "mine")
    error = vault("tx", "broadcast", file, check=5)["error"]
    assert error["code"] == "ceremony_error"
    assert "in block" in error["message"]


def test_coins_nobody_knows_here_are_left_to_the_node(vault: Asked, elsewhere: Elsewhere) -> None:
    coin = TransactionInput(Outpoint("ab" * 32, 0), witness=(b"\x01" * 71, b"\x02" * 33))
    paid = TransactionOutput(5_000, b"\x00\x14" + bytes(20))
    error = vault("tx", "broadcast", elsewhere.file(Transaction((coin,), (paid,)).raw), check=7)[
        "error"
    ]
    assert error["code"] == "transaction_rejected"


def test_what_nodes_do_not_relay_is_accepted_first(vault: Asked, elsewhere: Elsewhere) -> None:
    coin = TransactionInput(Outpoint("ab" * 32, 0), witness=(b"\x01" * 71, b"\x02" * 33))
    dust = TransactionOutput(5, b"\x00\x14" + bytes(20))
    error = vault("tx", "broadcast", elsewhere.file(Transaction((coin,), (dust,), 9).raw), check=5)[
        "error"
    ]
    assert set(error["codes"]) == {"nonstandard_version", "dust"}


def test_what_is_neither_is_refused_in_a_sentence(vault: Asked, elsewhere: Elsewhere) -> None:
    for data in (b"", b"hello", b"psbt\xff", b"02000000", b"{}"):
        refused = vault("tx", "broadcast", elsewhere.file(data), check=5)
        assert refused["error"]["code"] == "psbt_error"


def test_a_message_is_nothing_to_send(vault: Asked, elsewhere: Elsewhere) -> None:
    coin = TransactionInput(Outpoint("ab" * 32, 0), witness=(b"\x01",))
    raw = Transaction((coin,), (TransactionOutput(0, b"\x6a"),), 0).raw
    error = vault("tx", "broadcast", elsewhere.file(raw), check=5)["error"]
    assert "BIP 322" in error["message"]
