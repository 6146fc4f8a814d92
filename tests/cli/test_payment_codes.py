"""A payment goes out and comes back as the text of QR codes, their lines in any order."""

import base64
import random

import pytest

from coordinator.interop import pmofn, qr_text
from coordinator.payment import psbt_file
from psbt.errors import PsbtError
from tests.program import PIN, Asked

STRANGER = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
PAY = ("spend", "create", "v", "--to", f"{STRANGER}:10000", "--feerate", "1")


@pytest.mark.parametrize("format_", ["hex", "base64", "bbqr", "ur"])
def test_an_exported_payment_is_read_from_its_parts(vault: Asked, format_: str) -> None:
    ceremony = vault(*PAY)["ceremony"]
    told = vault("spend", "export", ceremony, "--format", format_)
    raw = base64.b64decode(told["psbt"])
    parts = list(told["parts"])
    assert (len(parts) > 1) == (format_ in ("bbqr", "ur"))
    random.Random(7).shuffle(parts)
    text = "\n".join([*parts, parts[0]] if len(parts) > 1 else parts)
    assert psbt_file.read_psbt(text.encode()) == psbt_file.read_psbt(raw)


@pytest.mark.parametrize("format_", ["bbqr", "ur"])
def test_signatures_come_back_in_codes(vault: Asked, format_: str) -> None:
    ceremony = vault(*PAY)["ceremony"]
    before = vault("spend", "export", ceremony)["psbt"]
    vault("spend", "sign", ceremony, "--emulated", "a", "--pin-stdin", "--yes", stdin=f"a={PIN}")
    signed = vault("spend", "export", ceremony, "--format", format_)
    assert signed["psbt"] != before
    taken = vault("spend", "add", ceremony, "-", stdin="\n".join(signed["parts"]))
    assert taken["have"] == 1


def test_codes_that_are_missing_are_named(vault: Asked) -> None:
    ceremony = vault(*PAY)["ceremony"]
    for format_ in ("bbqr", "ur"):
        parts = vault("spend", "export", ceremony, "--format", format_)["parts"]
        text = "\n".join(parts[:1] + parts[2:])
        error = vault("spend", "add", ceremony, "-", stdin=text, check=5)["error"]
        assert "missing: 2" in error["message"]
    assert vault("spend", "export", ceremony, "--format", "qr", check=2)["error"]


def test_specters_parts_hold_base64(vault: Asked) -> None:
    ceremony = vault(*PAY)["ceremony"]
    text = vault("spend", "export", ceremony)["psbt"]
    parts = "\n".join(reversed(pmofn.split(text, 120)))
    assert psbt_file.holds_psbt(parts.encode())
    with pytest.raises(PsbtError, match="no payment"):
        psbt_file.read_psbt(
            b"ur:crypto-seed/oeadgdstaslplabghydrpfmkbggufgludprfgmaotpiecffltnlpqdenos"
        )
    assert qr_text.carried("wsh(") is None
