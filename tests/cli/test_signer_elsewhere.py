"""A cosigner in other software: what it may bring back, and what is refused with nothing taken."""

import base64
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from embit import base58
from embit.script import Script

from psbt import codec, fields
from psbt.codec import Psbt
from psbt.combiner import combine
from psbt.extractor import extract
from psbt.fields import read_fields
from psbt.finalizer import finalize
from psbt.keys import KeyExpression, bip48_path, fingerprint, format_key_expression
from psbt.network import Network
from psbt.policy import Policy, parse_descriptor
from psbt.signature import der_from_compact
from psbt.signer import signing_requests
from psbt.transaction import ByteReader, compact_size, sized
from tests.judges import judge
from tests.once import copy_of
from tests.program import PIN, UNPROVED, Asked, made_vault, run_program
from tests.psbt.soft_vault import PrivateKey, master, seed

STRANGER = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
PATH = bip48_path(Network.REGTEST)
MATRIX = pytest.mark.matrix
MASTER = master(seed(7))
HUGE = 65 * 1024 * 1024


class Elsewhere(NamedTuple):
    """A vault with a key in other software, and a ceremony that waits for it."""

    asked: Asked
    ceremony: str
    psbt: bytes
    home: Path

    def add(self, data: bytes, check: int = 0) -> dict[str, Any]:
        (self.home / "back").write_bytes(data)
        return self.asked("spend", "add", self.ceremony, str(self.home / "back"), check=check)

    def refused(self, data: bytes, check: int = 5) -> dict[str, Any]:
        error: dict[str, Any] = self.add(data, check)["error"]
        seen = self.asked("spend", "show", self.ceremony)
        assert (seen["have"], seen["state"]) == (0, "collecting")
        return error

    @property
    def policy(self) -> Policy:
        return parse_descriptor(self.asked("vault", "show", "w")["descriptor"], Network.REGTEST)

    def signed(self) -> Psbt:
        psbt = codec.parse(self.psbt)
        for request in signing_requests(psbt, self.policy, KEY):
            signature = MASTER.at(request.path).sign(request.digest)
            pubkey = codec.public_key(request.pubkey)
            psbt.inputs[request.input_index].partial_sigs[pubkey] = (
                der_from_compact(signature) + b"\x01"
            )
        return psbt


KEY = KeyExpression(fingerprint(MASTER.pubkey), PATH, MASTER.at(PATH).public())


def new_elsewhere(home: Path) -> None:
    """Make a home with such a vault and such a ceremony."""
    vault = Asked(home)
    made_vault(vault)
    expression = format_key_expression(KEY, Network.REGTEST)
    words = ("--threshold", "2", "--card", "a", "--card", "b", "--key", f"aunt={expression}")
    vault("vault", "create", "w", *words)
    vault(
        "regtest",
        "fund",
        vault("address", "new", "w", *UNPROVED)["address"],
        "500000",
        "--coins",
        "2",
    )
    vault("regtest", "mine")
    vault("spend", "create", "w", "--to", f"{STRANGER}:700000", "--feerate", "2")


@pytest.fixture
def elsewhere(asked: Asked, tmp_path: Path) -> Elsewhere:
    copy_of(new_elsewhere, asked.home)
    (made,) = asked("spend", "list")["ceremonies"]
    exported = asked("spend", "export", made["ceremony"])
    return Elsewhere(asked, made["ceremony"], base64.b64decode(exported["psbt"]), tmp_path)


def ended(elsewhere: Elsewhere) -> None:
    """The card's signature and the one from elsewhere make the payment."""
    words = ("spend", "sign", elsewhere.ceremony, "--emulated", "a", "--yes", "--pin-stdin")
    assert elsewhere.asked(*words, stdin=f"a={PIN}\n")["signed_by"] == ["a", "aunt"]
    assert elsewhere.asked("spend", "finalize", elsewhere.ceremony)["consensus"] == "accepted"
    elsewhere.asked("spend", "broadcast", elsewhere.ceremony)


def test_libwally_signs(elsewhere: Elsewhere) -> None:
    wally = judge("wallycore")
    flag = wally.BIP32_VER_TEST_PRIVATE
    key = wally.bip32_key_from_seed(seed(7), flag, 0)
    psbt = wally.psbt_from_bytes(elsewhere.psbt, 0)
    wally.psbt_sign_bip32(psbt, key, 0)
    back = elsewhere.add(wally.psbt_to_base64(psbt, 0).encode())
    assert (back["signatures"], back["have"], back["signed_by"]) == (2, 1, ["aunt"])
    ended(elsewhere)


def test_bdk_signs(elsewhere: Elsewhere) -> None:
    bdk = judge("bdkpython")
    private = MASTER.at(PATH)
    raw = b"".join(
        (
            bytes.fromhex("04358394"),
            bytes([private.depth]),
            private.parent,
            private.number.to_bytes(4, "big"),
            private.chain_code,
            b"\x00" + private.secret,
        )
    )
    keys = [format_key_expression(key, Network.REGTEST) for key in elsewhere.policy.keys]
    origin = keys[2].partition("]")[0] + "]"
    descriptors = [
        f"wsh(sortedmulti(2,{keys[0]}/{keychain}/*,{keys[1]}/{keychain}/*,"
        f"{origin}{base58.encode_check(raw)}/{keychain}/*))"
        for keychain in (0, 1)
    ]
    own, change = (bdk.Descriptor(text, bdk.NetworkKind.TEST) for text in descriptors)
    wallet = bdk.Wallet(own, change, bdk.Network.REGTEST, bdk.Persister.new_in_memory())
    psbt = bdk.Psbt(base64.b64encode(elsewhere.psbt).decode())
    wallet.reveal_addresses_to(bdk.KeychainKind.EXTERNAL, 5)
    wallet.sign(psbt)
    back = elsewhere.add(psbt.serialize().encode())
    assert (back["signatures"], back["have"]) == (2, 1)
    ended(elsewhere)


FORMS: dict[str, Callable[[bytes], bytes]] = {
    "raw": bytes,
    "base64": base64.b64encode,
    "base64 with newlines": base64.encodebytes,
    "base64 of Windows": lambda raw: base64.encodebytes(raw).replace(b"\n", b"\r\n"),
    "hex": lambda raw: raw.hex().encode() + b"\n",
    "UTF-16 base64": lambda raw: base64.b64encode(raw).decode().encode("utf-16"),
    "hex with a mark": lambda raw: b"\xef\xbb\xbf" + raw.hex().encode() + b"\r\n",
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_file_is_read(elsewhere: Elsewhere, form: str) -> None:
    data = FORMS[form](codec.to_bytes(elsewhere.signed()))
    assert elsewhere.add(data)["signatures"] == 2
    assert elsewhere.add(data)["signatures"] == 0
    assert elsewhere.asked("spend", "show", elsewhere.ceremony)["have"] == 1


def test_standard_input_is_read(elsewhere: Elsewhere) -> None:
    text = codec.to_base64(elsewhere.signed())
    words = ("--json", "spend", "add", elsewhere.ceremony, "-")
    assert run_program(elsewhere.home / "home", *words, stdin=text).document["signatures"] == 2


def test_a_finished_transaction_brings_its_signatures(elsewhere: Elsewhere) -> None:
    words = ("spend", "sign", elsewhere.ceremony, "--emulated", "b", "--yes", "--pin-stdin")
    cards = elsewhere.asked(*words, stdin=f"b={PIN}\n")
    both = combine(codec.parse(cards["psbt"]), elsewhere.signed(), elsewhere.policy)
    done = elsewhere.add(codec.to_bytes(both))
    assert (done["state"], done["signed_by"]) == ("complete", ["b", "aunt"])
    assert done["missing"] == ["a"]


@pytest.mark.parametrize(
    "form", ["hex", *(pytest.param(f, marks=MATRIX) for f in ("raw", "base64", "UTF-16 base64"))]
)
def test_a_wallet_that_finishes_brings_its_signature_in_the_transaction(
    elsewhere: Elsewhere, form: str
) -> None:
    words = ("spend", "sign", elsewhere.ceremony, "--emulated", "b", "--yes", "--pin-stdin")
    cards = elsewhere.asked(*words, stdin=f"b={PIN}\n")
    both = combine(codec.parse(cards["psbt"]), elsewhere.signed(), elsewhere.policy)
    raw = extract(finalize(both, elsewhere.policy))
    done = elsewhere.add(FORMS[form](raw))
    assert (done["signatures"], done["state"]) == (2, "complete")
    assert done["signed_by"] == ["b", "aunt"]
    assert elsewhere.asked("spend", "finalize", elsewhere.ceremony)["hex"] == raw.hex()


def test_a_finished_transaction_of_something_else_is_refused(elsewhere: Elsewhere) -> None:
    psbt = codec.parse(elsewhere.psbt)
    unsigned = codec.unsigned_transaction(psbt)
    other = replace(unsigned, locktime=unsigned.locktime + 1)
    assert elsewhere.refused(other.raw)["code"] == "not_only_signatures"
    witness = (b"", bytes(71), psbt.inputs[0].witness_script.data)
    forged = tuple(tx_in._replace(witness=witness) for tx_in in unsigned.inputs)
    assert elsewhere.refused(replace(unsigned, inputs=forged).raw)["code"] == "not_only_signatures"


def test_what_a_signer_adds_is_kept_and_goes_out_again(elsewhere: Elsewhere) -> None:
    psbt = elsewhere.signed()
    psbt.unknown[b"\xfc\x05other\x01"] = b"note"
    psbt.inputs[0].unknown[b"\xf0"] = b"x"
    assert elsewhere.add(codec.to_bytes(psbt))["signatures"] == 2
    out = codec.parse(elsewhere.asked("spend", "export", elsewhere.ceremony)["psbt"])
    assert out.unknown == {b"\xfc\x05other\x01": b"note"}
    assert out.inputs[0].unknown == {b"\xf0": b"x"}
    ended(elsewhere)


def test_one_signature_of_two_is_kept_but_counts_for_nothing(elsewhere: Elsewhere) -> None:
    psbt = elsewhere.signed()
    psbt.inputs[1].partial_sigs.clear()
    back = elsewhere.add(codec.to_bytes(psbt))
    assert (back["signatures"], back["have"], back["signed_by"]) == (1, 0, [])
    assert elsewhere.add(codec.to_bytes(elsewhere.signed()))["signatures"] == 1
    ended(elsewhere)


@pytest.mark.parametrize("data", [b"", b"\n", b"psbt", b"hello", b"\x00\xff" * 40, b"e30="])
def test_what_is_no_psbt_is_refused(elsewhere: Elsewhere, data: bytes) -> None:
    assert elsewhere.refused(data)["code"] == "psbt_error"


def test_a_huge_or_missing_file_is_usage(elsewhere: Elsewhere) -> None:
    with (elsewhere.home / "huge").open("wb") as file:
        file.truncate(HUGE)
    for name in ("huge", "missing", "."):
        path = str(elsewhere.home / name)
        error = elsewhere.asked("spend", "add", elsewhere.ceremony, path, check=2)["error"]
        assert error["code"] == "usage_error"


@pytest.mark.parametrize("cut", [6, 100, -1])
def test_a_truncated_file_is_refused(elsewhere: Elsewhere, cut: int) -> None:
    assert elsewhere.refused(codec.to_bytes(elsewhere.signed())[:cut])["code"] == "psbt_error"


def test_trailing_bytes_are_refused(elsewhere: Elsewhere) -> None:
    raw = codec.to_bytes(elsewhere.signed())
    assert "follow the end" in elsewhere.refused(raw + b"\x00")["message"]
    assert elsewhere.refused(raw + raw)["code"] == "psbt_error"


def test_the_payment_of_another_ceremony_is_refused(elsewhere: Elsewhere) -> None:
    other = elsewhere.asked("spend", "create", "v", "--to", f"{STRANGER}:90000", "--feerate", "2")
    raw = base64.b64decode(other["psbt"])
    assert elsewhere.refused(raw)["code"] == "not_only_signatures"


CHANGES: dict[str, Callable[[Psbt], object]] = {
    "outputs[": lambda psbt: setattr(psbt.outputs[0], "value", psbt.outputs[0].value - 1),
    "outputs[1].": lambda psbt: setattr(
        psbt.outputs[1],
        "script_pubkey",
        Script(b"\x00\x14" + b"e" * 20),
    ),
    "inputs[0].sequence": lambda psbt: setattr(psbt.inputs[0], "sequence", 0xFFFFFFFF),
    "locktime": lambda psbt: setattr(psbt, "locktime", psbt.locktime + 1),
    "tx_version": lambda psbt: setattr(psbt, "tx_version", 1),
    "inputs[1].vout": lambda psbt: setattr(psbt.inputs[1], "vout", 9),
    "inputs[0].witness_utxo": lambda psbt: setattr(
        psbt.inputs[0].witness_utxo, "value", psbt.inputs[0].witness_utxo.value + 1
    ),
    "inputs[0].sighash_type": lambda psbt: setattr(psbt.inputs[0], "sighash_type", 2),
}


@pytest.mark.parametrize("field", CHANGES)
def test_a_changed_transaction_is_refused(elsewhere: Elsewhere, field: str) -> None:
    psbt = elsewhere.signed()
    CHANGES[field](psbt)
    error = elsewhere.refused(codec.to_bytes(psbt))
    assert field in error.get("field", error["message"])


def resigned(elsewhere: Elsewhere, key: PrivateKey, sighash: bytes = b"\x01") -> bytes:
    """Sign the first input with some key under its own public key."""
    psbt = codec.parse(elsewhere.psbt)
    request = signing_requests(psbt, elsewhere.policy, KEY)[0]
    value = der_from_compact(key.sign(request.digest)) + sighash
    psbt.inputs[0].partial_sigs[codec.public_key(key.pubkey)] = value
    return codec.to_bytes(psbt)


@pytest.mark.parametrize("sighash", [b"\x00", b"\x02", b"\x03", b"\x81", b""])
def test_a_signature_of_less_than_everything_is_refused(
    elsewhere: Elsewhere, sighash: bytes
) -> None:
    request = signing_requests(codec.parse(elsewhere.psbt), elsewhere.policy, KEY)[0]
    raw = resigned(elsewhere, MASTER.at(request.path), sighash)
    assert elsewhere.refused(raw)["code"] in {"not_only_signatures", "psbt_error"}


def test_a_signature_by_a_foreign_key_is_refused(elsewhere: Elsewhere) -> None:
    error = elsewhere.refused(resigned(elsewhere, MASTER.at((1, 2, 3))))
    assert error["field"].startswith("inputs[0].partial_sigs[")


def test_a_signature_of_something_else_is_refused(elsewhere: Elsewhere) -> None:
    psbt = elsewhere.signed()
    first, second = (psbt_in.partial_sigs for psbt_in in psbt.inputs)
    (key,), (value,) = first.keys(), second.values()
    first[key] = value
    error = elsewhere.refused(codec.to_bytes(psbt))
    assert (error["code"], error["input_index"]) == ("signature_invalid", 0)


def test_a_field_written_twice_is_refused(elsewhere: Elsewhere) -> None:
    raw = codec.to_bytes(elsewhere.signed())
    reader = ByteReader(raw)
    reader.take(len(fields.MAGIC))
    read_fields(reader, "globals")
    start = reader.position
    key, value = reader.sized(), reader.sized()
    field = sized(key) + compact_size(len(value)) + value
    assert raw[start : start + len(field)] == field
    doubled = raw[:start] + field + raw[start:]
    assert elsewhere.refused(doubled)["code"] == "psbt_error"
