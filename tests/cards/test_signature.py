"""Signatures as cards give them."""

import hashlib

import pytest
from coincurve import PrivateKey

from cards.emulation import sign_high_or_low
from cards.errors import ProtocolError
from cards.signature import CURVE_ORDER, compact_from_der, der_from_compact, signers, verify
from tests.cards.satochip_host import vectors

KEY = PrivateKey(b"\x11" * 32)
PUBLIC = KEY.public_key.format()
DIGEST = hashlib.sha256(b"what is signed").digest()


def test_the_vendors_golden_signature_comes_out_low_from_either_half() -> None:
    golden = vectors("ec_golden")
    low, high = (bytes.fromhex(golden[name]) for name in ("sig_der_low_s", "sig_der_high_s"))
    compact = bytes.fromhex(golden["sig_compact"])
    assert compact_from_der(low) == compact_from_der(high) == compact
    assert der_from_compact(compact) == low


def test_the_vendors_golden_candidates_are_found() -> None:
    golden = vectors("ec_golden")
    found = signers(bytes.fromhex(golden["digest"]), bytes.fromhex(golden["sig_compact"]))
    candidates = [PrivateKey.from_hex(golden["priv_a"]).public_key.format()]
    assert set(candidates) < found
    assert len(found) == 2


def test_signatures_of_both_halves_verify_and_are_found_again() -> None:
    for _ in range(16):
        compact = compact_from_der(sign_high_or_low(KEY.secret, DIGEST))
        assert int.from_bytes(compact[32:]) <= CURVE_ORDER // 2
        assert verify(PUBLIC, DIGEST, compact)
        assert PUBLIC in signers(DIGEST, compact)


def test_what_was_not_signed_does_not_verify() -> None:
    compact = compact_from_der(sign_high_or_low(KEY.secret, DIGEST))
    assert not verify(PUBLIC, hashlib.sha256(b"else").digest(), compact)
    assert not verify(PrivateKey(b"\x12" * 32).public_key.format(), DIGEST, compact)
    assert not verify(b"\x02" + b"\xff" * 32, DIGEST, compact)


def test_padded_integers_and_trailing_bytes_are_read() -> None:
    padded = bytes.fromhex("3009 0203 000001 0202 0002".replace(" ", ""))
    expected = (1).to_bytes(32) + (2).to_bytes(32)
    assert compact_from_der(padded) == expected
    assert compact_from_der(padded + b"\0") == expected


@pytest.mark.parametrize(
    "der",
    [
        "",
        "30",
        "3006020101",
        "3106020101020102",
        "3006030101020102",
        "3006020101020202",
        "3006020100020101",
        "3006020101020100",
    ],
)
def test_what_is_no_signature_is_refused(der: str) -> None:
    with pytest.raises(ProtocolError):
        compact_from_der(bytes.fromhex(der))


def test_numbers_beyond_the_curve_are_refused() -> None:
    def der(r: int, s: int) -> bytes:
        return der_from_compact(r.to_bytes(32) + s.to_bytes(32))

    compact_from_der(der(CURVE_ORDER - 1, CURVE_ORDER - 1))
    for r, s in ((CURVE_ORDER, 1), (1, CURVE_ORDER)):
        with pytest.raises(ProtocolError, match="range"):
            compact_from_der(der(r, s))
