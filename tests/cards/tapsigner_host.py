"""TAPSIGNERs for tests: made, opened, spoken to without a driver."""

import json
from collections.abc import Callable
from pathlib import Path

import cbor2
import pytest
from coincurve import PrivateKey

from cards.family import Surroundings
from cards.pin import Pin
from cards.session import HARDENED
from cards.tapsigner.channel import seal
from cards.tapsigner.commands import SELECT, Call
from cards.tapsigner.emulator import TapsignerEmulator, emulate
from cards.tapsigner.emulator_keys import cipher
from cards.tapsigner.session import TapsignerSession, open_session
from cards.tapsigner.wire import decode_map
from tests.contracts.wires import Wire

H = HARDENED
CVC = b"123456"
WRONG = b"654321"
NEWEST = "1.0.3"
ACCOUNT = (48 | H, H, H, 2 | H)
OTHER = (49 | H, H)
DEFAULT = (84 | H, H, H)
DIGEST = bytes(range(32))
NONCE = bytes(range(16))
VECTORS = Path(__file__).parents[2] / "../shared/cards/vectors.json"

Fields = dict[str, object]


def vectors(section: str) -> dict:
    """Return a section of the published vectors, or skip the test where they are absent."""
    if not VECTORS.exists():
        pytest.skip(f"{VECTORS} is absent")
    return json.loads(VECTORS.read_text())["tapsigner"][section]


def with_key(profile: str = NEWEST) -> TapsignerEmulator:
    """A card that has made its key."""
    card = emulate(profile)
    session, _ = unlocked(card)
    session.generate_key()
    session.close()
    return card


def opened(
    card: TapsignerEmulator, surroundings: Surroundings | None = None
) -> tuple[TapsignerSession, Wire]:
    """Put a card on a wire and open it."""
    wire = Wire(card)
    return open_session(wire, surroundings or Surroundings()), wire


def unlocked(
    card: TapsignerEmulator, surroundings: Surroundings | None = None
) -> tuple[TapsignerSession, Wire]:
    """Put a card on a wire, open and unlock it."""
    session, wire = opened(card, surroundings)
    session.unlock(Pin(CVC))
    return session, wire


class Bare:
    """A host without a driver."""

    def __init__(self, card: TapsignerEmulator) -> None:
        self.card = card
        self.reader = card.insert()
        self.status = self.raw(SELECT.encode())

    def raw(self, apdu: bytes) -> Fields:
        answer = self.reader.transmit(apdu)
        assert answer[-2:] == b"\x90\x00", answer[-2:].hex()
        return decode_map(answer[:-2])

    def ask(self, name: str, **arguments: object) -> Fields:
        body = cbor2.dumps({"cmd": name, **arguments})
        return self.raw(bytes((0, 0xCB, 0, 0, len(body))) + body)

    def nonce(self) -> bytes:
        return self.ask("status")["card_nonce"]

    def send(self, name: str, cvc: bytes = CVC, **arguments: object) -> Fields:
        """Send a command with a CVC."""
        call = Call(name, arguments)
        key = PrivateKey()
        sealed = seal(call, self.card.flash.public_key, self.nonce(), cvc=Pin(cvc), ephemeral=key)
        return self.raw(sealed.command.encode())


def code(fields: Fields) -> object:
    """Return the error's code, or None."""
    return fields.get("code")


def unlucky(times: int) -> Callable[[int], bool]:
    """Return a dice that brings bad luck so many times, then never."""
    left = iter([True] * times)
    return lambda _one_in: next(left, False)


def open_backup(data: bytes, backup_key: bytes) -> tuple[str, str]:
    """Decrypt a backup: the master's xprv, and the path stored at the time."""
    xprv, path = cipher(backup_key, data).decode("ascii", errors="replace").split("\n")[:2]
    assert xprv[1:4] == "prv"
    return xprv, path
