"""BIP 340's published vectors: a driver believes the signatures they call valid, and no other."""

import json
from pathlib import Path
from typing import Any

import pytest
from coincurve import PublicKey

from cards.apdu import Command
from cards.errors import ProtocolError
from cards.keycard import wire
from cards.keycard.roots import ROOTS
from cards.keycard.session import TaprootSession
from cards.keycard.wire import Tag

VECTORS = Path(__file__).parents[2] / "../shared/cards/vectors.json"
DIGEST_SIZE = 32
WITH_DIGEST = range(15)
"""The vectors over 32 bytes; the four after them are over what no card is asked to sign."""


def vector(number: int) -> dict[str, Any]:
    if not VECTORS.exists():
        pytest.skip("the vectors are not beside this checkout")
    found: dict[str, Any] = json.loads(VECTORS.read_text())["satochip"]["bip340"]["vectors"][number]
    assert found["index"] == number
    return found


class Answering:
    """Stands in for the link to a card that says this, whatever it is asked."""

    def __init__(self, key: bytes, signature: bytes) -> None:
        content = wire.tlv(Tag.PUBLIC_KEY, key) + wire.tlv(Tag.SCHNORR, signature)
        self.answer = wire.tlv(Tag.SIGNATURE_TEMPLATE, content)

    def send(self, _command: Command) -> bytes:
        return self.answer


def judged(case: dict[str, Any], x: bytes) -> bytes:
    try:
        point = PublicKey(b"\2" + x).format(compressed=False)
    except ValueError:
        point = b"\4" + x + bytes(32)
    session = TaprootSession(Answering(point, bytes.fromhex(case["sig"])), ROOTS)
    return session.sign_schnorr((), bytes.fromhex(case["msg"]), bytes(DIGEST_SIZE))


@pytest.mark.parametrize("number", WITH_DIGEST)
def test_the_driver_believes_what_verifies_and_nothing_else(number: int) -> None:
    case = vector(number)
    x = bytes.fromhex(case["pubkey"])
    if case["result"]:
        assert judged(case, x).hex() == case["sig"]
    else:
        with pytest.raises(ProtocolError):
            judged(case, x)
