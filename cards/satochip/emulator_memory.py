"""What an emulated Satochip remembers: in its flash, and while it has power."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from cards.emulation import Code, Refusal
from cards.satochip.wire import ChannelKeys, Sw

DEFAULT_PIN = b"Muscle00"
DEFAULT_TRIES = 3
PIN_SIZES = range(4, 17)
RESET_SIGNALS = 5
WITH_POLICIES = (0, 14, 0, 5)
TRIES_SHOWN_MAX = 15


class Request(NamedTuple):
    """A command as a handler sees it; the body may be shorter than announced, or padded."""

    ins: int
    p1: int
    p2: int
    size: int
    body: bytes

    @classmethod
    def read(cls, apdu: bytes) -> Self:
        """Take a command apart; four bytes alone announce no data."""
        if len(apdu) < 4:
            raise Refusal(Sw.WRONG_LENGTH)
        size = apdu[4] if len(apdu) > 4 else 0
        return cls(apdu[1], apdu[2], apdu[3], size, apdu[5:])

    @property
    def data(self) -> bytes:
        """Return as many bytes as the command announces."""
        if len(self.body) < self.size:
            raise Refusal(Sw.WRONG_LENGTH)
        return self.body[: self.size]


class Reader:
    """Cuts a command's data into its fields."""

    def __init__(self, data: bytes, sw: int = Sw.INVALID_PARAMETER) -> None:
        """Begin at the first byte; `sw` is the answer where a field is missing."""
        self._left = data
        self._sw = sw

    def take(self, size: int) -> bytes:
        """Return the next bytes."""
        if len(self._left) < size:
            raise Refusal(self._sw)
        taken, self._left = self._left[:size], self._left[size:]
        return taken

    def byte(self) -> int:
        """Return the next byte as a number."""
        return self.take(1)[0]

    def short(self) -> int:
        """Return the next two bytes as a number."""
        return int.from_bytes(self.take(2))

    def prefixed(self) -> bytes:
        """Return the next field, whose length stands before it in one byte."""
        return self.take(self.byte())

    def rest(self) -> bytes:
        """Return what nobody has taken."""
        return self._left


def fresh_code(value: bytes, limit: int) -> Code:
    """Make a code with all its tries; raises 9C0F for sizes and limits no card takes."""
    if len(value) not in PIN_SIZES or not limit:
        raise Refusal(Sw.INVALID_PARAMETER)
    return Code.fresh(value, limit)


def check_code(code: Code, candidate: bytes) -> None:
    """Count a wrong value and raise 63Cx, or 9C0C once no try is left."""
    if not code.left:
        raise Refusal(Sw.IDENTITY_BLOCKED)
    right = code.matches(candidate)
    code.count(right=right)
    if not right:
        raise Refusal(Sw.PIN_FAILED | min(code.left, TRIES_SHOWN_MAX))


def factory_pins() -> dict[int, Code]:
    """Return the PINs of a card that nobody has set up."""
    return {0: fresh_code(DEFAULT_PIN, DEFAULT_TRIES)}


@dataclass
class Policies:
    """What the owner allows: 0 enabled, 1 disabled, 2 blocked for ever."""

    nfc: int = 0
    schnorr: int = 0
    nostr: int = 0
    liquid: int = 0


@dataclass
class Flash:
    """Everything that survives power-off; only this is kept in the card's file."""

    profile: str
    serials: dict[int, bytes]
    authentikey: bytes = field(repr=False)
    certificate: bytes = b""
    personalised: bool = False
    setup_done: bool = False
    pins: dict[int, Code] = field(default_factory=factory_pins, repr=False)
    puks: dict[int, Code] = field(default_factory=dict, repr=False)
    master: bytes = field(default=b"", repr=False)
    cache: dict[bytes, bytes] = field(default_factory=dict, repr=False)
    cache_limit: int = 0
    last_key: bytes = field(default=b"", repr=False)
    slots: dict[int, bytes] = field(default_factory=dict, repr=False)
    label: bytes = b""
    second_factor: bytes = field(default=b"", repr=False)
    amount_limit: int = 0
    trusted_key: bytes = b""
    policies: Policies = field(default_factory=Policies)
    reset_signals_left: int = RESET_SIGNALS

    @property
    def release(self) -> tuple[int, ...]:
        """Return the whole version, as (0, 12, 0, 6)."""
        return tuple(int(number) for number in self.profile.replace("-", ".").split("."))

    @property
    def version(self) -> tuple[int, int]:
        """Return the protocol version, as (0, 12)."""
        major, minor, *_ = self.release
        return major, minor


def revived(fields: Any) -> Flash:  # noqa: ANN401 -- whatever was kept, checked by whoever asks
    """Return the flash that was kept with these fields."""
    codes = {
        each: {number: Code(**code) for number, code in fields[each].items()}
        for each in ("pins", "puks")
    }
    return Flash(**fields | codes | {"policies": Policies(**fields["policies"])})


@dataclass
class Channel:
    """A secure channel that is open."""

    keys: ChannelKeys = field(repr=False)
    counter: int = 0


@dataclass
class Power:
    """Everything that is lost at power-off."""

    selected: bool = False
    touched: bool = False
    channel: Channel | None = field(default=None, repr=False)
    verified: set[int] = field(default_factory=set)
    last_key: bytes = field(default=b"", repr=False)
    tweaked_key: bytes = field(default=b"", repr=False)
    cipher: Callable[[bytes], bytes] | None = field(default=None, repr=False)


@dataclass
class Card:
    """A card with power."""

    flash: Flash
    power: Power = field(default_factory=Power)

    def log_out(self) -> None:
        """Forget every PIN that was verified."""
        self.power.verified.clear()


Handler = Callable[[Card, Request], bytes]


def check_pin(card: Card, number: int, candidate: bytes) -> None:
    """Count a wrong PIN, which logs out; a size no PIN has is refused and not counted."""
    if len(candidate) not in PIN_SIZES:
        raise Refusal(Sw.INVALID_PARAMETER)
    card.power.verified.discard(number)
    check_code(card.flash.pins[number], candidate)


def need_no_parameter(request: Request) -> None:
    """Refuse a P2 where the command knows none."""
    if request.p2:
        raise Refusal(Sw.INCORRECT_P2)
