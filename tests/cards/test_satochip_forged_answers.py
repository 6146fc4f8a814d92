"""A Satochip whose answers come through the channel whole and are signed by the wrong keys."""

import pytest

from cards.errors import ProtocolError
from cards.pin import Secret
from cards.satochip import emulator_keys
from cards.satochip.emulator import PROFILES, emulate
from cards.satochip.emulator_keys import prefixed, public_x, sign_high_or_low, signed_key
from tests.cards.readers import LEAF, SEED, initialised, seeded

NEW = PROFILES[-1]
STRANGER = b"\x07" * 32


def test_a_key_its_authentikey_has_not_signed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    session, _ = seeded(emulate(NEW))
    forged = prefixed(sign_high_or_low(STRANGER, bytes(32)))
    monkeypatch.setattr(emulator_keys, "authenticated", lambda _card, block: block + forged)
    with pytest.raises(ProtocolError, match="authentikey has not signed"):
        session.xpub(LEAF)


def test_a_key_that_has_not_signed_itself_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    session, _ = seeded(emulate(NEW))

    def forged(secret: bytes, head: bytes = b"") -> bytes:
        return head + prefixed(public_x(secret)) + prefixed(sign_high_or_low(secret, bytes(32)))

    monkeypatch.setattr(emulator_keys, "signed_key", forged)
    with pytest.raises(ProtocolError, match="not signed itself"):
        session.xpub(LEAF)


def test_a_seed_taken_under_another_authentikey_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session, _ = initialised(emulate(NEW))
    monkeypatch.setattr(emulator_keys, "load_seed", lambda _card, _seed: signed_key(STRANGER))
    with pytest.raises(ProtocolError, match="another authentikey"):
        session.load_seed(Secret(SEED))
