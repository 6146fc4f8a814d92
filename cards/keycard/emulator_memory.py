"""What an emulated Keycard remembers: in its flash, and while it has power."""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, Self

from coincurve import PrivateKey

from cards.emulation import Code, Refusal
from cards.keycard.wire import Sw

PIN_TRIES = 3
PUK_TRIES = 5
SLOTS = {"3.1": 5, "3.2": 10, "4.0": 0}


class Request(NamedTuple):
    """A command as a handler sees it."""

    ins: int
    p1: int
    p2: int
    data: bytes

    @classmethod
    def read(cls, apdu: bytes) -> Self:
        """Take a command apart; four bytes alone announce no data."""
        if len(apdu) < 4:
            raise Refusal(Sw.WRONG_LENGTH)
        size = apdu[4] if len(apdu) > 4 else 0
        data = apdu[5 : 5 + size]
        if len(data) != size:
            raise Refusal(Sw.WRONG_LENGTH)
        return cls(apdu[1], apdu[2], apdu[3], data)


def nobodys(limit: int) -> Code:
    """Return a code that nobody knows, for a card before INIT."""
    return Code.fresh(secrets.token_bytes(16), limit)


@dataclass
class Flash:
    """Everything that survives power-off; only this is kept in the card's file."""

    profile: str
    uid: bytes
    identity: bytes = field(default=b"", repr=False)
    certificate: bytes = b""
    channel_key: bytes = field(default_factory=lambda: PrivateKey().secret, repr=False)
    initialised: bool = False
    pin: Code = field(default_factory=lambda: nobodys(PIN_TRIES), repr=False)
    duress: Code = field(default_factory=lambda: nobodys(PIN_TRIES), repr=False)
    puk: Code = field(default_factory=lambda: nobodys(PUK_TRIES), repr=False)
    pairing_secret: bytes = field(default=b"", repr=False)
    pairings: dict[int, bytes] = field(default_factory=dict, repr=False)
    key: bytes = field(default=b"", repr=False)
    chain_code: bytes = field(default=b"", repr=False)
    current_path: bytes = b""
    pinless_path: bytes = b""
    data: dict[int, bytes] = field(default_factory=dict)
    one_byte_short: bool = False

    @property
    def certified(self) -> bool:
        """Tell whether the card speaks the channel of 4.0."""
        return self.profile == "4.0"

    @property
    def version(self) -> bytes:
        """Return the version as SELECT tells it."""
        return bytes(int(part) for part in self.profile.split("."))

    @property
    def key_uid(self) -> bytes:
        """Return the hash that names the master key; nothing where there is none."""
        if not self.key:
            return b""
        point = PrivateKey(self.key).public_key.format(compressed=False)
        return hashlib.sha256(point).digest()


def revived(fields: Any) -> Flash:  # noqa: ANN401 -- whatever was kept, checked by whoever asks
    """Return the flash that was kept with these fields."""
    return Flash(**fields | {each: Code(**fields[each]) for each in ("pin", "duress", "puk")})


class Channel(Protocol):
    """The card's end of a channel."""

    def unwrap(self, apdu: bytes) -> Request:
        """Open a command; raises Refusal where it is not of this channel."""
        ...

    def wrap(self, data: bytes, sw: int) -> bytes:
        """Return data and status word as they leave the card."""
        ...


@dataclass
class Power:
    """Everything that is lost at power-off."""

    selected: str = ""
    channel: Channel | None = field(default=None, repr=False)
    authenticated: bool = False
    verified: bool = False
    under_duress: bool = False
    pairing_challenge: bytes = b""
    pairing_passes: bool = False
    passing_pairing: bytes = field(default=b"", repr=False)
    last_chain_code: bytes = field(default=bytes(32), repr=False)


@dataclass
class Card:
    """A card with power."""

    flash: Flash
    power: Power = field(default_factory=Power)

    def close_channel(self) -> None:
        """Forget the channel and who spoke in it."""
        self.power.channel = None
        self.power.authenticated = False


Handler = Callable[[Card, Request], bytes]


def digits(data: bytes, count: int) -> bytes:
    """Return a code of so many digits, or refuse it."""
    if len(data) != count or not data.isdigit():
        raise Refusal(Sw.WRONG_DATA)
    return data
