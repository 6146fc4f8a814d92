"""Files over several QR codes."""

import base64
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.errors import UsageError
from coordinator.interop import bbqr

TEXT = b"wsh(sortedmulti(2,[00000000/48h/1h/0h/2h]tpub/<0;1>/*))" * 20


@given(st.binary(max_size=3000), st.integers(min_value=16, max_value=500))
def test_what_is_split_comes_together_in_any_order(data: bytes, size: int) -> None:
    parts = bbqr.split(data, "U", size)
    assert all(len(part) <= size for part in parts)
    assert len({len(part) for part in parts[:-1]}) <= 1
    random.shuffle(parts)
    assert bbqr.joined([*parts, parts[0], f" {parts[-1]}\n"]) == ("U", data)


def test_the_header_says_encoding_kind_total_and_number() -> None:
    parts = bbqr.split(random.Random(1).randbytes(2000), "P", 108)
    assert [part[:8] for part in parts[:2]] == ["B$2P0Y00", "B$2P0Y01"]
    assert parts[-1][4:8] == "0Y0X"
    assert len(parts) == 34
    assert bbqr.split(TEXT, "U", 2000)[0].startswith("B$ZU0100")
    assert all(set(part) <= set(bbqr.DIGITS + "$") for part in parts)


def test_parts_of_others_are_read() -> None:
    hexed = ["B$HU0200" + b"hello ".hex().upper(), "B$HU0201" + b"world".hex()]
    assert bbqr.joined(hexed) == ("U", b"hello world")
    halves = ["B$2U0200" + base64.b32encode(b"12345").decode(), "B$2U0201GEZDGNA"]
    assert bbqr.joined(halves) == ("U", b"123451234")


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        ([], "no part"),
        (["hello"], "no part of a BBQr"),
        (["B$XU0100"], "no part of a BBQr"),
        (["B$HU0300AA", "B$HU0302AA"], "missing: 2"),
        (["B$HU0200AA", "B$HU0200BB", "B$HU0201AA"], "part 1 was read twice"),
        (["B$HU0200AA", "B$HP0201AA"], "another file"),
        (["B$HU0102AA"], "part 3 of 1"),
        (["B$HU0000AA"], "part 1 of 0"),
        (["B$HU0100A"], "misread"),
        (["B$2U01001"], "misread"),
        (["B$ZU0100AAAAAAAA"], "misread"),
    ],
)
def test_parts_that_do_not_fit(texts: list[str], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        bbqr.joined(texts)


def test_content_that_never_ends_is_refused() -> None:
    with pytest.raises(UsageError, match="more than"):
        bbqr.joined(bbqr.split(bytes(bbqr.CONTENT_MAX + 1), "B", 4000))
    cut = bbqr.split(TEXT, "U", 4000)[0][:-16]
    with pytest.raises(UsageError, match=r"too early|misread"):
        bbqr.joined([cut])


def test_what_was_deflated_with_a_wider_window_is_read() -> None:
    data = random.Random(1).randbytes(20_000) * 2
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = base64.b32encode(packer.compress(data) + packer.flush()).decode().rstrip("=")
    assert len(packed) < 1.1 * len(data)
    assert bbqr.joined([f"B$ZB0100{packed}"]) == ("B", data)


def test_a_kind_nobody_knows_is_no_part() -> None:
    with pytest.raises(UsageError, match="no part of a BBQr"):
        bbqr.joined(["B$ZA0100CX"])


def test_codes_too_small_or_too_many_are_refused() -> None:
    with pytest.raises(UsageError, match="no room"):
        bbqr.split(b"x", "U", 15)
    with pytest.raises(UsageError, match="1295 is the most"):
        bbqr.split(random.Random(1).randbytes(6600), "U", 16)
