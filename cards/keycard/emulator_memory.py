"""What an emulated Keycard remembers: in its flash, and while it has power."""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import NamedTuple, Protocol, Self

import cbor2
from coincurve import PrivateKey

from cards.errors import CardError
from cards.keycard.wire import SW_TRIES_LEFT, SW_WRONG_DATA, SW_WRONG_LENGTH

PIN_TRIES = 3
PUK_TRIES = 5
SLOTS = {"3.1": 5, "3.2": 10, "4.0": 0}


class Refusal(Exception):
    """A command ends with this status word and no data."""

    def __init__(self, sw: int) -> None:
        """Keep the status word."""
        self.sw = sw
        super().__init__(f"{sw:04X}")


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
            raise Refusal(SW_WRONG_LENGTH)
        size = apdu[4] if len(apdu) > 4 else 0
        data = apdu[5 : 5 + size]
        if len(data) != size:
            raise Refusal(SW_WRONG_LENGTH)
        return cls(apdu[1], apdu[2], apdu[3], data)


@dataclass
class Code:
    """A PIN or PUK with its counter."""

    value: bytes = field(repr=False)
    limit: int
    left: int

    @classmethod
    def fresh(cls, value: bytes, limit: int) -> Self:
        """Make one with all its tries."""
        return cls(value, limit, limit)

    def matches(self, candidate: bytes) -> bool:
        """Tell whether it is the value, while there are tries left."""
        return bool(self.left) and hmac.compare_digest(candidate, self.value)

    def fail(self) -> None:
        """Count a wrong value."""
        self.left = max(0, self.left - 1)

    def restore(self) -> None:
        """Give every try back."""
        self.left = self.limit

    def refusal(self) -> Refusal:
        """Return what says how many tries are left."""
        return Refusal(SW_TRIES_LEFT | self.left)


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

    def encode(self) -> bytes:
        """Return the flash as CBOR."""
        return cbor2.dumps(asdict(self))

    @classmethod
    def decode(cls, state: bytes) -> Self:
        """Read what `encode` wrote; raises CardError for anything else."""
        try:
            fields = cbor2.loads(state)
            codes = {name: Code(**fields[name]) for name in ("pin", "duress", "puk")}
            return cls(**fields | codes)
        except (cbor2.CBORDecodeError, AttributeError, KeyError, TypeError, ValueError):
            raise CardError("this is not the state of an emulated Keycard") from None


class Channel(Protocol):
    """The card's end of a channel."""

    def unwrap(self, apdu: bytes) -> Request:
        """Open a command; raises Refusal where it is not of this channel."""
        ...

    def wrap(self, data: bytes, sw: int) -> bytes:
        """Return the answer as it leaves the card, status word and all."""
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
    power: Power

    def close_channel(self) -> None:
        """Forget the channel and who spoke in it."""
        self.power.channel = None
        self.power.authenticated = False


Handler = Callable[[Card, Request], bytes]


def digits(data: bytes, count: int) -> bytes:
    """Return a code of so many digits, or refuse it."""
    if len(data) != count or not data.isdigit():
        raise Refusal(SW_WRONG_DATA)
    return data
