"""The host's end of a Satochip, small and apart from the driver, for tests of the emulator."""

import hashlib
import json
import secrets
from pathlib import Path
from typing import Any

import pytest
from coincurve import PrivateKey, PublicKey

from cards.emulation import EmulatedTransport, Emulator
from cards.satochip.emulator import PROFILES, SatochipEmulator, emulate
from cards.satochip.wire import ChannelKeys

OLD, MIDDLE, PLAIN, NEW = PROFILES
VECTORS = Path(__file__).parents[3] / "shared" / "cards" / "vectors.json"
SELECT = bytes.fromhex("00a40400085361746f43686970")
STATUS = bytes.fromhex("b03c000000")
PIN = b"123456"
PUK = b"12345678"
SETUP = bytes.fromhex(
    "b02a00002e084d7573636c65303005030631323334353608313233343536373801010439393939043838383800200000010101"
)
SEED = bytes.fromhex(
    "5eb00bbddcf069084889a8ab9155568165f5c453ccb85e70811aaed6f6da5fc1"
    "9a5ac40b389cd370d086206dec8aa6c43daea6690f20ad3d8d48b2d2ce9e38e4"
)
N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


class Host:
    """Speaks to a card on a reader, in the channel and outside of it."""

    def __init__(self, reader: EmulatedTransport) -> None:
        self.reader = reader
        self.select()

    def select(self) -> None:
        assert self.reader.transmit(SELECT) == b"\x90\x00"

    def plain(self, apdu: bytes) -> tuple[bytes, int]:
        answer = self.reader.transmit(apdu)
        return answer[:-2], int.from_bytes(answer[-2:])

    def status(self) -> bytes:
        return self.plain(STATUS)[0]

    def open(self) -> bytes:
        """Open the channel and return the handshake."""
        ephemeral = PrivateKey()
        point = ephemeral.public_key.format(compressed=False)
        handshake, sw = self.plain(bytes.fromhex("b081000041") + point)
        assert sw == 0x9000
        card = PublicKey(b"\2" + handshake[2:34])
        self.keys = ChannelKeys.derive(card.multiply(ephemeral.secret).format()[1:])
        self.counter = 1
        return handshake

    def frame(self, inner: bytes, *, counter: int | None = None) -> bytes:
        """Wrap a command; the next one counts on from here."""
        self.counter = self.counter if counter is None else counter
        iv = secrets.token_bytes(12) + self.counter.to_bytes(4)
        self.counter += 2
        ciphertext = self.keys.encrypt(iv, inner)
        mac = self.keys.mac(iv, ciphertext)
        data = iv + len(ciphertext).to_bytes(2) + ciphertext + b"\0\x14" + mac
        self.last_frame = bytes.fromhex("b0820000") + bytes((len(data),)) + data
        return self.last_frame

    def send(self, inner: bytes) -> tuple[bytes, int]:
        """Send a command in the channel; every answer with data must be a frame."""
        data, sw = self.plain(self.frame(inner))
        if not data:
            return data, sw
        iv, size, ciphertext = data[:16], int.from_bytes(data[16:18]), data[18:]
        assert size == len(ciphertext)
        assert int.from_bytes(iv[12:]) == self.counter - 1
        padded = self.keys.decrypt(iv, ciphertext)
        return padded[: -padded[-1]], sw

    def call(self, ins: int, p1: int = 0, p2: int = 0, data: bytes = b"") -> tuple[bytes, int]:
        return self.send(bytes((0xB0, ins, p1, p2, len(data))) + data)

    def sw(self, ins: int, p1: int = 0, p2: int = 0, data: bytes = b"") -> int:
        return self.call(ins, p1, p2, data)[1]


def host_of(card: SatochipEmulator) -> Host:
    """Lay a card on a reader, select it and open the channel."""
    host = Host(card.insert())
    host.open()
    return host


def ready(profile: str = NEW, *, seeded: bool = True) -> Host:
    """A card set up, unlocked, and by default seeded."""
    host = host_of(emulate(profile))
    assert host.send(SETUP)[1] == 0x9000
    assert host.sw(0x42, data=PIN) == 0x9000
    if seeded:
        assert host.sw(0x6C, p1=64, data=SEED) == 0x9000
    return host


def card_of(host: Host) -> SatochipEmulator:
    """The card on the host's reader."""
    card = host.reader._chip
    assert isinstance(card, Emulator)
    return card


def fields(data: bytes, *, head: int = 0) -> list[bytes]:
    """Split what follows the head into its fields, each with its length in two bytes before it."""
    rest, found = data[head:], []
    while rest:
        size = int.from_bytes(rest[:2])
        assert len(rest) >= 2 + size
        found.append(rest[2 : 2 + size])
        rest = rest[2 + size :]
    return found


def compact(der: bytes) -> tuple[int, int]:
    """Return r and s of a DER signature, strictly read."""
    assert der[0] == 0x30
    assert der[1] == len(der) - 2
    numbers, rest = [], der[2:]
    while rest:
        assert rest[0] == 2
        numbers.append(int.from_bytes(rest[2 : 2 + rest[1]]))
        rest = rest[2 + rest[1] :]
    r, s = numbers
    return r, s


def signs(public: bytes, der: bytes, message: bytes) -> bool:
    """Verify a signature over SHA-256 of a message, whichever half its S is in."""
    return signs_digest(public, der, hashlib.sha256(message).digest())


def signs_digest(public: bytes, der: bytes, digest: bytes) -> bool:
    """Verify a signature over a digest by a public key, or by either key of that x coordinate."""
    low = low_s(der)
    keys = [public] if len(public) > 32 else [b"\2" + public, b"\3" + public]
    return any(PublicKey(key).verify(low, digest, hasher=None) for key in keys)


def low_s(der: bytes) -> bytes:
    r, s = compact(der)
    return _der(r, min(s, N - s))


def _der(r: int, s: int) -> bytes:
    body = b"".join(_integer(number) for number in (r, s))
    return bytes((0x30, len(body))) + body


def _integer(number: int) -> bytes:
    raw = number.to_bytes(number.bit_length() // 8 + 1)
    return bytes((2, len(raw))) + raw


def vectors(name: str) -> dict[str, Any]:
    if not VECTORS.exists():
        pytest.skip("the vectors are not beside this checkout")
    found: dict[str, Any] = json.loads(VECTORS.read_text())["satochip"][name]
    return found


def last_key(host: Host) -> bytes:
    data, sw = host.call(0x6D, 1, 0x40, bytes(4))
    assert sw == 0x9000
    return fields(data, head=32)[0]


def tweak(host: Host, data: bytes, *, bypass: int = 0) -> bytes:
    """Tweak the key last derived and return the x coordinate of the result."""
    answer, sw = host.call(0x7C, 0xFF, bypass, bytes((len(data),)) + data)
    assert sw == 0x9000
    point, signature = fields(answer)
    assert signs(fields(host.call(0xAD)[0])[0], signature, answer[:67])
    return PublicKey(point).format()[1:]
