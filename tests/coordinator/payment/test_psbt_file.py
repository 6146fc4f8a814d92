"""One reader of PSBTs: whatever a person, an editor or another program made of them."""

import base64
import json
from collections.abc import Callable

import pytest

from coordinator.payment import psbt_file
from psbt import codec, fields
from psbt.combiner import combine
from psbt.errors import PsbtError
from psbt.extractor import extract
from psbt.finalizer import finalize
from psbt.transaction import sized
from tests.psbt.soft_vault import soft_vault

VAULT = soft_vault(2, 3)
SPEND = VAULT.spend([50_000, 60_000], 100_000, 0)
SIGNED = [VAULT.sign(SPEND, cosigner) for cosigner in (0, 1)]
RAW = codec.to_bytes(SIGNED[0])
FINAL = extract(finalize(combine(*SIGNED, VAULT.policy), VAULT.policy))
Form = Callable[[bytes], bytes]

DIGITS: dict[str, Callable[[bytes], str]] = {
    "base64": lambda raw: base64.b64encode(raw).decode(),
    "base64 in lines": lambda raw: base64.encodebytes(raw).decode(),
    "base64 for URLs": lambda raw: base64.urlsafe_b64encode(raw).decode(),
    "base64 without its end": lambda raw: base64.b64encode(raw).decode().rstrip("="),
    "hex": bytes.hex,
    "capital hex": lambda raw: raw.hex().upper(),
    "hex in lines": lambda raw: "\n".join(raw.hex()[i : i + 64] for i in range(0, 9999, 64)),
}
TEXTS: dict[str, Callable[[str], bytes]] = {
    "as it is": str.encode,
    "with a mark": lambda text: text.encode("utf-8-sig"),
    "UTF-16": lambda text: text.encode("utf-16"),
    "UTF-16 of the other order": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
    "UTF-16 without a mark": lambda text: text.encode("utf-16-le"),
    "UTF-16 from Windows": lambda text: (text + "\r\n").encode("utf-16"),
    "ends of Windows": lambda text: (text.replace("\n", "\r\n") + "\r\n\r\n").encode(),
    "ends of old Macs": lambda text: (text.replace("\n", "\r") + "\r").encode(),
    "white space around": lambda text: f"\n\t  {text} \u00a0\n".encode(),
    "quoted": lambda text: f'"{text}"\n'.encode(),
    "quoted by a word processor": lambda text: f"\u201c{text}\u201d".encode(),
    "between dashes": lambda text: f"-----BEGIN PSBT-----\n{text}\n-----END PSBT-----\n".encode(),
    "in a link of a page": lambda text: f"data:application/octet-stream;base64,{text}".encode(),
    "zero width between": lambda text: f"{text[:50]}\u200b{text[50:]}\ufeff".encode(),
}


@pytest.mark.parametrize("digits", DIGITS.values(), ids=DIGITS)
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_psbt_is_read_in_every_encoding(
    digits: Callable[[bytes], str], text: Callable[[str], bytes]
) -> None:
    data = text(digits(RAW))
    assert codec.to_bytes(psbt_file.read_psbt(data)) == RAW
    assert codec.to_bytes(psbt_file.read_signed(data, SPEND)) == RAW
    assert psbt_file.holds_psbt(data)


@pytest.mark.parametrize("digits", DIGITS.values(), ids=DIGITS)
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_finished_transaction_is_read_like_it(
    digits: Callable[[bytes], str], text: Callable[[str], bytes]
) -> None:
    data = text(digits(FINAL))
    came_back = psbt_file.read_signed(data, SPEND)
    assert codec.txid(came_back) == codec.txid(SPEND)
    assert not psbt_file.holds_psbt(data)
    with pytest.raises(PsbtError, match="a finished transaction, not a PSBT"):
        psbt_file.read_psbt(data)


def test_binary_is_read_as_it_is() -> None:
    assert codec.to_bytes(psbt_file.read_psbt(RAW)) == RAW
    assert codec.txid(psbt_file.read_signed(FINAL, SPEND)) == codec.txid(SPEND)


@pytest.mark.parametrize("name", ["psbt", "hex"])
def test_the_json_of_bitcoin_core_is_read(name: str) -> None:
    value = {"psbt": base64.b64encode(RAW).decode(), "hex": FINAL.hex()}[name]
    answer = json.dumps({name: value, "complete": False}).encode()
    assert codec.txid(psbt_file.read_signed(answer, SPEND)) == codec.txid(SPEND)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\n", b"\xef\xbb\xbf", b"psbt", b"hello", b"e30=", b"{}", b'{"psbt": 5}', b"[" * 9,
        b'{"psbt":' * 9_999, b"\x00\xff" * 40, b"\xff\xfe", b"\x02\x00\x00\x00", b"psbt\xff",
        b"cHNidP8\xfc", b"02000000", base64.b64encode(b"psbu\xff" + RAW[5:]), RAW + b"\n",
    ],
)  # fmt: skip
def test_what_is_neither_is_refused_in_a_sentence(data: bytes) -> None:
    with pytest.raises(PsbtError):
        psbt_file.read_psbt(data)
    with pytest.raises(PsbtError):
        psbt_file.read_signed(data, SPEND)


def test_size_and_number_of_fields_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PsbtError, match="too many for a PSBT"):
        psbt_file.read_psbt(b"00" * (psbt_file.TEXT_MAX // 2 + 1))
    with pytest.raises(PsbtError, match="too many for a PSBT"):
        psbt_file.read_psbt(fields.MAGIC + bytes(fields.SIZE_MAX))
    monkeypatch.setattr(fields, "FIELDS_MAX", 100)
    many = b"".join(sized(b"\xf0" + number.to_bytes(2)) + b"\0" for number in range(101))
    with pytest.raises(PsbtError, match="more than 100 fields"):
        psbt_file.read_psbt(RAW[:5] + many + RAW[5:])
