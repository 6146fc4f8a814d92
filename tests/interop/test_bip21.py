"""Requests to be paid as URIs: those of the BIP, those of QR codes, and those that are none."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.errors import UsageError
from coordinator.interop import bip21
from coordinator.interop.bip21 import Request

GENESIS = "175tWpb8K1S7NmH4Zx6rewF9WQrcZv245W"


@pytest.mark.parametrize(
    ("uri", "request_"),
    [
        (f"bitcoin:{GENESIS}", Request(GENESIS)),
        (f"bitcoin:{GENESIS}?label=Luke-Jr", Request(GENESIS, None, "Luke-Jr")),
        (
            f"bitcoin:{GENESIS}?amount=20.3&label=Luke-Jr",
            Request(GENESIS, 2_030_000_000, "Luke-Jr"),
        ),
        (
            f"bitcoin:{GENESIS}?amount=50&label=Luke-Jr&message=Donation%20for%20project%20xyz",
            Request(GENESIS, 5_000_000_000, "Luke-Jr"),
        ),
        (
            f"bitcoin:{GENESIS}?somethingyoudontunderstand=50&somethingelseyoudontget=999",
            Request(GENESIS),
        ),
        ("BITCOIN:BC1QXYZ?AMOUNT=.00000001&LABEL=A%20B", Request("BC1QXYZ", 1, "A B")),
        ("bitcoin://bc1qxyz?amount=1.&amount=1.#top", Request("bc1qxyz", 100_000_000)),
        ("bitcoin:x?message=m%C3%BCller", Request("x", None, "müller")),
        ("bitcoin:x?label=a+b&&", Request("x", None, "a+b")),
        ("bitcoin:x?lightning=LNBC1&pj=https://y?z&label=", Request("x")),
    ],
)
def test_a_uri_is_read(uri: str, request_: Request) -> None:
    assert bip21.read(uri) == request_


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        (f"bitcoin:{GENESIS}?req-somethingyoudontunderstand=50", "requires req-somethingyou"),
        ("BITCOIN:X?REQ-POP=1", "requires req-pop"),
        ("bitcoin:x?%72eq-pop=1", "requires req-pop"),
        ("bitcoin:x?amount=1&amount=2", "amount twice"),
        ("bitcoin:x?amount=1&AMOUNT=2", "amount twice"),
        ("bitcoin:x?label=a&label=b", "label twice"),
        ("bitcoin:x?amount=0,1", "no number of bitcoin"),
        ("bitcoin:x?amount=", "no number of bitcoin"),
        ("bitcoin:x?amount=.", "no number of bitcoin"),
        ("bitcoin:x?amount=1e3", "no number of bitcoin"),
        ("bitcoin:x?amount=-1", "no number of bitcoin"),
        ("bitcoin:x?amount=0", "not between"),
        ("bitcoin:x?amount=21000000.00000001", "not between"),
        ("bitcoin:x?amount=0.000000001", "no number of bitcoin"),
        ("bitcoin:?amount=1", "no address"),
        ("bitcoin:x?label=%ff", "no UTF-8"),
        ("bitcoin:" + "x" * 8192, "too long"),
        ("litecoin:x", "no bitcoin: URI"),
    ],
)
def test_a_uri_that_asks_for_what_is_not_done_is_refused(uri: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        bip21.read(uri)


@given(
    st.integers(min_value=1, max_value=21_000_000 * 10**8),
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=100),
)
def test_what_we_write_we_read(amount: int, label: str) -> None:
    wanted = Request("bc1qx", amount, label)
    assert bip21.read(bip21.write(wanted)) == wanted


@given(st.text().map("bitcoin:".__add__))
def test_any_uri_is_read_or_misuse(uri: str) -> None:
    with contextlib.suppress(UsageError):
        assert bip21.read(uri).address
