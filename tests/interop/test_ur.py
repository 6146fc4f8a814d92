"""Uniform Resources: published vectors, codes in any order, and codes that lie."""

import json
import random
import string
from hashlib import sha256
from pathlib import Path
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.errors import NotImportable, UsageError
from coordinator.interop import bytewords, coldcard, fountain, ur, ur_types
from coordinator.interop.recognition import read_keys, read_text
from coordinator.interop.wallet_file import wallet_of
from psbt.errors import PolicyError
from psbt.keys import HARDENED
from psbt.network import Network
from tests.psbt.soft_vault import soft_vault

FOLDER = Path(__file__).parents[3] / "shared" / "vectors" / "interop"
POLICY = soft_vault(2, 3).policy
HERE = POLICY.network
WALLET = wallet_of(POLICY, "family", ("a", "b", "c"))
OUTPUT = ur_types.write_output(WALLET, HERE)
TAGS = [303, 304, 305, 308, 400, 401, 406, 407, 40303]
CODES = ur.split(OUTPUT, 60, 20)
FIRST = len(ur.split(OUTPUT, 60))


def cases(name: str) -> list[dict[str, Any]]:
    """Return a vector file's cases; skips where it is not there."""
    path = FOLDER / name
    if not path.exists():
        pytest.skip("no ../shared/vectors/interop here")
    found: list[dict[str, Any]] = json.loads(path.read_text())
    return found


def test_a_message_of_one_code_may_be_read_twice() -> None:
    (code,) = ur.split(OUTPUT, 10_000)
    assert ur.joined([code, code.lower(), f"{code}\n"]) == OUTPUT


@pytest.mark.parametrize("name", ["foundation-ur-py/ur.json", "hummingbird/ur.json"])
def test_published_messages_of_one_code_are_read(name: str) -> None:
    told = 0
    for case in cases(name):
        expected = case.get("expect", {})
        if "cbor_sha256" in expected and "parts_given" not in expected:
            found = ur.joined([case["text"]])
            assert found.type == expected["type"]
            assert sha256(found.cbor).hexdigest() == expected["cbor_sha256"]
            told += 1
    assert told


@pytest.mark.parametrize("name", ["foundation-ur-py/ur.json", "hummingbird/ur.json"])
def test_published_parts_are_read_and_written_alike(name: str) -> None:
    entries = cases(name)
    first = next(
        case for case in entries
        if case.get("expect", {}).get("parts_given", 0) > 9 and "ur:bytes/1-9/" in case["text"]
    )  # fmt: skip
    same = [e["text"] for e in entries if e.get("expect", {}).get("same_message_as") == first["id"]]
    parts = [first["text"], *same]
    message = ur.joined(parts)
    assert sha256(message.cbor).hexdigest() == first["expect"]["cbor_sha256"]
    assert ur.split(message, 30, len(parts) - 9) == [part.upper() for part in parts]


def test_published_types_are_named_and_never_taken_for_a_wallet() -> None:
    for case in cases("hummingbird/ur.json"):
        kind = case.get("expect", {}).get("type")
        if kind is None or kind in ("bytes", *ur_types.OUTPUTS):
            continue
        with pytest.raises(NotImportable, match=kind):
            read_text(case["text"], Network.MAINNET)


def test_a_published_account_gives_the_keys_of_one_signer_with_their_origin() -> None:
    accounts = [
        case["text"] for case in cases("hummingbird/ur.json")
        if case.get("expect", {}).get("type") == "crypto-account"
    ]  # fmt: skip
    assert accounts
    for text in accounts:
        found = read_keys(text.encode(), "the code")
        assert [each.script for each in found.keys] == ["sh", "sh-wsh", "wsh"]
        assert [each.warning for each in found.keys] == [None, None, None]
        assert found.keys[2].key.path == tuple(HARDENED + step for step in (48, 0, 0, 2))


def test_a_published_output_keeps_the_order_of_its_keys() -> None:
    texts = [
        case["text"] for case in cases("hummingbird/ur.json")
        if case.get("expect", {}).get("type") == "crypto-output"
    ]  # fmt: skip
    forms = []
    for text in texts:
        try:
            forms.append(read_text(text, Network.MAINNET).form)
        except PolicyError:
            forms.append("refused")
    assert sorted(forms) == ["refused"] * (len(texts) - 1) + ["wsh(multi(1 of 2))"]


@given(st.binary(min_size=1, max_size=3_000), st.integers(10, 300), st.randoms())
@settings(max_examples=50)
def test_any_parts_that_are_enough_make_the_message(
    data: bytes, size: int, rng: random.Random
) -> None:
    message = ur.Message("bytes", data)
    count = len(ur.split(message, size))
    codes = ur.split(message, size, 3 * count + 10)
    rng.shuffle(codes)
    decoder = fountain.Decoder()
    for given_, code in enumerate(codes, 1):
        if count == 1:
            assert ur.joined([code]) == message
            return
        decoder.take(ur.part_of(code.lower()))
        if not decoder.missing:
            assert given_ >= count
            break
    assert decoder.message() == data


def test_later_codes_stand_for_lost_ones() -> None:
    assert FIRST > 4
    assert ur.joined(CODES[3:]) == OUTPUT
    with pytest.raises(UsageError, match=f"of {FIRST} UR codes these are missing: 1, 2; any later"):
        ur.joined(CODES[2:FIRST])
    assert ur.joined([*reversed(CODES[:FIRST]), CODES[0], CODES[0].lower()]) == OUTPUT


@pytest.mark.parametrize(
    ("codes", "told"),
    [
        ([], "no code to read"),
        (["ur:bytes"], "no part of a UR message"),
        ([CODES[0][:-2]], "misread"),
        ([CODES[0][:-1]], "odd number of letters"),
        ([CODES[0].replace("/1-", "/2-"), CODES[2]], "code 2-7 says inside 1-7"),
        ([CODES[0], CODES[1].replace("CRYPTO-OUTPUT", "CRYPTO-PSBT")], "among codes of type"),
        ([CODES[0], ur.split(ur.Message("crypto-output", b"x" * 600), 60)[1]], "another message"),
        (["ur:crypto-output/" + bytewords.encode(b"\x85")[:-2] + "aa"], "checksum is wrong"),
        (["ur:bytes/1-2/" + bytewords.encode(cbor2.dumps([1, 2]))], "five values"),
        (["ur:bytes/1-2/" + bytewords.encode(cbor2.dumps([1, 2, True, 4, 5]))], "four numbers"),
        (["ur:bytes/0-2/" + bytewords.encode(cbor2.dumps([0, 2, 4, 4, b"ab"]))], "number 0"),
        (["ur:bytes/1-1001/" + bytewords.encode(cbor2.dumps([1, 1001, 4, 4, b"ab"]))], "1,000 is"),
        (["ur:bytes/1-2/" + bytewords.encode(cbor2.dumps([1, 2, 1 << 21, 4, b"ab"]))], "1,048,576"),
        (["ur:bytes/1-2/" + bytewords.encode(b"\x9f")], "no CBOR"),
    ],
)
def test_codes_that_do_not_fit_are_refused(codes: list[str], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        ur.joined(codes)


def joined(parts: list[fountain.Part]) -> bytes:
    decoder = fountain.Decoder()
    for part in parts:
        decoder.take(part)
    return decoder.message()


def test_a_message_put_together_wrongly_is_refused() -> None:
    parts = list(fountain.parts_of(b"a" * 100, 10))
    wrong = parts[0]._replace(data=b"b" * 10)
    with pytest.raises(UsageError, match="checksum is wrong"):
        joined([wrong, *parts[1:]])


def test_many_codes_of_the_largest_message_cost_little() -> None:
    message = bytes(1_000) * 10
    parts = list(fountain.parts_of(message, 10, 1_500))
    assert joined(parts[100:]) == message
    with pytest.raises(UsageError, match="more than 4,000 codes"):
        joined([parts[0]] * 4_001)


def test_an_account_of_the_later_generation_gives_its_keys() -> None:
    accounts = [
        case["text"] for case in cases("hummingbird/ur.json")
        if case.get("expect", {}).get("type") == "account-descriptor"
    ]  # fmt: skip
    for text in accounts:
        found = read_keys(text.encode(), "the code")
        assert {each.script for each in found.keys} == {"sh", "sh-wsh", "wsh"}


def bc32(data: bytes) -> str:
    """Write bytes as UR 1 does."""
    number, bits = int.from_bytes(data), 8 * len(data)
    pad = -bits % 5
    number <<= pad
    values = [number >> at & 31 for at in reversed(range(0, bits + pad, 5))]
    check = ur._polymod([*values, *[0] * 6]) ^ ur.BC32_MARK
    values += [check >> 5 * (5 - at) & 31 for at in range(6)]
    return "".join(ur.BECH32[value] for value in values)


def test_ur_1_is_read() -> None:
    text = b"what was said in UR 1, " * 4
    cbor = cbor2.dumps(text)
    body, digest = bc32(cbor), bc32(sha256(cbor).digest())
    assert ur.joined([f"UR:BYTES/{body.upper()}"]) == ("bytes", cbor)
    half = len(body) // 2
    codes = [f"ur:bytes/{n}of2/{digest}/{part}" for n, part in ((2, body[half:]), (1, body[:half]))]
    assert ur.joined(codes) == ("bytes", cbor)
    for wrong, told in (
        (codes[:1], "these are missing: 1"),
        ([codes[0], codes[1].replace(digest, bc32(b"x" * 32))], "another message"),
        ([codes[0], codes[1], codes[0][:-1]], "read twice"),
        ([code.replace("of2", "of9999") for code in codes], "message of 9999"),
        ([code.replace(digest, bc32(bytes(32))) for code in codes], "digest is wrong"),
    ):
        with pytest.raises(UsageError, match=told):
            ur.joined(wrong)


def test_bytes_are_looked_into() -> None:
    text = read_text("\n".join(CODES), HERE)
    for inner in (b"Name: x\n", b"cHNidP8=", b"psbt\xff"):
        with pytest.raises(PolicyError):
            read_text(ur.split(ur.Message("bytes", cbor2.dumps(inner)))[0], HERE)
    message = ur.Message("bytes", cbor2.dumps(coldcard.write(text, HERE).encode()))
    assert read_text("\n".join(ur.split(message)), HERE).format == "Coldcard text"


def test_a_wallet_wrapped_without_end_is_refused() -> None:
    text = "x"
    for _ in range(5):
        text = "\n".join(ur.split(ur.Message("bytes", cbor2.dumps(text.encode())), 4_000))
    with pytest.raises(PolicyError, match="wrapped more than 3 times"):
        read_text(text, HERE)


@given(st.recursive(
    st.none() | st.booleans() | st.integers(-1, 1 << 33) | st.binary(max_size=40)
    | st.text(string.ascii_letters + "@(),/*<;>", max_size=20),
    lambda inner: st.lists(inner, max_size=5)
    | st.dictionaries(st.integers(0, 10), inner, max_size=6)
    | st.builds(cbor2.CBORTag, st.sampled_from(TAGS), inner),
    max_leaves=20,
), st.sampled_from([*ur_types.OUTPUTS, *ur_types.ACCOUNTS, *ur_types.KEYS, "bytes"]))  # fmt: skip
@settings(max_examples=150)
def test_any_content_of_any_type_is_read_or_refused(value: object, kind: str) -> None:
    code = ur.split(ur.Message(kind, cbor2.dumps(value)), 10_000)[0]
    for read in (lambda: read_text(code, HERE), lambda: read_keys(code.encode(), "the code")):
        try:
            read()
        except (PolicyError, UsageError) as refused:
            assert str(refused)  # noqa: PT017 -- either is right
