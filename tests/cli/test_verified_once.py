"""What a verb does once, however often its parts ask."""

from collections import Counter

import pytest

from psbt import codec
from psbt.policy import VaultScript
from psbt.sighash import SignedScript
from psbt.signature import ECDSA
from tests.program import PIN, UNPROVED, Asked

PAYEE = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080:200000"


def test_a_signature_is_verified_and_a_psbt_parsed_once_to_show_a_payment(
    vault: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = vault("spend", "create", "v", "--to", PAYEE, "--feerate", "5", *UNPROVED)
    number = opened["ceremony"]
    signing = ("--emulated", "a", "--pin-stdin", "--yes", *UNPROVED)
    vault("spend", "sign", number, *signing, stdin=f"a={PIN}\n")
    seen: Counter[object] = Counter()

    def counted(pubkey: bytes, digest: bytes, signature: bytes) -> bool:
        seen[pubkey, digest, signature] += 1
        return ECDSA.verifies(pubkey, digest, signature)

    parse = codec.parse

    def parsed(data: bytes) -> codec.Psbt:
        seen[data] += 1
        return parse(data)

    scheme = ECDSA._replace(verifies=counted)
    for script in (VaultScript, SignedScript):
        monkeypatch.setattr(script, "scheme", property(lambda _: scheme))
    monkeypatch.setattr(codec, "parse", parsed)
    assert vault("spend", "show", number)["have"] == 1
    assert sorted(seen.values()) == [1, 1], "a signature and a PSBT"


def test_a_psbt_is_parsed_once_to_sign_it(vault: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    number = vault("spend", "create", "v", "--to", PAYEE, "--feerate", "5", *UNPROVED)["ceremony"]
    parse, seen = codec.parse, list[bytes]()

    def parsed(data: bytes) -> codec.Psbt:
        seen.append(data)
        return parse(data)

    monkeypatch.setattr(codec, "parse", parsed)
    signing = ("--emulated", "a", "--pin-stdin", "--yes", *UNPROVED)
    assert vault("spend", "sign", number, *signing, stdin=f"a={PIN}\n")["have"] == 1
    assert len(seen) == 1
